/**
 * The packet record: what one packet means, as numbers.
 *
 * A worker owns one record and fills it anew for each packet, so a record is valid until the next packet and
 * is never kept. It holds no bytes; `bytes` is the receive buffer that all offsets refer to.
 */
import {
  type AddressWords,
  type Family,
  formatAddress,
  formatEndpoint,
  HOOK,
  type Hook,
  PROTOCOL,
} from "../base/index.ts";
import type { PacketFault } from "./fault.ts";

/** What part of a datagram the packet carries. */
export const FRAGMENT = {
  /** The whole datagram. */
  NONE: 0,
  /** The first of several: it holds the transport header, but not the whole payload. */
  FIRST: 1,
  /** A later one: it has no transport header, so ports, flags and ICMP type are not known. */
  LATER: 2,
} as const;

/** Value of {@link Packet.userId} and {@link Packet.groupId} when the kernel named none. */
export const NO_USER = -1;

/** One packet, decoded. */
export class Packet {
  // What the kernel, or the capture, says of the packet.

  /** Where it was met. */
  hook: Hook = HOOK.INPUT;
  /** Index of the interface it came in by, 0 when it was sent by this host. */
  inInterface = 0;
  /** Index of the interface it leaves by, 0 when it is for this host. */
  outInterface = 0;
  /** The kernel's packet mark (fwmark), 32 bits. */
  mark = 0;
  /** Number of its state in the kernel's connection tracking, see CONNTRACK_STATES; 0 when none was told. */
  conntrackState = 0;
  /**
   * True when the kernel's tracker has found that the segment fits a connection, or that a SYN begins none.
   */
  vouched = false;
  /** True when the kernel has begun to carry the connection with this segment, for which it vouches. */
  carried = false;
  /** User id of the local socket that sent it; {@link NO_USER} when unknown. */
  userId: number = NO_USER;
  /** Group id of the local socket that sent it; {@link NO_USER} when unknown. */
  groupId: number = NO_USER;

  // Network layer. Valid when `fault` is undefined or lies in a later layer (see `family`).

  /** Version of the IP header; 0 when not even that could be read. */
  family: Family | 0 = 0;
  /** Source address; IPv4 in mapped form. Valid when `family` is not 0. */
  readonly source: AddressWords = new Uint32Array(4);
  /** Destination address; IPv4 in mapped form. Valid when `family` is not 0. */
  readonly destination: AddressWords = new Uint32Array(4);
  /** Transport protocol after all extension headers (IANA number). Valid when `family` is not 0. */
  protocol = 0;
  /** Time to live or hop limit. Valid when `family` is not 0. */
  timeToLive = 0;
  /** A value of {@link FRAGMENT}. */
  fragment: number = FRAGMENT.NONE;
  /** Fragment offset in bytes; 0 unless `fragment` is LATER. */
  fragmentOffset = 0;
  /** IPv4 or IPv6 fragment identification; 0 when the packet is no fragment of IPv6. */
  identification = 0;

  // Transport layer. Valid when `fault` is undefined and `fragment` is not LATER.

  /** Source port. Valid when {@link Packet.hasPorts} is true. */
  sourcePort = 0;
  /** Destination port. Valid when {@link Packet.hasPorts} is true. */
  destinationPort = 0;
  /** TCP control bits, see TCP_FLAG. Valid when `protocol` is TCP. */
  tcpFlags = 0;
  /** TCP sequence number. Valid when `protocol` is TCP. */
  sequence = 0;
  /** TCP acknowledgment number. Valid when `protocol` is TCP and ACK is set. */
  acknowledgement = 0;
  /** TCP window as it stands in the header, unscaled, in bytes. Valid when `protocol` is TCP. */
  window = 0;
  /** ICMP or ICMPv6 type. Valid when `protocol` is one of the two. */
  icmpType = 0;
  /** ICMP or ICMPv6 code. Valid when `protocol` is one of the two. */
  icmpCode = 0;
  /** ICMP echo identifier. Valid for echo request and reply. */
  icmpIdentifier = 0;

  // Where things are in `bytes`.

  /** The receive buffer that every offset refers to. */
  bytes: DataView = new DataView(new ArrayBuffer(0));
  /** Offset of the IP header. */
  at = 0;
  /** Offset just past the last captured byte that belongs to the packet (link-layer padding excluded). */
  end = 0;
  /** Offset of the transport header. Valid when `fault` is undefined. */
  transportAt = 0;
  /** Offset of the transport payload. Valid when `fault` is undefined. */
  payloadAt = 0;
  /** Length of the IP packet on the wire, in bytes; larger than `end - at` when the copy was cut short. */
  wireBytes = 0;
  /** Length of the transport payload on the wire, in bytes: what TCP counts. 0 when unknown. */
  payloadBytes = 0;
  /**
   * Length of a UDP datagram's payload; more than `payloadBytes` in a first fragment, and valid for UDP only.
   */
  datagramBytes = 0;

  /** Why the packet could not be read to its end; `undefined` when it could. */
  fault: PacketFault | undefined = undefined;

  /** True when the packet has readable ports. */
  get hasPorts(): boolean {
    if (this.fault !== undefined || this.fragment === FRAGMENT.LATER) return false;
    const { protocol } = this;
    return (
      protocol === PROTOCOL.TCP ||
      protocol === PROTOCOL.UDP ||
      protocol === PROTOCOL.SCTP ||
      protocol === PROTOCOL.UDPLITE
    );
  }

  /** True when the packet is TCP with a readable header. */
  get isTcp(): boolean {
    return this.protocol === PROTOCOL.TCP && this.fault === undefined && this.fragment !== FRAGMENT.LATER;
  }

  /** Source as text, with the port where there is one. Allocates: for logs and people. */
  get sourceText(): string {
    return this.#endpointText(this.source, this.sourcePort);
  }

  /** Destination as text, with the port where there is one. Allocates: for logs and people. */
  get destinationText(): string {
    return this.#endpointText(this.destination, this.destinationPort);
  }

  #endpointText(words: AddressWords, port: number): string {
    if (this.family === 0) return "?";
    return this.hasPorts ? formatEndpoint(this.family, words, port) : formatAddress(this.family, words);
  }
}
