/**
 * Tunnels: where the packet within a packet begins.
 *
 * IP in IP (RFC 2003), IPv6 in IP (RFC 4213, RFC 2473), GRE (RFC 2784, RFC 2890; version 1: RFC 2637), VXLAN
 * (RFC 7348), GTP-U (3GPP TS 29.281), Teredo (RFC 4380) and CAPWAP's data channel (RFC 5415). Those over UDP
 * are told by their registered port, which is part of their definition, and by a header that fits; PPPoE is a
 * matter of the link layer below.
 */
import { LINK_TYPE, linkPayload, NO_IP_PACKET, type Packet } from "../wire/index.ts";

/** Tunnels that are looked into. */
export type TunnelName = "IPIP" | "6in4" | "GRE" | "VXLAN" | "GTP-U" | "Teredo" | "CAPWAP";

/** IP protocol numbers of tunnels (IANA). */
const IPV4_IN_IP = 4;
const IPV6_IN_IP = 41;
const GRE = 47;
const UDP = 17;

// GRE header (RFC 2784 section 2.1, RFC 2890): flags and version, protocol type, optional words.
const GRE_TYPE = 2;
const GRE_BYTES = 4;
const GRE_CHECKSUM = 0x8000;
const GRE_ROUTING = 0x4000;
const GRE_KEY = 0x2000;
const GRE_SEQUENCE = 0x1000;
const GRE_ACKNOWLEDGEMENT = 0x0080;
const GRE_VERSION = 0x0007;
const WORD_BYTES = 4;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_BRIDGING = 0x6558;
const ETHERTYPE_PPP = 0x880b;
/** ERSPAN type II: a mirrored frame behind eight bytes. */
const ETHERTYPE_ERSPAN = 0x88be;
const ERSPAN_BYTES = 8;

/** The registered port, and the one that Linux used before there was one and still does by default. */
const VXLAN_PORT = 4789;
const VXLAN_OLD_PORT = 8472;
const VXLAN_BYTES = 8;
/** "the I flag MUST be set to 1 for a valid VXLAN Network ID"; others are ignored (RFC 7348 section 5). */
const VXLAN_FLAG = 0x08;

const GTP_PORT = 2152;
const GTP_BYTES = 8;
/** Version 1, protocol type GTP; the low bits announce four more bytes. */
const GTP_VERSION_MASK = 0xf0;
const GTP_VERSION = 0x30;
const GTP_OPTIONAL = 0x07;
const GTP_EXTENSION = 0x04;
const GTP_OPTIONAL_BYTES = 4;
const GTP_PDU = 255;
const GTP_EXTENSIONS_MAX = 8;

const TEREDO_PORT = 3544;
const TEREDO_AUTHENTICATION = 0x0001;
const TEREDO_ORIGIN = 0x0000;
const TEREDO_ORIGIN_BYTES = 8;
const IPV6_BYTES = 40;

const CAPWAP_PORT = 5247;
const CAPWAP_BYTES = 8;
// First word (RFC 5415 section 4.3): preamble, header length in words, radio, kind of its frames, flags.
const CAPWAP_PREAMBLE_SHIFT = 24;
const CAPWAP_LENGTH_SHIFT = 19;
const CAPWAP_LENGTH_MASK = 0x1f;
/** Kind of frames and whether they are in that form: IEEE 802.11 is 1. */
const CAPWAP_FRAME_SHIFT = 8;
const CAPWAP_FRAME_MASK = 0x3f;
const CAPWAP_WLAN = 0x03;
const CAPWAP_NATIVE = 0x01;
/** A fragment, or a keep-alive. */
const CAPWAP_NO_FRAME = 0x88;

/** Finds the inner packet of a decoded one; moved from packet to packet. */
export class TunnelView {
  name: TunnelName = "IPIP";
  /** Offset of the inner IP header. Valid after {@link TunnelView.bind} was true. */
  at = 0;
  /** Offset just past the captured bytes. */
  end = 0;

  /**
   * Looks for a packet in the packet.
   *
   * @param packet - decoded; its fault, if any, lies behind the IP header
   * @returns false when it carries none
   */
  bind(packet: Packet): boolean {
    this.end = packet.end;
    switch (packet.protocol) {
      case IPV4_IN_IP:
        return this.#found("IPIP", packet, packet.transportAt, 4);
      case IPV6_IN_IP:
        return this.#found("6in4", packet, packet.transportAt, 6);
      case GRE:
        return this.#bindGre(packet.bytes, packet.transportAt, packet);
      case UDP:
        return packet.hasPorts && this.#bindUdp(packet);
      default:
        return false;
    }
  }

