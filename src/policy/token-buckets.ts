/**
 * Token buckets in shared memory: each fills at a steady rate up to a burst, each packet takes one token out.
 *
 * A bucket that nobody has used is full, so a forgotten one and an idle one are the same. Buckets that hold
 * tokens are therefore the first that a full table gives up; empty ones, whose sources are over their rate,
 * the last.
 */
import type { AddressWords, Family, Milliseconds } from "../base/index.ts";
import { RANK, SourceTable } from "./source-table.ts";

// Numbers of a bucket in the table.
const TOKENS = 0;
const FILLED_AT = 1;
const REFUSED = 2;
const WIDTH = 3;

/**
 * What tells the time; see RuleContext. An object, because a number with a fraction is boxed when it is
 * handed on.
 */
interface Clock {
  readonly now: Milliseconds;
}

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
  take(family: Family, words: AddressWords, clock: Clock): number {
    this.#table.lock();
    try {
      return this.#take(family, words, clock);
    } finally {
      this.#table.unlock();
    }
  }

  /** Tokens in the bucket of an address. Takes none. */
  level(family: Family, words: AddressWords, clock: Clock): number {
    this.#table.lock();
    try {
      const slot = this.#table.find(family, words);
      if (slot < 0) return this.#rate.burst;
      this.#fill(slot, clock);
      return this.#table.values[slot * WIDTH + TOKENS] ?? 0;
    } finally {
      this.#table.unlock();
    }
  }

  #take(family: Family, words: AddressWords, clock: Clock): number {
    const { values } = this.#table;
    const known = this.#table.find(family, words);
    const slot = known < 0 ? this.#insert(family, words, clock) : known;
    const at = slot * WIDTH;
    if (known >= 0) this.#fill(slot, clock);
    const tokens = values[at + TOKENS] ?? 0;
    const refused = values[at + REFUSED] ?? 0;
    const taken = tokens >= 1;
    if (taken) values[at + TOKENS] = tokens - 1;
    values[at + REFUSED] = taken ? 0 : refused + 1;
    this.#table.touch(slot, tokens >= 2 ? RANK.LOW : RANK.MIDDLE);
    return taken ? refused : -1;
  }

  #insert(family: Family, words: AddressWords, clock: Clock): number {
    const slot = this.#table.insert(family, words);
    this.#table.values[slot * WIDTH + TOKENS] = this.#rate.burst;
    this.#table.values[slot * WIDTH + FILLED_AT] = clock.now;
    return slot;
  }

  /** Adds what has come in since the last time. Returns nothing: a number with a fraction would be boxed. */
  #fill(slot: number, clock: Clock): void {
    const { values } = this.#table;
    const { burst, perMillisecond } = this.#rate;
    const at = slot * WIDTH;
    const elapsed = clock.now - (values[at + FILLED_AT] ?? 0);
    // Workers read the clock each for itself; time never runs back for a bucket.
    if (elapsed <= 0) return;
    values[at + TOKENS] = Math.min(burst, (values[at + TOKENS] ?? 0) + elapsed * perMillisecond);
    values[at + FILLED_AT] = clock.now;
  }
}
