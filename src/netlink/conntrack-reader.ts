/**
 * Reads entries of the kernel's connection tracker out of netlink messages. Attributes that are not known
 * here are skipped: a later kernel may send more.
 */
import type { AddressWords, Family } from "../base/index.ts";
import {
  COUNTERS,
  ENTRY,
  HELPER,
  PROTOCOL_INFO,
  SCTP_INFO,
  SEQUENCE_ADJUSTMENT,
  TCP_INFO,
  TIMESTAMP,
  TUPLE,
  TUPLE_ADDRESS,
  TUPLE_TRANSPORT,
} from "./conntrack-attributes.ts";
import { CONNTRACK_FIELD, type ConntrackEntry, type ConntrackTuple } from "./conntrack-entry.ts";
import { AttributeCursor, type NetlinkFault } from "./message.ts";
import { NETFILTER_HEADER_BYTES } from "./message-writer.ts";

/** Address family numbers of netfilter messages (AF_INET, AF_INET6). */
const AF_INET = 2;
const AF_INET6 = 10;

/** Nanoseconds in a millisecond. */
const NANOSECONDS = 1e6;

/** Fills entries from messages. One reader serves a socket. */
export class ConntrackReader {
  #bytes: DataView = new DataView(new ArrayBuffer(0));
  readonly #attributes: AttributeCursor = new AttributeCursor();
  readonly #inner: AttributeCursor = new AttributeCursor();
  readonly #innermost: AttributeCursor = new AttributeCursor();

  /**
   * Reads the message whose body begins at `at`. Allocates nothing unless a helper is named.
   *
   * @param entry - record to fill
   * @param bytes - receive buffer
   * @param at - offset of the netfilter header, behind the message header
   * @param end - offset just past the message
   * @returns the first fault found, or `undefined`; with a fault the record means nothing
   */
  read(entry: ConntrackEntry, bytes: DataView, at: number, end: number): NetlinkFault | undefined {
    if (end - at < NETFILTER_HEADER_BYTES) return "message-truncated";
    const family = bytes.getUint8(at);
    // Entries of other families cannot exist: the tracker knows no others.
    if (family !== AF_INET && family !== AF_INET6) return "attribute-missing";
    entry.clear(family === AF_INET ? 4 : 6);
    this.#bytes = bytes;
    const attributes = this.#attributes;
    attributes.bind(bytes, at + NETFILTER_HEADER_BYTES, end);
    while (attributes.next()) {
      const fault = this.#readAttribute(entry, attributes);
      if (fault !== undefined) attributes.stop(fault);
    }
    if (attributes.fault !== undefined) return attributes.fault;
    return entry.original.protocol === 0 && entry.reply.protocol === 0 ? "attribute-missing" : undefined;
  }

