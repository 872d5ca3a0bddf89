/** Requests to the kernel's connection tracker: dump, get, delete, change, flush. */
import type { AddressWords, Family } from "../base/index.ts";
import {
  CONNTRACK_MESSAGE,
  ENTRY,
  FILTER,
  FILTER_PART,
  TUPLE,
  TUPLE_ADDRESS,
  TUPLE_TRANSPORT,
} from "./conntrack-attributes.ts";
import type { ConntrackEntry } from "./conntrack-entry.ts";
import { MESSAGE_FLAG } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

const AF_INET = 2;
const AF_INET6 = 10;

const ICMP = 1;
const ICMPV6 = 58;

/** Flags of a request that is answered by an acknowledgement. */
const ACKNOWLEDGED = MESSAGE_FLAG.REQUEST | MESSAGE_FLAG.ACK;

/** What a tuple says; a ConntrackTuple is one. */
export interface TupleFacts {
  readonly source: AddressWords;
  readonly destination: AddressWords;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly icmpIdentifier: number;
  readonly zone: number;
}

/** What names one entry: its original direction, its zone, and its id so that no successor is meant. */
export interface ConntrackKey {
  readonly family: Family;
  readonly original: TupleFacts;
  readonly zone: number;
  /** 0 when not known: then whichever entry has the tuple is meant. */
  readonly id: number;
}

/** A value of which only the bits of the mask count. */
export interface MaskedValue {
  readonly value: number;
  readonly mask: number;
}

/** Parts of a tuple that must be equal; parts left out, and IPv6 addresses, are not compared. */
export interface TupleFilter {
  readonly source?: AddressWords;
  readonly destination?: AddressWords;
  readonly protocol?: number;
  /** Needs `protocol`. */
  readonly sourcePort?: number;
  /** Needs `protocol`. */
  readonly destinationPort?: number;
}

/** What the kernel shall select in a dump, so that the rest does not come up. All conditions hold at once. */
export interface ConntrackFilter {
  readonly family?: Family;
  readonly mark?: MaskedValue;
  /** Bits of CONNTRACK_STATUS; Linux 6.0 and later, others ignore it. The mask is not 0. */
  readonly status?: MaskedValue;
  /** Linux 6.9 and later, others ignore it. */
  readonly zone?: number;
  /** Linux 5.8 and later. Needs `family`. */
  readonly original?: TupleFilter;
  /** Linux 5.8 and later. Needs `family`. */
  readonly reply?: TupleFilter;
}

/** Changes of one entry; what is left out stays. */
export interface ConntrackChange {
  readonly mark?: MaskedValue;
  /** Seconds until it ends by itself, unless packets prolong it. */
  readonly timeoutSeconds?: number;
}

function familyNumber(family: Family | undefined): number {
  if (family === undefined) return 0;
  return family === 4 ? AF_INET : AF_INET6;
}

/** The key of an entry, in objects of its own: the record may be filled anew. */
export function keyOf(entry: ConntrackEntry): ConntrackKey {
  return { family: entry.family, original: entry.original.copy(), zone: entry.zone, id: entry.id };
}

/**
 * Asks for all entries that a filter selects.
 *
 * @param sequence - number that the answers carry
 * @param zeroCounters - whether the counters are set to zero as they are read
 */
export function encodeConntrackDump(
  filter: ConntrackFilter,
  sequence: number,
  zeroCounters = false,
): Uint8Array {
  const writer = new MessageWriter();
  const type = zeroCounters ? CONNTRACK_MESSAGE.GET_AND_ZERO : CONNTRACK_MESSAGE.GET;
  const family = familyNumber(filter.family);
  writer.beginNetfilter({ type, flags: MESSAGE_FLAG.REQUEST | MESSAGE_FLAG.DUMP, sequence, family });
  writeMasked(writer, filter.mark, ENTRY.MARK, ENTRY.MARK_MASK);
  writeMasked(writer, filter.status, ENTRY.STATUS, ENTRY.STATUS_MASK);
  if (filter.zone !== undefined) writer.uint16(ENTRY.ZONE, filter.zone);
  if (filter.original !== undefined || filter.reply !== undefined) writeTupleFilters(writer, filter);
  writer.end();
  return writer.bytes;
}

/**
 * Asks for entries, each with a message of its own, which is answered by the entry or an error: ENOENT where
 * there is none.
 *
 * @param sequence - number of the first; the others follow
 */
