/** Packets in PyWall's words: what PrintRule prints and what the log shows. */
import { formatAddress, PROTOCOL } from "../base/index.ts";
import type { Packet } from "../wire/index.ts";

/** Keywords of the protocols 0 to 142 (IANA "Assigned Internet Protocol Numbers"); five have none. */
const PROTOCOL_KEYWORDS: readonly string[] = [
  "HOPOPT|ICMP|IGMP|GGP|IPv4|ST|TCP|CBT|EGP|IGP",
  "BBN-RCC-MON|NVP-II|PUP|ARGUS|EMCON|XNET|CHAOS|UDP|MUX|DCN-MEAS",
  "HMP|PRM|XNS-IDP|TRUNK-1|TRUNK-2|LEAF-1|LEAF-2|RDP|IRTP|ISO-TP4",
  "NETBLT|MFE-NSP|MERIT-INP|DCCP|3PC|IDPR|XTP|DDP|IDPR-CMTP|TP++",
  "IL|IPv6|SDRP|IPv6-Route|IPv6-Frag|IDRP|RSVP|GRE|DSR|BNA",
  "ESP|AH|I-NLSP|SWIPE (deprecated)|NARP|MOBILE|TLSP|SKIP|IPv6-ICMP|IPv6-NoNxt",
  "IPv6-Opts||CFTP||SAT-EXPAK|KRYPTOLAN|RVD|IPPC||SAT-MON",
  "VISA|IPCV|CPNX|CPHB|WSN|PVP|BR-SAT-MON|SUN-ND|WB-MON|WB-EXPAK",
  "ISO-IP|VMTP|SECURE-VMTP|VINES|IPTM|NSFNET-IGP|DGP|TCF|EIGRP|OSPFIGP",
  "Sprite-RPC|LARP|MTP|AX.25|IPIP|MICP (deprecated)|SCC-SP|ETHERIP|ENCAP|",
  "GMTP|IFMP|PNNI|PIM|ARIS|SCPS|QNX|A/N|IPComp|SNP",
  "Compaq-Peer|IPX-in-IP|VRRP|PGM||L2TP|DDX|IATP|STP|SRP",
  "UTI|SMP|SM|PTP|ISIS over IPv4|FIRE|CRTP|CRUDP|SSCOPMCE|IPLT",
  "SPS|PIPE|SCTP|FC|RSVP-E2E-IGNORE|Mobility Header|UDPLite|MPLS-in-IP|manet|HIP",
  "Shim6|WESP|ROHC",
].flatMap((decade) => decade.split("|"));

/** Keyword of an IP protocol, `unknown` from 143 on. */
export function protocolName(protocol: number): string {
  return PROTOCOL_KEYWORDS[protocol] ?? "unknown";
}

/** `IP Packet 192.0.2.1 => 198.51.100.7, proto=TCP`; an unreadable packet has no addresses. */
export function networkLine(packet: Packet): string {
  const { family } = packet;
  if (family === 0) return "IP Packet ? => ?, proto=unknown";
  const source = formatAddress(family, packet.source);
  const destination = formatAddress(family, packet.destination);
  return `IP Packet ${source} => ${destination}, proto=${protocolName(packet.protocol)}`;
}

/** `TCP from 40000 to 22`, `UDP from 5353 to 53`, and `None` for every other protocol. */
export function transportLine(packet: Packet): string {
  const { protocol } = packet;
  if (!packet.hasPorts || (protocol !== PROTOCOL.TCP && protocol !== PROTOCOL.UDP)) return "None";
  return `${protocolName(protocol)} from ${packet.sourcePort} to ${packet.destinationPort}`;
}
