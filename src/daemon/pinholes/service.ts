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
 * One thing at a time, and commits that come together go together: see {@link WorkLoop}. Reading waits for
 * what is on its way: what is shown is in force.
 */
import { setImmediate as turn } from "node:timers/promises";
import { FirewallError, invariant } from "../../base/index.ts";
import {
  type Agent,
  type BackendAbilities,
  type CommitAnswer,
  type CommitOptions,
  type CommitOutcome,
  type CommitRequest,
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
  type Restoration,
  type Traffic,
  type Transaction,
} from "../../pinhole/index.ts";
import { type EnforcementCounters, Enforcer } from "./enforcer.ts";
import type { PinholeJournal } from "./journal.ts";
import { LimitWatch } from "./limit-watch.ts";
import { WorkLoop } from "./work-loop.ts";

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
  /** Events kept for listeners that come back. */
  readonly eventsKept: number;
}

/** What became of one operation. */
export interface ChangedPinhole {
  readonly pinhole: Pinhole;
  /** False when an `open` found the pinhole there already. */
  readonly isNew: boolean;
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

/** Pinholes, kept. */
export class PinholeService {
  readonly #options: ServiceOptions;
  readonly #enforcer: Enforcer;
  readonly #loop: WorkLoop;
  readonly #limitWatch: LimitWatch;
  readonly #events: EventLog;
  readonly #listeners: Set<(event: PinholeEventRecord) => void> = new Set();

  private constructor(options: ServiceOptions) {
    this.#options = options;
    this.#events = new EventLog(options.eventsKept);
    const { store, journal, backend, moment } = options;
    const publish = (news: readonly PinholeNews[]): void => this.#publish(news);
    const whenSettled = <Result>(work: () => Result): Promise<Result> => this.#loop.read(work);
    this.#enforcer = new Enforcer({ store, journal, backend, moment, whenSettled, publish });
    this.#loop = new WorkLoop({ store, enforcer: this.#enforcer, moment });
    this.#limitWatch = new LimitWatch({
      backend,
      read: (look) => this.read(look),
      wall: () => moment().wall,
      publish,
    });
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
   * @param options - with `wait: "journal"` it is answered before the kernel has confirmed it; should the
   *   kernel refuse, nothing of it takes effect and an event `commit.failed` says so
   * @returns when the kernel has confirmed it
   * @throws {PinholeRefusal} and then nothing of it took effect; the transaction is over
   */
  commit(transaction: Transaction, options: CommitOptions = {}): Promise<CommitAnswer> {
    return this.#commit({ transaction, options });
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

  /**
   * Does one thing.
   *
   * @returns how the pinhole stands behind it, whatever became of it since
   * @throws {PinholeRefusal}
   */
  async change(agent: Agent, operation: Operation): Promise<ChangedPinhole> {
    const transaction = this.#options.store.stage(agent, this.moment);
    transaction.stage(operation);
    let pinhole: Pinhole | undefined;
    const decided = (left: Pinhole | undefined): void => {
      pinhole = left;
    };
    const { results } = await this.#commit({ transaction, options: {}, decided });
    invariant(pinhole !== undefined, "an operation leaves a pinhole");
    return { pinhole, isNew: results.some(({ isNew }) => isNew) };
  }

  /** Reads what is in force, when nothing is on its way. */
  read<Result>(look: (store: PinholeStore) => Result): Promise<Result> {
    return this.#loop.read(look);
  }

  /** What passed through each of these pinholes, in their order. */
  async traffic(pinholes: readonly Pinhole[]): Promise<Traffic[]> {
    const { store } = this.#options;
    const elements = pinholes.map((pinhole) =>
      store.elementsOf(pinhole).filter((one) => !isTranslation(one)),
    );
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
    const { health, expiryHealth, journalHealth, counters, enforced } = this.#enforcer;
    const ill = [health, expiryHealth, journalHealth];
    return {
      backend: backend.name,
      abilities: backend.abilities,
      generation: store.generation,
      pinholes: store.size,
      natModes: store.natModes,
      desired: store.elementCount,
      enforced,
      isDegraded: ill.some(({ isDegraded }) => isDegraded),
      reason: ill.find(({ reason }) => reason !== "")?.reason ?? "",
      counters: { ...counters },
    };
  }

  /**
   * Reads the packet filter and puts right what differs.
   *
   * @throws {FirewallError} when it cannot be put right
   */
  audit(): Promise<Restoration> {
    return this.#loop.audit();
  }

  /** Takes no more requests, finishes what is on its way, and lets go. What is in force stays. */
  async close(): Promise<void> {
    this.#limitWatch.close();
    await this.#loop.close();
    await this.#enforcer.writeRest();
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
    backend.foresee?.();
    const corrections = await store.load(journal.load(), moment, bootId, turn);
    // Deadlines that are over, or of another start of the machine, are found again by the next start: a disk
    // that takes nothing keeps no pinholes waiting.
    if (corrections !== undefined) await this.#enforcer.correct(corrections);
    await this.#enforcer.restore();
    backend.watch((drift) => void this.#loop.drifted(drift));
    this.#loop.start();
    this.#limitWatch.start();
  }

  async #commit(request: CommitRequest): Promise<CommitAnswer> {
    const { transaction, options } = request;
    const isOver = !transaction.isOpen || transaction.deadline <= this.moment.now;
    this.#options.store.take(transaction);
    if (isOver) throw new PinholeRefusal("NO_SUCH_TRANSACTION", "This transaction is over. Begin another.");
    checkLimits(transaction, this.abilities);
    const outcome = await (options.wait === "journal" ? this.#write(request) : this.#loop.commit(request));
    if (outcome instanceof PinholeRefusal) throw outcome;
    return outcome;
  }

  /** Carries a commit out, and answers when it is written. */
  #write(request: CommitRequest): Promise<CommitOutcome> {
    return new Promise((resolve, reject) => {
      let told: CommitAnswer | undefined;
      const written = (answer: CommitAnswer): void => {
        told = answer;
        resolve({ ...answer, isInForce: false });
      };
      const settle = (outcome: CommitOutcome): void => {
        resolve(outcome);
        if (told !== undefined && outcome instanceof PinholeRefusal) this.#tellFailed(request, told, outcome);
      };
      const fail = (error: Error): void => {
        reject(error);
        if (told !== undefined) this.#tellFailed(request, told, error);
      };
      this.#loop.commit({ ...request, written }).then(settle, fail);
    });
  }

  #tellFailed({ transaction, options }: CommitRequest, told: CommitAnswer, error: Error): void {
    const ids = told.results.map(({ id }) => id);
    const { origin = "" } = options;
    const text = `What was written did not come into force: ${error.message}`;
    this.announce({ type: "commit.failed", owner: transaction.agent.name, origin, ids, text });
  }

  #publish(news: readonly PinholeNews[]): void {
    for (const event of this.#events.append(news)) {
      for (const listener of this.#listeners) listener(event);
    }
  }
}
