/** The IPv4 header (RFC 791 section 3.1). */
import { type AddressWords, MAPPED_WORD } from "../base/index.ts";
import { NO_BYTES } from "./empty.ts";
import { FRAGMENT, type Packet } from "./packet.ts";

// Byte offsets of the header's fields (RFC 791 section 3.1).
const VERSION_AND_LENGTH = 0;
const TYPE_OF_SERVICE = 1;
const TOTAL_LENGTH = 2;
const IDENTIFICATION = 4;
const FLAGS_AND_OFFSET = 6;
const TIME_TO_LIVE = 8;
const PROTOCOL_NUMBER = 9;
const HEADER_CHECKSUM = 10;
const SOURCE = 12;
const DESTINATION = 16;

/** Length of an IPv4 header without options, in bytes. */
export const IPV4_HEADER_BYTES = 20;

/** Length of the longest IPv4 header, in bytes: fifteen 32-bit words. */
export const IPV4_HEADER_BYTES_MAX = 60;

/** Largest length that the total length field can tell, in bytes. */
const TOTAL_LENGTH_MAX = 0xffff;

/** Bit of the flags field: "Don't Fragment" (RFC 791 section 3.1). */
export const IPV4_DONT_FRAGMENT = 0x4000;

/** Bit of the flags field: "More Fragments" (RFC 791 section 3.1). */
export const IPV4_MORE_FRAGMENTS = 0x2000;

const FRAGMENT_OFFSET_MASK = 0x1fff;
/** "The fragment offset is measured in units of 8 octets" (RFC 791 section 3.1). */
const FRAGMENT_UNIT_BYTES = 8;

/** Why a run of bytes is not an IPv4 header. */
export type Ipv4Fault = "ip-truncated" | "ip-version-unknown" | "ipv4-header-length" | "ipv4-total-length";

/**
 * An address goes into words and not through a return value: V8 boxes numbers of 32 bits where a call is not
 * inlined, 16 bytes each (decode-allocation.test.ts).
 */
function readMapped(bytes: DataView, at: number, words: AddressWords): void {
  words[0] = 0;
  words[1] = 0;
  words[2] = MAPPED_WORD;
  words[3] = bytes.getUint32(at);
}

/**
 * Reads an IPv4 header in place; holds no bytes of its own.
 *
 * One instance serves many packets: {@link Ipv4View.bind} moves it. Keep field values, never the view.
 *
 * @see RFC 791 section 3.1
 */
export class Ipv4View {
  #bytes: DataView = NO_BYTES;
  #at = 0;

  /**
   * Moves the view to the header at `at` and checks every length the getters rely on. The fixed header is
   * bound even when its lengths are wrong, so that addresses can be told when the fault is one of the `ipv4-`
   * ones. Total length is not held against `end`: a copy may be cut short.
   *
   * @param bytes - receive buffer
   * @param at - offset of the header, in bytes
   * @param end - offset just past the captured bytes
   * @returns the first fault found, or `undefined` when every getter is safe to call
   */
  bind(bytes: DataView, at: number, end: number): Ipv4Fault | undefined {
    if (end - at < IPV4_HEADER_BYTES) return "ip-truncated";
    const first = bytes.getUint8(at + VERSION_AND_LENGTH);
    if (first >>> 4 !== 4) return "ip-version-unknown";
    this.#bytes = bytes;
    this.#at = at;
    const headerBytes = (first & 15) * 4;
    // "Note that the minimum value for a correct header is 5" (words; RFC 791 section 3.1).
    if (headerBytes < IPV4_HEADER_BYTES || headerBytes > end - at) return "ipv4-header-length";
    return undefined;
  }

