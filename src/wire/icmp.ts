/** The headers of ICMP (RFC 792) and ICMPv6 (RFC 4443), which share their first eight bytes' shape. */
import { PROTOCOL } from "../base/index.ts";
import { NO_BYTES } from "./empty.ts";
import type { Packet } from "./packet.ts";

// Byte offsets of the header's fields (RFC 792; RFC 4443 sections 2.1 and 4.1).
const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;
const IDENTIFIER = 4;
const SEQUENCE = 6;

// Length of the quoted packet in an error (RFC 4884 section 4): where the field stands, and what it counts.
const ICMP_QUOTED_LENGTH = 5;
const ICMPV6_QUOTED_LENGTH = 4;
const ICMP_QUOTED_UNIT_BYTES = 4;
const ICMPV6_QUOTED_UNIT_BYTES = 8;

/** Length of the header that all messages share, in bytes. */
export const ICMP_HEADER_BYTES = 8;

/** Offset of the checksum from the start of the header, in bytes. */
export const ICMP_CHECKSUM_AT = CHECKSUM;

/** ICMP message types that Postern knows by name (IANA "ICMP Type Numbers"). */
export const ICMP_TYPE = {
  ECHO_REPLY: 0,
  DESTINATION_UNREACHABLE: 3,
  SOURCE_QUENCH: 4,
  REDIRECT: 5,
  ECHO_REQUEST: 8,
  TIME_EXCEEDED: 11,
  PARAMETER_PROBLEM: 12,
} as const;

/** ICMPv6 message types that Postern knows by name (IANA "ICMPv6 type Numbers"). */
export const ICMPV6_TYPE = {
  DESTINATION_UNREACHABLE: 1,
  PACKET_TOO_BIG: 2,
  TIME_EXCEEDED: 3,
  PARAMETER_PROBLEM: 4,
  ECHO_REQUEST: 128,
  ECHO_REPLY: 129,
} as const;

/** Why a run of bytes is not an ICMP or ICMPv6 message. */
export type IcmpFault = "icmp-truncated";

/**
 * Reads an ICMP or ICMPv6 header in place; holds no bytes of its own.
 *
 * One instance serves many packets: {@link IcmpView.bind} moves it. Keep field values, never the view.
 *
 * @see RFC 792, RFC 4443 section 2.1
 */
export class IcmpView {
  #bytes: DataView = NO_BYTES;
  #at = 0;

  /**
   * Moves the view to the header at `at` and checks every length the getters rely on.
   *
   * @param bytes - receive buffer
   * @param at - offset of the header, in bytes
   * @param end - offset just past the captured bytes of the packet
   * @returns the first fault found, or `undefined` when every getter is safe to call
   */
  bind(bytes: DataView, at: number, end: number): IcmpFault | undefined {
    if (end - at < ICMP_HEADER_BYTES) return "icmp-truncated";
    this.#bytes = bytes;
    this.#at = at;
    return undefined;
  }

  /** Message type. */
  get type(): number {
    return this.#bytes.getUint8(this.#at + TYPE);
  }

  /** Code, which refines the type. */
  get code(): number {
    return this.#bytes.getUint8(this.#at + CODE);
  }

  /** Checksum as it stands; unfinished on packets that a network card would complete. */
  get checksum(): number {
    return this.#bytes.getUint16(this.#at + CHECKSUM);
  }

  /** Identifier of an echo message, 16 bits. */
  get identifier(): number {
    return this.#bytes.getUint16(this.#at + IDENTIFIER);
  }

  /** Sequence number of an echo message, 16 bits. */
  get sequence(): number {
    return this.#bytes.getUint16(this.#at + SEQUENCE);
  }

  /** The header's last 32 bits, whose meaning the type decides; ICMPv6 Packet Too Big has its MTU here. */
  get rest(): number {
    return this.#bytes.getUint32(this.#at + REST);
  }

