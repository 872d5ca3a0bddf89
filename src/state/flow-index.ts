/**
 * From hash to slot: open addressing with linear probing, four bytes an entry.
 *
 * An entry is a slot number in 24 bits under a tag of 8, whose top bit is always set and whose others come
 * from the hash, so that most probes of a stranger end without a look at its row. Removal shifts later
 * entries back and leaves no tombstone, so a table that is filled and emptied for years stays as quick as on
 * its first day.
 *
 * Growth is spread out. When the table is full enough, one of twice the size is made, and every later
 * insertion moves a few entries over. Entries move by whole clusters (runs without a hole): a cluster holds
 * every entry that could have been probed from inside it, so what a hash has to look for lies wholly in the
 * old table or wholly in the new one, and one comparison with the progress of the move tells which. New
 * entries go to the new table.
 */

import { makeMemory } from "./flow-slab.ts";

/** The rows that an index points to. */
export interface IndexedRows {
  /** Hash of the key in a slot's row; the one it was inserted under. */
  hashOf(slot: number): number;
  /** True when a slot's row holds the key that is looked for. */
  matches(slot: number): boolean;
}

const EMPTY = 0;
const SLOT_BITS = 24;
const SLOT_MASK = (1 << SLOT_BITS) - 1;
const TAG_MASK = ~SLOT_MASK;
const OCCUPIED = 1 << 31;

/** Length of an entry, in bytes. */
const ENTRY_BYTES = 4;

/** Entries of a fresh index. */
const FIRST_SIZE = 1024;

/** The table grows when more than this share of it is used. Measured, state.bench: probes stay below 2. */
const LOAD_MAX = 0.6;

/** Entries looked at per insertion while the table grows; the move ends long before the new table is full. */
const MOVE_STEP = 16;

/** Entry of a slot under a hash. */
function entryOf(hash: number, slot: number): number {
  return (hash & TAG_MASK) | OCCUPIED | slot;
}

/** One open-addressing table. */
class ProbeTable {
  readonly entries: Int32Array;
  readonly mask: number;
  used = 0;

  constructor(size: number) {
    this.entries = new Int32Array(makeMemory(size * ENTRY_BYTES));
    this.mask = size - 1;
  }

  entry(at: number): number {
    return this.entries[at] as number;
  }

  find(hash: number, rows: IndexedRows): number {
    const tag = (hash & TAG_MASK) | OCCUPIED;
    for (let at = hash & this.mask; ; at = (at + 1) & this.mask) {
      const entry = this.entry(at);
      if (entry === EMPTY) return -1;
      if ((entry & TAG_MASK) === tag && rows.matches(entry & SLOT_MASK)) return entry & SLOT_MASK;
    }
  }

  insert(hash: number, slot: number): void {
    let at = hash & this.mask;
    while (this.entry(at) !== EMPTY) at = (at + 1) & this.mask;
    this.entries[at] = entryOf(hash, slot);
    this.used += 1;
  }

  /** Takes a slot out and closes the gap; false when it is not here. */
  remove(hash: number, slot: number, rows: IndexedRows): boolean {
    let at = hash & this.mask;
    const wanted = entryOf(hash, slot);
    while (this.entry(at) !== wanted) {
      if (this.entry(at) === EMPTY) return false;
      at = (at + 1) & this.mask;
    }
    this.#close(at, rows);
    this.used -= 1;
    return true;
  }

  /** Moves later entries of the cluster back over a gap, each no further than its home. */
  #close(gap: number, rows: IndexedRows): void {
    let hole = gap;
    for (let at = (gap + 1) & this.mask; ; at = (at + 1) & this.mask) {
      const entry = this.entry(at);
      if (entry === EMPTY) break;
      const home = rows.hashOf(entry & SLOT_MASK) & this.mask;
      if (((at - home) & this.mask) < ((at - hole) & this.mask)) continue;
      this.entries[hole] = entry;
      hole = at;
    }
    this.entries[hole] = EMPTY;
  }
}

/** Index of slots by hash. */
export class FlowIndex {
  readonly #rows: IndexedRows;
  #table: ProbeTable;
  /** The table that is being emptied; `undefined` when none is. */
  #old: ProbeTable | undefined = undefined;
  /** Where the move began: just past a hole of the old table. */
  #moveStart = 0;
  /** Positions of the old table that have been moved, counted from there. */
  #moved = 0;
  #longestMove = 0;

  /** @param rows - the rows that entries point to */
  constructor(rows: IndexedRows) {
    this.#rows = rows;
    this.#table = new ProbeTable(FIRST_SIZE);
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#table.entries.byteLength + (this.#old?.entries.byteLength ?? 0);
  }

  /** Most positions that one insertion ever moved: the longest pause that growth made. */
  get longestMove(): number {
    return this.#longestMove;
  }

  /** Slot whose row matches, -1 when there is none. Expected O(1). */
  find(hash: number): number {
    if (this.#isInOld(hash)) {
      const slot = (this.#old as ProbeTable).find(hash, this.#rows);
      if (slot >= 0) return slot;
    }
    return this.#table.find(hash, this.#rows);
  }

  /** Adds a slot whose key is not here yet. Amortised O(1). */
  insert(hash: number, slot: number): void {
    if (this.#old !== undefined) this.#move(this.#old);
    else if (this.#table.used >= LOAD_MAX * this.#table.entries.length) this.#grow();
    this.#table.insert(hash, slot);
  }

  /** Takes a slot out. Expected O(1). */
  remove(hash: number, slot: number): void {
    if (this.#isInOld(hash) && (this.#old as ProbeTable).remove(hash, slot, this.#rows)) return;
    this.#table.remove(hash, slot, this.#rows);
  }

  #isInOld(hash: number): boolean {
    const old = this.#old;
    return old !== undefined && ((hash - this.#moveStart) & old.mask) >= this.#moved;
  }

  #grow(): void {
    const old = this.#table;
    let hole = 0;
    while (old.entry(hole) !== EMPTY) hole += 1;
    this.#moveStart = (hole + 1) & old.mask;
    this.#moved = 0;
    this.#old = old;
    this.#table = new ProbeTable(2 * old.entries.length);
  }

  /** Moves at least a step's worth of positions, and the last cluster to its end. */
  #move(old: ProbeTable): void {
    const size = old.entries.length;
    const start = this.#moved;
    let entry: number = OCCUPIED;
    while (this.#moved < size && (entry !== EMPTY || this.#moved - start < MOVE_STEP)) {
      entry = old.entry((this.#moveStart + this.#moved) & old.mask);
      this.#moved += 1;
      if (entry !== EMPTY) this.#table.insert(this.#rows.hashOf(entry & SLOT_MASK), entry & SLOT_MASK);
    }
    this.#longestMove = Math.max(this.#longestMove, this.#moved - start);
    if (this.#moved === size) this.#old = undefined;
  }
}
