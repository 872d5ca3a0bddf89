/** Counters of the kernel's connection tracker: per processor, and of the whole table. */
import { CONNTRACK_MESSAGE } from "./conntrack-attributes.ts";
import { AttributeCursor, MESSAGE_FLAG, MESSAGE_HEADER_BYTES } from "./message.ts";
import { MessageWriter, NETFILTER_HEADER_BYTES } from "./message-writer.ts";

/** What the tracker counted since it started, all processors together. */
export interface ConntrackStatistics {
  /** Look-ups that found an entry. */
  found: number;
  /** Packets that fit no entry and could begin none. */
  invalid: number;
  /** Entries inserted by other means than their first packet leaving. */
  insert: number;
  /** Insertions that failed because an equal entry was there. */
  insertFailed: number;
  /** Packets dropped because an entry could not be made or inserted. */
  drop: number;
  /** Entries thrown out to make room. */
  earlyDrop: number;
  /** ICMP errors that fit no entry. */
  error: number;
  /** Look-ups begun anew because the table was resized meanwhile. */
  searchRestart: number;
  /** Insertions that met an equal entry and were joined with it. */
  clashResolve: number;
  /** Insertions refused because a chain of the hash table was too long. */
  chainTooLong: number;
}

/** Names by attribute number (enum ctattr_stats_cpu). */
const NAMES: ReadonlyMap<number, keyof ConntrackStatistics> = new Map([
  [2, "found"],
  [4, "invalid"],
  [8, "insert"],
  [9, "insertFailed"],
  [10, "drop"],
  [11, "earlyDrop"],
  [12, "error"],
  [13, "searchRestart"],
  [14, "clashResolve"],
  [15, "chainTooLong"],
]);

// Attributes of the whole table (enum ctattr_stats_global).
const ENTRIES = 1;
const ENTRIES_MAX = 2;

/** Asks for the counters of each processor. */
export function encodeConntrackStatistics(sequence: number): Uint8Array {
  const flags = MESSAGE_FLAG.REQUEST | MESSAGE_FLAG.DUMP;
  return encodeEmpty(CONNTRACK_MESSAGE.STATISTICS_PER_CPU, flags, sequence);
}

/** Asks for the size of the table. */
export function encodeConntrackSize(sequence: number): Uint8Array {
  // The answer is marked as one part of several although it is the only one: the acknowledgement is what ends
  // it.
  return encodeEmpty(CONNTRACK_MESSAGE.STATISTICS, MESSAGE_FLAG.REQUEST | MESSAGE_FLAG.ACK, sequence);
}

/** Sums the answers to {@link encodeConntrackStatistics}. @param messages - each with its header */
export function decodeConntrackStatistics(messages: readonly Uint8Array[]): ConntrackStatistics {
  const sum: ConntrackStatistics = {
    found: 0,
    invalid: 0,
    insert: 0,
    insertFailed: 0,
    drop: 0,
    earlyDrop: 0,
    error: 0,
    searchRestart: 0,
    clashResolve: 0,
    chainTooLong: 0,
  };
  for (const message of messages) {
    const cursor = attributesOf(message);
    while (cursor.next()) {
      const name = NAMES.get(cursor.type);
      if (name !== undefined) sum[name] += cursor.uint32();
    }
  }
  return sum;
}

/**
 * Reads the answer to {@link encodeConntrackSize}.
 *
 * @returns entries in the table, and most there may be; -1 where the kernel does not say
 */
export function decodeConntrackSize(messages: readonly Uint8Array[]): { entries: number; limit: number } {
  const size = { entries: -1, limit: -1 };
  for (const message of messages) {
    const cursor = attributesOf(message);
    while (cursor.next()) {
      if (cursor.type === ENTRIES) size.entries = cursor.uint32();
      else if (cursor.type === ENTRIES_MAX) size.limit = cursor.uint32();
    }
  }
  return size;
}

function encodeEmpty(type: number, flags: number, sequence: number): Uint8Array {
  const writer = new MessageWriter();
  writer.beginNetfilter({ type, flags, sequence });
  writer.end();
  return writer.bytes;
}

function attributesOf(message: Uint8Array): AttributeCursor {
  const bytes = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const cursor = new AttributeCursor();
  cursor.bind(bytes, MESSAGE_HEADER_BYTES + NETFILTER_HEADER_BYTES, message.byteLength);
  return cursor;
}