  #found(name: TunnelName, packet: Packet, at: number, version: 0 | 4 | 6): boolean {
    if (at >= this.end) return false;
    const found = packet.bytes.getUint8(at) >> 4;
    if (version === 0 ? found !== 4 && found !== 6 : found !== version) return false;
    this.name = name;
    this.at = at;
    return true;
  }

  #bindGre(bytes: DataView, from: number, packet: Packet): boolean {
    if (from + GRE_BYTES > this.end) return false;
    const flags = bytes.getUint16(from);
    const type = bytes.getUint16(from + GRE_TYPE);
    if ((flags & GRE_VERSION) > 1 || (flags & GRE_ROUTING) !== 0) return false;
    let at = from + GRE_BYTES;
    for (const bit of [GRE_CHECKSUM, GRE_KEY, GRE_SEQUENCE, GRE_ACKNOWLEDGEMENT]) {
      if ((flags & bit) !== 0) at += WORD_BYTES;
    }
    if (type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) return this.#found("GRE", packet, at, 0);
    if (type === ETHERTYPE_BRIDGING) return this.#foundFrame("GRE", packet, at, LINK_TYPE.ETHERNET);
    if (type === ETHERTYPE_ERSPAN)
      return this.#foundFrame("GRE", packet, at + ERSPAN_BYTES, LINK_TYPE.ETHERNET);
    return type === ETHERTYPE_PPP && this.#foundFrame("GRE", packet, at, LINK_TYPE.PPP_HDLC);
  }

  #foundFrame(name: TunnelName, packet: Packet, at: number, linkType: number): boolean {
    const inner = at < this.end ? linkPayload(packet.bytes, at, this.end, linkType) : NO_IP_PACKET;
    return inner !== NO_IP_PACKET && this.#found(name, packet, inner, 0);
  }

  #bindUdp(packet: Packet): boolean {
    const { sourcePort, destinationPort, payloadAt, bytes } = packet;
    if (destinationPort === VXLAN_PORT || destinationPort === VXLAN_OLD_PORT) {
      if (payloadAt + VXLAN_BYTES > this.end || (bytes.getUint8(payloadAt) & VXLAN_FLAG) === 0) return false;
      return this.#foundFrame("VXLAN", packet, payloadAt + VXLAN_BYTES, LINK_TYPE.ETHERNET);
    }
    if (destinationPort === GTP_PORT || sourcePort === GTP_PORT) return this.#bindGtp(packet, payloadAt);
    if (destinationPort === TEREDO_PORT || sourcePort === TEREDO_PORT)
      return this.#bindTeredo(packet, payloadAt);
    if (destinationPort === CAPWAP_PORT || sourcePort === CAPWAP_PORT)
      return this.#bindCapwap(packet, payloadAt);
    return false;
  }

  #bindCapwap(packet: Packet, from: number): boolean {
    if (from + CAPWAP_BYTES > this.end) return false;
    const word = packet.bytes.getUint32(from);
    if (word >>> CAPWAP_PREAMBLE_SHIFT !== 0 || (word & CAPWAP_NO_FRAME) !== 0) return false;
    const at = from + WORD_BYTES * ((word >>> CAPWAP_LENGTH_SHIFT) & CAPWAP_LENGTH_MASK);
    if (at < from + CAPWAP_BYTES) return false;
    const frame = (word >>> CAPWAP_FRAME_SHIFT) & CAPWAP_FRAME_MASK;
    if ((frame & CAPWAP_NATIVE) === 0) return this.#foundFrame("CAPWAP", packet, at, LINK_TYPE.ETHERNET);
    return frame === CAPWAP_WLAN && this.#foundFrame("CAPWAP", packet, at, LINK_TYPE.WLAN);
  }

  #bindGtp(packet: Packet, from: number): boolean {
    const { bytes } = packet;
    if (from + GTP_BYTES > this.end) return false;
    const flags = bytes.getUint8(from);
    if ((flags & GTP_VERSION_MASK) !== GTP_VERSION || bytes.getUint8(from + 1) !== GTP_PDU) return false;
    let at = from + GTP_BYTES;
    if ((flags & GTP_OPTIONAL) !== 0) at += GTP_OPTIONAL_BYTES;
    if ((flags & GTP_EXTENSION) !== 0) {
      for (let count = 0; count < GTP_EXTENSIONS_MAX; count += 1) {
        // The type of the next header stands in the last byte before it; its length counts words.
        if (at > this.end || bytes.getUint8(at - 1) === 0) break;
        if (at >= this.end || bytes.getUint8(at) === 0) return false;
        at += WORD_BYTES * bytes.getUint8(at);
      }
    }
    return this.#found("GTP-U", packet, at, 0);
  }

  #bindTeredo(packet: Packet, from: number): boolean {
    const { bytes } = packet;
    let at = from;
    if (at + WORD_BYTES <= this.end && bytes.getUint16(at) === TEREDO_AUTHENTICATION) {
      // Lengths of client id and value, then both, a nonce of 8 bytes and a confirmation byte (RFC 4380
      // section 5.1.1).
      at += WORD_BYTES + bytes.getUint8(at + 2) + bytes.getUint8(at + 3) + 9;
    }
    if (at + TEREDO_ORIGIN_BYTES <= this.end && bytes.getUint16(at) === TEREDO_ORIGIN)
      at += TEREDO_ORIGIN_BYTES;
    return at + IPV6_BYTES <= this.end && this.#found("Teredo", packet, at, 6);
  }
}
