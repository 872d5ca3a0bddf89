/**
 * A bounded table of numbers by source address, in memory that all workers share.
 *
 * Knocks and token buckets belong to a source, and packets of one source reach different workers (a TCP
 * knock, then a UDP knock). So the table lives in a SharedArrayBuffer and is guarded by one lock, held for
 * some tens of nanoseconds per packet.
 *
 * Layout: a header; one hash head per bucket; then columns with one element per slot. Slots of one bucket are
 * chained. Slots also stand in one of three *ranks*, each a list from the slot touched longest ago to the
 * latest. A table that is full gives up the oldest slot of its lowest rank that has any, so whoever floods it
 * with addresses pushes out what is worth least. A zero-filled buffer is an empty table: link 0 means none,
 * link n means slot n-1.
 *
 * The lock is a word that holds the holder's ticket, 0 when free. Who finds it taken tries again some times,
 * then raises a flag and sleeps; who gives it back and finds the flag wakes all sleepers. Sleepers raise the
 * flag anew each time, so none is forgotten, and one that dies leaves nothing behind. A worker may be
 * terminated while it holds the lock; a ticket that stays for {@link PATIENCE_ROUNDS} sleeps of a whole
 * millisecond belongs to a dead worker, and whoever waits takes the lock over and empties the table, since
 * nobody knows what was half done. Every walk is bounded, so even a damaged table cannot hold a packet up.
 */
import type { AddressWords, Family } from "../base/index.ts";

// Header words.
const LOCK = 0;
const SIZE = 1;
/** Slots that were in use at least once; the free list holds those of them that are not. */
const TOUCHED = 2;
const FREE = 3;
const SEED = 4;
const EVICTED = 5;
const TAKEN_OVER = 6;
/** Not 0 when somebody may sleep until the lock is given back. */
const SLEEPERS = 7;
const OLDEST = 8;
const STALLS = 11;
const NEWEST = 12;
const HEADER_WORDS = 16;

const WORD_BYTES = 4;
const NUMBER_BYTES = 8;
/** Columns of one word per slot: chain, older, newer, rank, family. The words of the key follow. */
const SLOT_WORDS = 5;

/** Words of an address. */
const ADDRESS_WORDS = 4;

/** Where a table lies in its memory, and what its slots are found by. */
export interface TableForm {
  /** Words of a key; the first four are an address. */
  readonly keyWords: number;
  /** Where it begins, a multiple of eight bytes. */
  readonly at: number;
}

const BY_ADDRESS: TableForm = { keyWords: ADDRESS_WORDS, at: 0 };

/** Ranks of slots, the least worth keeping first. */
export const RANK = { LOW: 0, MIDDLE: 1, HIGH: 2 } as const;

/** A value of {@link RANK}. */
export type Rank = (typeof RANK)[keyof typeof RANK];

/** The ranks, the least worth keeping first. */
export const RANKS: readonly Rank[] = [RANK.LOW, RANK.MIDDLE, RANK.HIGH];
const SPINS = 200;
const PATIENCE_ROUNDS = 1000;

/** Number of hash buckets: a power of two, at least the capacity. */
function bucketCount(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(capacity, 2)));
}

/** Words before the first column of numbers, which starts at a multiple of eight bytes. */
function integerWords(capacity: number, keyWords: number): number {
  const words = HEADER_WORDS + bucketCount(capacity) + (SLOT_WORDS + keyWords) * capacity;
  return words + (words % 2);
}

/** A table of at most `capacity` sources, each with `width` numbers. */
export class SourceTable {
  /** The numbers of slot `s` start at `s * width`. Read and written under the lock. */
  readonly values: Float64Array;
  /** Numbers per source. */
  readonly width: number;
  readonly #capacity: number;
  readonly #header: Int32Array;
  readonly #heads: Int32Array;
  readonly #chain: Int32Array;
  readonly #older: Int32Array;
  readonly #newer: Int32Array;
  readonly #rank: Int32Array;
  readonly #family: Int32Array;
  readonly #words: Uint32Array;
  readonly #keyWords: number;
  #ticket: number;

  /** Bytes of memory that a table needs. */
  static bytes(capacity: number, width: number, keyWords: number = ADDRESS_WORDS): number {
    return integerWords(capacity, keyWords) * WORD_BYTES + capacity * width * NUMBER_BYTES;
  }

