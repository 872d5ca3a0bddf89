/**
 * Carries decisions out: journal first, then the packet filter, and back to where it was when either fails.
 *
 * One thing at a time; the service sees to that.
 */
import { setTimeout as delay } from "node:timers/promises";
import { FirewallError } from "../../base/index.ts";
import {
  type JournalChanges,
  type Moment,
  type PacketFacts,
  type Pinhole,
  type PinholeBackend,
  type PinholeEventType,
  type PinholeNews,
  type PinholeStore,
  type PreparedCommit,
  type PreparedPlan,
  type Restoration,
} from "../../pinhole/index.ts";
import { BackendHealth, type HealthChange } from "./health.ts";
import type { PinholeJournal } from "./journal.ts";
import { JournalBacklog } from "./journal-backlog.ts";

/** What an enforcer works with. */
export interface EnforcerParts {
  readonly store: PinholeStore;
  readonly journal: PinholeJournal;
  readonly backend: PinholeBackend;
  readonly moment: () => Moment;
  /** Does something when nothing is decided that is not in force. */
  readonly whenSettled: <Result>(work: () => Result) => Promise<Result>;
  /** Told what has happened, once it is in force. */
  readonly publish: (news: readonly PinholeNews[]) => void;
}

/**
 * When a decision is written: `first`, or it is not carried out; before it is carried out `if-possible`, and
 * else when the disk can be written again; `later`, when {@link Enforcer.writeRest} is called, for what is on
 * the disk in another form already.
 */
export type Writing = "first" | "if-possible" | "later";

/** How often a filter that is short of something is asked again, and how long after, in milliseconds. */
const RETRY_AFTER_MS = [50, 200, 800];

/** Pinholes that the filter may refuse one by one when everything is restored. */
const CULPRITS_MAX = 16;

/** Numbers that a person watches. */
export interface EnforcementCounters {
  /** Transactions of the packet filter. */
  commits: number;
  /** Elements put and removed by them. */
  changes: number;
  /** Live connections that were ended. */
  cutConnections: number;
  /** Plans that the packet filter refused. */
  refusals: number;
  /** Times that somebody else had changed what is ours. */
  drifts: number;
  /** Commits that could not be written down. */
  journalFailures: number;
  /** Times that leases were over and the packet filter would not end them. */
  expiryFailures: number;
}

/** Carries decisions out. */
export class Enforcer {
  readonly counters: EnforcementCounters = {
    commits: 0,
    changes: 0,
    cutConnections: 0,
    refusals: 0,
    drifts: 0,
    journalFailures: 0,
    expiryFailures: 0,
  };
  readonly health: BackendHealth = new BackendHealth();
  /** How the ends of leases fare; what else works may hide that they do not. */
  readonly expiryHealth: BackendHealth = new BackendHealth();
  /** How the journal fares: while it cannot be written nothing opens. */
  readonly journalHealth: BackendHealth = new BackendHealth(1);
  readonly #parts: EnforcerParts;
  /** What is decided and not written. */
  readonly #backlog: JournalBacklog;
  #mustRestore = true;
  /** Times that something was not as it should be. */
  #suspicions = 0;
  /** How many of them an audit has put right. */
  #suspicionsEnded = 0;
  /** Ends of connections that are on their way. */
  readonly #endings: Set<Promise<void>> = new Set();
  /** Those of them that nobody waits for yet. */
  #begun: Promise<void>[] = [];

  constructor(parts: EnforcerParts) {
    this.#parts = parts;
    this.#backlog = new JournalBacklog(parts.journal);
  }

  /** Elements that are in force, of those that shall be. */
  get enforced(): number {
    return this.#mustRestore || this.#suspicions > this.#suspicionsEnded ? 0 : this.#parts.store.elementCount;
  }

  /** True when the filter must be read and put right before anything else. */
  get mustRestore(): boolean {
    return this.#mustRestore;
  }

