/**
 * Ends pinholes whose time is over.
 *
 * Those that the packet filter refuses to end are found by halves, as refused commits are, so that the others
 * end on time; some tries at a time, so that commits go on in between. They are set aside and tried again
 * later and later. Where the filter does not work at all, everything waits. Elements end by themselves
 * meanwhile where the filter sees to that.
 */
import type { FirewallError, Milliseconds } from "../../base/index.ts";
import type { Moment, Pinhole, PinholeStore } from "../../pinhole/index.ts";
import type { Enforcer } from "./enforcer.ts";
import { RetryDelay } from "./retry-delay.ts";

/** Pinholes that are set aside at most, beyond those of one turn: while it is more, no others are ended. */
const SET_ASIDE_MAX = 1000;

/** Tries of the filter in one turn, at most. */
const TRIES_AT_ONCE = 16;

/** Ends pinholes whose time is over. */
export class LeaseEnder {
  readonly #store: PinholeStore;
  readonly #enforcer: Enforcer;
  readonly #moment: () => Moment;
  readonly #retry: RetryDelay = new RetryDelay();
  /** What the filter refused to end: deadlines by ids. */
  readonly #setAside: Map<string, Milliseconds> = new Map();
  /** True when the filter ended nothing at all. */
  #isStuck = false;
  /** What is due and not tried yet: parts of which each is tried as one, the next one last. */
  readonly #parts: (readonly Pinhole[])[] = [];
  /** What the filter has refused of what was due together with them, and why. */
  #left: Pinhole[] = [];
  #failed: FirewallError | undefined;

  constructor(store: PinholeStore, enforcer: Enforcer, moment: () => Moment) {
    this.#store = store;
    this.#enforcer = enforcer;
    this.#moment = moment;
  }

  /** An instant before which there is nothing to do; undefined when nothing ends by itself. */
  get next(): Milliseconds | undefined {
    const { nextDeadline } = this.#store;
    const { notBefore } = this.#retry;
    if (this.#parts.length > 0) return this.#moment().now;
    if (this.#waits) return notBefore;
    if (this.#setAside.size === 0) return nextDeadline;
    return Math.min(nextDeadline ?? notBefore, notBefore);
  }

  /** Ends some of what is overdue; when there is more of it, {@link LeaseEnder.next} is in the past. */
  async endDue(): Promise<void> {
    if (this.#parts.length === 0 && !this.#takeDue()) return;
    for (let tries = 0; tries < TRIES_AT_ONCE; tries += 1) {
      const part = this.#parts.pop();
      if (part === undefined) break;
      await this.#end(part);
    }
    if (this.#parts.length > 0) return;
    const [left, failed] = [this.#left, this.#failed];
    this.#left = [];
    this.#failed = undefined;
    if (failed === undefined) this.#succeed();
    else this.#fail(left, failed);
  }

  /** Takes what is due. @returns false when it is not the time to try anything */
  #takeDue(): boolean {
    const now = this.#moment();
    const isTime = now.now >= this.#retry.notBefore;
    if (!isTime && this.#waits) return false;
    if (isTime) this.#fetch();
    // What is taken back is due once more.
    const due = this.#store.takeDue(now).filter(({ id, deadline }) => this.#setAside.get(id) !== deadline);
    if (due.length > 0) this.#parts.push(due);
    return true;
  }

  /** What has ended meanwhile, or has got another lease, is not due any more. */
  #fetch(): void {
    this.#store.remind(Array.from(this.#setAside, ([id, deadline]) => ({ id, deadline })));
    this.#setAside.clear();
  }

  /** True when nothing is tried before the time has come. */
  get #waits(): boolean {
    return this.#isStuck || this.#setAside.size > SET_ASIDE_MAX;
  }

  /**
   * Tries a part; of one that is refused each half comes next. The whole is written before it is tried, and
   * halves with the rest: on the disk each is there, or has ended, as it is in force.
   */
  async #end(part: readonly Pinhole[]): Promise<void> {
    const isWhole = this.#failed === undefined && this.#parts.length === 0;
    const due = isWhole ? part : part.filter((pinhole) => this.#isStillDue(pinhole));
    if (due.length === 0) return;
    const ending = this.#store.end(due, "expire", this.#moment());
    const failed = await this.#enforcer.enforce(ending, isWhole ? "if-possible" : "later");
    if (failed === undefined) return;
    this.#failed = failed;
    if (failed.code === "BACKEND_REFUSED" && due.length > 1) {
      const middle = due.length >> 1;
      this.#parts.push(due.slice(middle), due.slice(0, middle));
      return;
    }
    this.#left.push(...due);
    // Nothing is ended at all: the others are not asked about either.
    if (failed.code !== "BACKEND_REFUSED") this.#left.push(...this.#parts.splice(0).flat());
  }

  /** Between two turns it may have been closed or renewed. */
  #isStillDue({ id, number, deadline }: Pinhole): boolean {
    const now = this.#store.byNumber(number);
    return now !== undefined && now.id === id && now.deadline === deadline;
  }

  #succeed(): void {
    this.#isStuck = false;
    if (this.#setAside.size > 0) return;
    this.#retry.succeed();
    const { expiryHealth } = this.#enforcer;
    if (expiryHealth.succeed() !== "recovered") return;
    this.#enforcer.announce("backend.recovered", "Leases whose time is over end again.");
  }

  #fail(left: readonly Pinhole[], { code, message }: FirewallError): void {
    this.#isStuck = code !== "BACKEND_REFUSED";
    for (const { id, deadline } of left) this.#setAside.set(id, deadline);
    this.#retry.fail(this.#moment().now);
    const { counters, expiryHealth } = this.#enforcer;
    counters.expiryFailures += 1;
    if (expiryHealth.fail(message) !== "degraded") return;
    const text = `Leases whose time is over cannot be ended, and are tried again: ${message}`;
    this.#enforcer.announce("backend.degraded", text);
  }
}
