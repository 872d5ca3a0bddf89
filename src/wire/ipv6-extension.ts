/**
 * IPv6 extension headers (RFC 8200 section 4, registry of RFC 7045).
 *
 * Headers are walked by a cursor that stops at the first header that is none of them: the transport. ESP
 * (RFC 4303) ends the walk too, for all behind it is encrypted. The walk is bounded by
 * {@link IPV6_EXTENSIONS_MAX}.
 */
import { NO_BYTES } from "./empty.ts";
import { FRAGMENT, type Packet } from "./packet.ts";

// Byte offsets common to all extension headers (RFC 6564 section 4).
const NEXT_HEADER = 0;
const HEADER_LENGTH = 1;
const OPTIONS = 2;

// Byte offsets of the fragment header's fields (RFC 8200 section 4.5).
const OFFSET_AND_MORE = 2;
const IDENTIFICATION = 4;

// Byte offsets of an option's fields (RFC 8200 section 4.2).
const OPTION_TYPE = 0;
const OPTION_LENGTH = 1;
const OPTION_DATA = 2;

/** Types of the headers that the cursor walks through (IANA "IPv6 Extension Header Types"). */
export const IPV6_EXTENSION = {
  HOP_BY_HOP: 0,
  ROUTING: 43,
  FRAGMENT: 44,
  /** RFC 4302; counts its length in 4-byte units. */
  AUTHENTICATION: 51,
  DESTINATION: 60,
  /** RFC 6275 section 6.1. */
  MOBILITY: 135,
  /** Host Identity Protocol, RFC 7401 section 5.1. */
  HIP: 139,
  /** Shim6, RFC 5533 section 5.1. */
  SHIM6: 140,
} as const;

/** "No Next Header": nothing follows (RFC 8200 section 4.7). */
export const NO_NEXT_HEADER = 59;

/**
 * Most extension headers in one packet. RFC 8200 section 4.1 names seven places, destination options twice;
 * beyond eight nothing legitimate is left.
 */
export const IPV6_EXTENSIONS_MAX = 8;

/** Shortest extension header, and the unit of most length fields, in bytes. */
const UNIT_BYTES = 8;
const AUTHENTICATION_UNIT_BYTES = 4;
/** in 32-bit words, minus two (RFC 4302 section 2.2). */
const AUTHENTICATION_UNITS_LESS = 2;

const FRAGMENT_OFFSET_MASK = 0xfff8;
const MORE_FRAGMENTS = 1;

const OPTION_PAD1 = 0;
const OPTION_JUMBO = 0xc2;
const JUMBO_DATA_BYTES = 4;

/** Why a chain of extension headers can't be walked to its end. */
export type Ipv6ExtensionFault = "ipv6-extension-truncated" | "ipv6-extension-too-many";

/** True for a header type that the cursor walks through. */
export function isIpv6Extension(type: number): boolean {
  switch (type) {
    case IPV6_EXTENSION.HOP_BY_HOP:
    case IPV6_EXTENSION.ROUTING:
    case IPV6_EXTENSION.FRAGMENT:
    case IPV6_EXTENSION.AUTHENTICATION:
    case IPV6_EXTENSION.DESTINATION:
    case IPV6_EXTENSION.MOBILITY:
    case IPV6_EXTENSION.HIP:
    case IPV6_EXTENSION.SHIM6:
      return true;
    default:
      return false;
  }
}

/** Length of an extension header, in bytes, from its type and the value of its length field. */
function extensionBytes(type: number, field: number): number {
  // An "8-bit reserved field" stands where others have their length (RFC 8200 section 4.5).
  if (type === IPV6_EXTENSION.FRAGMENT) return UNIT_BYTES;
  if (type === IPV6_EXTENSION.AUTHENTICATION) {
    return (field + AUTHENTICATION_UNITS_LESS) * AUTHENTICATION_UNIT_BYTES;
  }
  // "in 8-octet units, not including the first 8 octets" (RFC 8200 sections 4.3, 4.4 and 4.6).
  return (field + 1) * UNIT_BYTES;
}

