/**
 * Token buckets in shared memory: each fills at a steady rate up to a burst, each packet takes one token out.
 *
 * A bucket that nobody has used is full, so a forgotten one and an idle one are the same. Buckets that hold tokens
 * are therefore the first that a full table gives up; empty ones, whose sources are over their rate, the last.
 */
import type { AddressWords, Family, Milliseconds } from "../base/index.ts";
import { RANK, SourceTable } from "./source-table.ts";

// Numbers of a bucket in the table.
const TOKENS = 0;
const FILLED_AT = 1;
const REFUSED = 2;
const WIDTH = 3;

/** How fast buckets fill, and how far. */
export interface BucketRate {
  /** Tokens per millisecond. */
  readonly perMillisecond: number;
  /** Most tokens a bucket holds, at least 1. */
  readonly burst: number;
}

/** Buckets by source address. */
export class TokenBuckets {
  readonly #table: SourceTable;
  readonly #rate: BucketRate;

  /** Bytes of shared memory for so many buckets. */
  static bytes(capacity: number): number {
    return SourceTable.bytes(capacity, WIDTH);
  }

  constructor(memory: SharedArrayBuffer, capacity: number, rate: BucketRate) {
    this.#table = new SourceTable(memory, capacity, WIDTH);
    this.#rate = rate;
  }

  /** Buckets in use. */
  get size(): number {
    return this.#table.size;
  }

  /**
   * Takes a token out of the bucket of an address.
   *
   * @returns how many were refused since a token was taken last, -1 when this one is refused
   */
  take(family: Family, words: AddressWords, now: Milliseconds): number {
    this.#table.lock();
    try {
      return this.#take(family, words, now);
    } finally {
      this.#table.unlock();
    }
  }

  /** Tokens in the bucket of an address. Takes none. */
  level(family: Family, words: AddressWords, now: Milliseconds): number {
    this.#table.lock();
    try {
      const slot = this.#table.find(family, words);
      return slot < 0 ? this.#rate.burst : this.#levelOf(slot, now);
    } finally {
      this.#table.unlock();
    }
  }

  #take(family: Family, words: AddressWords, now: Milliseconds): number {
    const { values } = this.#table;
    const known = this.#table.find(family, words);
    const tokens = known < 0 ? this.#rate.burst : this.#levelOf(known, now);
    const slot = known < 0 ? this.#table.insert(family, words) : known;
    const at = slot * WIDTH;
    const refused = values[at + REFUSED] ?? 0;
    const taken = tokens >= 1;
    const left = taken ? tokens - 1 : tokens;
    values[at + TOKENS] = left;
    // Workers read the clock each for itself; time never runs back for a bucket.
    values[at + FILLED_AT] = Math.max(now, values[at + FILLED_AT] ?? now);
    values[at + REFUSED] = taken ? 0 : refused + 1;
    this.#table.touch(slot, left >= 1 ? RANK.LOW : RANK.MIDDLE);
    return taken ? refused : -1;
  }

  #levelOf(slot: number, now: Milliseconds): number {
    const { values } = this.#table;
    const at = slot * WIDTH;
    const elapsed = Math.max(0, now - (values[at + FILLED_AT] ?? now));
    return Math.min(this.#rate.burst, (values[at + TOKENS] ?? 0) + elapsed * this.#rate.perMillisecond);
  }
}
