/**
 * Ends pinholes whose time is over.
 *
 * Those that the packet filter refuses to end are found by halves, as refused commits are, so that the others
 * end on time. They are set aside and tried again later and later. Where the filter does not work at all,
 * everything waits. Elements end by themselves meanwhile where the filter sees to that.
 */
import type { FirewallError, Milliseconds } from "../../base/index.ts";
import type { Moment, Pinhole, PinholeStore } from "../../pinhole/index.ts";
import type { Enforcer, Writing } from "./enforcer.ts";
import { RetryDelay } from "./retry-delay.ts";

/** Pinholes that are set aside at most, beyond those of one turn: while it is more, no others are ended. */
const SET_ASIDE_MAX = 1000;

/** What came of one turn. */
interface Turn {
  /** Which of them the filter has not ended. */
  readonly left: readonly Pinhole[];
  /** Why; of several reasons the last. */
  readonly failed: FirewallError | undefined;
}

const NOTHING_LEFT: Turn = { left: [], failed: undefined };

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

  constructor(store: PinholeStore, enforcer: Enforcer, moment: () => Moment) {
    this.#store = store;
    this.#enforcer = enforcer;
    this.#moment = moment;
  }

  /** An instant before which there is nothing to do; undefined when nothing ends by itself. */
  get next(): Milliseconds | undefined {
    const { nextDeadline } = this.#store;
    const { notBefore } = this.#retry;
    if (this.#waits) return notBefore;
    if (this.#setAside.size === 0) return nextDeadline;
    return Math.min(nextDeadline ?? notBefore, notBefore);
  }

  /** Ends some of what is overdue; when there is more of it, {@link LeaseEnder.next} is in the past. */
  async endDue(): Promise<void> {
    const now = this.#moment();
    const isTime = now.now >= this.#retry.notBefore;
    if (!isTime && this.#waits) return;
    if (isTime) this.#fetch();
    // What is taken back is due once more.
    const due = this.#store.takeDue(now).filter(({ id, deadline }) => this.#setAside.get(id) !== deadline);
    const { left, failed } = due.length === 0 ? NOTHING_LEFT : await this.#end(due, "if-possible");
    if (failed === undefined) this.#succeed();
    else this.#fail(left, failed);
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

  /** Halves are written with the rest: on the disk they are all ended, or all there. */
  async #end(due: readonly Pinhole[], writing: Writing): Promise<Turn> {
    const failed = await this.#enforcer.enforce(this.#store.end(due, "expire", this.#moment()), writing);
    if (failed?.code !== "BACKEND_REFUSED" || due.length === 1) {
      return { left: failed === undefined ? [] : due, failed };
    }
    const middle = due.length >> 1;
    const first = await this.#end(due.slice(0, middle), "later");
    const second = await this.#end(due.slice(middle), "later");
    return { left: [...first.left, ...second.left], failed: second.failed ?? first.failed };
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
