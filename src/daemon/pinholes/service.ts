/**
 * Pinholes, kept: the one thing that all doors talk to.
 *
 * A commit goes this way, and comes out in force or not at all:
 *
 * ```
 * staged ─► decided (store) ─► written and synced (journal) ─► in force (packet filter) ─► answered
 *             │ refused              │ disk full               │ refused: bisected, the others stand
 *             ▼                      ▼                         │ drifted: restored, tried again
 *           answered               answered                    │ busy: tried again, then answered
 * ```
 *
 * Commits that arrive while one is on its way go together as the next, so the number of kernel transactions
 * and of syncs does not follow the number of commits. Reading waits for what is on its way: what is shown is
 * in force.
 */
import { setTimeout as delay } from "node:timers/promises";
import { FirewallError, type Milliseconds } from "../../base/index.ts";
import {
  type Agent,
  type BackendAbilities,
  type CommitAnswer,
  type CommitOptions,
  type CommitOutcome,
  type CommitRequest,
  type Drift,
  EventLog,
  isTranslation,
  limitsFor,
  type MissedEvents,
  type Moment,
  type NatMode,
  type Operation,
  type Pinhole,
  type PinholeBackend,
  type PinholeEventRecord,
  type PinholeLimits,
  type PinholeNews,
  PinholeRefusal,
  type PinholeStore,
  type RefusalCode,
  type Restoration,
  type Traffic,
  type Transaction,
} from "../../pinhole/index.ts";
import { type EnforcementCounters, Enforcer } from "./enforcer.ts";
import type { PinholeJournal } from "./journal.ts";

/** What a service is made of. */
export interface ServiceOptions {
  /** Empty: the journal fills it. */
  readonly store: PinholeStore;
  readonly journal: PinholeJournal;
  readonly backend: PinholeBackend;
  /** Both clocks. */
  readonly moment: () => Moment;
  /** Names the start of the machine. */
  readonly bootId: string;
  /** How long commits are gathered while others keep coming, in milliseconds; 1 when absent. */
  readonly gatherMs?: Milliseconds;
  /** Events kept for listeners that come back. */
  readonly eventsKept: number;
}

/** How the service fares. */
export interface ServiceStatus {
  readonly backend: string;
  readonly abilities: BackendAbilities;
  readonly generation: number;
  readonly pinholes: number;
  /** Ways to translate addresses. */
  readonly natModes: readonly NatMode[];
  /** Elements that shall be in force, and that are. */
  readonly desired: number;
  readonly enforced: number;
  readonly isDegraded: boolean;
  /** What the packet filter said last when it failed. */
  readonly reason: string;
  readonly counters: Readonly<EnforcementCounters>;
}

/** A commit that waits. */
interface Waiting extends CommitRequest {
  readonly answer: (outcome: CommitOutcome) => void;
  readonly fail: (error: unknown) => void;
}

/** Somebody who wants to know what was put right. */
interface Auditor {
  readonly resolve: (restoration: Restoration) => void;
  readonly reject: (error: Error) => void;
}

/** Commits that go together, at most. */
const BATCH_MAX = 4096;

/** Operations that go together, at most; one transaction may have more. */
const BATCH_OPERATIONS_MAX = 16_384;

/** Longest wait of the timer that ends leases, in milliseconds. */
const TICK_MAX_MS = 1000;

/** How long after a failed restoration the next is tried, in milliseconds. */
const RESTORE_AGAIN_MS = 1000;

/** Failures of the packet filter and the journal as refusals of what was asked for. */
const REFUSED_AS: Readonly<Record<string, RefusalCode>> = {
  BACKEND_REFUSED: "BACKEND_REFUSED",
  BACKEND_DRIFTED: "BACKEND_UNAVAILABLE",
  BACKEND_UNAVAILABLE: "BACKEND_UNAVAILABLE",
  JOURNAL_UNAVAILABLE: "JOURNAL_UNAVAILABLE",
};

function answerAll(batch: readonly Waiting[], outcomes: readonly CommitOutcome[]): void {
  for (const [index, waiting] of batch.entries()) {
    const outcome = outcomes[index];
    if (outcome !== undefined) waiting.answer(outcome);
  }
}

function refusalOf(failed: FirewallError): PinholeRefusal {
  const code = REFUSED_AS[failed.code] ?? "BACKEND_REFUSED";
  return new PinholeRefusal(code, failed.message, { cause: failed });
}

