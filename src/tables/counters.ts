/** Counters of a table: exact 64-bit sums that many workers add to without a lock and without allocation. */
import { ENTRY_COUNTERS, TABLE_COUNTERS, type TableArrays } from "./memory.ts";

/** Packets and bytes of one kind. */
export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

/** Counters of one entry, as pf's address statistics. */
export interface EntryStatistics {
  readonly in: { readonly block: Traffic; readonly pass: Traffic };
  readonly out: { readonly block: Traffic; readonly pass: Traffic };
}

/** Counters of a whole table, as pf's table statistics. */
export interface TableStatistics {
  readonly in: { readonly block: Traffic; readonly pass: Traffic; readonly xpass: Traffic };
  readonly out: { readonly block: Traffic; readonly pass: Traffic; readonly xpass: Traffic };
  /** Look-ups that found the address in the table. */
  readonly match: number;
  /** Look-ups that did not. */
  readonly noMatch: number;
}

/** What becomes of a packet. */
export const TABLE_OPERATION = {
  BLOCK: 0,
  PASS: 1,
  /** It passes by its state although its address is not, or no longer, in the table: pf's "xpass". */
  XPASS: 2,
} as const;

/** One of {@link TABLE_OPERATION}. */
export type TableOperation = (typeof TABLE_OPERATION)[keyof typeof TABLE_OPERATION];

const KINDS = 2;
const BYTES = 1;
const ENTRY_OPERATIONS = 2;
const TABLE_OPERATIONS = 3;
const MATCH = 12;
const NO_MATCH = 13;

const TWO_32 = 0x1_0000_0000;

/** Adds to the two-word counter at `at`; exact even when several threads add. */
function add(words: Int32Array, at: number, amount: number): void {
  const low = Atomics.add(words, at, amount) >>> 0;
  if (low + amount >= TWO_32) Atomics.add(words, at + 1, 1);
}

/**
 * Reads a two-word counter. Between the two instructions of a carry, once in 4 GiB, a reader can see a sum
 * that is 2^32 too small; the next reading is right again. That is the price of adding without a lock.
 */
function read(words: Int32Array, at: number): number {
  for (;;) {
    const high = Atomics.load(words, at + 1);
    const low = Atomics.load(words, at) >>> 0;
    if (Atomics.load(words, at + 1) === high) return (high >>> 0) * TWO_32 + low;
  }
}

/** The counters of one table and of its entries. */
export class TableCounters {
  readonly #table: Int32Array;
  readonly #entries: Int32Array;

  /** @param arrays - memory of the table */
  constructor(arrays: TableArrays) {
    this.#table = arrays.tableCounters;
    this.#entries = arrays.entryCounters;
  }

  /** Counts a look-up. */
  countMatch(found: boolean): void {
    add(this.#table, (found ? MATCH : NO_MATCH) * 2, 1);
  }

  /**
   * Counts a packet that a rule with this table judged.
   *
   * @param entry - the entry that decided, -1 when none covered the address
   * @param direction - 0 in, 1 out
   * @param operation - what became of it
   * @param bytes - length of the packet, 0 to 4294967295
   */
  count(entry: number, direction: 0 | 1, operation: TableOperation, bytes: number): void {
    const table = (direction * TABLE_OPERATIONS + operation) * KINDS * 2;
    add(this.#table, table, 1);
    add(this.#table, table + BYTES * 2, bytes);
    if (entry < 0 || this.#entries.length === 0 || operation === TABLE_OPERATION.XPASS) return;
    const at = (entry * ENTRY_COUNTERS + (direction * ENTRY_OPERATIONS + operation) * KINDS) * 2;
    add(this.#entries, at, 1);
    add(this.#entries, at + BYTES * 2, bytes);
  }

  /** Sets the counters of one entry to zero. */
  clearEntry(entry: number): void {
    const words = ENTRY_COUNTERS * 2;
    this.#entries.fill(0, entry * words, (entry + 1) * words);
  }

  /** Sets the counters of the table, not those of its entries, to zero. */
  clearTable(): void {
    this.#table.fill(0, 0, TABLE_COUNTERS * 2);
  }

  /** Counters of one entry; `undefined` when the table keeps none. */
  entry(entry: number): EntryStatistics | undefined {
    if (this.#entries.length === 0) return undefined;
    const traffic = (direction: number, operation: number): Traffic =>
      trafficAt(this.#entries, entry * ENTRY_COUNTERS + (direction * ENTRY_OPERATIONS + operation) * KINDS);
    const side = (direction: number): EntryStatistics["in"] => ({
      block: traffic(direction, TABLE_OPERATION.BLOCK),
      pass: traffic(direction, TABLE_OPERATION.PASS),
    });
    return { in: side(0), out: side(1) };
  }

  /** Counters of the table. */
  table(): TableStatistics {
    const traffic = (direction: number, operation: number): Traffic =>
      trafficAt(this.#table, (direction * TABLE_OPERATIONS + operation) * KINDS);
    const side = (direction: number): TableStatistics["in"] => ({
      block: traffic(direction, TABLE_OPERATION.BLOCK),
      pass: traffic(direction, TABLE_OPERATION.PASS),
      xpass: traffic(direction, TABLE_OPERATION.XPASS),
    });
    const match = read(this.#table, MATCH * 2);
    return { in: side(0), out: side(1), match, noMatch: read(this.#table, NO_MATCH * 2) };
  }
}

/** Packets and bytes that stand side by side from counter `counter` on. */
function trafficAt(words: Int32Array, counter: number): Traffic {
  return { packets: read(words, counter * 2), bytes: read(words, (counter + BYTES) * 2) };
}
