/** The packet that an ICMP or ICMPv6 error quotes: the key to the flow that the error is about. */
import { PROTOCOL } from "../base/index.ts";
import { decodeNetwork } from "./decode.ts";
import { decodeIcmp, isIcmpError, quotedBytes } from "./icmp.ts";
import { FRAGMENT, type Packet } from "./packet.ts";
import { decodeSctpStart } from "./sctp.ts";
import { decodeTcpStart } from "./tcp.ts";
import { decodeUdp } from "./udp.ts";

/**
 * Length that no quoted packet has. With it as the length on the wire, the quoted header's own length is
 * believed: a quotation is nearly always cut short.
 */
const UNKNOWN_WIRE_BYTES = 0x7fff_ffff;

function decodeTransportStart(quoted: Packet): boolean {
  if (quoted.fragment === FRAGMENT.LATER) return true;
  switch (quoted.protocol) {
    case PROTOCOL.TCP:
      return decodeTcpStart(quoted);
    case PROTOCOL.UDP:
    case PROTOCOL.UDPLITE:
      return decodeUdp(quoted) === undefined;
    case PROTOCOL.ICMP:
    case PROTOCOL.ICMPV6:
      return decodeIcmp(quoted) === undefined;
    case PROTOCOL.SCTP:
      return decodeSctpStart(quoted);
    default:
      return true;
  }
}

/**
 * Reads the packet inside an ICMP or ICMPv6 error into a second record.
 *
 * A router need quote only the IP header "plus the first 64 bits" of what follows (RFC 792), so a quoted TCP
 * packet has ports and sequence number, while its flags may be missing (0). `payloadBytes` of the result is
 * not known.
 *
 * @param packet - a decoded packet, of any kind
 * @param quoted - record to fill; shares `bytes` with the first. Valid only when the answer is true
 * @returns true when `packet` is an error and quotes a packet with readable addresses, protocol and, where
 *   the
 *   protocol has them, ports or ICMP type
 * @see RFC 792, RFC 4443 section 2.4, RFC 4884
 */
export function decodeQuoted(packet: Packet, quoted: Packet): boolean {
  if (packet.fault !== undefined || packet.fragment === FRAGMENT.LATER) return false;
  if (!isIcmpError(packet.protocol, packet.icmpType)) return false;
  quoted.bytes = packet.bytes;
  quoted.at = packet.payloadAt;
  const told = quotedBytes(packet);
  quoted.end = told === 0 ? packet.end : Math.min(packet.end, packet.payloadAt + told);
  quoted.wireBytes = UNKNOWN_WIRE_BYTES;
  quoted.fault = decodeNetwork(quoted);
  if (quoted.fault !== undefined) return false;
  quoted.payloadAt = quoted.transportAt;
  const readable = decodeTransportStart(quoted);
  quoted.payloadBytes = 0;
  return readable;
}