/** Refuses limits that the packet filter would not enforce. */
function checkLimits({ operations, agent }: Transaction, abilities: BackendAbilities): void {
  for (const [index, operation] of operations.entries()) {
    if (operation.op !== "open" && operation.op !== "enable") continue;
    const limits = limitsFor(operation.request, agent.profile) ?? {};
    const [unknown] = (Object.keys(limits) as (keyof PinholeLimits)[]).filter(
      (name) => !abilities.limits.includes(name),
    );
    if (unknown === undefined) continue;
    const message = `This packet filter does not limit ${unknown}: see the capabilities.`;
    throw new PinholeRefusal("LIMIT_UNSUPPORTED", message, { operation: index, field: `limit.${unknown}` });
  }
}

/** Closes and blocks make things safer: they go at once, and also when the journal cannot be written. */
function isProtective({ transaction }: CommitRequest): boolean {
  return transaction.operations.every(
    (operation) =>
      operation.op === "close" || (operation.op === "open" && operation.request.kind === "block"),
  );
}

/** Pinholes, kept. */
export class PinholeService {
  readonly #options: ServiceOptions;
  readonly #enforcer: Enforcer;
  readonly #events: EventLog;
  readonly #listeners: Set<(event: PinholeEventRecord) => void> = new Set();
  #waiting: Waiting[] = [];
  #readers: (() => void)[] = [];
  #auditors: Auditor[] = [];
  #isPumping = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #wasBusy = false;
  /** Something drifted while a batch was on its way. */
  #isSuspicious = false;

  private constructor(options: ServiceOptions) {
    this.#options = options;
    this.#events = new EventLog(options.eventsKept);
    const { store, journal, backend, moment } = options;
    const publish = (news: readonly PinholeNews[]): void => this.#publish(news);
    this.#enforcer = new Enforcer({ store, journal, backend, moment, publish });
  }

  /**
   * Reads the journal, makes the packet filter hold what it says, and only then takes requests.
   *
   * @throws {FirewallError} when the filter cannot be put right; `TRANSLATION_UNSUPPORTED` when it shall
   *   translate addresses and cannot
   */
  static async start(options: ServiceOptions): Promise<PinholeService> {
    const service = new PinholeService(options);
    await service.#begin();
    return service;
  }

  /** What the packet filter can do. */
  get abilities(): BackendAbilities {
    return this.#options.backend.abilities;
  }

  /** Both clocks. */
  get moment(): Moment {
    return this.#options.moment();
  }

  /**
   * Opens a transaction: stage operations on it, then {@link PinholeService.commit} or
   * {@link PinholeService.rollback}.
   *
   * @throws {PinholeRefusal} `QUOTA_EXCEEDED`
   */
  begin(agent: Agent): Transaction {
    return this.#options.store.begin(agent, this.moment);
  }

  /**
   * An open transaction by its id.
   *
   * @throws {PinholeRefusal} `NO_SUCH_TRANSACTION`
   */
  transaction(agent: Agent, id: string): Transaction {
    return this.#options.store.transaction(agent, id, this.moment);
  }

  /** Gives a transaction up. */
  rollback(transaction: Transaction): void {
    this.#options.store.rollback(transaction);
  }

  /**
   * Puts a transaction into force.
   *
   * @returns when the kernel has confirmed it
   * @throws {PinholeRefusal} and then nothing of it took effect; the transaction is over
   */
  async commit(transaction: Transaction, options: CommitOptions = {}): Promise<CommitAnswer> {
    const isOver = !transaction.isOpen || transaction.deadline <= this.moment.now;
    this.#options.store.rollback(transaction);
    if (isOver) throw new PinholeRefusal("NO_SUCH_TRANSACTION", "This transaction is over. Begin another.");
    checkLimits(transaction, this.abilities);
    const outcome = await this.#enqueue({ transaction, options });
    if (outcome instanceof PinholeRefusal) throw outcome;
    return outcome;
  }

  /**
   * Does several things at once, all or nothing.
   *
   * @throws {PinholeRefusal} with the index of the operation
   */
  async apply(
    agent: Agent,
    operations: readonly Operation[],
    options: CommitOptions = {},
  ): Promise<CommitAnswer> {
    const transaction = this.#options.store.stage(agent, this.moment);
    for (const operation of operations) transaction.stage(operation);
    return this.commit(transaction, options);
  }

