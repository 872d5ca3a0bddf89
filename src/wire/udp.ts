/**
 * The UDP header (RFC 768) and the UDP-Lite header (RFC 3828), which has the same shape but tells in its
 * third field how much the checksum covers.
 */
import { PROTOCOL, type Port } from "../base/index.ts";
import { NO_BYTES } from "./empty.ts";
import { FRAGMENT, type Packet } from "./packet.ts";

// Byte offsets of the header's fields (RFC 768; RFC 3828 section 3.1).
const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const LENGTH_OR_COVERAGE = 4;
const CHECKSUM = 6;

/** Length of a UDP or UDP-Lite header, in bytes. */
export const UDP_HEADER_BYTES = 8;

/** Offset of the checksum from the start of the header, in bytes. */
export const UDP_CHECKSUM_AT = CHECKSUM;

/** Largest length that the length field can tell, in bytes. */
const LENGTH_MAX = 0xffff;

/** Why a run of bytes is not a UDP or UDP-Lite datagram. */
export type UdpFault = "udp-truncated" | "udp-length";

/**
 * Reads a UDP or UDP-Lite header in place; holds no bytes of its own.
 *
 * One instance serves many packets: {@link UdpView.bind} moves it. Keep field values, never the view.
 *
 * @see RFC 768, RFC 3828 section 3.1
 */
export class UdpView {
  #bytes: DataView = NO_BYTES;
  #at = 0;

  /**
   * Moves the view to the header at `at` and checks every length the getters rely on. The length field is not
   * held against `end`: a copy may be cut short, and a first fragment tells the length of the whole.
   *
   * @param bytes - receive buffer
   * @param at - offset of the header, in bytes
   * @param end - offset just past the captured bytes of the packet
   * @returns the first fault found, or `undefined` when every getter is safe to call
   */
  bind(bytes: DataView, at: number, end: number): UdpFault | undefined {
    if (end - at < UDP_HEADER_BYTES) return "udp-truncated";
    const length = bytes.getUint16(at + LENGTH_OR_COVERAGE);
    // RFC 768: "This means the minimum value of the length is eight." Zero has meanings of its own: a
    // jumbogram (RFC 2675 section 4), and for UDP-Lite that "the entire UDP-Lite packet" is covered (RFC 3828
    // section 3.1).
    if (length !== 0 && length < UDP_HEADER_BYTES) return "udp-length";
    this.#bytes = bytes;
    this.#at = at;
    return undefined;
  }

  /** Source port; zero means that the sender wants no reply. */
  get sourcePort(): Port {
    return this.#bytes.getUint16(this.#at + SOURCE_PORT);
  }

  /** Destination port. */
  get destinationPort(): Port {
    return this.#bytes.getUint16(this.#at + DESTINATION_PORT);
  }

  /** UDP: length of header and payload, in bytes; 0 in a jumbogram. UDP-Lite: bytes covered, 0 for all. */
  get lengthOrCoverage(): number {
    return this.#bytes.getUint16(this.#at + LENGTH_OR_COVERAGE);
  }

  /** Checksum as it stands; for UDP over IPv4 zero means none. */
  get checksum(): number {
    return this.#bytes.getUint16(this.#at + CHECKSUM);
  }
}

const view = new UdpView();

/**
 * Length of a UDP datagram, in bytes; -1 when its field can't be right. Zero stands for all that IP carries:
 * always over IPv6, as Linux reads it, over IPv4 only where the length could not fit.
 */
function datagramBytes(packet: Packet, carriedBytes: number): number {
  const length = view.lengthOrCoverage;
  if (length === 0) return packet.family === 6 || carriedBytes > LENGTH_MAX ? carriedBytes : -1;
  return length <= carriedBytes || packet.fragment === FRAGMENT.FIRST ? length : -1;
}

/** As {@link datagramBytes}; a coverage beyond the packet is as wrong as a length (RFC 3828 section 3.1). */
function liteDatagramBytes(packet: Packet, carriedBytes: number): number {
  return view.lengthOrCoverage <= carriedBytes || packet.fragment === FRAGMENT.FIRST ? carriedBytes : -1;
}

/** Fills the transport layer of a record whose network layer is filled and says UDP or UDP-Lite. */
export function decodeUdp(packet: Packet): UdpFault | undefined {
  const fault = view.bind(packet.bytes, packet.transportAt, packet.end);
  if (fault !== undefined) return fault;
  packet.sourcePort = view.sourcePort;
  packet.destinationPort = view.destinationPort;
  const carriedBytes = packet.at + packet.wireBytes - packet.transportAt;
  const lite = packet.protocol === PROTOCOL.UDPLITE;
  const length = lite ? liteDatagramBytes(packet, carriedBytes) : datagramBytes(packet, carriedBytes);
  if (length < 0) return "udp-length";
  packet.payloadAt = packet.transportAt + UDP_HEADER_BYTES;
  // A first fragment carries less than its datagram is long.
  packet.payloadBytes = Math.min(length, carriedBytes) - UDP_HEADER_BYTES;
  packet.datagramBytes = length - UDP_HEADER_BYTES;
  return undefined;
}

/**
 * Length of what a UDP-Lite checksum covers, in bytes.
 *
 * @param bytes - buffer
 * @param at - offset of the UDP-Lite header, which has been decoded without a fault
 * @param carriedBytes - length of header and payload
 */
export function udpCoverageBytes(bytes: DataView, at: number, carriedBytes: number): number {
  return bytes.getUint16(at + LENGTH_OR_COVERAGE) || carriedBytes;
}

/** What {@link encodeUdp} writes. */
export interface UdpFields {
  readonly sourcePort: Port;
  readonly destinationPort: Port;
  /** UDP: length of header and payload; UDP-Lite: coverage of the checksum. In bytes. */
  readonly lengthOrCoverage: number;
}

/**
 * Writes a header with a checksum of zero.
 *
 * @param bytes - buffer with room for 8 bytes
 * @param at - offset of the header, in bytes
 */
export function encodeUdp(bytes: DataView, at: number, fields: UdpFields): void {
  bytes.setUint16(at + SOURCE_PORT, fields.sourcePort);
  bytes.setUint16(at + DESTINATION_PORT, fields.destinationPort);
  bytes.setUint16(
    at + LENGTH_OR_COVERAGE,
    fields.lengthOrCoverage > LENGTH_MAX ? 0 : fields.lengthOrCoverage,
  );
  bytes.setUint16(at + CHECKSUM, 0);
}
