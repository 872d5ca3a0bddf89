/** A token bucket as nftables' `limit over` has it: full at first, refilled evenly. */
import type { Milliseconds } from "../../base/index.ts";

/** Lets through so much a second, and so much at once. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #capacity: number;
  #tokens: number;
  #at: Milliseconds;

  /**
   * @param perSecond - tokens that come in a second
   * @param burst - tokens that it holds
   * @param now - when it is full
   */
  constructor(perSecond: number, burst: number, now: Milliseconds) {
    this.#perMs = perSecond / 1000;
    this.#capacity = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  /** Takes tokens. False, and nothing is taken, when there are not so many. */
  take(count: number, now: Milliseconds): boolean {
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}
