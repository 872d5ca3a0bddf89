/** Random packets of few flows, as bytes with a number each, for hooks of a real host. */
import fc from "fast-check";
import { HOOK_NAMES, type HookName, PROTOCOL, TCP_FLAG } from "#base";
import { buildPacket } from "#wire";

/** Time to live of all packets, so that no other packet is taken for one of them. */
export const TIME_TO_LIVE = 77;

/** Addresses of the firewall. */
export const LOCAL: readonly string[] = ["10.0.0.1", "192.0.2.200", "2001:db8::1", "fd00::7"];

/** Addresses elsewhere, and the firewall's interface towards them. */
export const REMOTE: readonly (readonly [address: string, out: string])[] = [
  ["192.0.2.130", "to-client"],
  ["192.0.3.7", "to-client"],
  ["198.51.100.7", "to-server"],
  ["2001:db8:8000::2", "to-client"],
  ["2001:db8:0:1::1", "to-client"],
  ["fd00::c000:201", "to-server"],
];

/** A packet to be judged. */
export interface JudgedPacket {
  readonly bytes: Uint8Array;
  readonly hook: HookName;
  /** When it is met, in milliseconds. */
  readonly now: number;
  /** The firewall's interface that it leaves by; `""` when it stays. */
  readonly out: string;
}

// Where a packet's number stands (RFC 791 section 3.1, RFC 8200 section 3).
const IPV4_IDENTIFICATION = 4;
const IPV6_CLASS_AND_LABEL = 0;
const IPV6_PAYLOAD_LENGTH = 4;

/** The packet's number, different for each family. */
export function numberOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) >>> 4 === 4) return 0x40_0000 + view.getUint16(IPV4_IDENTIFICATION);
  return 0x60_0000 + (view.getUint32(IPV6_CLASS_AND_LABEL) & 0xf_ffff);
}

/** Writes the packet's number. */
export function setNumber(bytes: Uint8Array, number: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) >>> 4 === 4) view.setUint16(IPV4_IDENTIFICATION, number);
  else
    view.setUint32(
      IPV6_CLASS_AND_LABEL,
      ((view.getUint32(IPV6_CLASS_AND_LABEL) & 0xfff0_0000) | number) >>> 0,
    );
}

const PORTS = [22, 53, 443, 65_535];
const PROTOCOLS = [
  PROTOCOL.TCP,
  PROTOCOL.TCP,
  PROTOCOL.UDP,
  PROTOCOL.UDP,
  PROTOCOL.ICMP,
  PROTOCOL.ICMPV6,
  PROTOCOL.SCTP,
  PROTOCOL.UDPLITE,
  47,
];

/** IPv4 options that say nothing (RFC 791 section 3.1, "No Operation"). */
const NO_OPERATIONS = new Uint8Array(4).fill(1);
const FLAGS = [
  TCP_FLAG.SYN,
  TCP_FLAG.SYN | TCP_FLAG.ACK,
  TCP_FLAG.ACK,
  TCP_FLAG.ACK | TCP_FLAG.PSH,
  TCP_FLAG.FIN | TCP_FLAG.ACK,
  TCP_FLAG.RST,
];

/** How a packet is spoilt: bytes cut off behind the IP header, or one byte there changed. */
interface Damage {
  readonly kind: "none" | "cut" | "change";
  readonly at: number;
  readonly value: number;
}

const damage: fc.Arbitrary<Damage> = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Damage>({ kind: "none", at: 0, value: 0 }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("cut" as const), at: fc.nat(24), value: fc.constant(0) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("change" as const), at: fc.nat(20), value: fc.nat(255) }),
  },
);

function headerBytes(bytes: Uint8Array): number {
  const first = bytes[0] ?? 0;
  return first >>> 4 === 4 ? (first & 15) * 4 : 40;
}

/** The kernel checks lengths of the IP header itself; so they stay right. */
function spoil(bytes: Uint8Array, { kind, at, value }: Damage): Uint8Array {
  const header = headerBytes(bytes);
  if (kind === "none" || header + at >= bytes.length) return bytes;
  if (kind === "change") {
    const changed = bytes.slice();
    changed[header + at] = value;
    return changed;
  }
  const cut = bytes.slice(0, header + at);
  const view = new DataView(cut.buffer);
  if (header === 40) view.setUint16(IPV6_PAYLOAD_LENGTH, at);
  else view.setUint16(2, cut.length);
  return cut;
}

/** Two ends; which of them is the firewall follows from the hook. */
const ends = fc.record({
  family: fc.constantFrom<4 | 6>(4, 6),
  local: fc.nat(1),
  first: fc.nat(2),
  second: fc.nat(2),
});

const shape = fc.record({
  ends,
  protocol: fc.constantFrom(...PROTOCOLS),
  ports: fc.tuple(fc.constantFrom(...PORTS), fc.constantFrom(...PORTS)),
  hook: fc.constantFrom(...HOOK_NAMES, "OUTPUT" as const, "INPUT" as const),
  isReply: fc.boolean(),
  flags: fc.constantFrom(...FLAGS),
  icmp: fc.tuple(fc.constantFrom(0, 3, 8, 128, 129), fc.constantFrom(0, 1, 3)),
  payloadBytes: fc.constantFrom(0, 0, 1, 40),
  hasOptions: fc.constantFrom(true, false, false, false),
  damage,
});