  /**
   * @param memory - {@link SourceTable.bytes} bytes; zero-filled, or a table of the same capacity and width
   * @param capacity - most sources it holds
   * @param width - numbers per source
   * @param form - absent when the memory is this table's alone and addresses are its keys
   */
  // oxlint-disable-next-line max-params -- the memory, and what it is divided into
  constructor(memory: SharedArrayBuffer, capacity: number, width: number, form: TableForm = BY_ADDRESS) {
    let { at } = form;
    this.#keyWords = form.keyWords;
    const column = (words: number): Int32Array => {
      const view = new Int32Array(memory, at, words);
      at += words * WORD_BYTES;
      return view;
    };
    this.#capacity = capacity;
    this.width = width;
    this.#header = column(HEADER_WORDS);
    this.#heads = column(bucketCount(capacity));
    this.#chain = column(capacity);
    this.#older = column(capacity);
    this.#newer = column(capacity);
    this.#rank = column(capacity);
    this.#family = column(capacity);
    this.#words = new Uint32Array(memory, at, form.keyWords * capacity);
    const numbersAt = form.at + integerWords(capacity, form.keyWords) * WORD_BYTES;
    this.values = new Float64Array(memory, numbersAt, capacity * width);
    // Unguessable enough from outside: nobody sees a number of this generator, so nobody can choose addresses
    // that share a bucket.
    const chance = Math.floor(Math.random() * 0x7fff_ffff) + 1;
    this.#ticket = chance;
    Atomics.compareExchange(this.#header, SEED, 0, chance);
  }

  /** Sources in the table. May be read without the lock. */
  get size(): number {
    return Atomics.load(this.#header, SIZE);
  }

  /** Sources given up because the table was full. */
  get evicted(): number {
    return Atomics.load(this.#header, EVICTED);
  }

  /** Times that the lock of a dead worker was taken over. */
  get takenOver(): number {
    return Atomics.load(this.#header, TAKEN_OVER);
  }

  /** Times that somebody slept a whole millisecond for the lock, instead of being woken. */
  get stalls(): number {
    return Atomics.load(this.#header, STALLS);
  }

  /** Takes the lock. Everything below is called between this and {@link SourceTable.unlock}. */
  lock(): void {
    this.#ticket = this.#ticket === 0x7fff_ffff ? 1 : this.#ticket + 1;
    if (Atomics.compareExchange(this.#header, LOCK, 0, this.#ticket) !== 0) this.#wait();
  }

  /** Gives the lock back, unless it was taken over. */
  unlock(): void {
    Atomics.compareExchange(this.#header, LOCK, this.#ticket, 0);
    if (Atomics.load(this.#header, SLEEPERS) === 0) return;
    Atomics.store(this.#header, SLEEPERS, 0);
    Atomics.notify(this.#header, LOCK);
  }

  /** The slot of an address, or of what the keys are; -1 when it has none. */
  find(family: Family, words: AddressWords): number {
    let link = this.#heads[this.#bucket(family, words)] ?? 0;
    for (let steps = 0; link !== 0 && steps < this.#capacity; steps += 1) {
      const slot = link - 1;
      if (this.#holds(slot, family, words)) return slot;
      link = this.#chain[slot] ?? 0;
    }
    return -1;
  }

  /**
   * A slot for an address that has none: numbers zero, rank low. A full table gives up another one for it.
   */
  insert(family: Family, words: AddressWords): number {
    const slot = this.#freeSlot();
    this.#family[slot] = family;
    const at = this.#keyWords * slot;
    for (let word = 0; word < this.#keyWords; word += 1) this.#words[at + word] = words[word] ?? 0;
    this.values.fill(0, slot * this.width, (slot + 1) * this.width);
    const bucket = this.#bucket(family, words);
    this.#chain[slot] = this.#heads[bucket] ?? 0;
    this.#heads[bucket] = slot + 1;
    this.#append(slot, RANK.LOW);
    this.#add(SIZE, 1);
    return slot;
  }

  /** Takes a slot out of the table. */
  remove(slot: number): void {
    this.#unchain(slot);
    this.#unlist(slot);
    this.#chain[slot] = this.#header[FREE] ?? 0;
    this.#header[FREE] = slot + 1;
    this.#add(SIZE, -1);
  }

  /** Makes a slot the latest of a rank. */
  touch(slot: number, rank: Rank): void {
    this.#unlist(slot);
    this.#append(slot, rank);
  }

  /** The slot of a rank that was touched longest ago, -1 when the rank is empty. */
  oldest(rank: Rank): number {
    return (this.#header[OLDEST + rank] ?? 0) - 1;
  }

  #add(word: number, count: number): void {
    Atomics.store(this.#header, word, (this.#header[word] ?? 0) + count);
  }

  #freeSlot(): number {
    const free = this.#header[FREE] ?? 0;
    if (free !== 0) {
      this.#header[FREE] = this.#chain[free - 1] ?? 0;
      return free - 1;
    }
    const touched = this.#header[TOUCHED] ?? 0;
    if (touched < this.#capacity) {
      this.#header[TOUCHED] = touched + 1;
      return touched;
    }
    const rank = RANKS.find((candidate) => this.oldest(candidate) >= 0) ?? RANK.LOW;
    const victim = Math.max(this.oldest(rank), 0);
    this.remove(victim);
    this.#header[FREE] = this.#chain[victim] ?? 0;
    this.#add(EVICTED, 1);
    return victim;
  }

  #holds(slot: number, family: Family, words: AddressWords): boolean {
    const at = this.#keyWords * slot;
    const own = this.#words;
    for (let word = ADDRESS_WORDS; word < this.#keyWords; word += 1) {
      if (own[at + word] !== words[word]) return false;
    }
    return (
      own[at + 3] === words[3] &&
      own[at + 2] === words[2] &&
      own[at + 1] === words[1] &&
      own[at] === words[0] &&
      this.#family[slot] === family
    );
  }

  /** Mixes the key with the seed (multiplications and shifts of MurmurHash3). */
  #bucket(family: number, words: Uint32Array, at = 0): number {
    let hash = (this.#header[SEED] ?? 0) ^ family;
    for (let word = 0; word < this.#keyWords; word += 1) {
      let mixed = Math.imul(words[at + word] ?? 0, 0xcc9e2d51);
      mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
      hash ^= mixed;
      hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) & (this.#heads.length - 1);
  }

  #unchain(slot: number): void {
    const bucket = this.#bucket(this.#family[slot] ?? 0, this.#words, this.#keyWords * slot);
    const next = this.#chain[slot] ?? 0;
    let link = this.#heads[bucket] ?? 0;
    if (link === slot + 1) {
      this.#heads[bucket] = next;
      return;
    }
    for (let steps = 0; link !== 0 && steps < this.#capacity; steps += 1) {
      const after = this.#chain[link - 1] ?? 0;
      if (after === slot + 1) {
        this.#chain[link - 1] = next;
        return;
      }
      link = after;
    }
  }

  #append(slot: number, rank: Rank): void {
    const newest = this.#header[NEWEST + rank] ?? 0;
    this.#rank[slot] = rank;
    this.#older[slot] = newest;
    this.#newer[slot] = 0;
    if (newest === 0) this.#header[OLDEST + rank] = slot + 1;
    else this.#newer[newest - 1] = slot + 1;
    this.#header[NEWEST + rank] = slot + 1;
  }

  #unlist(slot: number): void {
    const rank = this.#rank[slot] ?? 0;
    const older = this.#older[slot] ?? 0;
    const newer = this.#newer[slot] ?? 0;
    if (older === 0) this.#header[OLDEST + rank] = newer;
    else this.#newer[older - 1] = newer;
    if (newer === 0) this.#header[NEWEST + rank] = older;
    else this.#older[newer - 1] = older;
  }

  #wait(): void {
    for (let spin = 0; spin < SPINS; spin += 1) {
      if (Atomics.compareExchange(this.#header, LOCK, 0, this.#ticket) === 0) return;
    }
    let holder = Atomics.load(this.#header, LOCK);
    for (let rounds = 0; rounds < PATIENCE_ROUNDS; ) {
      Atomics.store(this.#header, SLEEPERS, 1);
      if (Atomics.wait(this.#header, LOCK, holder, 1) === "timed-out") {
        Atomics.add(this.#header, STALLS, 1);
        rounds += 1;
      }
      const found = Atomics.compareExchange(this.#header, LOCK, 0, this.#ticket);
      if (found === 0) return;
      if (found !== holder) rounds = 0;
      holder = found;
    }
    if (Atomics.compareExchange(this.#header, LOCK, holder, this.#ticket) === holder) this.#clear();
    else this.#wait();
  }

  #clear(): void {
    this.#heads.fill(0);
    for (const word of [SIZE, TOUCHED, FREE]) Atomics.store(this.#header, word, 0);
    for (const rank of RANKS) {
      this.#header[OLDEST + rank] = 0;
      this.#header[NEWEST + rank] = 0;
    }
    this.#add(TAKEN_OVER, 1);
  }
}