  /** Reads what is in force, when nothing is on its way. */
  read<Result>(look: (store: PinholeStore) => Result): Promise<Result> {
    return new Promise((resolve) => {
      // An asynchronous function begins at once, and what it throws becomes a rejection.
      const reader = (): void => resolve((async () => look(this.#options.store))());
      // Between two batches a reader looks at once: a moment later the next one is decided.
      if (this.#isPumping) this.#readers.push(reader);
      else reader();
    });
  }

  /** What passed through each of these pinholes, in their order. */
  async traffic(pinholes: readonly Pinhole[]): Promise<Traffic[]> {
    const elements = pinholes.map((pinhole) => pinhole.elements.filter((one) => !isTranslation(one)));
    const counts = await this.#options.backend.traffic(elements.flat());
    let at = 0;
    return elements.map(({ length }) => {
      const own = counts.slice(at, at + length);
      at += length;
      return own.reduce(
        (sum, one) => ({ packets: sum.packets + one.packets, bytes: sum.bytes + one.bytes }),
        { packets: 0, bytes: 0 },
      );
    });
  }

  /**
   * Listens to events.
   *
   * @returns stops listening
   */
  listen(listener: (event: PinholeEventRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Events behind one, for a listener that comes back. */
  missed(sequence: number): MissedEvents {
    return this.#events.since(sequence);
  }

  /** Number of the last event. */
  get lastEvent(): number {
    return this.#events.last;
  }

  /** Tells everybody something that happened at a door. */
  announce(news: Omit<PinholeNews, "generation" | "at">): void {
    this.#publish([{ ...news, generation: this.#options.store.generation, at: this.moment.wall }]);
  }

  get status(): ServiceStatus {
    const { store, backend } = this.#options;
    const { health, counters, enforced } = this.#enforcer;
    return {
      backend: backend.name,
      abilities: backend.abilities,
      generation: store.generation,
      pinholes: store.size,
      natModes: store.natModes,
      desired: store.elementCount,
      enforced,
      isDegraded: health.isDegraded,
      reason: health.reason,
      counters: { ...counters },
    };
  }

  /**
   * Reads the packet filter and puts right what differs.
   *
   * @throws {FirewallError} when it cannot be put right
   */
  audit(): Promise<Restoration> {
    return new Promise((resolve, reject) => {
      this.#auditors.push({ resolve, reject });
      void this.#pump();
    });
  }

  /** Takes no more requests, finishes what is on its way, and lets go. What is in force stays. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.read(() => undefined);
    await this.#options.journal.close();
    await this.#options.backend.close();
  }

  async #begin(): Promise<void> {
    const { store, journal, backend, bootId } = this.#options;
    if (store.natModes.length > 0 && !backend.abilities.translates) {
      const message = `${backend.name} does not translate addresses. Use another packet filter, or no translation.`;
      throw new FirewallError("TRANSLATION_UNSUPPORTED", message);
    }
    const moment = this.moment;
    const over = store.load(journal.load(), moment, bootId);
    await this.#enforcer.restore();
    if (over.length > 0) {
      await journal.append({ head: store.journalHead, put: [], remove: over, keep: [], forget: [] });
    }
    backend.watch((drift) => this.#drifted(drift));
    this.#schedule();
  }

  #enqueue(request: CommitRequest): Promise<CommitOutcome> {
    if (this.#isClosed) {
      const refusal = new PinholeRefusal("BACKEND_UNAVAILABLE", "The service is being shut down.");
      return Promise.resolve(refusal);
    }
    return new Promise((answer, fail) => {
      this.#waiting.push({ ...request, answer, fail });
      void this.#pump();
    });
  }

  /** Works until nothing waits; one at a time. However many commits come, what else is due has its turn. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    let batch: Waiting[] = [];
    try {
      do {
        if (this.#enforcer.mustRestore || this.#auditors.length > 0) await this.#restore();
        await this.#expire();
        this.#letRead();
        await this.#gather();
        batch = this.#takeBatch();
        if (batch.length > 0) answerAll(batch, await this.#carry(batch, true));
      } while (this.#waiting.length > 0);
    } catch (error) {
      for (const waiting of [...batch, ...this.#waiting.splice(0)]) waiting.fail(error);
    } finally {
      this.#rest();
    }
  }

  #letRead(): void {
    for (const reader of this.#readers.splice(0)) reader();
  }

  #rest(): void {
    this.#isPumping = false;
    this.#letRead();
    const hasWork = this.#waiting.length > 0 || this.#auditors.length > 0 || this.#isSuspicious;
    if (hasWork) void this.#pump();
    else this.#schedule();
  }

  /** While commits keep coming, waits a moment for more of them. What protects does not wait. */
  async #gather(): Promise<void> {
    const wasBusy = this.#wasBusy;
    this.#wasBusy = this.#waiting.length > 1;
    const gatherMs = this.#options.gatherMs ?? 1;
    if (!wasBusy || gatherMs === 0 || this.#waiting.some(isProtective)) return;
    await delay(gatherMs);
  }

  #takeBatch(): Waiting[] {
    let operations = 0;
    let count = 0;
    for (const { transaction } of this.#waiting) {
      operations += transaction.operations.length;
      if (count > 0 && (operations > BATCH_OPERATIONS_MAX || count >= BATCH_MAX)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  /** Carries commits out together; when that fails, finds out which of them is to blame. */
  async #carry(requests: readonly CommitRequest[], mustBeWritten: boolean): Promise<CommitOutcome[]> {
    const prepared = this.#options.store.prepare(requests, this.moment);
    const failed = await this.#enforcer.enforce(prepared, mustBeWritten);
    if (failed === undefined) return [...prepared.outcomes];
    if (failed.code === "JOURNAL_UNAVAILABLE" && requests.some(isProtective)) {
      return this.#carryUnwritten(requests, failed);
    }
    if (failed.code !== "BACKEND_REFUSED" || requests.length === 1) {
      return prepared.outcomes.map((outcome) =>
        outcome instanceof PinholeRefusal ? outcome : refusalOf(failed),
      );
    }
    const middle = requests.length >> 1;
    return [
      ...(await this.#carry(requests.slice(0, middle), mustBeWritten)),
      ...(await this.#carry(requests.slice(middle), mustBeWritten)),
    ];
  }

  /** The journal cannot be written: nothing is promised, and what protects is done all the same. */
  async #carryUnwritten(requests: readonly CommitRequest[], failed: FirewallError): Promise<CommitOutcome[]> {
    const outcomes: CommitOutcome[] = [];
    for (const request of requests) {
      if (!isProtective(request)) outcomes.push(refusalOf(failed));
      else outcomes.push(...(await this.#carry([request], false)));
    }
    return outcomes;
  }

  /** Ends some of what is overdue. When there is more of it, the timer comes back soon. */
  async #expire(): Promise<void> {
    const { store, moment } = this.#options;
    const due = store.expire(moment());
    if (due !== undefined) await this.#enforcer.enforce(due, false);
  }

  async #restore(): Promise<void> {
    const auditors = this.#auditors.splice(0);
    this.#isSuspicious = false;
    try {
      const restoration = await this.#enforcer.restore();
      this.#tellRestoration(restoration);
      for (const { resolve } of auditors) resolve(restoration);
    } catch (error) {
      for (const { reject } of auditors) reject(error as Error);
      if (!(error instanceof FirewallError)) throw error;
    }
  }

  #tellRestoration({ added, renewed, removed }: Restoration): void {
    if (added.length + removed.length + renewed.length === 0) return;
    const text = `${added.length} missing, ${renewed.length} with a wrong end, ${removed.length} unknown.`;
    this.#enforcer.counters.drifts += 1;
    this.#enforcer.announce("backend.recovered", `Put right: ${text}`);
  }

  #drifted(drift: Drift): void {
    const culprit = drift.culprit === "" ? "Somebody" : drift.culprit;
    this.#enforcer.announce("backend.drift", `${culprit} changed our rules: ${drift.what}.`);
    this.#enforcer.suspect();
    this.#isSuspicious = true;
    void this.#pump();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#timer);
    const next = this.#options.store.nextDeadline;
    const { now } = this.moment;
    const restoreMs = this.#enforcer.mustRestore ? RESTORE_AGAIN_MS : TICK_MAX_MS;
    const waitMs = next === undefined ? restoreMs : Math.min(restoreMs, Math.max(1, Math.ceil(next - now)));
    this.#timer = setTimeout(() => void this.#pump(), waitMs);
    this.#timer.unref();
  }

  #publish(news: readonly PinholeNews[]): void {
    for (const event of this.#events.append(news)) {
      for (const listener of this.#listeners) listener(event);
    }
  }
}
