/** The IPv6 header (RFC 8200 section 3) and the way through its extension headers to the transport. */
import { type AddressWords, PROTOCOL } from "../base/index.ts";
import { NO_BYTES } from "./empty.ts";
import { decodeFragmentHeader, IPV6_EXTENSION, Ipv6Extensions, jumboPayloadBytes } from "./ipv6-extension.ts";
import { FRAGMENT, type Packet } from "./packet.ts";

// Byte offsets of the header's fields (RFC 8200 section 3).
const VERSION_CLASS_FLOW = 0;
const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SOURCE = 8;
const DESTINATION = 24;

// Byte offsets of the words of an address.
const WORD_0 = 0;
const WORD_1 = 4;
const WORD_2 = 8;
const WORD_3 = 12;

/** Length of the IPv6 header without extension headers, in bytes. */
export const IPV6_HEADER_BYTES = 40;

/** Largest length that the payload length field can tell, in bytes. */
const PAYLOAD_LENGTH_MAX = 0xffff;

/** Why a run of bytes is not an IPv6 header. */
export type Ipv6Fault =
  | "ip-truncated"
  | "ip-version-unknown"
  | "ipv6-payload-length"
  | "ipv6-extension-truncated"
  | "ipv6-extension-too-many";

function readWords(bytes: DataView, at: number, words: AddressWords): void {
  words[0] = bytes.getUint32(at + WORD_0);
  words[1] = bytes.getUint32(at + WORD_1);
  words[2] = bytes.getUint32(at + WORD_2);
  words[3] = bytes.getUint32(at + WORD_3);
}

function writeWords(bytes: DataView, at: number, words: AddressWords): void {
  bytes.setUint32(at + WORD_0, words[0] ?? 0);
  bytes.setUint32(at + WORD_1, words[1] ?? 0);
  bytes.setUint32(at + WORD_2, words[2] ?? 0);
  bytes.setUint32(at + WORD_3, words[3] ?? 0);
}

/**
 * Reads an IPv6 header in place; holds no bytes of its own.
 *
 * One instance serves many packets: {@link Ipv6View.bind} moves it. Keep field values, never the view.
 *
 * @see RFC 8200 section 3
 */
export class Ipv6View {
  #bytes: DataView = NO_BYTES;
  #at = 0;

  /**
   * Moves the view to the header at `at` and checks every length the getters rely on. Payload length is not
   * held against `end`: a copy may be cut short.
   *
   * @param bytes - receive buffer
   * @param at - offset of the header, in bytes
   * @param end - offset just past the captured bytes
   * @returns the first fault found, or `undefined` when every getter is safe to call
   */
  bind(bytes: DataView, at: number, end: number): "ip-truncated" | "ip-version-unknown" | undefined {
    if (end - at < IPV6_HEADER_BYTES) return "ip-truncated";
    if (bytes.getUint8(at + VERSION_CLASS_FLOW) >>> 4 !== 6) return "ip-version-unknown";
    this.#bytes = bytes;
    this.#at = at;
    return undefined;
  }

