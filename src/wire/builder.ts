/**
 * Builds whole IP packets with right lengths and checksums, for tests, `explain`, fuzzers and self-tests.
 *
 * Every field has a sensible default; what is given is written as it is, also where it makes no sense, for a
 * firewall must be shown such packets too. Not for the packet path: it allocates.
 */
import {
  type Address,
  type Family,
  FirewallError,
  parseAddress,
  PROTOCOL,
  type Port,
  TCP_FLAG,
} from "../base/index.ts";
import { ipv4HeaderChecksum, sctpChecksum, transportChecksum } from "./checksum.ts";
import { decodePacket } from "./decode.ts";
import {
  encodeIcmp,
  ICMP_CHECKSUM_AT,
  ICMP_HEADER_BYTES,
  ICMP_TYPE,
  ICMPV6_TYPE,
  isIcmpEcho,
} from "./icmp.ts";
import {
  encodeIpv4,
  encodeIpv4Checksum,
  IPV4_DONT_FRAGMENT,
  IPV4_HEADER_BYTES,
  IPV4_MORE_FRAGMENTS,
} from "./ipv4.ts";
import { encodeIpv6, IPV6_HEADER_BYTES } from "./ipv6.ts";
import {
  encodeIpv6Extension,
  fragmentData,
  IPV6_EXTENSION,
  type Ipv6ExtensionFields,
  ipv6ExtensionBytes,
} from "./ipv6-extension.ts";
import { FRAGMENT, Packet } from "./packet.ts";
import { encodeSctp, SCTP_CHECKSUM_AT, SCTP_HEADER_BYTES } from "./sctp.ts";
import { encodeTcp, TCP_CHECKSUM_AT, TCP_HEADER_BYTES } from "./tcp.ts";
import { encodeUdp, UDP_CHECKSUM_AT, UDP_HEADER_BYTES } from "./udp.ts";

/** A packet to build. Addresses decide the family. */
export interface PacketFields {
  readonly source: string | Address;
  readonly destination: string | Address;
  /** IANA number, see PROTOCOL. */
  readonly protocol: number;

  /** Default 0. */
  readonly sourcePort?: Port;
  /** Default 0. */
  readonly destinationPort?: Port;
  /** TCP control bits, see TCP_FLAG; default SYN. */
  readonly flags?: number;
  /** TCP; default 0. */
  readonly sequence?: number;
  /** TCP; default 0. */
  readonly acknowledgement?: number;
  /** TCP, unscaled, in bytes; default 65535. */
  readonly window?: number;
  /** TCP; default 0. */
  readonly urgentPointer?: number;
  /** TCP options, a multiple of 4 bytes; see {@link encodeTcpOptions}. Default none. */
  readonly tcpOptions?: Uint8Array;
  /** UDP-Lite: bytes that the checksum covers, 0 for all; default 0. */
  readonly coverageBytes?: number;
  /** SCTP; default 0. */
  readonly verificationTag?: number;
  /** ICMP and ICMPv6; default echo request. */
  readonly icmpType?: number;
  /** ICMP and ICMPv6; default 0. */
  readonly icmpCode?: number;
  /** ICMP and ICMPv6: the header's last 32 bits, in place of identifier and sequence. */
  readonly icmpRest?: number;
  /** ICMP and ICMPv6 echo; default 0. */
  readonly icmpIdentifier?: number;
  /** ICMP and ICMPv6 echo; default 0. */
  readonly icmpSequence?: number;
  /** What the transport carries; for a later fragment all that follows the IP headers. Default nothing. */
  readonly payload?: Uint8Array;

  /** Time to live or hop limit; default 64. */
  readonly timeToLive?: number;
  /** Differentiated services and congestion bits, 8 bits; default 0. */
  readonly trafficClass?: number;
  /** IPv6, 20 bits; default 0. */
  readonly flowLabel?: number;
  /** Of IPv4 or of the IPv6 fragment header; default 0. */
  readonly identification?: number;
  /** IPv4; default false. */
  readonly dontFragment?: boolean;
  /** Makes a fragment that is not the last; default false. */
  readonly moreFragments?: boolean;
  /** A multiple of 8, in bytes; above 0 there is no transport header. Default 0. */
  readonly fragmentOffset?: number;
  /** IPv4 options, a multiple of 4 bytes, at most 40. Default none. */
  readonly ipOptions?: Uint8Array;
  /**
   * IPv6 extension headers in their order; the fragment header of a fragment comes behind them. Default none.
   */
  readonly extensions?: readonly Ipv6ExtensionFields[];
}

const NOTHING = new Uint8Array(0);
const DEFAULT_TIME_TO_LIVE = 64;
const DEFAULT_WINDOW = 0xffff;

/** A packet to build with its addresses understood and its extension headers complete. */
interface Plan {
  readonly fields: PacketFields;
  readonly family: Family;
  readonly source: Address;
  readonly destination: Address;
  readonly extensions: readonly Ipv6ExtensionFields[];
  readonly transportAt: number;
  readonly payloadAt: number;
  readonly totalBytes: number;
}

