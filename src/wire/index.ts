export { buildIcmpError, buildPacket, type IcmpErrorFields, type PacketFields } from "./builder.ts";
export { foldChecksum, isChecksumRight, type PseudoHeader, sumBytes, sumPseudoHeader } from "./checksum.ts";
export { crc32c } from "./crc32c.ts";
export { decodePacket } from "./decode.ts";
export { PACKET_FAULTS, type PacketFault } from "./fault.ts";
export {
  ICMP_HEADER_BYTES,
  ICMP_TYPE,
  ICMPV6_TYPE,
  type IcmpFault,
  IcmpView,
  isIcmpEcho,
  isIcmpError,
} from "./icmp.ts";
export { IPV4_HEADER_BYTES, IPV4_HEADER_BYTES_MAX, type Ipv4Fault, Ipv4View } from "./ipv4.ts";
export { IPV6_HEADER_BYTES, Ipv6View } from "./ipv6.ts";
export {
  IPV6_EXTENSION,
  IPV6_EXTENSIONS_MAX,
  type Ipv6ExtensionFault,
  type Ipv6ExtensionFields,
  Ipv6Extensions,
  NO_NEXT_HEADER,
} from "./ipv6-extension.ts";
export { FRAGMENT, NO_USER, Packet } from "./packet.ts";
export { decodeQuoted } from "./quoted.ts";
export { SCTP_HEADER_BYTES, type SctpFault, SctpView } from "./sctp.ts";
export { TCP_HEADER_BYTES, TCP_HEADER_BYTES_MAX, type TcpFault, TcpView } from "./tcp.ts";
export {
  encodeTcpOptions,
  TCP_OPTION,
  TCP_OPTIONS_MAX,
  type TcpOptionFault,
  type TcpOptionFields,
  TcpOptions,
  WINDOW_SCALE_MAX,
} from "./tcp-option.ts";
export { UDP_HEADER_BYTES, type UdpFault, UdpView } from "./udp.ts";
export type { CaptureFault, CaptureFaultCode } from "./capture-fault.ts";
export { CaptureReader } from "./capture-reader.ts";
export { type CaptureInterface, CaptureRecord } from "./capture-record.ts";
export {
  decodeRecord,
  isLinkTypeKnown,
  LINK_TYPE,
  linkPayload,
  NO_IP_PACKET,
} from "./link-layer.ts";
export { type CapturedPacket, PcapWriter } from "./pcap.ts";
export { type PcapngInterfaceFields, type PcapngPacketFields, PcapngWriter } from "./pcapng-writer.ts";