  /** Differentiated services and congestion bits, 8 bits (RFC 2474, RFC 3168). */
  get trafficClass(): number {
    return (this.#bytes.getUint16(this.#at + VERSION_CLASS_FLOW) >>> 4) & 0xff;
  }

  /** Flow label, 20 bits (RFC 6437). */
  get flowLabel(): number {
    return this.#bytes.getUint32(this.#at + VERSION_CLASS_FLOW) & 0xfffff;
  }

  /** Length of all that follows the header as the field tells it, in bytes; 0 in a jumbogram (RFC 2675). */
  get payloadBytes(): number {
    return this.#bytes.getUint16(this.#at + PAYLOAD_LENGTH);
  }

  /** Type of the header that follows: an extension header or the transport (IANA number). */
  get nextHeader(): number {
    return this.#bytes.getUint8(this.#at + NEXT_HEADER);
  }

  /** Hop limit, in hops. */
  get hopLimit(): number {
    return this.#bytes.getUint8(this.#at + HOP_LIMIT);
  }

  /** Writes the source address into `words`. */
  readSource(words: AddressWords): void {
    readWords(this.#bytes, this.#at + SOURCE, words);
  }

  /** Writes the destination address into `words`. */
  readDestination(words: AddressWords): void {
    readWords(this.#bytes, this.#at + DESTINATION, words);
  }
}

/** What {@link encodeIpv6} writes. */
export interface Ipv6Fields {
  readonly source: AddressWords;
  readonly destination: AddressWords;
  readonly nextHeader: number;
  /** Length of all that follows the header, in bytes. */
  readonly payloadBytes: number;
  readonly trafficClass: number;
  /** Flow label, 20 bits. */
  readonly flowLabel: number;
  readonly hopLimit: number;
}

const view = new Ipv6View();
const extensions = new Ipv6Extensions();

/**
 * Length of what follows the header, when the field is zero.
 *
 * A Jumbo Payload option may tell it (RFC 2675 section 3). Kernels hand up
 * super-packets beyond 64 KB with that option or, newer ones, without it; only TCP is sent so (Linux
 * `ipv6_payload_len`).
 *
 * @returns bytes, or -1 when option and arrival contradict each other
 */
function zeroPayloadBytes(packet: Packet, restBytes: number): number {
  const nextHeader = view.nextHeader;
  if (nextHeader === IPV6_EXTENSION.HOP_BY_HOP) {
    const jumbo = jumboPayloadBytes(packet.bytes, packet.at + IPV6_HEADER_BYTES, packet.end);
    return jumbo <= restBytes && (jumbo === 0 || jumbo > PAYLOAD_LENGTH_MAX) ? jumbo : -1;
  }
  return nextHeader === PROTOCOL.TCP || restBytes > PAYLOAD_LENGTH_MAX ? restBytes : 0;
}

/** Walks to the transport header, or to the data of a later fragment. */
function decodeExtensions(packet: Packet): Ipv6Fault | undefined {
  extensions.bind(packet.bytes, packet.at + IPV6_HEADER_BYTES, packet.end, packet.protocol);
  while (extensions.next()) {
    packet.protocol = extensions.upperProtocol;
    packet.transportAt = extensions.nextAt;
    if (extensions.type !== IPV6_EXTENSION.FRAGMENT) continue;
    decodeFragmentHeader(packet, extensions.at);
    if (packet.fragment === FRAGMENT.LATER) return undefined;
  }
  return extensions.fault;
}

/**
 * Fills the network layer of a record whose `bytes`, `at`, `end` and `wireBytes` are set, and trims `end` and
 * `wireBytes` to the packet (link-layer padding lies beyond its payload length).
 *
 * @returns the first fault; `family` is 6 when addresses could be read all the same
 */
export function decodeIpv6(packet: Packet): Ipv6Fault | undefined {
  const { at } = packet;
  const fault = view.bind(packet.bytes, at, packet.end);
  if (fault !== undefined) return fault;
  packet.family = 6;
  view.readSource(packet.source);
  view.readDestination(packet.destination);
  packet.timeToLive = view.hopLimit;
  packet.protocol = view.nextHeader;
  const restBytes = packet.wireBytes - IPV6_HEADER_BYTES;
  const payloadBytes = view.payloadBytes || zeroPayloadBytes(packet, restBytes);
  if (payloadBytes < 0 || payloadBytes > restBytes) return "ipv6-payload-length";
  packet.wireBytes = IPV6_HEADER_BYTES + payloadBytes;
  if (at + packet.wireBytes < packet.end) packet.end = at + packet.wireBytes;
  packet.transportAt = at + IPV6_HEADER_BYTES;
  const extensionFault = decodeExtensions(packet);
  packet.payloadAt = packet.transportAt;
  return extensionFault;
}

/**
 * Writes a header.
 *
 * @param bytes - buffer with room for 40 bytes
 * @param at - offset of the header, in bytes
 */
export function encodeIpv6(bytes: DataView, at: number, fields: Ipv6Fields): void {
  bytes.setUint32(
    at + VERSION_CLASS_FLOW,
    ((6 << 28) | (fields.trafficClass << 20) | fields.flowLabel) >>> 0,
  );
  bytes.setUint16(at + PAYLOAD_LENGTH, fields.payloadBytes > PAYLOAD_LENGTH_MAX ? 0 : fields.payloadBytes);
  bytes.setUint8(at + NEXT_HEADER, fields.nextHeader);
  bytes.setUint8(at + HOP_LIMIT, fields.hopLimit);
  writeWords(bytes, at + SOURCE, fields.source);
  writeWords(bytes, at + DESTINATION, fields.destination);
}
