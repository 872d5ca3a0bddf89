/**
 * Does one thing at a time: restores, ends what is overdue, lets readers look, carries commits out; and rests
 * when nothing is left.
 *
 * Commits that arrive while one is on its way go together as the next, so the number of kernel transactions
 * and of syncs does not follow the number of commits. However many come, what else is due has its turn
 * between two batches. Only the ends of connections are waited for beside that: to find them may take as long
 * as reading the whole table of the tracker.
 */
import { FirewallError } from "../../base/index.ts";
import {
  type CommitOutcome,
  type CommitRequest,
  type Drift,
  type Moment,
  PinholeRefusal,
  type PinholeStore,
  type Restoration,
} from "../../pinhole/index.ts";
import { CommitCarrier, mayEnd } from "./commit-carrier.ts";
import type { Enforcer } from "./enforcer.ts";
import { LeaseEnder } from "./lease-ender.ts";

/** What a loop works with. */
export interface WorkLoopParts {
  readonly store: PinholeStore;
  readonly enforcer: Enforcer;
  readonly moment: () => Moment;
}

/** A commit that waits. */
interface Waiting extends CommitRequest {
  readonly answer: (outcome: CommitOutcome) => void;
  readonly fail: (error: unknown) => void;
}

/** Somebody who wants to know what was put right. */
interface Auditor {
  readonly resolve: (restoration: Restoration) => void;
  readonly fail: (error: unknown) => void;
}

/** Commits that go together, at most. */
const BATCH_MAX = 4096;

/** Operations that go together, at most; one transaction may have more. */
const BATCH_OPERATIONS_MAX = 16_384;

/** Longest wait of the timer that ends leases, in milliseconds. */
const TICK_MAX_MS = 1000;

/** How long after a failed restoration the next is tried, in milliseconds. */
const RESTORE_AGAIN_MS = 1000;

/** Does one thing at a time. */
export class WorkLoop {
  readonly #parts: WorkLoopParts;
  readonly #carrier: CommitCarrier;
  readonly #leases: LeaseEnder;
  #waiting: Waiting[] = [];
  #readers: (() => void)[] = [];
  #auditors: Auditor[] = [];
  #isPumping = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  /** Settled when no audit is on its way. */
  #lastAudit: Promise<unknown> = Promise.resolve();
  #nextAudit: Promise<Restoration> | undefined;

  constructor(parts: WorkLoopParts) {
    this.#parts = parts;
    this.#carrier = new CommitCarrier(parts.store, parts.enforcer, parts.moment);
    this.#leases = new LeaseEnder(parts.store, parts.enforcer, parts.moment);
  }

  /** Ends leases from now on. */
  start(): void {
    this.#schedule();
  }

  /** Carries a commit out, with those that come at the same time. */
  commit(request: CommitRequest): Promise<CommitOutcome> {
    if (this.#isClosed) {
      const refusal = new PinholeRefusal("BACKEND_UNAVAILABLE", "The service is being shut down.");
      return Promise.resolve(refusal);
    }
    return new Promise((answer, fail) => {
      this.#waiting.push({ ...request, answer, fail });
      void this.#pump();
    });
  }