  /**
   * MTU of the next hop of an ICMP "fragmentation needed", in bytes; 0 from old routers (RFC 1191 section 4).
   */
  get nextHopMtu(): number {
    return this.#bytes.getUint16(this.#at + SEQUENCE);
  }
}

/** True for an echo request or reply of the protocol. */
export function isIcmpEcho(protocol: number, type: number): boolean {
  if (protocol === PROTOCOL.ICMP) return type === ICMP_TYPE.ECHO_REQUEST || type === ICMP_TYPE.ECHO_REPLY;
  return type === ICMPV6_TYPE.ECHO_REQUEST || type === ICMPV6_TYPE.ECHO_REPLY;
}

/** True for a message that quotes the packet it is about (RFC 1122 section 3.2.2, RFC 4443 section 2.1). */
export function isIcmpError(protocol: number, type: number): boolean {
  // "Error messages are identified as such by a zero in the high-order bit" (RFC 4443 section 2.1).
  if (protocol === PROTOCOL.ICMPV6) return type >= ICMPV6_TYPE.DESTINATION_UNREACHABLE && type < 128;
  switch (type) {
    case ICMP_TYPE.DESTINATION_UNREACHABLE:
    case ICMP_TYPE.SOURCE_QUENCH:
    case ICMP_TYPE.REDIRECT:
    case ICMP_TYPE.TIME_EXCEEDED:
    case ICMP_TYPE.PARAMETER_PROBLEM:
      return protocol === PROTOCOL.ICMP;
    default:
      return false;
  }
}

/**
 * Length of the quoted packet where the message tells it, because extension objects follow (RFC 4884 section
 * 4).
 *
 * @returns bytes; 0 when the message does not tell
 */
export function quotedBytes(packet: Packet): number {
  const { bytes, transportAt, icmpType } = packet;
  if (packet.protocol === PROTOCOL.ICMPV6) {
    const told = icmpType === ICMPV6_TYPE.DESTINATION_UNREACHABLE || icmpType === ICMPV6_TYPE.TIME_EXCEEDED;
    return told ? bytes.getUint8(transportAt + ICMPV6_QUOTED_LENGTH) * ICMPV6_QUOTED_UNIT_BYTES : 0;
  }
  switch (icmpType) {
    case ICMP_TYPE.DESTINATION_UNREACHABLE:
    case ICMP_TYPE.TIME_EXCEEDED:
    case ICMP_TYPE.PARAMETER_PROBLEM:
      return bytes.getUint8(transportAt + ICMP_QUOTED_LENGTH) * ICMP_QUOTED_UNIT_BYTES;
    default:
      return 0;
  }
}

const view = new IcmpView();

/** Fills the transport layer of a record whose network layer is filled and says ICMP or ICMPv6. */
export function decodeIcmp(packet: Packet): IcmpFault | undefined {
  const fault = view.bind(packet.bytes, packet.transportAt, packet.end);
  if (fault !== undefined) return fault;
  packet.icmpType = view.type;
  packet.icmpCode = view.code;
  if (isIcmpEcho(packet.protocol, packet.icmpType)) packet.icmpIdentifier = view.identifier;
  packet.payloadAt = packet.transportAt + ICMP_HEADER_BYTES;
  packet.payloadBytes = packet.at + packet.wireBytes - packet.payloadAt;
  return undefined;
}

/** What {@link encodeIcmp} writes. */
export interface IcmpFields {
  readonly type: number;
  readonly code: number;
  /** The header's last 32 bits. */
  readonly rest: number;
}

/**
 * Writes a header with a checksum of zero.
 *
 * @param bytes - buffer with room for 8 bytes
 * @param at - offset of the header, in bytes
 */
export function encodeIcmp(bytes: DataView, at: number, fields: IcmpFields): void {
  bytes.setUint8(at + TYPE, fields.type);
  bytes.setUint8(at + CODE, fields.code);
  bytes.setUint16(at + CHECKSUM, 0);
  bytes.setUint32(at + REST, fields.rest);
}