  /**
   * Carries one decision out.
   *
   * @param onWritten - called when it is written and not yet in force; not when it could not be written
   * @returns why it could not be done, and then it is taken back, in the journal by the next write; undefined
   *   when it is in force
   */
  async enforce(
    prepared: PreparedCommit,
    writing: Writing,
    onWritten: () => void = () => undefined,
  ): Promise<FirewallError | undefined> {
    if (!prepared.hasEffect) {
      const { keep, forget } = prepared.journal;
      if (keep.length + forget.length > 0) this.#backlog.add(prepared.journal);
      prepared.settle();
      return undefined;
    }
    const { backend, moment } = this.#parts;
    let ready: PreparedPlan;
    try {
      // Lifetimes count from here: to decide much takes long.
      ready = backend.prepare({ ...prepared.plan, now: moment().now });
    } catch (error) {
      prepared.takeBack();
      return failure(error);
    }
    const unwritten = await this.#write(prepared.journal, writing);
    if (unwritten === undefined && this.#backlog.isEmpty) onWritten();
    const failed = unwritten ?? (await this.#commit(ready));
    if (failed === undefined) {
      this.#finish(prepared);
      return undefined;
    }
    backend.rollback(ready);
    const inverse = prepared.takeBack();
    if (unwritten === undefined) this.#backlog.add(inverse);
    return failed;
  }

  /** The journal shall say this, as soon as it can be written. */
  async correct(changes: JournalChanges): Promise<void> {
    this.#backlog.add(changes);
    await this.writeRest();
  }

  /**
   * Tries a journal that could not be written: whether it works again is to be known before somebody opens.
   */
  async retryJournal(): Promise<void> {
    if (this.journalHealth.isDegraded && this.#backlog.isEmpty) {
      const head = this.#parts.store.journalHead;
      this.#backlog.add({ head, put: [], remove: [], keep: [], forget: [] });
    }
    await this.writeRest();
  }

  /** Writes what is decided and not written. It stays to be written when it cannot be. */
  async writeRest(): Promise<void> {
    try {
      await this.#catchUp();
    } catch (error) {
      failure(error);
    }
  }

  /**
   * The ends of connections that were begun since this was asked last.
   *
   * @returns settled when they have ended; undefined when there are none
   */
  takeEndings(): Promise<unknown> | undefined {
    const begun = this.#begun;
    this.#begun = [];
    return begun.length === 0 ? undefined : Promise.all(begun);
  }

  /** Waits for all ends of connections that are on their way. */
  async settleEndings(): Promise<void> {
    await Promise.allSettled(this.#endings);
  }

  /**
   * Reads the filter and puts right what differs. Pinholes that it will not have are ended.
   *
   * @throws {FirewallError} when the filter cannot be put right at all
   */
  async restore(): Promise<Restoration> {
    this.#mustRestore = true;
    const suspicions = this.#suspicions;
    try {
      const restoration = await this.#restoreDespiteCulprits();
      this.#mustRestore = false;
      this.#suspicionsEnded = suspicions;
      this.#tellHealth(this.health.succeed());
      return restoration;
    } catch (error) {
      this.#tellHealth(this.health.fail(failure(error).message));
      throw error;
    }
  }

  /**
   * Reads the filter and puts right what differs while commits go on.
   *
   * @returns undefined when it takes {@link Enforcer.restore}
   */
  async audit(): Promise<Restoration | undefined> {
    const { backend, moment } = this.#parts;
    if (this.#mustRestore || backend.audit === undefined) return undefined;
    // What is noticed from now on may be about what this audit has read already.
    const suspicions = this.#suspicions;
    try {
      const restoration = await backend.audit(() => moment().now);
      if (restoration !== undefined) this.#suspicionsEnded = suspicions;
      return restoration;
    } catch (error) {
      // What stands in the way is met again by the restoration, and told.
      failure(error);
      return undefined;
    }
  }

  /** Something is not as it should be: nothing counts as enforced until it is audited or restored. */
  suspect(): void {
    this.#suspicions += 1;
  }

  /** Nothing may be changed before everything is restored. */
  distrust(): void {
    this.#mustRestore = true;
  }

  /** Tells the world. */
  announce(type: PinholeEventType, text: string): void {
    const { store, moment, publish } = this.#parts;
    publish([{ type, generation: store.generation, at: moment().wall, origin: "", text }]);
  }

  /** @throws {FirewallError} `JOURNAL_UNAVAILABLE` */
  async #catchUp(): Promise<void> {
    const { changes } = this.#backlog;
    if (changes === undefined) return;
    await this.#append(changes);
    this.#backlog.clear();
  }

  /** @throws {FirewallError} `JOURNAL_UNAVAILABLE`, and everybody is told when it was written before */
  async #append(changes: JournalChanges): Promise<void> {
    try {
      await this.#parts.journal.append(changes);
    } catch (error) {
      const { message } = failure(error);
      if (this.journalHealth.fail(message) === "degraded") {
        this.announce("backend.degraded", `Nothing can be opened, only closed and blocked: ${message}`);
      }
      throw error;
    }
    if (this.journalHealth.succeed() === "recovered") {
      this.announce("backend.recovered", "The journal can be written again.");
    }
  }

  /** Writes changes behind what is not written yet. */
  async #write(changes: JournalChanges, writing: Writing): Promise<FirewallError | undefined> {
    if (writing === "later") {
      this.#backlog.add(changes);
      return undefined;
    }
    if (!this.#backlog.isEmpty && writing === "if-possible") {
      // The rest is tried once for all of them: each try takes as long as there is much of it.
      this.#backlog.add(changes);
      this.counters.journalFailures += 1;
      return undefined;
    }
    try {
      await this.#catchUp();
      await this.#append(changes);
      return undefined;
    } catch (error) {
      this.counters.journalFailures += 1;
      const failed = failure(error);
      if (writing === "first") return failed;
      this.#backlog.add(changes);
      return undefined;
    }
  }

  async #commit(ready: PreparedPlan): Promise<FirewallError | undefined> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await this.#parts.backend.commit(ready);
        this.#tellHealth(this.health.succeed());
        return undefined;
      } catch (error) {
        const failed = failure(error);
        if (failed.code === "BACKEND_DRIFTED") return this.#restoreInstead(failed);
        if (failed.code === "BACKEND_REFUSED") this.counters.refusals += 1;
        const waitMs = RETRY_AFTER_MS[attempt];
        if (failed.code !== "BACKEND_UNAVAILABLE" || waitMs === undefined) return failed;
        this.#tellHealth(this.health.fail(failed.message));
        await delay(waitMs);
      }
    }
  }

  /** What is decided belongs to what shall be in force: one restoration brings it along. */
  async #restoreInstead(drifted: FirewallError): Promise<FirewallError | undefined> {
    this.counters.drifts += 1;
    this.announce("backend.drift", drifted.message);
    try {
      const { backend, store, moment } = this.#parts;
      await backend.restore(store.desired(moment().now));
      this.announce("backend.recovered", "What was changed behind our back is put right.");
      return undefined;
    } catch (error) {
      this.#mustRestore = true;
      return failure(error);
    }
  }

  #finish(prepared: PreparedCommit): void {
    const { plan, cut, events } = prepared;
    prepared.settle();
    this.counters.commits += 1;
    this.counters.changes += plan.put.length + plan.remove.length;
    this.#parts.publish(events);
    if (cut.boxes.length + cut.translated.length === 0) return;
    const ending = this.#cut(cut).finally(() => this.#endings.delete(ending));
    this.#endings.add(ending);
    this.#begun.push(ending);
  }

  async #cut(list: PreparedCommit["cut"]): Promise<void> {
    const { backend, store, whenSettled } = this.#parts;
    try {
      const isPermitted = (packet: PacketFacts): boolean => store.permits(packet);
      const ended = await backend.cut({ ...list, isPermitted, whenSettled });
      this.counters.cutConnections += ended;
    } catch (error) {
      this.#tellHealth(this.health.fail(failure(error).message));
    }
  }

  async #restoreDespiteCulprits(): Promise<Restoration> {
    const { backend, store, moment } = this.#parts;
    const culprits: Pinhole[] = [];
    while (culprits.length <= CULPRITS_MAX) {
      const without = new Set(culprits.map(({ number }) => number));
      try {
        const restoration = await backend.restore(store.desired(moment().now, without));
        await this.#end(culprits);
        return restoration;
      } catch (error) {
        const failed = failure(error);
        if (failed.code !== "BACKEND_REFUSED") throw failed;
        culprits.push(await this.#findCulprit(without, failed));
      }
    }
    throw new FirewallError("BACKEND_REFUSED", "The packet filter refuses too many pinholes.");
  }

  /** The last made are the first suspects: what was never confirmed is among them. */
  async #findCulprit(known: ReadonlySet<number>, failed: FirewallError): Promise<Pinhole> {
    const suspects = [...this.#parts.store.all()]
      .filter(({ number, state }) => state === "enabled" && !known.has(number))
      .sort((a, b) => b.generation - a.generation);
    let works = suspects.length;
    let fails = 0;
    while (works - fails > 1) {
      const middle = (works + fails) >> 1;
      if (await this.#worksWithout(known, suspects.slice(0, middle))) works = middle;
      else fails = middle;
    }
    const culprit = suspects[works - 1];
    if (culprit === undefined) throw failed;
    return culprit;
  }

  async #worksWithout(known: ReadonlySet<number>, suspects: readonly Pinhole[]): Promise<boolean> {
    const { backend, store, moment } = this.#parts;
    const without = new Set([...known, ...suspects.map(({ number }) => number)]);
    try {
      await backend.restore(store.desired(moment().now, without));
      return true;
    } catch (error) {
      if (failure(error).code === "BACKEND_REFUSED") return false;
      throw error;
    }
  }

  async #end(culprits: readonly Pinhole[]): Promise<void> {
    if (culprits.length === 0) return;
    this.counters.refusals += culprits.length;
    const { store, moment } = this.#parts;
    const failed = await this.enforce(store.end(culprits, "fail", moment()), "if-possible");
    await this.writeRest();
    if (failed !== undefined) throw failed;
  }

  #tellHealth(change: HealthChange): void {
    if (change === "degraded") this.announce("backend.degraded", this.health.reason);
    if (change === "recovered") this.announce("backend.recovered", "The packet filter works again.");
  }
}

/** What was thrown, if it is a failure that can be acted on; a bug goes on as it came. */
function failure(error: unknown): FirewallError {
  if (error instanceof FirewallError) return error;
  throw error;
}