  /** Length of the header with its options, 20 to 60 bytes. */
  get headerBytes(): number {
    return (this.#bytes.getUint8(this.#at + VERSION_AND_LENGTH) & 15) * 4;
  }

  /** Differentiated services and congestion bits, 8 bits (RFC 2474, RFC 3168). */
  get typeOfService(): number {
    return this.#bytes.getUint8(this.#at + TYPE_OF_SERVICE);
  }

  /** Length of header and data as the field tells it, in bytes; 0 in a super-packet beyond 64 KB. */
  get totalBytes(): number {
    return this.#bytes.getUint16(this.#at + TOTAL_LENGTH);
  }

  /** Identification that the fragments of one datagram share, 16 bits. */
  get identification(): number {
    return this.#bytes.getUint16(this.#at + IDENTIFICATION);
  }

  /** True when the sender forbids fragmentation. */
  get dontFragment(): boolean {
    return (this.#bytes.getUint16(this.#at + FLAGS_AND_OFFSET) & IPV4_DONT_FRAGMENT) !== 0;
  }

  /** True when this is not the datagram's last fragment. */
  get moreFragments(): boolean {
    return (this.#bytes.getUint16(this.#at + FLAGS_AND_OFFSET) & IPV4_MORE_FRAGMENTS) !== 0;
  }

  /** Where in its datagram this fragment belongs, in bytes. */
  get fragmentOffset(): number {
    return (this.#bytes.getUint16(this.#at + FLAGS_AND_OFFSET) & FRAGMENT_OFFSET_MASK) * FRAGMENT_UNIT_BYTES;
  }

  /** Time to live, in hops. */
  get timeToLive(): number {
    return this.#bytes.getUint8(this.#at + TIME_TO_LIVE);
  }

  /** Protocol of the payload (IANA number). */
  get protocol(): number {
    return this.#bytes.getUint8(this.#at + PROTOCOL_NUMBER);
  }

  /** Header checksum as it stands; unfinished on packets that a network card would complete. */
  get checksum(): number {
    return this.#bytes.getUint16(this.#at + HEADER_CHECKSUM);
  }

  /** Writes the source address into `words`, in mapped form. */
  readSource(words: AddressWords): void {
    readMapped(this.#bytes, this.#at + SOURCE, words);
  }

  /** Writes the destination address into `words`, in mapped form. */
  readDestination(words: AddressWords): void {
    readMapped(this.#bytes, this.#at + DESTINATION, words);
  }
}

/** What {@link encodeIpv4} writes. Lengths in bytes; the header has no options beyond `options`. */
export interface Ipv4Fields {
  readonly source: number;
  readonly destination: number;
  readonly protocol: number;
  readonly totalBytes: number;
  readonly typeOfService: number;
  readonly identification: number;
  /** {@link IPV4_DONT_FRAGMENT} and {@link IPV4_MORE_FRAGMENTS}, or-ed. */
  readonly flags: number;
  /** A multiple of 8, in bytes. */
  readonly fragmentOffset: number;
  readonly timeToLive: number;
  /** Options, a multiple of 4 bytes, at most 40. */
  readonly options: Uint8Array;
}

const view = new Ipv4View();

/**
 * Length of the packet on the wire, where its own field and the length it arrived with may differ.
 *
 * The kernel hands up packets that segmentation has still to cut. Beyond 64 KB their total length does not
 * fit its field: it is 0 there (Linux `iph_set_totlen`) or has wrapped. Network cards that segment leave it 0
 * also below.
 *
 * @param wireBytes - length the packet arrived with, link-layer padding included
 * @returns bytes, or -1 when field and arrival contradict each other
 */
function packetBytes(wireBytes: number): number {
  const totalBytes = view.totalBytes;
  if (totalBytes === 0) return wireBytes;
  if (wireBytes > TOTAL_LENGTH_MAX && totalBytes === (wireBytes & TOTAL_LENGTH_MAX)) return wireBytes;
  if (totalBytes < view.headerBytes || totalBytes > wireBytes) return -1;
  return totalBytes;
}

function decodeFragment(packet: Packet): void {
  const offset = view.fragmentOffset;
  packet.fragmentOffset = offset;
  if (offset !== 0) packet.fragment = FRAGMENT.LATER;
  else if (view.moreFragments) packet.fragment = FRAGMENT.FIRST;
}

/**
 * Fills the network layer of a record whose `bytes`, `at`, `end` and `wireBytes` are set, and trims `end` and
 * `wireBytes` to the packet (link-layer padding lies beyond its total length).
 *
 * @returns the first fault; `family` is 4 when addresses could be read all the same
 */
export function decodeIpv4(packet: Packet): Ipv4Fault | undefined {
  const { at } = packet;
  const fault = view.bind(packet.bytes, at, packet.end);
  if (fault === "ip-truncated" || fault === "ip-version-unknown") return fault;
  packet.family = 4;
  view.readSource(packet.source);
  view.readDestination(packet.destination);
  packet.protocol = view.protocol;
  packet.timeToLive = view.timeToLive;
  packet.identification = view.identification;
  if (fault !== undefined) return fault;
  const length = packetBytes(packet.wireBytes);
  if (length < 0) return "ipv4-total-length";
  packet.wireBytes = length;
  if (at + length < packet.end) packet.end = at + length;
  packet.transportAt = at + view.headerBytes;
  packet.payloadAt = packet.transportAt;
  decodeFragment(packet);
  return undefined;
}

/**
 * Writes a header with a checksum of zero.
 *
 * @param bytes - buffer with room for 20 bytes and the options
 * @param at - offset of the header, in bytes
 */
export function encodeIpv4(bytes: DataView, at: number, fields: Ipv4Fields): void {
  const words = (IPV4_HEADER_BYTES + fields.options.length) / 4;
  bytes.setUint8(at + VERSION_AND_LENGTH, (4 << 4) | words);
  bytes.setUint8(at + TYPE_OF_SERVICE, fields.typeOfService);
  bytes.setUint16(at + TOTAL_LENGTH, fields.totalBytes > TOTAL_LENGTH_MAX ? 0 : fields.totalBytes);
  bytes.setUint16(at + IDENTIFICATION, fields.identification);
  bytes.setUint16(at + FLAGS_AND_OFFSET, fields.flags | (fields.fragmentOffset / FRAGMENT_UNIT_BYTES));
  bytes.setUint8(at + TIME_TO_LIVE, fields.timeToLive);
  bytes.setUint8(at + PROTOCOL_NUMBER, fields.protocol);
  bytes.setUint16(at + HEADER_CHECKSUM, 0);
  bytes.setUint32(at + SOURCE, fields.source);
  bytes.setUint32(at + DESTINATION, fields.destination);
  for (const [index, octet] of fields.options.entries())
    bytes.setUint8(at + IPV4_HEADER_BYTES + index, octet);
}

/** Writes the header checksum; the field must hold zero. */
export function encodeIpv4Checksum(bytes: DataView, at: number, checksum: number): void {
  bytes.setUint16(at + HEADER_CHECKSUM, checksum);
}