export function encodeConntrackGet(keys: readonly ConntrackKey[], sequence: number): Uint8Array {
  return encodeEach(CONNTRACK_MESSAGE.GET, keys, sequence);
}

/**
 * Deletes entries, each with a message of its own; one that is gone, or has a successor, is answered by
 * ENOENT.
 *
 * @param sequence - number of the first; the others follow
 */
export function encodeConntrackDelete(keys: readonly ConntrackKey[], sequence: number): Uint8Array {
  return encodeEach(CONNTRACK_MESSAGE.DELETE, keys, sequence);
}

/**
 * Changes entries that are there, all alike, each with a message of its own; one that is not is answered by
 * ENOENT.
 *
 * @param sequence - number of the first; the others follow
 */
export function encodeConntrackUpdate(
  keys: readonly ConntrackKey[],
  change: ConntrackChange,
  sequence: number,
): Uint8Array {
  return encodeEach(CONNTRACK_MESSAGE.NEW, keys, sequence, (writer) => {
    writeMasked(writer, change.mark, ENTRY.MARK, ENTRY.MARK_MASK);
    if (change.timeoutSeconds !== undefined) writer.uint32(ENTRY.TIMEOUT, change.timeoutSeconds);
  });
}

/**
 * A message for each key. What is carried out is not acknowledged, so that a batch has few answers; but an
 * entry is told as if it were one of a list, whose end the acknowledgement is.
 */
// oxlint-disable-next-line max-params -- what a message is made of
function encodeEach(
  type: number,
  keys: readonly ConntrackKey[],
  sequence: number,
  writeRest: (writer: MessageWriter) => void = () => undefined,
): Uint8Array {
  const writer = new MessageWriter();
  const flags = type === CONNTRACK_MESSAGE.GET ? ACKNOWLEDGED : MESSAGE_FLAG.REQUEST;
  for (const [index, key] of keys.entries()) {
    const family = familyNumber(key.family);
    writer.beginNetfilter({ type, flags, sequence: sequence + index, family });
    writeKey(writer, key);
    writeRest(writer);
    writer.end();
  }
  return writer.bytes;
}

/**
 * Deletes every entry, or every one with a mark or in a zone.
 *
 * @param filter - only `mark` and `zone` are heeded
 */
export function encodeConntrackFlush(
  filter: Pick<ConntrackFilter, "mark" | "zone">,
  sequence: number,
): Uint8Array {
  const writer = new MessageWriter();
  writer.beginNetfilter({ type: CONNTRACK_MESSAGE.DELETE, flags: ACKNOWLEDGED, sequence });
  writeMasked(writer, filter.mark, ENTRY.MARK, ENTRY.MARK_MASK);
  if (filter.zone !== undefined) writer.uint16(ENTRY.ZONE, filter.zone);
  writer.end();
  return writer.bytes;
}

function writeMasked(
  writer: MessageWriter,
  masked: MaskedValue | undefined,
  type: number,
  maskType: number,
): void {
  if (masked === undefined) return;
  writer.uint32(type, masked.value);
  writer.uint32(maskType, masked.mask);
}

function writeKey(writer: MessageWriter, key: ConntrackKey): void {
  writeTuple(writer, ENTRY.TUPLE_ORIGINAL, key.family, key.original);
  // The kernel refuses a zone for the entry and one for a direction together, so the default zone is not
  // named.
  if (key.zone !== 0) writer.uint16(ENTRY.ZONE, key.zone);
  if (key.id !== 0) writer.uint32(ENTRY.ID, key.id);
}

function writeTuple(writer: MessageWriter, type: number, family: Family, tuple: TupleFacts): void {
  writer.beginNest(type);
  writer.beginNest(TUPLE.ADDRESSES);
  writeAddress(writer, family, tuple.source, false);
  writeAddress(writer, family, tuple.destination, true);
  writer.endNest();
  writer.beginNest(TUPLE.TRANSPORT);
  uint8(writer, TUPLE_TRANSPORT.PROTOCOL, tuple.protocol);
  if (tuple.protocol === ICMP || tuple.protocol === ICMPV6) writeIcmp(writer, tuple);
  else {
    writer.uint16(TUPLE_TRANSPORT.SOURCE_PORT, tuple.sourcePort);
    writer.uint16(TUPLE_TRANSPORT.DESTINATION_PORT, tuple.destinationPort);
  }
  writer.endNest();
  if (tuple.zone >= 0) writer.uint16(TUPLE.ZONE, tuple.zone);
  writer.endNest();
}

