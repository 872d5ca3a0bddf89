/** From a captured frame to the IP packet in it: the link types that captures of IP traffic use. */
import { decodePacket } from "./decode.ts";
import type { CaptureRecord } from "./capture-record.ts";
import type { Packet } from "./packet.ts";

/** Link types that {@link linkPayload} reads (https://www.tcpdump.org/linktypes.html). */
export const LINK_TYPE = {
  /** BSD loopback: address family in the byte order of the machine that captured. */
  NULL: 0,
  ETHERNET: 1,
  PPP: 9,
  /** Raw IP, as some systems number it. */
  RAW_BSD: 12,
  /** Raw IP, as OpenBSD numbers it. */
  RAW_OPENBSD: 14,
  /** PPP in HDLC-like framing (RFC 1662). */
  PPP_HDLC: 50,
  /** Raw IP: the packet starts with its IPv4 or IPv6 header. */
  RAW: 101,
  /** OpenBSD loopback: address family in network byte order. */
  LOOP: 108,
  /** Linux "cooked" capture, version 1. */
  LINUX_SLL: 113,
  IPV4: 228,
  IPV6: 229,
  /** Linux "cooked" capture, version 2. */
  LINUX_SLL2: 276,
} as const;

/** Answer of {@link linkPayload} when a frame carries no IP packet, or is cut short before it. */
export const NO_IP_PACKET = -1;

/** Most VLAN tags in one frame. 802.1ad has two; beyond eight nothing legitimate is left. */
export const VLAN_TAGS_MAX = 8;

// EtherTypes (IANA "IEEE 802 Numbers").
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_PPPOE_SESSION = 0x8864;
/** 802.1Q. */
const ETHERTYPE_VLAN = 0x8100;
/** 802.1ad, "QinQ". */
const ETHERTYPE_SERVICE_VLAN = 0x88a8;
/** QinQ as it was before 802.1ad. */
const ETHERTYPE_OLD_QINQ = 0x9100;

// Ethernet: two addresses, then the type.
const ETHERNET_TYPE = 12;
const ETHERNET_BYTES = 14;

// VLAN tag behind its EtherType: priority and number, then the next type (802.1Q).
const VLAN_TYPE = 2;
const VLAN_BYTES = 4;

// PPPoE header behind its EtherType (RFC 2516 section 4).
const PPPOE_BYTES = 6;

// PPP protocol field, and its values (RFC 1332, RFC 5072).
const PPP_PROTOCOL_BYTES = 2;
const PPP_IPV4 = 0x0021;
const PPP_IPV6 = 0x0057;
/** Address and control bytes of HDLC-like framing (RFC 1662 section 3.1). */
const HDLC_ADDRESS_CONTROL = 0xff03;
const HDLC_BYTES = 2;

// Linux cooked captures: where their EtherType stands, and how long they are.
const SLL_TYPE = 14;
const SLL_BYTES = 16;
const SLL2_TYPE = 0;
const SLL2_BYTES = 20;

// Loopback: address family as the capturing system numbers it.
const LOOPBACK_BYTES = 4;
const FAMILY_IPV4 = 2;
const FAMILY_IPV6_LINUX = 10;
const FAMILY_IPV6_NETBSD = 24;
const FAMILY_IPV6_FREEBSD = 28;
const FAMILY_IPV6_DARWIN = 30;

function isVlan(type: number): boolean {
  return type === ETHERTYPE_VLAN || type === ETHERTYPE_SERVICE_VLAN || type === ETHERTYPE_OLD_QINQ;
}

function pppPayload(bytes: DataView, at: number, end: number): number {
  if (end - at < PPP_PROTOCOL_BYTES) return NO_IP_PACKET;
  const protocol = bytes.getUint16(at);
  return protocol === PPP_IPV4 || protocol === PPP_IPV6 ? at + PPP_PROTOCOL_BYTES : NO_IP_PACKET;
}

function hdlcPayload(bytes: DataView, at: number, end: number): number {
  if (end - at < HDLC_BYTES) return NO_IP_PACKET;
  return pppPayload(bytes, bytes.getUint16(at) === HDLC_ADDRESS_CONTROL ? at + HDLC_BYTES : at, end);
}

