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
  /** PPPoE from its own header on. */
  PPP_ETHER: 51,
  /** Raw IP: the packet starts with its IPv4 or IPv6 header. */
  RAW: 101,
  /** Cisco's HDLC (RFC 1547 section 4.3.1). */
  CISCO_HDLC: 104,
  /** IEEE 802.11. */
  WLAN: 105,
  /** OpenBSD loopback: address family in network byte order. */
  LOOP: 108,
  /** Linux "cooked" capture, version 1. */
  LINUX_SLL: 113,
  /** IEEE 802.11 behind a radiotap header. */
  WLAN_RADIOTAP: 127,
  /** "Per-packet information": a header that names the link type of what follows. */
  PPI: 192,
  IPV4: 228,
  IPV6: 229,
  /** Linux "cooked" capture, version 2. */
  LINUX_SLL2: 276,
} as const;

/** Answer of {@link linkPayload} when a frame carries no IP packet, or is cut short before it. */
export const NO_IP_PACKET = -1;

/** Most MPLS labels in one frame. */
const MPLS_LABELS_MAX = 8;

/** Most VLAN tags in one frame. 802.1ad has two; beyond eight nothing legitimate is left. */
export const VLAN_TAGS_MAX = 8;

// EtherTypes (IANA "IEEE 802 Numbers").
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_MPLS = 0x8847;
const ETHERTYPE_MPLS_MULTICAST = 0x8848;
const ETHERTYPE_PPPOE_SESSION = 0x8864;
/** Below this it is a length, and LLC follows (IEEE 802.3). */
const ETHERTYPE_LEAST = 0x0600;
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

// LLC with the SNAP extension of Ethernet: DSAP and SSAP, control and organisation, then the type (RFC 1042).
const SNAP_SAPS = 0xaaaa;
const SNAP_CONTROL_AT = 2;
const SNAP_CONTROL_ORGANISATION = 0x0300_0000;
const SNAP_TYPE = 6;
const SNAP_BYTES = 8;

// MPLS label: the bottom of the stack is marked (RFC 3032 section 2.1).
const MPLS_BOTTOM_AT = 2;
const MPLS_BOTTOM = 0x01;
const MPLS_BYTES = 4;

// IEEE 802.11 data frames: frame control, duration, three addresses, sequence; then what the flags announce.
const WLAN_FLAGS = 1;
const WLAN_BYTES = 24;
/** Version and type: 0 and data. */
const WLAN_KIND_MASK = 0x0f;
const WLAN_DATA = 0x08;
const WLAN_NO_DATA = 0x40;
const WLAN_QOS = 0x80;
const WLAN_QOS_BYTES = 2;
/** Several packets in one frame. */
const WLAN_AGGREGATE = 0x80;
const WLAN_TO_AND_FROM = 0x03;
const WLAN_ADDRESS_BYTES = 6;
const WLAN_PROTECTED = 0x40;
const WLAN_ORDER = 0x80;
const WLAN_HT_BYTES = 4;

// Radiotap and PPI: length, little-endian; PPI names the link type behind it.
const RADIO_LENGTH = 2;
const RADIO_BYTES = 8;
const PPI_LINK_TYPE = 4;

// Cisco HDLC: address and control, then an EtherType.
const CISCO_HDLC_TYPE = 2;
const CISCO_HDLC_BYTES = 4;

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
  switch (type) {
    case ETHERTYPE_IPV4:
    case ETHERTYPE_IPV6:
      return offset;
    case ETHERTYPE_PPPOE_SESSION:
      return pppPayload(bytes, offset + PPPOE_BYTES, end);
    case ETHERTYPE_MPLS:
    case ETHERTYPE_MPLS_MULTICAST:
      return mplsPayload(bytes, offset, end);
    default:
      return type < ETHERTYPE_LEAST ? snapPayload(bytes, offset, end) : NO_IP_PACKET;
  }
}