  /** Reads one attribute of an entry. Returns a fault in what it holds. */
  #readAttribute(entry: ConntrackEntry, attribute: AttributeCursor): NetlinkFault | undefined {
    switch (attribute.type) {
      case ENTRY.TUPLE_ORIGINAL:
        return this.#readTuple(entry.original, entry.family);
      case ENTRY.TUPLE_REPLY:
        return this.#readTuple(entry.reply, entry.family);
      case ENTRY.TUPLE_MASTER:
        entry.present |= CONNTRACK_FIELD.MASTER;
        return this.#readTuple(entry.master, entry.family);
      case ENTRY.PROTOCOL_INFO:
        return this.#readProtocol(entry);
      case ENTRY.COUNTERS_ORIGINAL:
      case ENTRY.COUNTERS_REPLY:
        return this.#readCounters(entry, attribute.type === ENTRY.COUNTERS_ORIGINAL);
      case ENTRY.SEQUENCE_ORIGINAL:
      case ENTRY.SEQUENCE_REPLY:
        return this.#readAdjustment(entry, attribute.type === ENTRY.SEQUENCE_ORIGINAL);
      case ENTRY.TIMESTAMP:
        return this.#readTimestamp(entry);
      case ENTRY.HELPER:
        return this.#readHelper(entry);
      default:
        this.#readNumber(entry, attribute);
        return undefined;
    }
  }

  #readNumber(entry: ConntrackEntry, attribute: AttributeCursor): void {
    switch (attribute.type) {
      case ENTRY.STATUS:
        entry.present |= CONNTRACK_FIELD.STATUS;
        entry.status = attribute.uint32();
        break;
      case ENTRY.TIMEOUT:
        entry.present |= CONNTRACK_FIELD.TIMEOUT;
        entry.timeoutSeconds = attribute.uint32();
        break;
      case ENTRY.MARK:
        entry.mark = attribute.uint32();
        break;
      case ENTRY.ID:
        entry.present |= CONNTRACK_FIELD.ID;
        entry.id = attribute.uint32();
        break;
      case ENTRY.USE:
        entry.use = attribute.uint32();
        break;
      case ENTRY.ZONE:
        entry.zone = attribute.uint16();
        break;
      case ENTRY.LABELS:
        this.#readLabels(entry, attribute);
        break;
    }
  }

  #readTuple(tuple: ConntrackTuple, family: Family): NetlinkFault | undefined {
    tuple.clear(family);
    const inner = this.#inner;
    inner.bind(this.#bytes, this.#attributes.at, this.#attributes.end);
    while (inner.next()) {
      let fault: NetlinkFault | undefined;
      if (inner.type === TUPLE.ADDRESSES) fault = this.#readAddresses(tuple);
      else if (inner.type === TUPLE.TRANSPORT) fault = this.#readTransport(tuple);
      else if (inner.type === TUPLE.ZONE) tuple.zone = inner.uint16();
      if (fault !== undefined) inner.stop(fault);
    }
    return inner.fault;
  }

  #readAddresses(tuple: ConntrackTuple): NetlinkFault | undefined {
    const cursor = this.#innermost;
    cursor.bind(this.#bytes, this.#inner.at, this.#inner.end);
    while (cursor.next()) {
      switch (cursor.type) {
        case TUPLE_ADDRESS.SOURCE_4:
          tuple.source[3] = cursor.uint32();
          break;
        case TUPLE_ADDRESS.DESTINATION_4:
          tuple.destination[3] = cursor.uint32();
          break;
        case TUPLE_ADDRESS.SOURCE_6:
          this.#readAddress(tuple.source, cursor);
          break;
        case TUPLE_ADDRESS.DESTINATION_6:
          this.#readAddress(tuple.destination, cursor);
          break;
      }
    }
    return cursor.fault;
  }

  #readAddress(words: AddressWords, cursor: AttributeCursor): void {
    if (cursor.length < 16) {
      cursor.stop("attribute-length");
      return;
    }
    for (let word = 0; word < 4; word += 1) words[word] = this.#bytes.getUint32(cursor.at + 4 * word);
  }

  #readTransport(tuple: ConntrackTuple): NetlinkFault | undefined {
    const cursor = this.#innermost;
    cursor.bind(this.#bytes, this.#inner.at, this.#inner.end);
    while (cursor.next()) {
      switch (cursor.type) {
        case TUPLE_TRANSPORT.PROTOCOL:
          tuple.protocol = cursor.uint8();
          break;
        case TUPLE_TRANSPORT.SOURCE_PORT:
          tuple.sourcePort = cursor.uint16();
          break;
        case TUPLE_TRANSPORT.DESTINATION_PORT:
          tuple.destinationPort = cursor.uint16();
          break;
        case TUPLE_TRANSPORT.ICMP_ID:
        case TUPLE_TRANSPORT.ICMPV6_ID:
          tuple.icmpIdentifier = cursor.uint16();
          break;
        case TUPLE_TRANSPORT.ICMP_TYPE:
        case TUPLE_TRANSPORT.ICMPV6_TYPE:
          tuple.icmpType = cursor.uint8();
          break;
        case TUPLE_TRANSPORT.ICMP_CODE:
        case TUPLE_TRANSPORT.ICMPV6_CODE:
          tuple.icmpCode = cursor.uint8();
          break;
      }
    }
    return cursor.fault;
  }

  #readProtocol(entry: ConntrackEntry): NetlinkFault | undefined {
    const inner = this.#inner;
    inner.bind(this.#bytes, this.#attributes.at, this.#attributes.end);
    while (inner.next()) {
      let fault: NetlinkFault | undefined;
      if (inner.type === PROTOCOL_INFO.TCP) fault = this.#readTcp(entry);
      else if (inner.type === PROTOCOL_INFO.SCTP) fault = this.#readSctp(entry);
      if (fault !== undefined) inner.stop(fault);
    }
    return inner.fault;
  }

  #readTcp(entry: ConntrackEntry): NetlinkFault | undefined {
    const cursor = this.#innermost;
    cursor.bind(this.#bytes, this.#inner.at, this.#inner.end);
    entry.present |= CONNTRACK_FIELD.TCP;
    entry.tcpState = 0;
    entry.tcpScaleOriginal = 0;
    entry.tcpScaleReply = 0;
    entry.tcpFlagsOriginal = 0;
    entry.tcpFlagsReply = 0;
    while (cursor.next()) {
      switch (cursor.type) {
        case TCP_INFO.STATE:
          entry.tcpState = cursor.uint8();
          break;
        case TCP_INFO.SCALE_ORIGINAL:
          entry.tcpScaleOriginal = cursor.uint8();
          break;
        case TCP_INFO.SCALE_REPLY:
          entry.tcpScaleReply = cursor.uint8();
          break;
        // The flags are a pair of bytes: value and mask (struct nf_ct_tcp_flags).
        case TCP_INFO.FLAGS_ORIGINAL:
          entry.tcpFlagsOriginal = cursor.uint8();
          break;
        case TCP_INFO.FLAGS_REPLY:
          entry.tcpFlagsReply = cursor.uint8();
          break;
      }
    }
    return cursor.fault;
  }

  #readSctp(entry: ConntrackEntry): NetlinkFault | undefined {
    const cursor = this.#innermost;
    cursor.bind(this.#bytes, this.#inner.at, this.#inner.end);
    entry.present |= CONNTRACK_FIELD.SCTP;
    entry.sctpState = 0;
    while (cursor.next()) if (cursor.type === SCTP_INFO.STATE) entry.sctpState = cursor.uint8();
    return cursor.fault;
  }

  #readCounters(entry: ConntrackEntry, original: boolean): NetlinkFault | undefined {
    const cursor = this.#inner;
    cursor.bind(this.#bytes, this.#attributes.at, this.#attributes.end);
    entry.present |= CONNTRACK_FIELD.COUNTERS;
    let packets = 0;
    let bytes = 0;
    while (cursor.next()) {
      if (cursor.type === COUNTERS.PACKETS) packets = cursor.uint64();
      else if (cursor.type === COUNTERS.BYTES) bytes = cursor.uint64();
    }
    if (original) {
      entry.originalPackets = packets;
      entry.originalBytes = bytes;
    } else {
      entry.replyPackets = packets;
      entry.replyBytes = bytes;
    }
    return cursor.fault;
  }

  #readAdjustment(entry: ConntrackEntry, original: boolean): NetlinkFault | undefined {
    const cursor = this.#inner;
    cursor.bind(this.#bytes, this.#attributes.at, this.#attributes.end);
    entry.present |= CONNTRACK_FIELD.SEQUENCE_ADJUSTMENT;
    let offset = 0;
    while (cursor.next()) if (cursor.type === SEQUENCE_ADJUSTMENT.OFFSET_AFTER) offset = cursor.uint32();
    if (original) entry.sequenceOffsetOriginal = offset;
    else entry.sequenceOffsetReply = offset;
    return cursor.fault;
  }

  #readTimestamp(entry: ConntrackEntry): NetlinkFault | undefined {
    const cursor = this.#inner;
    cursor.bind(this.#bytes, this.#attributes.at, this.#attributes.end);
    entry.present |= CONNTRACK_FIELD.TIMESTAMP;
    entry.startMs = 0;
    while (cursor.next()) {
      if (cursor.type === TIMESTAMP.START) entry.startMs = cursor.uint64() / NANOSECONDS;
      else if (cursor.type === TIMESTAMP.STOP) entry.stopMs = cursor.uint64() / NANOSECONDS;
    }
    return cursor.fault;
  }

  #readHelper(entry: ConntrackEntry): NetlinkFault | undefined {
    const cursor = this.#inner;
    cursor.bind(this.#bytes, this.#attributes.at, this.#attributes.end);
    while (cursor.next()) if (cursor.type === HELPER.NAME) entry.helper = cursor.text();
    return cursor.fault;
  }

  /** Labels are a bit field in the kernel's memory, in words of its own order: read byte by byte. */
  #readLabels(entry: ConntrackEntry, attribute: AttributeCursor): void {
    entry.present |= CONNTRACK_FIELD.LABELS;
    entry.labels.fill(0);
    const count = Math.min(attribute.length, 16);
    for (let at = 0; at < count; at += 1) {
      const word = at >>> 2;
      const byte = this.#bytes.getUint8(attribute.at + at);
      entry.labels[word] = ((entry.labels[word] ?? 0) | (byte << (8 * (at & 3)))) >>> 0;
    }
  }
}