type Shape = typeof shape extends fc.Arbitrary<infer Value> ? Value : never;

/** Source and destination of a packet, and where it leaves. */
function placed({ ends, hook, isReply }: Shape): { source: string; destination: string; out: string } {
  const { family, local, first, second } = ends;
  const isOfFamily = (address: string): boolean => address.includes(":") === (family === 6);
  const locals = LOCAL.filter(isOfFamily);
  const remotes = REMOTE.filter(([address]) => isOfFamily(address));
  const here = locals[local] ?? "";
  const [there = "", thereOut = ""] = remotes[first] ?? [];
  const [other = "", otherOut = ""] = remotes[second === first ? (first + 1) % 3 : second] ?? [];
  if (hook === "INPUT") return { source: there, destination: here, out: "" };
  if (hook === "OUTPUT") return { source: here, destination: there, out: thereOut };
  return isReply
    ? { source: other, destination: there, out: thereOut }
    : { source: there, destination: other, out: otherOut };
}

/**
 * What the host might say to a packet that was refused: our table lets it pass unjudged for a second, so no
 * test may send it.
 */
function withoutAnswers(shape: Shape): Shape {
  const { flags, icmp, damage } = shape;
  return {
    ...shape,
    flags: flags === TCP_FLAG.RST ? TCP_FLAG.ACK : flags,
    icmp: [icmp[0] === 3 ? 8 : icmp[0], icmp[1]],
    damage: damage.kind === "change" ? { ...damage, kind: "none" } : damage,
  };
}

/** Sequence number of each end's SYN. */
const FIRST_NUMBER = 1000;

/**
 * Numbers of TCP segments as each end counts what it has sent. A SYN is always the first one again; so an end
 * that begins anew says all over again what it has said.
 */
class SegmentNumbers {
  readonly #next = new Map<string, number>();

  /** Numbers of the segment that the sender sends next. */
  take(sender: string, receiver: string, flags: number, payloadBytes: number): SegmentNumber {
    const isSyn = (flags & TCP_FLAG.SYN) !== 0;
    const sequence = isSyn ? FIRST_NUMBER : (this.#next.get(sender) ?? FIRST_NUMBER);
    const length = payloadBytes + (isSyn ? 1 : 0) + ((flags & TCP_FLAG.FIN) === 0 ? 0 : 1);
    this.#next.set(sender, sequence + length);
    const acknowledgement = (flags & TCP_FLAG.ACK) === 0 ? 0 : (this.#next.get(receiver) ?? FIRST_NUMBER);
    return { sequence, acknowledgement };
  }
}

interface SegmentNumber {
  readonly sequence: number;
  readonly acknowledgement: number;
}

function toPacket(given: Shape, at: number, numbers: SegmentNumbers): JudgedPacket {
  const shape = given.hook === "OUTPUT" ? withoutAnswers(given) : given;
  const { hook, ports, isReply, flags, icmp, protocol, payloadBytes } = shape;
  const { source, destination, out } = placed(shape);
  // Replies go back: at INPUT and OUTPUT the hook turns the ends round, here the ports follow.
  const isBack = hook === "OUTPUT" || (hook === "FORWARD" && isReply);
  const [sourcePort, destinationPort] = isBack ? [ports[1], ports[0]] : ports;
  const ends = [`${source} ${sourcePort}`, `${destination} ${destinationPort}`] as const;
  const whole = buildPacket({
    ...numbers.take(`${ends[0]} > ${ends[1]}`, `${ends[1]} > ${ends[0]}`, flags, payloadBytes),
    source,
    destination,
    protocol,
    sourcePort,
    destinationPort,
    flags,
    icmpType: icmp[0],
    icmpCode: icmp[1],
    payload: new Uint8Array(payloadBytes),
    timeToLive: TIME_TO_LIVE,
    ...(shape.hasOptions && { ipOptions: NO_OPERATIONS }),
  });
  const bytes = spoil(whole, shape.damage);
  setNumber(bytes, at + 1);
  return { bytes, hook, now: 1_000_000 + at, out };
}

/** A run of packets: few flows, each met several times. @param count - of packets */
export function packetRuns(count: number): fc.Arbitrary<readonly JudgedPacket[]> {
  return fc
    .tuple(
      fc.array(shape, { minLength: 12, maxLength: 12 }),
      fc.array(fc.record({ flow: fc.nat(11), fresh: shape }), { minLength: count, maxLength: count }),
    )
    .map(([flows, picks]) => {
      const numbers = new SegmentNumbers();
      return picks.map(({ flow, fresh }, at) => {
        const base = flows[flow] ?? fresh;
        const { isReply, flags, payloadBytes, damage: spoilt } = fresh;
        // The other end answers: what came in goes out, and the other way round.
        const hook =
          base.hook === "FORWARD" || !isReply ? base.hook : base.hook === "INPUT" ? "OUTPUT" : "INPUT";
        return toPacket({ ...base, hook, isReply, flags, payloadBytes, damage: spoilt }, at, numbers);
      });
    });
}
