/** When something that failed may be tried again: later and later, up to a longest wait. */
import type { Milliseconds } from "../../base/index.ts";

/** Wait after the first failure, in milliseconds; it doubles with each further one. */
export const RETRY_FIRST_MS = 50;

/** Longest wait, in milliseconds. */
export const RETRY_LONGEST_MS = 5000;

/** Counts failures in a row. */
export class RetryDelay {
  #waitMs: Milliseconds = 0;
  #notBefore: Milliseconds = 0;

  /** The instant of the next try; in the past when nothing has failed. */
  get notBefore(): Milliseconds {
    return this.#notBefore;
  }

  /** It failed at this instant. */
  fail(now: Milliseconds): void {
    this.#waitMs = Math.min(RETRY_LONGEST_MS, Math.max(RETRY_FIRST_MS, 2 * this.#waitMs));
    this.#notBefore = now + this.#waitMs;
  }

  /** It worked. */
  succeed(): void {
    this.#waitMs = 0;
    this.#notBefore = 0;
  }
}
