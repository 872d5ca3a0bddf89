/**
 * One entry of the kernel's connection tracker, as numbers.
 *
 * A table has up to millions of entries, so a record is filled anew for each message and never kept; what
 * shall last is copied out of it. Which of the optional attributes were there says
 * {@link ConntrackEntry.present}, because a counter that is not kept is something else than zero.
 */
import { type AddressWords, type Family, MAPPED_WORD } from "../base/index.ts";

/** Bits of {@link ConntrackEntry.present}. */
export const CONNTRACK_FIELD = {
  COUNTERS: 1 << 0,
  TIMESTAMP: 1 << 1,
  TIMEOUT: 1 << 2,
  TCP: 1 << 3,
  SCTP: 1 << 4,
  LABELS: 1 << 5,
  MASTER: 1 << 6,
  SEQUENCE_ADJUSTMENT: 1 << 7,
  ID: 1 << 8,
  STATUS: 1 << 9,
} as const;

/** One direction of an entry: who sends to whom. */
export class ConntrackTuple {
  /** Source address; IPv4 in mapped form. */
  readonly source: AddressWords = new Uint32Array(4);
  /** Destination address; IPv4 in mapped form. */
  readonly destination: AddressWords = new Uint32Array(4);
  /** IANA number of the transport protocol. */
  protocol = 0;
  /** Source port, or key of GRE; 0 where the protocol has none. */
  sourcePort = 0;
  /** Destination port, or key of GRE; 0 where the protocol has none. */
  destinationPort = 0;
  /** Type of the ICMP or ICMPv6 request or answer. */
  icmpType = 0;
  /** Code of the ICMP or ICMPv6 request or answer. */
  icmpCode = 0;
  /** Identifier of an ICMP or ICMPv6 echo. */
  icmpIdentifier = 0;
  /** Zone of this direction alone; -1 when the whole entry is in one zone. */
  zone = -1;

  /** Makes it an empty tuple of this family. */
  clear(family: Family): void {
    clearAddress(this.source, family);
    clearAddress(this.destination, family);
    this.protocol = 0;
    this.sourcePort = 0;
    this.destinationPort = 0;
    this.icmpType = 0;
    this.icmpCode = 0;
    this.icmpIdentifier = 0;
    this.zone = -1;
  }

  /** A tuple of its own that says the same. */
  copy(): ConntrackTuple {
    const copy = new ConntrackTuple();
    copy.source.set(this.source);
    copy.destination.set(this.destination);
    copy.protocol = this.protocol;
    copy.sourcePort = this.sourcePort;
    copy.destinationPort = this.destinationPort;
    copy.icmpType = this.icmpType;
    copy.icmpCode = this.icmpCode;
    copy.icmpIdentifier = this.icmpIdentifier;
    copy.zone = this.zone;
    return copy;
  }
}

/** One entry. */
export class ConntrackEntry {
  /** Which optional attributes were there: bits of {@link CONNTRACK_FIELD}. */
  present = 0;
  family: Family = 4;
  /** The direction of the first packet, as it was sent. */
  readonly original: ConntrackTuple = new ConntrackTuple();
  /**
   * The direction of answers, as they are sent. Not the inverse of `original` when addresses are translated.
   */
  readonly reply: ConntrackTuple = new ConntrackTuple();
  /** The connection that announced this one, original direction. Valid with MASTER. */
  readonly master: ConntrackTuple = new ConntrackTuple();
  /** Bits of CONNTRACK_STATUS. Valid with STATUS. */
  status = 0;
  /** Seconds until it ends by itself. Valid with TIMEOUT. */
  timeoutSeconds = 0;
  /** Connection mark, 32 bits. */
  mark = 0;
  /** Number that tells this entry from others that had the same tuple, 32 bits. Valid with ID. */
  id = 0;
  /** How many hold it. */
  use = 0;
  /** Zone, 0 to 65535. */
  zone = 0;
  /** Packets of the original direction. Valid with COUNTERS. */
  originalPackets = 0;
  /** Bytes of the original direction, IP headers included. Valid with COUNTERS. */
  originalBytes = 0;
  /** Packets of the reply direction. Valid with COUNTERS. */
  replyPackets = 0;
  /** Bytes of the reply direction, IP headers included. Valid with COUNTERS. */
  replyBytes = 0;
  /** When it began, in milliseconds of wall-clock time since 1970. Valid with TIMESTAMP. */
  startMs = 0;
  /** When it ended, likewise; 0 while it lives. Valid with TIMESTAMP. */
  stopMs = 0;
  /** Labels, 128 bits: bit 0 is the lowest of the first word. Valid with LABELS. */
  readonly labels: Uint32Array = new Uint32Array(4);
  /** Index into CONNTRACK_TCP_STATES. Valid with TCP. */
  tcpState = 0;
  /** Window scale that the original direction's sender offered, 0 to 14. Valid with TCP. */
  tcpScaleOriginal = 0;
  /** Window scale that the reply direction's sender offered, 0 to 14. Valid with TCP. */
  tcpScaleReply = 0;
  /** Bits of CONNTRACK_TCP_FLAG, original direction. Valid with TCP. */
  tcpFlagsOriginal = 0;
  /** Bits of CONNTRACK_TCP_FLAG, reply direction. Valid with TCP. */
  tcpFlagsReply = 0;
  /** State number of the kernel's SCTP machine. Valid with SCTP. */
  sctpState = 0;
  /**
   * What is added to sequence numbers of the original direction, modulo 2^32. Valid with SEQUENCE_ADJUSTMENT.
   */
  sequenceOffsetOriginal = 0;
  /**
   * What is added to sequence numbers of the reply direction, modulo 2^32. Valid with SEQUENCE_ADJUSTMENT.
   */
  sequenceOffsetReply = 0;
  /** Name of the helper that looks into it, "" for none. */
  helper = "";

  /** Makes it an empty entry of this family. */
  clear(family: Family): void {
    this.family = family;
    this.present = 0;
    this.original.clear(family);
    this.reply.clear(family);
    this.status = 0;
    this.timeoutSeconds = 0;
    this.mark = 0;
    this.id = 0;
    this.use = 0;
    this.zone = 0;
    this.helper = "";
    this.stopMs = 0;
    this.sequenceOffsetOriginal = 0;
    this.sequenceOffsetReply = 0;
  }

  /** True when an optional attribute was there. @param field - one of {@link CONNTRACK_FIELD} */
  has(field: number): boolean {
    return (this.present & field) !== 0;
  }
}

function clearAddress(words: AddressWords, family: Family): void {
  words[0] = 0;
  words[1] = 0;
  words[2] = family === 4 ? MAPPED_WORD : 0;
  words[3] = 0;
}