function understand(address: string | Address): Address {
  if (typeof address !== "string") return address;
  const understood = parseAddress(address);
  if (understood !== undefined) return understood;
  throw new FirewallError("PACKET_ADDRESS", `"${address}" is not an IP address`);
}

function transportHeaderBytes(fields: PacketFields): number {
  if ((fields.fragmentOffset ?? 0) > 0) return 0;
  switch (fields.protocol) {
    case PROTOCOL.TCP:
      return TCP_HEADER_BYTES + (fields.tcpOptions?.length ?? 0);
    case PROTOCOL.UDP:
    case PROTOCOL.UDPLITE:
      return UDP_HEADER_BYTES;
    case PROTOCOL.SCTP:
      return SCTP_HEADER_BYTES;
    case PROTOCOL.ICMP:
    case PROTOCOL.ICMPV6:
      return ICMP_HEADER_BYTES;
    default:
      return 0;
  }
}

function allExtensions(fields: PacketFields): readonly Ipv6ExtensionFields[] {
  const { extensions = [], fragmentOffset = 0, moreFragments = false, identification = 0 } = fields;
  if (fragmentOffset === 0 && !moreFragments) return extensions;
  const data = fragmentData(fragmentOffset, moreFragments, identification);
  return [...extensions, { type: IPV6_EXTENSION.FRAGMENT, data }];
}

function plan(fields: PacketFields): Plan {
  const source = understand(fields.source);
  const destination = understand(fields.destination);
  const { family } = source;
  if (family !== destination.family) {
    throw new FirewallError("PACKET_FAMILY", "source and destination are not of one address family");
  }
  const extensions = family === 6 ? allExtensions(fields) : [];
  let transportAt = IPV4_HEADER_BYTES + (fields.ipOptions?.length ?? 0);
  if (family === 6) transportAt = IPV6_HEADER_BYTES;
  for (const extension of extensions) transportAt += ipv6ExtensionBytes(extension);
  const payloadAt = transportAt + transportHeaderBytes(fields);
  const totalBytes = payloadAt + (fields.payload?.length ?? 0);
  return { fields, family, source, destination, extensions, transportAt, payloadAt, totalBytes };
}

function encodeNetworkIpv4(bytes: DataView, { fields, source, destination, totalBytes }: Plan): void {
  const dontFragment = fields.dontFragment === true ? IPV4_DONT_FRAGMENT : 0;
  const moreFragments = fields.moreFragments === true ? IPV4_MORE_FRAGMENTS : 0;
  encodeIpv4(bytes, 0, {
    source: source.words[3] ?? 0,
    destination: destination.words[3] ?? 0,
    protocol: fields.protocol,
    totalBytes,
    typeOfService: fields.trafficClass ?? 0,
    identification: fields.identification ?? 0,
    flags: dontFragment | moreFragments,
    fragmentOffset: fields.fragmentOffset ?? 0,
    timeToLive: fields.timeToLive ?? DEFAULT_TIME_TO_LIVE,
    options: fields.ipOptions ?? NOTHING,
  });
}

function encodeNetworkIpv6(
  bytes: DataView,
  { fields, extensions, source, destination, totalBytes }: Plan,
): void {
  encodeIpv6(bytes, 0, {
    source: source.words,
    destination: destination.words,
    nextHeader: extensions[0]?.type ?? fields.protocol,
    payloadBytes: totalBytes - IPV6_HEADER_BYTES,
    trafficClass: fields.trafficClass ?? 0,
    flowLabel: fields.flowLabel ?? 0,
    hopLimit: fields.timeToLive ?? DEFAULT_TIME_TO_LIVE,
  });
  let at = IPV6_HEADER_BYTES;
  for (const [index, extension] of extensions.entries()) {
    at = encodeIpv6Extension(bytes, at, extensions[index + 1]?.type ?? fields.protocol, extension);
  }
}

function encodeIcmpTransport(bytes: DataView, at: number, fields: PacketFields): void {
  const echo = fields.protocol === PROTOCOL.ICMP ? ICMP_TYPE.ECHO_REQUEST : ICMPV6_TYPE.ECHO_REQUEST;
  const echoRest = (((fields.icmpIdentifier ?? 0) << 16) | (fields.icmpSequence ?? 0)) >>> 0;
  const type = fields.icmpType ?? echo;
  const rest = fields.icmpRest ?? (isIcmpEcho(fields.protocol, type) ? echoRest : 0);
  encodeIcmp(bytes, at, { type, code: fields.icmpCode ?? 0, rest });
}

function encodeTcpTransport(bytes: DataView, at: number, fields: PacketFields): void {
  encodeTcp(bytes, at, {
    sourcePort: fields.sourcePort ?? 0,
    destinationPort: fields.destinationPort ?? 0,
    sequence: fields.sequence ?? 0,
    acknowledgement: fields.acknowledgement ?? 0,
    flags: fields.flags ?? TCP_FLAG.SYN,
    window: fields.window ?? DEFAULT_WINDOW,
    urgentPointer: fields.urgentPointer ?? 0,
    options: fields.tcpOptions ?? NOTHING,
  });
}

