/**
 * What makes two packets the same flow: the two ends, the protocol, the family and the zone.
 *
 * A key names its ends *remote* and *local*. At INPUT the sender is remote, at OUTPUT the receiver: so both
 * directions of a host's connection have one key, and a loopback connection two, one per end. At FORWARD
 * either may be local; the tracker tries both. ICMP echo has no ports: its asking end gets the identifier,
 * the answering end the type of the request, as in OpenBSD's pf.
 */
import { ADDRESS_WORDS, type AddressWords, HOOK, type Hook, PROTOCOL } from "../base/index.ts";
import { FRAGMENT, ICMP_TYPE, ICMPV6_TYPE, isIcmpEcho, type Packet } from "../wire/index.ts";
import { FLOWING, ZONE } from "./direction.ts";
import { WORD } from "./flow-row.ts";

// Bits of a kind.
const FAMILY_6 = 0x100;
const ZONE_SHIFT = 9;

/** Words of a key: they stand in a row as they stand here. */
export const KEY_WORDS = 9;

/** Protocol of a kind (IANA number). */
export function kindProtocol(kind: number): number {
  return kind & 0xff;
}

/** Family of a kind. */
export function kindFamily(kind: number): 4 | 6 {
  return (kind & FAMILY_6) === 0 ? 4 : 6;
}

/** Zone of a kind, a value of ZONE. */
export function kindZone(kind: number): number {
  return kind >>> ZONE_SHIFT;
}

/** True when packets like this one make flows: whole or first fragments, readable, and for ICMP an echo. */
function isTrackable(packet: Packet): boolean {
  if (packet.fault !== undefined || packet.family === 0 || packet.fragment === FRAGMENT.LATER) return false;
  const { protocol } = packet;
  if (protocol !== PROTOCOL.ICMP && protocol !== PROTOCOL.ICMPV6) return true;
  return isIcmpEcho(protocol, packet.icmpType);
}

/** True for an echo request. Valid on an echo message. */
export function isEchoRequest(packet: Packet): boolean {
  return packet.icmpType === ICMP_TYPE.ECHO_REQUEST || packet.icmpType === ICMPV6_TYPE.ECHO_REQUEST;
}

/** The ports of a packet, or what stands for them: source in the high half, destination in the low one. */
function portsOf(packet: Packet): number {
  if (packet.hasPorts) return (packet.sourcePort << 16) | packet.destinationPort;
  const { protocol } = packet;
  if (protocol !== PROTOCOL.ICMP && protocol !== PROTOCOL.ICMPV6) return 0;
  const asked = protocol === PROTOCOL.ICMP ? ICMP_TYPE.ECHO_REQUEST : ICMPV6_TYPE.ECHO_REQUEST;
  if (isEchoRequest(packet)) return (packet.icmpIdentifier << 16) | asked;
  return (asked << 16) | packet.icmpIdentifier;
}

/** Exchanges the halves of a pair of ports. */
export function swapPorts(ports: number): number {
  return (ports << 16) | (ports >>> 16);
}

/** One key, reused for each packet. */
export class FlowKey {
  /** Remote address, local address, ports, as in WORD. */
  readonly words: Int32Array = new Int32Array(KEY_WORDS);
  /** Protocol, family and zone. */
  kind = 0;
  /** Hash under which the table keeps the key; the same for the turned key. */
  hash = 0;
  /** A value of FLOWING: whether the packet goes to the local end. */
  flowing: number = FLOWING.RECEIVED;

  /**
   * Makes the key of a packet.
   *
   * @param packet - a decoded packet
   * @param hook - where it was met
   * @returns false when the packet belongs to no flow of its own
   */
  bind(packet: Packet, hook: Hook): boolean {
    if (!isTrackable(packet)) return false;
    const zone = hook === HOOK.FORWARD ? ZONE.FORWARD : ZONE.LOCAL;
    this.kind = packet.protocol | (packet.family === 6 ? FAMILY_6 : 0) | (zone << ZONE_SHIFT);
    this.flowing = hook === HOOK.OUTPUT ? FLOWING.SENT : FLOWING.RECEIVED;
    const ports = portsOf(packet);
    if (this.flowing === FLOWING.RECEIVED) this.#fill(packet.source, packet.destination, ports);
    else this.#fill(packet.destination, packet.source, swapPorts(ports));
    return true;
  }

  /** Exchanges the ends: the same packet, seen as going the other way. */
  turn(): void {
    const { words } = this;
    for (let at = 0; at < ADDRESS_WORDS; at += 1) {
      const remote = words[WORD.REMOTE + at] ?? 0;
      words[WORD.REMOTE + at] = words[WORD.LOCAL + at] ?? 0;
      words[WORD.LOCAL + at] = remote;
    }
    words[WORD.PORTS] = swapPorts(words[WORD.PORTS] ?? 0);
    this.flowing = this.flowing === FLOWING.RECEIVED ? FLOWING.SENT : FLOWING.RECEIVED;
  }

  /** True when a row of the same kind holds this key. The parts that differ most often are compared first. */
  matches(row: Int32Array, at: number): boolean {
    const { words } = this;
    if (row[at + WORD.PORTS] !== words[WORD.PORTS]) return false;
    // All IPv4 addresses have the same first three words.
    const first = (this.kind & FAMILY_6) === 0 ? ADDRESS_WORDS - 1 : 0;
    for (let index = ADDRESS_WORDS - 1; index >= first; index -= 1) {
      if (row[at + WORD.REMOTE + index] !== words[WORD.REMOTE + index]) return false;
      if (row[at + WORD.LOCAL + index] !== words[WORD.LOCAL + index]) return false;
    }
    return true;
  }

  #fill(remote: AddressWords, local: AddressWords, ports: number): void {
    const { words } = this;
    for (let at = 0; at < ADDRESS_WORDS; at += 1) {
      words[WORD.REMOTE + at] = remote[at] ?? 0;
      words[WORD.LOCAL + at] = local[at] ?? 0;
    }
    words[WORD.PORTS] = ports;
  }
}