/**
 * Walks a chain of extension headers. After {@link Ipv6Extensions.next} answered true, the fields describe
 * the header it stands on; after false, either `fault` is set or `nextHeader` is the transport and `nextAt`
 * its place.
 *
 * One instance serves many packets. Keep field values, never the cursor.
 */
export class Ipv6Extensions {
  #bytes: DataView = NO_BYTES;
  #end = 0;
  #left = 0;

  /** Type of the header the cursor stands on, a value of {@link IPV6_EXTENSION}. */
  type = 0;
  /** Offset of that header, in bytes. */
  at = 0;
  /** Type of the header behind it. */
  nextHeader = 0;
  /** Offset of the header behind it, in bytes. */
  nextAt = 0;
  /** Why the walk ended early. */
  fault: Ipv6ExtensionFault | undefined = undefined;

  /**
   * Starts a walk.
   *
   * @param bytes - receive buffer
   * @param at - offset just past the IPv6 header
   * @param end - offset just past the captured bytes of the packet
   * @param nextHeader - the IPv6 header's next header field
   */
  bind(bytes: DataView, at: number, end: number, nextHeader: number): void {
    this.#bytes = bytes;
    this.#end = end;
    this.#left = IPV6_EXTENSIONS_MAX;
    this.nextHeader = nextHeader;
    this.nextAt = at;
    this.fault = undefined;
  }

