/**
 * How many requests agents may send: a bucket of tokens for each, as deep as its burst, filled at its rate.
 */
import type { Milliseconds } from "../../base/index.ts";
import type { Agent } from "../../pinhole/index.ts";

interface Bucket {
  tokens: number;
  at: Milliseconds;
}

const SECOND_MS = 1000;
/** Buckets that are kept; full ones are forgotten first, and are as good as new. */
const BUCKETS_MAX = 4096;

/** Meters requests by agent. */
export class RequestMeter {
  readonly #buckets: Map<string, Bucket> = new Map();

  /**
   * Takes one request.
   *
   * @param now - monotonic
   * @returns 0 when it may go on; else how long it should wait, in milliseconds, and nothing was taken
   */
  take({ name, profile }: Agent, now: Milliseconds): Milliseconds {
    const { requestsPerSecond: rate, requestBurst: burst } = profile;
    const bucket = this.#buckets.get(name) ?? { tokens: burst, at: now };
    const tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * rate) / SECOND_MS);
    this.#buckets.delete(name);
    this.#buckets.set(name, { tokens: tokens < 1 ? tokens : tokens - 1, at: now });
    if (this.#buckets.size > BUCKETS_MAX) this.#forgetOldest();
    return tokens < 1 ? ((1 - tokens) * SECOND_MS) / rate : 0;
  }

  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
