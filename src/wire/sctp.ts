/** The SCTP common header (RFC 9260 section 3.1). Chunks are left alone. */
import type { Port } from "../base/index.ts";
import { NO_BYTES } from "./empty.ts";
import type { Packet } from "./packet.ts";

// Byte offsets of the header's fields (RFC 9260 section 3.1).
const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const VERIFICATION_TAG = 4;
const CHECKSUM = 8;

/** Length of the SCTP common header, in bytes. */
export const SCTP_HEADER_BYTES = 12;

/** Offset of the CRC32c checksum from the start of the header, in bytes. */
export const SCTP_CHECKSUM_AT = CHECKSUM;

/** Why a run of bytes is not an SCTP packet. */
export type SctpFault = "sctp-truncated";

/**
 * Reads an SCTP common header in place; holds no bytes of its own.
 *
 * One instance serves many packets: {@link SctpView.bind} moves it. Keep field values, never the view.
 *
 * @see RFC 9260 section 3.1
 */
export class SctpView {
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
  bind(bytes: DataView, at: number, end: number): SctpFault | undefined {
    if (end - at < SCTP_HEADER_BYTES) return "sctp-truncated";
    this.#bytes = bytes;
    this.#at = at;
    return undefined;
  }

  /** Source port. */
  get sourcePort(): Port {
    return this.#bytes.getUint16(this.#at + SOURCE_PORT);
  }

  /** Destination port. */
  get destinationPort(): Port {
    return this.#bytes.getUint16(this.#at + DESTINATION_PORT);
  }

  /** Verification tag that the receiver chose, 32 bits; 0 in a packet that carries INIT. */
  get verificationTag(): number {
    return this.#bytes.getUint32(this.#at + VERIFICATION_TAG);
  }

  /** CRC32c as it stands, in wire order; unfinished on packets that a network card would complete. */
  get checksum(): number {
    return this.#bytes.getUint32(this.#at + CHECKSUM);
  }
}

const view = new SctpView();

/** Fills the transport layer of a record whose network layer is filled and says SCTP. */
export function decodeSctp(packet: Packet): SctpFault | undefined {
  const fault = view.bind(packet.bytes, packet.transportAt, packet.end);
  if (fault !== undefined) return fault;
  packet.sourcePort = view.sourcePort;
  packet.destinationPort = view.destinationPort;
  packet.payloadAt = packet.transportAt + SCTP_HEADER_BYTES;
  packet.payloadBytes = packet.at + packet.wireBytes - packet.payloadAt;
  return undefined;
}

/**
 * Fills what the first bytes of a header tell when the rest is missing, as in the packet that an ICMP error
 * quotes (RFC 792: "the first 64 bits").
 *
 * @returns false when not even the ports are there
 */
export function decodeSctpStart(packet: Packet): boolean {
  const { bytes, transportAt, end } = packet;
  if (end - transportAt < VERIFICATION_TAG) return false;
  packet.sourcePort = bytes.getUint16(transportAt + SOURCE_PORT);
  packet.destinationPort = bytes.getUint16(transportAt + DESTINATION_PORT);
  return true;
}

/** What {@link encodeSctp} writes. */
export interface SctpFields {
  readonly sourcePort: Port;
  readonly destinationPort: Port;
  readonly verificationTag: number;
}

/**
 * Writes a common header with a checksum of zero.
 *
 * @param bytes - buffer with room for 12 bytes
 * @param at - offset of the header, in bytes
 */
export function encodeSctp(bytes: DataView, at: number, fields: SctpFields): void {
  bytes.setUint16(at + SOURCE_PORT, fields.sourcePort);
  bytes.setUint16(at + DESTINATION_PORT, fields.destinationPort);
  bytes.setUint32(at + VERIFICATION_TAG, fields.verificationTag);
  bytes.setUint32(at + CHECKSUM, 0);
}