  /** Moves to the next extension header; false when there is none, or when it can't be read. */
  next(): boolean {
    if (this.fault !== undefined || !isIpv6Extension(this.nextHeader)) return false;
    if (this.#left === 0) return this.#fail("ipv6-extension-too-many");
    this.#left -= 1;
    const at = this.nextAt;
    if (this.#end - at < UNIT_BYTES) return this.#fail("ipv6-extension-truncated");
    const length = extensionBytes(this.nextHeader, this.#bytes.getUint8(at + HEADER_LENGTH));
    if (this.#end - at < length) return this.#fail("ipv6-extension-truncated");
    this.type = this.nextHeader;
    this.at = at;
    this.nextHeader = this.#bytes.getUint8(at + NEXT_HEADER);
    this.nextAt = at + length;
    return true;
  }

  /**
   * What the packet carries, were this its last extension header: `nextHeader`, or for mobility, HIP and
   * Shim6 messages with nothing behind them, which are themselves what is carried, their own type.
   */
  get upperProtocol(): number {
    const { type } = this;
    return this.nextHeader === NO_NEXT_HEADER && type >= IPV6_EXTENSION.MOBILITY ? type : this.nextHeader;
  }

  /** Where in its datagram the fragment belongs, in bytes. Valid on a fragment header. */
  get fragmentOffset(): number {
    return this.#bytes.getUint16(this.at + OFFSET_AND_MORE) & FRAGMENT_OFFSET_MASK;
  }

  /** True when this is not the datagram's last fragment. Valid on a fragment header. */
  get moreFragments(): boolean {
    return (this.#bytes.getUint16(this.at + OFFSET_AND_MORE) & MORE_FRAGMENTS) !== 0;
  }

  /** Identification that the fragments of one datagram share, 32 bits. Valid on a fragment header. */
  get identification(): number {
    return this.#bytes.getUint32(this.at + IDENTIFICATION);
  }

  #fail(fault: Ipv6ExtensionFault): false {
    this.fault = fault;
    return false;
  }
}

/** Fills what a fragment header at `at` tells into a record; the cursor has checked that it is there. */
export function decodeFragmentHeader(packet: Packet, at: number): void {
  const offsetAndMore = packet.bytes.getUint16(at + OFFSET_AND_MORE);
  packet.identification = packet.bytes.getUint32(at + IDENTIFICATION);
  packet.fragmentOffset = offsetAndMore & FRAGMENT_OFFSET_MASK;
  if (packet.fragmentOffset !== 0) packet.fragment = FRAGMENT.LATER;
  // A fragment header with offset 0 and nothing to follow is a whole packet (RFC 6946 section 2).
  else if ((offsetAndMore & MORE_FRAGMENTS) !== 0) packet.fragment = FRAGMENT.FIRST;
}

/**
 * Looks for the Jumbo Payload option in a hop-by-hop header (RFC 2675 section 2).
 *
 * @param bytes - receive buffer
 * @param at - offset of the hop-by-hop header, in bytes
 * @param end - offset just past the captured bytes
 * @returns the length of all that follows the IPv6 header, in bytes; 0 when there is no such option
 */
export function jumboPayloadBytes(bytes: DataView, at: number, end: number): number {
  if (end - at < UNIT_BYTES) return 0;
  const stop = at + extensionBytes(IPV6_EXTENSION.HOP_BY_HOP, bytes.getUint8(at + HEADER_LENGTH));
  if (stop > end) return 0;
  let option = at + OPTIONS;
  while (option < stop) {
    const type = bytes.getUint8(option + OPTION_TYPE);
    if (type === OPTION_PAD1) {
      option += 1;
      continue;
    }
    if (option + OPTION_DATA > stop) return 0;
    const length = bytes.getUint8(option + OPTION_LENGTH);
    if (type === OPTION_JUMBO) {
      const whole = length === JUMBO_DATA_BYTES && option + OPTION_DATA + length <= stop;
      return whole ? bytes.getUint32(option + OPTION_DATA) : 0;
    }
    option += OPTION_DATA + length;
  }
  return 0;
}

/** An extension header to write. */
export interface Ipv6ExtensionFields {
  /** A value of {@link IPV6_EXTENSION}. */
  readonly type: number;
  /**
   * All behind the next header and length fields. Filled up with zero bytes (Pad1) to a whole header of 8,
   * 16, ... bytes; for AUTHENTICATION to a multiple of 8 bytes too (RFC 4302 section 3.3.3.2.1).
   */
  readonly data: Uint8Array;
}

/** Length of an extension header as it will be written, in bytes. */
export function ipv6ExtensionBytes(fields: Ipv6ExtensionFields): number {
  return Math.ceil((OPTIONS + fields.data.length) / UNIT_BYTES) * UNIT_BYTES;
}

/** Data of a fragment header (RFC 8200 section 4.5). */
export function fragmentData(offset: number, moreFragments: boolean, identification: number): Uint8Array {
  const data = new DataView(new ArrayBuffer(UNIT_BYTES - OPTIONS));
  data.setUint16(OFFSET_AND_MORE - OPTIONS, offset | (moreFragments ? MORE_FRAGMENTS : 0));
  data.setUint32(IDENTIFICATION - OPTIONS, identification);
  return new Uint8Array(data.buffer);
}

/**
 * Writes an extension header.
 *
 * @param bytes - zeroed buffer with room for it
 * @param at - offset of the header, in bytes
 * @param nextHeader - type of the header behind it
 * @returns offset just past it
 */
export function encodeIpv6Extension(
  bytes: DataView,
  at: number,
  nextHeader: number,
  fields: Ipv6ExtensionFields,
): number {
  const length = ipv6ExtensionBytes(fields);
  const authentication = fields.type === IPV6_EXTENSION.AUTHENTICATION;
  const units = authentication
    ? length / AUTHENTICATION_UNIT_BYTES - AUTHENTICATION_UNITS_LESS
    : length / UNIT_BYTES - 1;
  bytes.setUint8(at + NEXT_HEADER, nextHeader);
  bytes.setUint8(at + HEADER_LENGTH, fields.type === IPV6_EXTENSION.FRAGMENT ? 0 : units);
  for (const [index, octet] of fields.data.entries()) bytes.setUint8(at + OPTIONS + index, octet);
  return at + length;
}
