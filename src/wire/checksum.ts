/**
 * Checksums: the Internet checksum (RFC 1071) with the pseudo-headers of IPv4 and IPv6, and CRC32c for SCTP.
 *
 * The packet path never looks at checksums. They serve the builder, tests, and whoever inspects captures.
 */
import { type AddressWords, type Family, PROTOCOL } from "../base/index.ts";
import { crc32c } from "./crc32c.ts";
import { FRAGMENT, type Packet } from "./packet.ts";
import { SCTP_CHECKSUM_AT } from "./sctp.ts";
import { UDP_CHECKSUM_AT, udpCoverageBytes } from "./udp.ts";

const WORD_BYTES = 4;
const HALF_WORD_BYTES = 2;

/**
 * Adds up 16-bit words, with a zero byte added at an odd end (RFC 1071 section 1).
 *
 * @param bytes - buffer
 * @param at - offset of the first byte
 * @param end - offset just past the last byte
 * @param seed - sum so far, as this function returned it
 * @returns a sum that is not folded yet; exact for any length that fits in memory
 */
export function sumBytes(bytes: DataView, at: number, end: number, seed = 0): number {
  let sum = seed;
  let offset = at;
  // 32 bits at a time, which leaves the folded sum the same (RFC 1071 section 2, "Parallel Summation").
  for (; offset + WORD_BYTES <= end; offset += WORD_BYTES) sum += bytes.getUint32(offset);
  if (offset + HALF_WORD_BYTES <= end) {
    sum += bytes.getUint16(offset);
    offset += HALF_WORD_BYTES;
  }
  return offset < end ? sum + bytes.getUint8(offset) * 256 : sum;
}

/**
 * Folds a sum into the checksum field's value: 16 bits, complemented. Over bytes whose checksum field is
 * filled in rightly the answer is 0.
 */
export function foldChecksum(sum: number): number {
  let rest = sum;
  while (rest > 0xffff) rest = (rest % 0x10000) + Math.floor(rest / 0x10000);
  return ~rest & 0xffff;
}

/**
 * What a transport checksum covers besides the transport's own bytes (RFC 9293 section 3.1, RFC 8200 section
 * 8.1).
 */
export interface PseudoHeader {
  readonly family: Family;
  readonly source: AddressWords;
  readonly destination: AddressWords;
  readonly protocol: number;
  /** Length of transport header and payload, in bytes. */
  readonly transportBytes: number;
}

function sumWords(words: AddressWords, first: number): number {
  let sum = 0;
  for (let index = first; index < words.length; index += 1) sum += words[index] ?? 0;
  return sum;
}

/** Sum of a pseudo-header, to be the seed of {@link sumBytes}. */
export function sumPseudoHeader(header: PseudoHeader): number {
  const first = header.family === 4 ? 3 : 0;
  const addresses = sumWords(header.source, first) + sumWords(header.destination, first);
  return addresses + header.transportBytes + header.protocol;
}

/**
 * Internet checksum of a packet's transport, its checksum field included as it stands.
 *
 * @returns the field's value when the field holds 0, or 0 when the field's value is right
 */
export function transportChecksum(packet: Packet): number {
  const { bytes, transportAt, protocol, family } = packet;
  const end = packet.at + packet.wireBytes;
  const transportBytes = end - transportAt;
  if (protocol === PROTOCOL.ICMP || family === 0) return foldChecksum(sumBytes(bytes, transportAt, end));
  const { source, destination } = packet;
  const seed = sumPseudoHeader({ family, source, destination, protocol, transportBytes });
  const covered =
    protocol === PROTOCOL.UDPLITE ? udpCoverageBytes(bytes, transportAt, transportBytes) : transportBytes;
  return foldChecksum(sumBytes(bytes, transportAt, transportAt + covered, seed));
}

/**
 * CRC32c of an SCTP packet, its checksum field taken as 0 (RFC 9260 section 6.8), in the order in which it
 * stands in the packet.
 */
export function sctpChecksum(packet: Packet): number {
  const crc = crc32c(
    packet.bytes,
    packet.transportAt,
    packet.at + packet.wireBytes,
    packet.transportAt + SCTP_CHECKSUM_AT,
  );
  // Its least significant byte is sent first (RFC 9260 appendix A).
  return ((crc << 24) | ((crc & 0xff00) << 8) | ((crc >>> 8) & 0xff00) | (crc >>> 24)) >>> 0;
}

/** Checksum of an IPv4 header, its checksum field included as it stands; see {@link transportChecksum}. */
export function ipv4HeaderChecksum(packet: Packet): number {
  return foldChecksum(sumBytes(packet.bytes, packet.at, packet.transportAt));
}

function isTransportRight(packet: Packet): boolean {
  const { bytes, transportAt } = packet;
  switch (packet.protocol) {
    case PROTOCOL.SCTP:
      return bytes.getUint32(transportAt + SCTP_CHECKSUM_AT) === sctpChecksum(packet);
    case PROTOCOL.UDP:
      // "An all zero transmitted checksum value means that the transmitter generated no checksum" (RFC 768).
      if (packet.family === 4 && bytes.getUint16(transportAt + UDP_CHECKSUM_AT) === 0) return true;
      return transportChecksum(packet) === 0;
    case PROTOCOL.TCP:
    case PROTOCOL.UDPLITE:
    case PROTOCOL.ICMP:
    case PROTOCOL.ICMPV6:
      return transportChecksum(packet) === 0;
    default:
      return true;
  }
}

/**
 * Tells whether a decoded packet's checksums are right.
 *
 * Packets that this host sends, and those that segmentation offload merged, are unfinished or stale by
 * design: a wrong checksum there says nothing.
 *
 * @returns `undefined` when that can't be told: a fault, a fragment, or a copy that was cut short
 */
export function isChecksumRight(packet: Packet): boolean | undefined {
  if (packet.fault !== undefined || packet.fragment !== FRAGMENT.NONE) return undefined;
  if (packet.at + packet.wireBytes > packet.end) return undefined;
  return (packet.family === 6 || ipv4HeaderChecksum(packet) === 0) && isTransportRight(packet);
}
