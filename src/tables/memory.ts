/**
 * The memory of one address table: a single shared buffer of fixed size, cut into typed arrays.
 *
 * It is shared so that every queue worker reads the same table while one thread changes it. All of it is
 * reserved when the table is made; the system commits pages when they are first written, so a table with room
 * for a million entries and ten in it costs what ten cost.
 */
import { FirewallError, LIMITS } from "../base/index.ts";

/** Words of one trie node: sixteen children and what {@link NODE} names. */
export const NODE_WORDS = 20;

/** Where the fields of a node are, in words from its start; the children come first. */
export const NODE = {
  /** Nibble of the address that chooses the child, 0 to 31. */
  DEPTH: 16,
  /** First of the entries that end inside this nibble, as entry + 1; 0 for none. Longest first. */
  LIST: 17,
  /** How many children there are. */
  CHILDREN: 18,
} as const;

/** Roots of the two families; never freed, never a child. */
export const ROOT = { IPV6: 0, IPV4: 1 } as const;

/** Nibble of the mapped form where IPv4 addresses begin to differ. */
export const IPV4_DEPTH = 24;

/** Counters of one entry: packets and bytes, in and out, blocked and passed. */
export const ENTRY_COUNTERS = 8;

/** Buckets of the expiry wheel. */
export const WHEEL_BUCKETS = 1024;

/** Words of the header; each names what it holds. */
export const HEADER = {
  /** Sequence of the lock: odd while somebody changes the table. */
  SEQUENCE: 0,
  /** Entries in the table. */
  SIZE: 1,
  /** Free entries as a list, entry + 1; 0 for none. */
  FREE_ENTRY: 2,
  /** Entries at and above this index were never used. */
  FRESH_ENTRY: 3,
  /** Free nodes as a list; 0 for none. */
  FREE_NODE: 4,
  /** Nodes at and above this index were never used. */
  FRESH_NODE: 5,
  /** Entries with a deadline. */
  DEADLINES: 6,
} as const;

const HEADER_WORDS = 16;

/** Counters of the whole table, two words each: see TableStatistics. */
export const TABLE_COUNTERS = 14;

/** What another thread needs to attach to a table. Can be posted to a worker as it is. */
export interface TableMemory {
  readonly name: string;
  /** Most entries the table can hold. */
  readonly capacity: number;
  /** Whether entries have counters of their own. */
  readonly counters: boolean;
  readonly buffer: SharedArrayBuffer;
}

/** The typed arrays over one buffer. */
export interface TableArrays {
  readonly header: Int32Array;
  /** Tick the wheel stands at. */
  readonly tick: Float64Array;
  /** Deadline of each entry in milliseconds, 0 for none. */
  readonly deadline: Float64Array;
  /** When each entry was added or its counters were cleared, in milliseconds. */
  readonly since: Float64Array;
  readonly nodes: Int32Array;
  /** Four words per entry, host bits zero. */
  readonly keys: Uint32Array;
  /** Length and flags of each entry, see META. */
  readonly meta: Uint32Array;
  /** Next in the node's list or in the list of free entries, as entry + 1. */
  readonly next: Int32Array;
  /** Neighbours in the wheel's bucket, as entry + 1. */
  readonly wheelNext: Int32Array;
  readonly wheelPrevious: Int32Array;
  readonly buckets: Int32Array;
  readonly tableCounters: Int32Array;
  /** Two words per counter; empty when the table keeps none per entry. */
  readonly entryCounters: Int32Array;
}

/** Bits of an entry's meta word: the length in the mapped form, 0 to 128, and flags. */
export const META = { LENGTH: 0xff, IPV6: 0x100, NEGATED: 0x200, LIVE: 0x400 } as const;

/** Hands out consecutive parts of a buffer, widest first so that all stay aligned. */
class Cutter {
  at = 0;
  readonly #buffer: SharedArrayBuffer | undefined;

  constructor(buffer?: SharedArrayBuffer) {
    this.#buffer = buffer;
  }

  words(count: number): Int32Array {
    const at = this.at;
    this.at += count * 4;
    return this.#buffer ? new Int32Array(this.#buffer, at, count) : EMPTY_WORDS;
  }

  unsigned(count: number): Uint32Array {
    const part = this.words(count);
    return new Uint32Array(part.buffer, part.byteOffset, part.length);
  }

  doubles(count: number): Float64Array {
    const part = this.words(count * 2);
    return new Float64Array(part.buffer, part.byteOffset, part.length / 2);
  }
}

const EMPTY_WORDS = new Int32Array(0);

function cut(cutter: Cutter, capacity: number, counters: boolean): TableArrays {
  return {
    tick: cutter.doubles(1),
    deadline: cutter.doubles(capacity),
    since: cutter.doubles(capacity),
    header: cutter.words(HEADER_WORDS),
    // A node that is no root has two things below it, so there are fewer of them than entries.
    nodes: cutter.words((capacity + 2) * NODE_WORDS),
    keys: cutter.unsigned(capacity * 4),
    meta: cutter.unsigned(capacity),
    next: cutter.words(capacity),
    wheelNext: cutter.words(capacity),
    wheelPrevious: cutter.words(capacity),
    buckets: cutter.words(WHEEL_BUCKETS),
    tableCounters: cutter.words(TABLE_COUNTERS * 2),
    entryCounters: cutter.words(counters ? capacity * ENTRY_COUNTERS * 2 : 0),
  };
}

/** Bytes that a table of this capacity reserves. */
export function tableBytes(capacity: number, counters: boolean): number {
  const cutter = new Cutter();
  cut(cutter, capacity, counters);
  return cutter.at;
}

/**
 * Reserves the memory of a table.
 *
 * @param name - name of the table
 * @param capacity - most entries, within the limit `tableEntries`
 * @param counters - whether entries have counters
 * @throws {FirewallError} `TABLE_CAPACITY` when the capacity is outside its limit
 */
export function reserveTable(name: string, capacity: number, counters: boolean): TableMemory {
  const { max } = LIMITS.tableEntries;
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > max) {
    throw new FirewallError(
      "TABLE_CAPACITY",
      `Table ${name}: a capacity of ${capacity} entries is outside 1 to ${max}`,
      { details: { table: name, capacity, max } },
    );
  }
  const buffer = new SharedArrayBuffer(tableBytes(capacity, counters));
  const memory = { name, capacity, counters, buffer };
  const { header, nodes } = attachTable(memory);
  header[HEADER.FRESH_NODE] = 2;
  nodes[ROOT.IPV4 * NODE_WORDS + NODE.DEPTH] = IPV4_DEPTH;
  return memory;
}

/** The arrays of a reserved table. */
export function attachTable(memory: TableMemory): TableArrays {
  return cut(new Cutter(memory.buffer), memory.capacity, memory.counters);
}