/** Follows an EtherType that has been read from `typeAt`, `at` being just behind the header it stood in. */
function etherPayload(bytes: DataView, typeAt: number, at: number, end: number): number {
  if (at > end) return NO_IP_PACKET;
  let type = bytes.getUint16(typeAt);
  let offset = at;
  for (let tags = 0; isVlan(type); tags += 1) {
    if (tags === VLAN_TAGS_MAX || end - offset < VLAN_BYTES) return NO_IP_PACKET;
    type = bytes.getUint16(offset + VLAN_TYPE);
    offset += VLAN_BYTES;
  }
  if (type === ETHERTYPE_PPPOE_SESSION) return pppPayload(bytes, offset + PPPOE_BYTES, end);
  return type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6 ? offset : NO_IP_PACKET;
}

function isIpFamily(family: number): boolean {
  switch (family) {
    case FAMILY_IPV4:
    case FAMILY_IPV6_LINUX:
    case FAMILY_IPV6_NETBSD:
    case FAMILY_IPV6_FREEBSD:
    case FAMILY_IPV6_DARWIN:
      return true;
    default:
      return false;
  }
}

function loopbackPayload(bytes: DataView, at: number, end: number): number {
  if (end - at < LOOPBACK_BYTES) return NO_IP_PACKET;
  const known = isIpFamily(bytes.getUint32(at)) || isIpFamily(bytes.getUint32(at, true));
  return known ? at + LOOPBACK_BYTES : NO_IP_PACKET;
}

/** True when frames are IP packets and nothing else. */
function isRawIp(linkType: number): boolean {
  switch (linkType) {
    case LINK_TYPE.RAW:
    case LINK_TYPE.RAW_BSD:
    case LINK_TYPE.RAW_OPENBSD:
    case LINK_TYPE.IPV4:
    case LINK_TYPE.IPV6:
      return true;
    default:
      return false;
  }
}

/** True for a link type that {@link linkPayload} reads. */
export function isLinkTypeKnown(linkType: number): boolean {
  return (Object.values(LINK_TYPE) as number[]).includes(linkType);
}

/**
 * Finds the IP packet in a frame.
 *
 * @param bytes - buffer that holds the frame
 * @param at - offset of the frame, in bytes
 * @param end - offset just past the captured bytes
 * @param linkType - a value of {@link LINK_TYPE}
 * @returns offset of the IP header, at most `end`; {@link NO_IP_PACKET} when there is none or the link type
 *   is not known
 */
export function linkPayload(bytes: DataView, at: number, end: number, linkType: number): number {
  switch (linkType) {
    case LINK_TYPE.ETHERNET:
      return etherPayload(bytes, at + ETHERNET_TYPE, at + ETHERNET_BYTES, end);
    case LINK_TYPE.LINUX_SLL:
      return etherPayload(bytes, at + SLL_TYPE, at + SLL_BYTES, end);
    case LINK_TYPE.LINUX_SLL2:
      return etherPayload(bytes, at + SLL2_TYPE, at + SLL2_BYTES, end);
    case LINK_TYPE.NULL:
    case LINK_TYPE.LOOP:
      return loopbackPayload(bytes, at, end);
    case LINK_TYPE.PPP:
    case LINK_TYPE.PPP_HDLC:
      return hdlcPayload(bytes, at, end);
    default:
      return isRawIp(linkType) ? at : NO_IP_PACKET;
  }
}

/**
 * Reads the IP packet in a captured frame into a packet record; see {@link decodePacket}.
 *
 * @returns false when the frame carries no IP packet; then `packet` is as it was
 */
export function decodeRecord(packet: Packet, record: CaptureRecord): boolean {
  const { bytes, end } = record;
  const at = linkPayload(bytes, record.at, end, record.linkType);
  if (at === NO_IP_PACKET) return false;
  decodePacket(packet, bytes, at, end, record.wireBytes - (at - record.at));
  return true;
}
