/**
 * Finds rows by a key that the rows themselves hold, so that the index is nothing but numbers.
 *
 * A table with open addressing: a row stands at the place that its hash says, or at the next free one behind
 * it. When one leaves, those behind it move up. Whoever could choose hashes could make it slow: keys must be
 * our own, not a client's.
 */

/** Places at first; always a power of two. */
const CAPACITY = 64;

/** Spreads numbers (Knuth's multiplicative hash). */
const SPREAD = 0x9e3779b1;

/** Numbers that count up and have all but these bits in common stand side by side: one line of the cache. */
const NEIGHBOUR_BITS = 3;
const NEIGHBOURS = 2 ** NEIGHBOUR_BITS - 1;

/** Of a place: the row plus one, or 0 for none; then its hash, so that a look-up touches memory once. */
const PLACE_WORDS = 2;

/** Characters of an id that are by chance, in whole or in part. */
const ID_CHARACTERS = 13;

/** A hash of a number that was counted up to: of those that follow each other most are neighbours. */
export function hashNumber(number: number): number {
  const mixed = Math.imul(number >>> NEIGHBOUR_BITS, SPREAD);
  return (((mixed ^ (mixed >>> 15)) & ~NEIGHBOURS) | (number & NEIGHBOURS)) >>> 0;
}

/**
 * A hash of an id: of its end, where chance is. The beginning is the time, which many have in common.
 */
export function hashId(id: string): number {
  let hash = 0;
  for (let at = Math.max(0, id.length - ID_CHARACTERS); at < id.length; at += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(at), SPREAD);
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

/** Rows by a key. */
export class RowIndex<Key> {
  readonly #hashOf: (key: Key) => number;
  readonly #isOf: (row: number, key: Key) => boolean;
  #places: Uint32Array = new Uint32Array(PLACE_WORDS * CAPACITY);
  /** Places, less one: they are a power of two. */
  #mask = CAPACITY - 1;
  #size = 0;

  /**
   * @param hashOf - a number of 32 bits
   * @param isOf - true when a row has this key
   */
  constructor(hashOf: (key: Key) => number, isOf: (row: number, key: Key) => boolean) {
    this.#hashOf = hashOf;
    this.#isOf = isOf;
  }

  get size(): number {
    return this.#size;
  }

  /** The row with a key; undefined when there is none. */
  find(key: Key): number | undefined {
    const hash = this.#hashOf(key);
    for (let at = hash & this.#mask; ; at = (at + 1) & this.#mask) {
      const row = this.#rowAt(at) - 1;
      if (row < 0) return undefined;
      if (this.#hashAt(at) === hash && this.#isOf(row, key)) return row;
    }
  }

  /** @param key - that no other row here has */
  add(key: Key, row: number): void {
    if (2 * this.#size > this.#mask) this.#grow();
    this.#size += 1;
    this.#put(this.#hashOf(key), row + 1);
  }

  delete(key: Key, row: number): void {
    let at = this.#hashOf(key) & this.#mask;
    while (this.#rowAt(at) !== row + 1) {
      if (this.#rowAt(at) === 0) return;
      at = (at + 1) & this.#mask;
    }
    this.#size -= 1;
    this.#close(at);
  }

  /** The row at a place, plus one; 0 for none. */
  #rowAt(at: number): number {
    return this.#places[PLACE_WORDS * at] ?? 0;
  }

  #hashAt(at: number): number {
    return this.#places[PLACE_WORDS * at + 1] ?? 0;
  }

  #put(hash: number, entry: number): void {
    let at = hash & this.#mask;
    while (this.#rowAt(at) !== 0) at = (at + 1) & this.#mask;
    this.#places[PLACE_WORDS * at] = entry;
    this.#places[PLACE_WORDS * at + 1] = hash;
  }

  /** Moves up what would not be found any more behind an empty place. */
  #close(empty: number): void {
    let hole = empty;
    for (let at = (hole + 1) & this.#mask; this.#rowAt(at) !== 0; at = (at + 1) & this.#mask) {
      const home = this.#hashAt(at) & this.#mask;
      if (((at - home) & this.#mask) < ((at - hole) & this.#mask)) continue;
      this.#places.copyWithin(PLACE_WORDS * hole, PLACE_WORDS * at, PLACE_WORDS * (at + 1));
      hole = at;
    }
    this.#places[PLACE_WORDS * hole] = 0;
  }

  #grow(): void {
    const former = this.#places;
    this.#places = new Uint32Array(2 * former.length);
    this.#mask = former.length - 1;
    for (let at = 0; at < former.length; at += PLACE_WORDS) {
      const entry = former[at] ?? 0;
      if (entry !== 0) this.#put(former[at + 1] ?? 0, entry);
    }
  }
}