  /** Reads when nothing is on its way. */
  read<Result>(look: (store: PinholeStore) => Result): Promise<Result> {
    return new Promise((resolve) => {
      // An asynchronous function begins at once, and what it throws becomes a rejection.
      const reader = (): void => resolve((async () => look(this.#parts.store))());
      // Between two batches a reader looks at once: a moment later the next one is decided.
      if (this.#isPumping) this.#readers.push(reader);
      else reader();
    });
  }

  /**
   * Reads the packet filter and puts right what differs, beside commits where the filter can do that. Who
   * asks while an audit is on its way shares the next.
   *
   * @throws {FirewallError} when it cannot be put right
   */
  audit(): Promise<Restoration> {
    this.#nextAudit ??= (async () => {
      await this.#lastAudit;
      this.#nextAudit = undefined;
      if (this.#isClosed) throw new FirewallError("BACKEND_UNAVAILABLE", "The service is being shut down.");
      const audit = this.#audit();
      this.#lastAudit = audit.catch(() => undefined);
      return audit;
    })();
    return this.#nextAudit;
  }

  /**
   * Somebody else changed what is ours: it is put right next.
   *
   * @returns settled when that was tried; a failure of the filter is told as its health
   */
  async drifted(drift: Drift): Promise<void> {
    if (this.#isClosed) return;
    const { enforcer } = this.#parts;
    const culprit = drift.culprit === "" ? "Somebody" : drift.culprit;
    enforcer.announce("backend.drift", `${culprit} changed our rules: ${drift.what}.`);
    enforcer.suspect();
    try {
      await this.audit();
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
    }
  }

  /** Takes no more commits, and resolves when what is on its way is finished. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.read(() => undefined);
    await this.#parts.enforcer.settleEndings();
    await this.#lastAudit;
  }

  /** Works until nothing waits; one at a time. A bug is told to who waits; to nobody, it ends the process. */
  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    let batch: Waiting[] = [];
    let auditors: Auditor[] = [];
    try {
      do {
        auditors = this.#auditors.splice(0);
        if (this.#parts.enforcer.mustRestore || auditors.length > 0) await this.#restore(auditors);
        auditors = [];
        this.#parts.store.dropOverdue(this.#parts.moment());
        await this.#leases.endDue();
        await this.#parts.enforcer.retryJournal();
        this.#letRead();
        batch = this.#takeBatch();
        if (batch.length > 0) await this.#serve(batch);
        batch = [];
      } while (this.#waiting.length > 0);
    } catch (error) {
      const told = [...batch, ...this.#waiting.splice(0), ...auditors];
      for (const { fail } of told) fail(error);
      // Failures of the system are told elsewhere. A bug that nobody hears of would be met again each second.
      if (told.length === 0) throw error;
    } finally {
      this.#rest();
    }
  }

  /**
   * Where connections have to end, the answers to those who asked for it wait for that, and nothing else
   * does.
   */
  async #serve(batch: readonly Waiting[]): Promise<void> {
    const { enforcer } = this.#parts;
    void enforcer.takeEndings();
    const outcomes = await this.#carrier.carry(batch);
    const endings = enforcer.takeEndings();
    for (const [index, waiting] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) continue;
      if (endings === undefined || !mayEnd(waiting)) waiting.answer(outcome);
      else endings.then(() => waiting.answer(outcome), waiting.fail);
    }
  }

  #letRead(): void {
    for (const reader of this.#readers.splice(0)) reader();
  }

  #rest(): void {
    this.#isPumping = false;
    this.#letRead();
    const hasWork = this.#waiting.length > 0 || this.#auditors.length > 0;
    if (hasWork) void this.#pump();
    else this.#schedule();
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

  async #audit(): Promise<Restoration> {
    const { enforcer } = this.#parts;
    const restoration = await enforcer.audit();
    if (restoration !== undefined) {
      this.#tellRestoration(restoration);
      return restoration;
    }
    enforcer.distrust();
    return new Promise((resolve, fail) => {
      this.#auditors.push({ resolve, fail });
      void this.#pump();
    });
  }

  async #restore(auditors: readonly Auditor[]): Promise<void> {
    try {
      const restoration = await this.#parts.enforcer.restore();
      this.#tellRestoration(restoration);
      for (const { resolve } of auditors) resolve(restoration);
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
      for (const { fail } of auditors) fail(error);
    }
  }

  #tellRestoration({ added, renewed, removed }: Restoration): void {
    if (added.length + removed.length + renewed.length === 0) return;
    const { enforcer } = this.#parts;
    const text = `${added.length} missing, ${renewed.length} with a wrong end, ${removed.length} unknown.`;
    enforcer.counters.drifts += 1;
    enforcer.announce("backend.recovered", `Put right: ${text}`);
  }

  #schedule(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#timer);
    const { enforcer, moment } = this.#parts;
    const restoreMs = enforcer.mustRestore ? RESTORE_AGAIN_MS : TICK_MAX_MS;
    const leftMs = (this.#leases.next ?? Number.POSITIVE_INFINITY) - moment().now;
    this.#timer = setTimeout(() => void this.#pump(), Math.min(restoreMs, Math.max(1, Math.ceil(leftMs))));
    this.#timer.unref();
  }
}