function snapPayload(bytes: DataView, at: number, end: number): number {
  if (end - at < SNAP_BYTES || bytes.getUint16(at) !== SNAP_SAPS) return NO_IP_PACKET;
  if (bytes.getUint32(at + SNAP_CONTROL_AT) !== SNAP_CONTROL_ORGANISATION) return NO_IP_PACKET;
  const type = bytes.getUint16(at + SNAP_TYPE);
  return type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6 ? at + SNAP_BYTES : NO_IP_PACKET;
}

/** What is under the labels is told by its first four bits, which the labels themselves do not say. */
function mplsPayload(bytes: DataView, at: number, end: number): number {
  for (let label = 0; label < MPLS_LABELS_MAX; label += 1) {
    const next = at + (label + 1) * MPLS_BYTES;
    if (next >= end) return NO_IP_PACKET;
    if ((bytes.getUint8(next - MPLS_BYTES + MPLS_BOTTOM_AT) & MPLS_BOTTOM) === 0) continue;
    const version = bytes.getUint8(next) >> 4;
    return version === 4 || version === 6 ? next : NO_IP_PACKET;
  }
  return NO_IP_PACKET;
}

/** The body of a data frame of 802.11, where nothing encrypts it. */
function wlanPayload(bytes: DataView, at: number, end: number): number {
  if (end - at < WLAN_BYTES) return NO_IP_PACKET;
  let kind = bytes.getUint8(at);
  let flags = bytes.getUint8(at + WLAN_FLAGS);
  // Some access points send the two bytes of frame control in the other order through CAPWAP.
  if ((kind & WLAN_KIND_MASK) !== WLAN_DATA) [kind, flags] = [flags, kind];
  if ((kind & WLAN_KIND_MASK) !== WLAN_DATA || (kind & WLAN_NO_DATA) !== 0) return NO_IP_PACKET;
  if ((flags & WLAN_PROTECTED) !== 0) return NO_IP_PACKET;
  let offset = at + WLAN_BYTES;
  if ((flags & WLAN_TO_AND_FROM) === WLAN_TO_AND_FROM) offset += WLAN_ADDRESS_BYTES;
  if ((kind & WLAN_QOS) !== 0) {
    if (offset >= end || (bytes.getUint8(offset) & WLAN_AGGREGATE) !== 0) return NO_IP_PACKET;
    offset += (flags & WLAN_ORDER) === 0 ? WLAN_QOS_BYTES : WLAN_QOS_BYTES + WLAN_HT_BYTES;
  }
  return snapPayload(bytes, offset, end);
}

/** A frame of 802.11, or what stands behind a header of radiotap or PPI. */
function radioPayload(bytes: DataView, at: number, end: number, linkType: number): number {
  switch (linkType) {
    case LINK_TYPE.WLAN:
      return wlanPayload(bytes, at, end);
    case LINK_TYPE.WLAN_RADIOTAP: {
      const next = behindRadioHeader(bytes, at, end);
      return next === NO_IP_PACKET ? NO_IP_PACKET : wlanPayload(bytes, next, end);
    }
    case LINK_TYPE.PPI: {
      const next = behindRadioHeader(bytes, at, end);
      if (next === NO_IP_PACKET) return NO_IP_PACKET;
      const inner = bytes.getUint32(at + PPI_LINK_TYPE, true);
      return inner === LINK_TYPE.PPI ? NO_IP_PACKET : linkPayload(bytes, next, end, inner);
    }
    default:
      return NO_IP_PACKET;
  }
}

function behindRadioHeader(bytes: DataView, at: number, end: number): number {
  if (end - at < RADIO_BYTES) return NO_IP_PACKET;
  const next = at + bytes.getUint16(at + RADIO_LENGTH, true);
  return next < at + RADIO_BYTES || next > end ? NO_IP_PACKET : next;
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
    case LINK_TYPE.PPP_ETHER:
      return pppPayload(bytes, at + PPPOE_BYTES, end);
    case LINK_TYPE.CISCO_HDLC:
      return etherPayload(bytes, at + CISCO_HDLC_TYPE, at + CISCO_HDLC_BYTES, end);
    case LINK_TYPE.PPP:
    case LINK_TYPE.PPP_HDLC:
      return hdlcPayload(bytes, at, end);
    default:
      return isRawIp(linkType) ? at : radioPayload(bytes, at, end, linkType);
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
