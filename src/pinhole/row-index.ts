/**
 * Finds rows by a key that the rows themselves hold, so that the index is nothing but numbers.
 *
 * A table with open addressing: a row stands at the place that its hash says, or at the next free one behind
 * it. When one leaves, those behind it move up. Whoever could choose hashes could make it slow: keys must be
 * our own, not a client's.
 */

/** Places at first; always a power of two. */
const CAPACITY = 64;

/** Spreads numbers that count up (Knuth's multiplicative hash). */
const SPREAD = 0x9e3779b1;

/** Characters of an id that are by chance, in whole or in part. */
const ID_CHARACTERS = 13;

/** A hash of a number. */
export function hashNumber(number: number): number {
  const mixed = Math.imul(number, SPREAD);
  return (mixed ^ (mixed >>> 15)) >>> 0;
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
  /** The row at a place, plus one; 0 for none. */
  #rows: Uint32Array = new Uint32Array(CAPACITY);
  #hashes: Uint32Array = new Uint32Array(CAPACITY);
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
      const row = (this.#rows[at] ?? 0) - 1;
      if (row < 0) return undefined;
      if (this.#hashes[at] === hash && this.#isOf(row, key)) return row;
    }
  }

  /** @param key - that no other row here has */
  add(key: Key, row: number): void {
    if (2 * (this.#size + 1) > this.#rows.length) this.#grow();
    this.#size += 1;
    this.#put(this.#hashOf(key), row);
  }

  delete(key: Key, row: number): void {
    let at = this.#hashOf(key) & this.#mask;
    while (this.#rows[at] !== row + 1) {
      if (this.#rows[at] === 0) return;
      at = (at + 1) & this.#mask;
    }
    this.#size -= 1;
    this.#close(at);
  }

  get #mask(): number {
    return this.#rows.length - 1;
  }

  #put(hash: number, row: number): void {
    let at = hash & this.#mask;
    while (this.#rows[at] !== 0) at = (at + 1) & this.#mask;
    this.#rows[at] = row + 1;
    this.#hashes[at] = hash;
  }

  /** Moves up what would not be found any more behind an empty place. */
  #close(empty: number): void {
    let hole = empty;
    for (let at = (hole + 1) & this.#mask; this.#rows[at] !== 0; at = (at + 1) & this.#mask) {
      const home = (this.#hashes[at] ?? 0) & this.#mask;
      if (((at - home) & this.#mask) < ((at - hole) & this.#mask)) continue;
      this.#rows[hole] = this.#rows[at] ?? 0;
      this.#hashes[hole] = this.#hashes[at] ?? 0;
      hole = at;
    }
    this.#rows[hole] = 0;
  }

  #grow(): void {
    const [rows, hashes] = [this.#rows, this.#hashes];
    this.#rows = new Uint32Array(2 * rows.length);
    this.#hashes = new Uint32Array(2 * rows.length);
    for (let at = 0; at < rows.length; at += 1) {
      const row = (rows[at] ?? 0) - 1;
      if (row >= 0) this.#put(hashes[at] ?? 0, row);
    }
  }
}
