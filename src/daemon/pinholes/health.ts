/** How the packet filter or the journal fares: good, or degraded when it has failed. */

/** Failures of a packet filter in a row after which it counts as degraded. */
const FAILURES_MAX = 3;

/** What has just changed. */
export type HealthChange = "degraded" | "recovered" | undefined;

/** Counts what goes well and what does not. */
export class BackendHealth {
  readonly #failuresMax: number;
  #failures = 0;
  #isDegraded = false;
  #reason = "";

  /** @param failuresMax - failures in a row after which it counts as degraded */
  constructor(failuresMax: number = FAILURES_MAX) {
    this.#failuresMax = failuresMax;
  }

  /** True when it has failed so often in a row, and not worked since. */
  get isDegraded(): boolean {
    return this.#isDegraded;
  }

  /** What it said last when it failed; empty while it works. */
  get reason(): string {
    return this.#reason;
  }

  /** It has done what it should. */
  succeed(): HealthChange {
    const wasDegraded = this.#isDegraded;
    this.#failures = 0;
    this.#isDegraded = false;
    this.#reason = "";
    return wasDegraded ? "recovered" : undefined;
  }

  /** It has failed. */
  fail(reason: string): HealthChange {
    this.#failures += 1;
    this.#reason = reason;
    if (this.#isDegraded || this.#failures < this.#failuresMax) return undefined;
    this.#isDegraded = true;
    return "degraded";
  }
}