function writeIcmp(writer: MessageWriter, tuple: TupleFacts): void {
  const isV6 = tuple.protocol === ICMPV6;
  const { ICMP_ID, ICMP_TYPE, ICMP_CODE, ICMPV6_ID, ICMPV6_TYPE, ICMPV6_CODE } = TUPLE_TRANSPORT;
  writer.uint16(isV6 ? ICMPV6_ID : ICMP_ID, tuple.icmpIdentifier);
  uint8(writer, isV6 ? ICMPV6_TYPE : ICMP_TYPE, tuple.icmpType);
  uint8(writer, isV6 ? ICMPV6_CODE : ICMP_CODE, tuple.icmpCode);
}

function writeAddress(
  writer: MessageWriter,
  family: Family,
  words: AddressWords,
  destination: boolean,
): void {
  if (family === 4) {
    writer.uint32(destination ? TUPLE_ADDRESS.DESTINATION_4 : TUPLE_ADDRESS.SOURCE_4, words[3] ?? 0);
    return;
  }
  const bytes = new DataView(new ArrayBuffer(16));
  for (const [index, word] of words.entries()) bytes.setUint32(4 * index, word);
  writer.attribute(
    destination ? TUPLE_ADDRESS.DESTINATION_6 : TUPLE_ADDRESS.SOURCE_6,
    new Uint8Array(bytes.buffer),
  );
}

/** The tuples to compare with, and which parts of them count. */
function writeTupleFilters(writer: MessageWriter, filter: ConntrackFilter): void {
  const family = filter.family ?? 4;
  const original = writeTupleFilter(writer, ENTRY.TUPLE_ORIGINAL, family, filter.original);
  const reply = writeTupleFilter(writer, ENTRY.TUPLE_REPLY, family, filter.reply);
  writer.beginNest(ENTRY.FILTER);
  writer.hostUint32(FILTER.ORIGINAL_FLAGS, original);
  writer.hostUint32(FILTER.REPLY_FLAGS, reply);
  writer.endNest();
}

function writeTupleFilter(
  writer: MessageWriter,
  type: number,
  family: Family,
  filter: TupleFilter | undefined,
): number {
  if (filter === undefined) return 0;
  let parts = 0;
  writer.beginNest(type);
  parts |= writeAddressFilter(writer, family, filter);
  parts |= writePortFilter(writer, filter);
  writer.endNest();
  return parts;
}

function writeAddressFilter(writer: MessageWriter, family: Family, filter: TupleFilter): number {
  const { source, destination } = filter;
  // The kernel compares IPv6 addresses the wrong way round and selects those that differ
  // (ctnetlink_filter_match_tuple, seen on Linux 6.18): no selection is better than that one.
  if (family === 6) return 0;
  if (source === undefined && destination === undefined) return 0;
  let parts = 0;
  writer.beginNest(TUPLE.ADDRESSES);
  if (source !== undefined) {
    writeAddress(writer, family, source, false);
    parts |= FILTER_PART.SOURCE;
  }
  if (destination !== undefined) {
    writeAddress(writer, family, destination, true);
    parts |= FILTER_PART.DESTINATION;
  }
  writer.endNest();
  return parts;
}

function writePortFilter(writer: MessageWriter, filter: TupleFilter): number {
  const { protocol, sourcePort, destinationPort } = filter;
  if (protocol === undefined) return 0;
  let parts: number = FILTER_PART.PROTOCOL;
  writer.beginNest(TUPLE.TRANSPORT);
  uint8(writer, TUPLE_TRANSPORT.PROTOCOL, protocol);
  if (sourcePort !== undefined) {
    writer.uint16(TUPLE_TRANSPORT.SOURCE_PORT, sourcePort);
    parts |= FILTER_PART.SOURCE_PORT;
  }
  if (destinationPort !== undefined) {
    writer.uint16(TUPLE_TRANSPORT.DESTINATION_PORT, destinationPort);
    parts |= FILTER_PART.DESTINATION_PORT;
  }
  writer.endNest();
  return parts;
}

function uint8(writer: MessageWriter, type: number, value: number): void {
  writer.attribute(type, Uint8Array.of(value));
}
