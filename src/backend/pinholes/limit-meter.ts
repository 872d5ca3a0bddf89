/** Holds packets against the limits of one pinhole, as the rules of the kernel do. */
import type { Milliseconds } from "../../base/index.ts";
import type { EnforcedLimit, PinholeLimits } from "../../pinhole/index.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Packets that may come at once when nobody says another number; nftables' own choice. */
export const DEFAULT_BURST = 5;

const BITS = 8;

/** The limits of one pinhole, and what is left of them. */
export class LimitMeter {
  readonly #packets: TokenBucket | undefined;
  readonly #bytes: TokenBucket | undefined;
  readonly #connections: TokenBucket | undefined;
  #quota: number;

  /** @param now - when all buckets are full */
  constructor(limits: PinholeLimits, now: Milliseconds) {
    const { pps, bps, burst = DEFAULT_BURST, newPerSec, quotaBytes } = limits;
    this.#packets = pps === undefined ? undefined : new TokenBucket(pps, burst, now);
    this.#bytes = bps === undefined ? undefined : new TokenBucket(bps / BITS, bps / BITS, now);
    this.#connections = newPerSec === undefined ? undefined : new TokenBucket(newPerSec, DEFAULT_BURST, now);
    this.#quota = quotaBytes ?? Number.POSITIVE_INFINITY;
  }

  /** The limit that a packet goes beyond; undefined when it is within all of them. */
  exceeded(bytes: number, isNew: boolean, now: Milliseconds): EnforcedLimit | undefined {
    if (isNew && this.#connections?.take(1, now) === false) return "newPerSec";
    if (this.#packets?.take(1, now) === false) return "pps";
    if (this.#bytes?.take(bytes, now) === false) return "bps";
    this.#quota -= bytes;
    return this.#quota >= 0 ? undefined : "quotaBytes";
  }
}
