/**
 * From bytes to the packet record: the network layer first, then the transport.
 *
 * A decoder fills the record that it is given and makes nothing. A packet that can't be read is answered with
 * a fault, never with an exception: every offset is compared with the packet's end before it is read.
 */
import { PROTOCOL } from "../base/index.ts";
import type { PacketFault } from "./fault.ts";
import { decodeIcmp } from "./icmp.ts";
import { decodeIpv4 } from "./ipv4.ts";
import { decodeIpv6 } from "./ipv6.ts";
import { FRAGMENT, type Packet } from "./packet.ts";
import { decodeSctp } from "./sctp.ts";
import { decodeTcp } from "./tcp.ts";
import { decodeUdp } from "./udp.ts";

// Byte offset of the version, common to all versions of IP (RFC 8200 section 3).
const VERSION = 0;

/** Takes back everything that an earlier packet left in the record, but not what kernel or capture said. */
function clear(packet: Packet): void {
  packet.family = 0;
  packet.protocol = 0;
  packet.timeToLive = 0;
  packet.fragment = FRAGMENT.NONE;
  packet.fragmentOffset = 0;
  packet.identification = 0;
  packet.sourcePort = 0;
  packet.destinationPort = 0;
  packet.tcpFlags = 0;
  packet.sequence = 0;
  packet.acknowledgement = 0;
  packet.window = 0;
  packet.icmpType = 0;
  packet.icmpCode = 0;
  packet.icmpIdentifier = 0;
  packet.payloadBytes = 0;
  packet.datagramBytes = 0;
}

/**
 * Fills the network layer of a record whose `bytes`, `at`, `end` and `wireBytes` are set; all else is set
 * back.
 *
 * @returns the first fault found in IP headers
 */
export function decodeNetwork(packet: Packet): PacketFault | undefined {
  const { bytes, at } = packet;
  clear(packet);
  packet.transportAt = at;
  packet.payloadAt = at;
  if (packet.end <= at) return "ip-truncated";
  const version = bytes.getUint8(at + VERSION) >>> 4;
  if (version === 4) return decodeIpv4(packet);
  return version === 6 ? decodeIpv6(packet) : "ip-version-unknown";
}

function decodeTransport(packet: Packet): PacketFault | undefined {
  packet.payloadBytes = packet.at + packet.wireBytes - packet.payloadAt;
  if (packet.fragment === FRAGMENT.LATER) return undefined;
  switch (packet.protocol) {
    case PROTOCOL.TCP:
      return decodeTcp(packet);
    case PROTOCOL.UDP:
    case PROTOCOL.UDPLITE:
      return decodeUdp(packet);
    case PROTOCOL.ICMP:
    case PROTOCOL.ICMPV6:
      return decodeIcmp(packet);
    case PROTOCOL.SCTP:
      return decodeSctp(packet);
    default:
      return undefined;
  }
}

/**
 * Reads one IP packet into the record: every field but the queue metadata (hook, interfaces, mark, owner).
 *
 * Reads nothing at or past `end`, and trims the record's `end` to the packet, without link-layer padding. A
 * copy that was cut short is no fault as long as the headers are there. Checksums are not looked at: the
 * kernel checks what comes in, and leaves what goes out unfinished for the network card.
 *
 * @param packet - record to fill; valid until it is filled again
 * @param bytes - buffer that holds the packet
 * @param at - offset of the IP header, in bytes
 * @param end - offset just past the captured bytes, at most `bytes.byteLength`
 * @param wireBytes - length of the packet where it was met, in bytes; more than `end - at` when the copy was
 *   cut short. Padding may be included
 * @returns the fault, also left in `packet.fault`; `undefined` when the packet could be read to its transport
 *   header
 * @see RFC 791, RFC 8200
 */
// oxlint-disable-next-line max-params -- a range of a buffer is three values, and nothing is made per packet
export function decodePacket(
  packet: Packet,
  bytes: DataView,
  at: number,
  end: number,
  wireBytes: number = end - at,
): PacketFault | undefined {
  packet.bytes = bytes;
  packet.at = at;
  packet.end = end;
  packet.wireBytes = wireBytes > end - at ? wireBytes : end - at;
  packet.fault = decodeNetwork(packet) ?? decodeTransport(packet);
  return packet.fault;
}
