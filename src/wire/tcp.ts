/** The TCP header (RFC 9293 section 3.1). Its options are read by the cursor of tcp-option.ts. */
import type { Port, SequenceNumber } from "../base/index.ts";
import { NO_BYTES } from "./empty.ts";
import type { Packet } from "./packet.ts";

// Byte offsets of the header's fields (RFC 9293 section 3.1).
const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const SEQUENCE = 4;
const ACKNOWLEDGEMENT = 8;
const DATA_OFFSET = 12;
const FLAGS = 13;
const WINDOW = 14;
const CHECKSUM = 16;
const URGENT_POINTER = 18;

/** Length of a TCP header without options, in bytes. */
export const TCP_HEADER_BYTES = 20;

/** Length of the longest TCP header, in bytes: fifteen 32-bit words. */
export const TCP_HEADER_BYTES_MAX = 60;

/** Offset of the checksum from the start of the header, in bytes. */
export const TCP_CHECKSUM_AT = CHECKSUM;

/** Why a run of bytes is not a TCP segment. */
export type TcpFault = "tcp-truncated" | "tcp-data-offset";

/**
 * Reads a TCP header in place; holds no bytes of its own.
 *
 * One instance serves many packets: {@link TcpView.bind} moves it. Keep field values, never the view.
 *
 * @see RFC 9293 section 3.1
 */
export class TcpView {
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
  bind(bytes: DataView, at: number, end: number): TcpFault | undefined {
    if (end - at < TCP_HEADER_BYTES) return "tcp-truncated";
    const headerBytes = (bytes.getUint8(at + DATA_OFFSET) >>> 4) * 4;
    if (headerBytes < TCP_HEADER_BYTES || headerBytes > end - at) return "tcp-data-offset";
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

  /** Sequence number of the first payload byte, or of SYN itself. */
  get sequence(): SequenceNumber {
    return this.#bytes.getUint32(this.#at + SEQUENCE);
  }

  /** Next sequence number that the sender expects; means something only with ACK. */
  get acknowledgement(): SequenceNumber {
    return this.#bytes.getUint32(this.#at + ACKNOWLEDGEMENT);
  }

  /** Length of the header with its options, 20 to 60 bytes. */
  get headerBytes(): number {
    return (this.#bytes.getUint8(this.#at + DATA_OFFSET) >>> 4) * 4;
  }

  /** Control bits, see TCP_FLAG. */
  get flags(): number {
    return this.#bytes.getUint8(this.#at + FLAGS);
  }

  /** Window as it stands in the header, unscaled, in bytes. */
  get window(): number {
    return this.#bytes.getUint16(this.#at + WINDOW);
  }

  /** Checksum as it stands; unfinished on packets that a network card would complete. */
  get checksum(): number {
    return this.#bytes.getUint16(this.#at + CHECKSUM);
  }

  /** Offset of the end of urgent data from the sequence number, in bytes; means something only with URG. */
  get urgentPointer(): number {
    return this.#bytes.getUint16(this.#at + URGENT_POINTER);
  }

  /** Offset of the first option, in bytes of the buffer. */
  get optionsAt(): number {
    return this.#at + TCP_HEADER_BYTES;
  }

  /** Offset of the payload, in bytes of the buffer; options end here. */
  get payloadAt(): number {
    return this.#at + this.headerBytes;
  }
}

const view = new TcpView();

/** Fills the transport layer of a record whose network layer is filled and says TCP. */
export function decodeTcp(packet: Packet): TcpFault | undefined {
  const { bytes, transportAt } = packet;
  const fault = view.bind(bytes, transportAt, packet.end);
  if (fault !== undefined) return fault;
  packet.sourcePort = view.sourcePort;
  packet.destinationPort = view.destinationPort;
  // Not through the view: V8 boxes numbers of 32 bits where a call is not inlined
  // (decode-allocation.test.ts).
  packet.sequence = bytes.getUint32(transportAt + SEQUENCE);
  packet.acknowledgement = bytes.getUint32(transportAt + ACKNOWLEDGEMENT);
  packet.tcpFlags = view.flags;
  packet.window = view.window;
  packet.payloadAt = view.payloadAt;
  packet.payloadBytes = packet.at + packet.wireBytes - packet.payloadAt;
  return undefined;
}

/**
 * Fills what the first bytes of a header tell when the rest is missing, as in the packet that an ICMP error
 * quotes: "the first 64 bits of the original datagram's data" (RFC 792) hold ports and sequence number.
 *
 * @returns false when not even the ports are there
 */
export function decodeTcpStart(packet: Packet): boolean {
  if (decodeTcp(packet) === undefined) return true;
  const { bytes, transportAt, end } = packet;
  if (end - transportAt < SEQUENCE) return false;
  packet.sourcePort = bytes.getUint16(transportAt + SOURCE_PORT);
  packet.destinationPort = bytes.getUint16(transportAt + DESTINATION_PORT);
  if (end - transportAt >= ACKNOWLEDGEMENT) packet.sequence = bytes.getUint32(transportAt + SEQUENCE);
  return true;
}

/** What {@link encodeTcp} writes. */
export interface TcpFields {
  readonly sourcePort: Port;
  readonly destinationPort: Port;
  readonly sequence: SequenceNumber;
  readonly acknowledgement: SequenceNumber;
  /** Control bits, see TCP_FLAG. */
  readonly flags: number;
  /** Unscaled, in bytes. */
  readonly window: number;
  readonly urgentPointer: number;
  /** Options, a multiple of 4 bytes, at most 40. */
  readonly options: Uint8Array;
}

/**
 * Writes a header with a checksum of zero.
 *
 * @param bytes - buffer with room for 20 bytes and the options
 * @param at - offset of the header, in bytes
 */
export function encodeTcp(bytes: DataView, at: number, fields: TcpFields): void {
  bytes.setUint16(at + SOURCE_PORT, fields.sourcePort);
  bytes.setUint16(at + DESTINATION_PORT, fields.destinationPort);
  bytes.setUint32(at + SEQUENCE, fields.sequence);
  bytes.setUint32(at + ACKNOWLEDGEMENT, fields.acknowledgement);
  bytes.setUint8(at + DATA_OFFSET, ((TCP_HEADER_BYTES + fields.options.length) / 4) << 4);
  bytes.setUint8(at + FLAGS, fields.flags);
  bytes.setUint16(at + WINDOW, fields.window);
  bytes.setUint16(at + CHECKSUM, 0);
  bytes.setUint16(at + URGENT_POINTER, fields.urgentPointer);
  for (const [index, octet] of fields.options.entries()) bytes.setUint8(at + TCP_HEADER_BYTES + index, octet);
}