function encodeTransport(bytes: DataView, { fields, transportAt, totalBytes }: Plan): void {
  const { sourcePort = 0, destinationPort = 0 } = fields;
  switch (fields.protocol) {
    case PROTOCOL.TCP:
      return encodeTcpTransport(bytes, transportAt, fields);
    case PROTOCOL.UDP:
      return encodeUdp(bytes, transportAt, {
        sourcePort,
        destinationPort,
        lengthOrCoverage: totalBytes - transportAt,
      });
    case PROTOCOL.UDPLITE: {
      const lengthOrCoverage = fields.coverageBytes ?? 0;
      return encodeUdp(bytes, transportAt, { sourcePort, destinationPort, lengthOrCoverage });
    }
    case PROTOCOL.SCTP: {
      const verificationTag = fields.verificationTag ?? 0;
      return encodeSctp(bytes, transportAt, { sourcePort, destinationPort, verificationTag });
    }
    case PROTOCOL.ICMP:
    case PROTOCOL.ICMPV6:
      return encodeIcmpTransport(bytes, transportAt, fields);
    default:
      return undefined;
  }
}

function encodeTransportChecksum(packet: Packet): void {
  const { bytes, transportAt } = packet;
  switch (packet.protocol) {
    case PROTOCOL.TCP:
      return bytes.setUint16(transportAt + TCP_CHECKSUM_AT, transportChecksum(packet));
    case PROTOCOL.UDP:
    case PROTOCOL.UDPLITE:
      // "If the computed checksum is zero, it is transmitted as all ones" (RFC 768; RFC 3828 section 3.1).
      return bytes.setUint16(transportAt + UDP_CHECKSUM_AT, transportChecksum(packet) || 0xffff);
    case PROTOCOL.SCTP:
      return bytes.setUint32(transportAt + SCTP_CHECKSUM_AT, sctpChecksum(packet));
    case PROTOCOL.ICMP:
    case PROTOCOL.ICMPV6:
      return bytes.setUint16(transportAt + ICMP_CHECKSUM_AT, transportChecksum(packet));
    default:
      return undefined;
  }
}

/**
 * Builds an IP packet with right lengths and checksums. A first fragment's transport checksum covers only
 * what the fragment holds.
 *
 * @returns the packet, from its IP header on
 * @throws {FirewallError} `PACKET_ADDRESS` or `PACKET_FAMILY` when the addresses are none, or of two families
 * @example
 * buildPacket({ source: "192.0.2.1", destination: "192.0.2.2", protocol: PROTOCOL.UDP, destinationPort: 53
 * });
 */
export function buildPacket(fields: PacketFields): Uint8Array {
  const planned = plan(fields);
  const octets = new Uint8Array(planned.totalBytes);
  const bytes = new DataView(octets.buffer);
  octets.set(fields.payload ?? NOTHING, planned.payloadAt);
  if ((fields.fragmentOffset ?? 0) === 0) encodeTransport(bytes, planned);
  if (planned.family === 4) encodeNetworkIpv4(bytes, planned);
  else encodeNetworkIpv6(bytes, planned);

  const packet = new Packet();
  const fault = decodePacket(packet, bytes, 0, octets.length);
  if (fault === undefined && packet.fragment !== FRAGMENT.LATER) encodeTransportChecksum(packet);
  if (planned.family === 4) encodeIpv4Checksum(bytes, 0, ipv4HeaderChecksum(packet));
  return octets;
}

/** An ICMP or ICMPv6 error to build. */
export interface IcmpErrorFields {
  /** Who complains. */
  readonly source: string | Address;
  /** Who is told. */
  readonly destination: string | Address;
  readonly type: number;
  readonly code: number;
  /** The header's last 32 bits, such as an MTU; default 0. */
  readonly rest?: number;
  /** The packet complained about, from its IP header on. */
  readonly quoted: Uint8Array;
  /** Most bytes of it to quote; default 548 for ICMP and 1232 for ICMPv6. */
  readonly quotedBytesMax?: number;
}

/**
 * "SHOULD contain as much of the original datagram as possible without ... exceeding 576 bytes" (RFC 1812
 * section 4.3.2.3).
 */
const ICMP_QUOTED_BYTES_MAX = 576 - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES;
/**
 * "As much of invoking packet as possible without ... exceeding the minimum IPv6 MTU" (RFC 4443 section 3.1).
 */
const ICMPV6_QUOTED_BYTES_MAX = 1280 - IPV6_HEADER_BYTES - ICMP_HEADER_BYTES;

/**
 * Builds an error that quotes a packet.
 *
 * @returns the packet, from its IP header on
 * @throws {FirewallError} as {@link buildPacket} does
 */
export function buildIcmpError(fields: IcmpErrorFields): Uint8Array {
  const source = understand(fields.source);
  const most = source.family === 4 ? ICMP_QUOTED_BYTES_MAX : ICMPV6_QUOTED_BYTES_MAX;
  return buildPacket({
    source,
    destination: fields.destination,
    protocol: source.family === 4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6,
    icmpType: fields.type,
    icmpCode: fields.code,
    icmpRest: fields.rest ?? 0,
    payload: fields.quoted.slice(0, fields.quotedBytesMax ?? most),
  });
}
