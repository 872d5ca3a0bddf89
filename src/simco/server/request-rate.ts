/** How many requests each agent may send: a bucket of tokens for each. */
import type { Milliseconds } from "../../base/index.ts";
import type { Agent } from "../../pinhole/index.ts";

interface Bucket {
  tokens: number;
  filledAt: Milliseconds;
}

/** Counts requests by agent, over all of its sessions. */
export class RequestRate {
  readonly #buckets: Map<string, Bucket> = new Map();

  /** True when an agent may send a request now. */
  has(agent: Agent, now: Milliseconds): boolean {
    return this.#bucket(agent, now).tokens >= 1;
  }

  /** Counts a request. */
  take(agent: Agent, now: Milliseconds): void {
    this.#bucket(agent, now).tokens -= 1;
  }

  #bucket({ name, profile }: Agent, now: Milliseconds): Bucket {
    const { requestBurst, requestsPerSecond } = profile;
    const bucket = this.#buckets.get(name) ?? { tokens: requestBurst, filledAt: now };
    const earned = ((now - bucket.filledAt) * requestsPerSecond) / 1000;
    bucket.tokens = Math.min(requestBurst, bucket.tokens + earned);
    bucket.filledAt = now;
    this.#buckets.set(name, bucket);
    return bucket;
  }
}
