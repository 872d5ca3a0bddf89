/** Random packets of few sources that knock, among them copies, wrong flags and other packets. */
import fc from "fast-check";
import { PROTOCOL, TCP_FLAG } from "#base";
import { KNOCK_PORTS } from "#testing";
import { buildPacket, IPV6_EXTENSION } from "#wire";
import { type JudgedPacket, LOCAL, REMOTE, setNumber, TIME_TO_LIVE } from "./packets.ts";

const step = fc.record({
  source: fc.nat(1),
  isForwarded: fc.constantFrom(false, false, false, true),
  isIpv6: fc.constantFrom(false, false, true),
  extensions: fc.constantFrom([], [], [], [{ type: IPV6_EXTENSION.DESTINATION, data: new Uint8Array(6) }]),
  protocol: fc.constantFrom(PROTOCOL.TCP, PROTOCOL.TCP, PROTOCOL.UDP),
  hasWrongChecksum: fc.constantFrom(false, false, true),
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

function toPacket({ source, isForwarded, isIpv6, port, ...rest }: Step, at: number): JudgedPacket {
  const isOfFamily = (address: string): boolean => address.includes(":") === isIpv6;
  const remotes = REMOTE.filter(([address]) => isOfFamily(address));
  const [from = ""] = remotes[source] ?? [];
  const [to = "", out = ""] = isForwarded
    ? (remotes[(source + 1) % remotes.length] ?? [])
    : [LOCAL.find(isOfFamily), ""];
  const bytes = buildPacket({
    source: from,
    destination: to,
    destinationPort: port,
    timeToLive: TIME_TO_LIVE,
    ...rest,
  });
  if (rest.hasWrongChecksum && !isIpv6 && rest.protocol === PROTOCOL.UDP) {
    bytes[CHECKSUM_AT] = ((bytes[CHECKSUM_AT] ?? 0) + 1) & 0xff;
  }
  setNumber(bytes, at + 1);
  return { bytes, hook: isForwarded ? "FORWARD" : "INPUT", now: 1_000_000 + at, out };
}

/** A run of packets. @param count - of packets */
export function knockRuns(count: number): fc.Arbitrary<readonly JudgedPacket[]> {
  return fc
    .array(step, { minLength: count, maxLength: count })
    .map((steps) => steps.map((each, at) => toPacket(each, at)));
}
