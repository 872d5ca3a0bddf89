/** Random packets of few sources that knock, among them copies, wrong flags, spoilt and other packets. */
import fc from "fast-check";
import { type HookName, PROTOCOL, TCP_FLAG } from "#base";
import { KNOCK_PORTS } from "#testing";
import { buildPacket, IPV6_EXTENSION } from "#wire";
import { type JudgedPacket, LOCAL, REMOTE, setNumber, TIME_TO_LIVE } from "./packets.ts";

const step = fc.record({
  source: fc.nat(1),
  hook: fc.constantFrom<HookName>("INPUT", "INPUT", "INPUT", "FORWARD", "OUTPUT"),
  isIpv6: fc.constantFrom(false, false, true),
  extensions: fc.constantFrom([], [], [], [{ type: IPV6_EXTENSION.DESTINATION, data: new Uint8Array(6) }]),
  protocol: fc.constantFrom(PROTOCOL.TCP, PROTOCOL.TCP, PROTOCOL.UDP),
  hasWrongChecksum: fc.constantFrom(false, false, true),
  isSpoilt: fc.constantFrom(false, false, false, false, false, true),
  port: fc.constantFrom(...KNOCK_PORTS.doors, ...KNOCK_PORTS.doors, KNOCK_PORTS.opened, 80),
  sourcePort: fc.constantFrom(22, 22, 22, 23),
  sequence: fc.nat(7),
  flags: fc.oneof(
    { weight: 8, arbitrary: fc.constant(TCP_FLAG.SYN) },
    { weight: 1, arbitrary: fc.constantFrom(TCP_FLAG.ACK, TCP_FLAG.RST, TCP_FLAG.SYN | TCP_FLAG.ECE) },
  ),
});

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** Of a datagram over IPv4 the byte behind the length is the checksum's (RFC 768). */
const CHECKSUM_AT = 20 + 6;

/** Where a segment says how long its header is (RFC 9293 section 3.1), and a datagram how long it is. */
const DATA_OFFSET_AT = 12;
const LENGTH_AT = 4;

/** More bytes than any of these packets has. */
const TOO_LONG = 0xf0;

/** Ends of a packet, and the interface that it leaves by. */
function placed({ source, hook, isIpv6 }: Step): { source: string; destination: string; out: string } {
  const isOfFamily = (address: string): boolean => address.includes(":") === isIpv6;
  const locals = LOCAL.filter(isOfFamily);
  const remotes = REMOTE.filter(([address]) => isOfFamily(address));
  const [there = "", thereOut = ""] = remotes[source] ?? [];
  const [other = "", otherOut = ""] = remotes[(source + 1) % remotes.length] ?? [];
  if (hook === "INPUT") return { source: there, destination: locals[0] ?? "", out: "" };
  if (hook === "OUTPUT") return { source: locals[source] ?? "", destination: there, out: thereOut };
  return { source: there, destination: other, out: otherOut };
}

function toPacket(step: Step, at: number): JudgedPacket {
  const { hook, isIpv6, port, hasWrongChecksum, isSpoilt, flags, ...rest } = step;
  const { out, ...ends } = placed(step);
  const bytes = buildPacket({
    ...rest,
    ...ends,
    // A reset of the host's own may be the answer to what was refused, which our table lets pass.
    flags: hook === "OUTPUT" && flags === TCP_FLAG.RST ? TCP_FLAG.ACK : flags,
    destinationPort: port,
    timeToLive: TIME_TO_LIVE,
  });
  const isUdp = rest.protocol === PROTOCOL.UDP;
  if (hasWrongChecksum && !isIpv6 && isUdp) bytes[CHECKSUM_AT] = ((bytes[CHECKSUM_AT] ?? 0) + 1) & 0xff;
  const headerBytes = isIpv6 ? 40 + 8 * rest.extensions.length : 20;
  if (isSpoilt) bytes[headerBytes + (isUdp ? LENGTH_AT : DATA_OFFSET_AT)] = TOO_LONG;
  setNumber(bytes, at + 1);
  return { bytes, hook, now: 1_000_000 + at, out };
}

/** A run of packets. @param count - of packets */
export function knockRuns(count: number): fc.Arbitrary<readonly JudgedPacket[]> {
  return fc
    .array(step, { minLength: count, maxLength: count })
    .map((steps) => steps.map((each, at) => toPacket(each, at)));
}
