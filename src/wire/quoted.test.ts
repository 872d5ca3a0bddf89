import assert from "node:assert/strict";
import { test } from "node:test";
import { HOOK, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { GOLDEN_PACKETS } from "../testing/golden-packets.ts";
import {
  buildIcmpError,
  buildPacket,
  decodePacket,
  decodeQuoted,
  FRAGMENT,
  ICMP_TYPE,
  ICMPV6_TYPE,
  Packet,
} from "./index.ts";

const CLIENT = "192.0.2.1";
const SERVER = "198.51.100.7";
const ROUTER = "203.0.113.9";
const TCP = buildPacket({
  source: CLIENT,
  destination: SERVER,
  protocol: PROTOCOL.TCP,
  sourcePort: 40_000,
  destinationPort: 443,
  sequence: 0xffff_fff0,
  flags: TCP_FLAG.SYN,
});

/** Decodes an error and what it quotes. */
function read(error: Uint8Array | DataView): { answer: boolean; quoted: Packet } {
  const bytes = new DataView(error.buffer);
  const packet = new Packet();
  const quoted = new Packet();
  assert.equal(decodePacket(packet, bytes, 0, bytes.byteLength), undefined);
  return { answer: decodeQuoted(packet, quoted), quoted };
}

function unreachable(quoted: Uint8Array, quotedBytesMax = 548): Uint8Array {
  const type = ICMP_TYPE.DESTINATION_UNREACHABLE;
  return buildIcmpError({ source: ROUTER, destination: CLIENT, type, code: 1, quoted, quotedBytesMax });
}

test("the golden errors quote what their maker put in", () => {
  const v4 = read(GOLDEN_PACKETS.unreachableIpv4);
  assert.equal(v4.answer, true);
  assert.equal(v4.quoted.sourceText, "192.0.2.1:5353");
  assert.equal(v4.quoted.destinationText, "198.51.100.7:53");
  const v6 = read(GOLDEN_PACKETS.tooBigIpv6);
  assert.equal(v6.answer, true);
  assert.equal(v6.quoted.sourceText, "[2001:db8::1]:40000");
  assert.equal(v6.quoted.destinationText, "[2001:db8::2]:443");
  assert.equal(v6.quoted.tcpFlags, TCP_FLAG.SYN | TCP_FLAG.ACK);
});

test("of a TCP header cut short, what is there is told and the rest is zero", () => {
  for (let kept = 0; kept <= TCP.length; kept += 1) {
    const { answer, quoted } = read(unreachable(TCP, kept));
    assert.equal(answer, kept >= 24, `${kept} bytes`);
    if (!answer) continue;
    assert.equal(quoted.hasPorts, true);
    assert.equal(quoted.destinationPort, 443);
    assert.equal(quoted.sequence, kept >= 28 ? 0xffff_fff0 : 0);
    assert.equal(quoted.tcpFlags, kept >= 40 ? TCP_FLAG.SYN : 0);
  }
});

test("other transports need their ports, or the first eight bytes", () => {
  const needed = [
    [PROTOCOL.UDP, 8],
    [PROTOCOL.UDPLITE, 8],
    [PROTOCOL.SCTP, 4],
    [PROTOCOL.ICMP, 8],
    [47, 0],
  ] as const;
  for (const [protocol, bytes] of needed) {
    const payload = new Uint8Array(100);
    const packet = buildPacket({ source: CLIENT, destination: SERVER, protocol, sourcePort: 9, payload });
    for (let kept = 20; kept <= 40; kept += 1) {
      assert.equal(read(unreachable(packet, kept)).answer, kept >= 20 + bytes, `${protocol}: ${kept} bytes`);
    }
  }
});

test("a quoted later fragment has addresses and no ports", () => {
  const payload = new Uint8Array(16);
  const packet = buildPacket({
    source: CLIENT,
    destination: SERVER,
    protocol: 17,
    fragmentOffset: 8,
    payload,
  });
  const { answer, quoted } = read(unreachable(packet));
  assert.equal(answer, true);
  assert.equal(quoted.fragment, FRAGMENT.LATER);
  assert.equal(quoted.hasPorts, false);
});

test("extension objects behind the quoted packet are left out", () => {
  const padded = new Uint8Array(140);
  padded.set(TCP.subarray(0, 24));
  // The message tells that only six words are the packet; what follows in the eighth word is not its flags.
  padded.fill(0xff, 24);
  const type = ICMP_TYPE.TIME_EXCEEDED;
  const error = { source: ROUTER, destination: CLIENT, type, code: 0, quoted: padded };
  assert.equal(read(buildIcmpError({ ...error, rest: 6 << 16 })).quoted.sequence, 0);
  assert.equal(read(buildIcmpError(error)).quoted.sequence, 0xffff_ffff);
});

test("extension objects are left out of ICMPv6 errors, which count in units of eight bytes", () => {
  const inner = buildPacket({ source: "2001:db8::1", destination: "2001:db8::2", protocol: PROTOCOL.TCP });
  const padded = new Uint8Array(140).fill(0xff);
  padded.set(inner.subarray(0, 44));
  const type = ICMPV6_TYPE.TIME_EXCEEDED;
  const error = { source: "2001:db8::9", destination: "2001:db8::1", type, code: 0, quoted: padded };
  assert.equal(read(buildIcmpError(error)).quoted.sequence, 0xffff_ffff);
  const { answer, quoted } = read(buildIcmpError({ ...error, rest: 6 << 24 }));
  assert.equal(answer, true);
  assert.equal(quoted.end - quoted.at, 48);
});

test("what is no error quotes nothing", () => {
  for (const name of ["echoIpv4", "echoIpv6", "tcpIpv4", "udpIpv6Extensions", "laterFragmentIpv4"] as const) {
    assert.equal(read(GOLDEN_PACKETS[name]).answer, false, name);
  }
});

test("an error about garbage quotes nothing, and names the fault", () => {
  const { answer, quoted } = read(unreachable(new Uint8Array(60)));
  assert.equal(answer, false);
  assert.equal(quoted.fault, "ip-version-unknown");
});

test("the quoted packet's queue metadata is left alone", () => {
  const bytes = GOLDEN_PACKETS.unreachableIpv4;
  const packet = new Packet();
  const quoted = new Packet();
  quoted.hook = HOOK.FORWARD;
  decodePacket(packet, bytes, 0, bytes.byteLength);
  decodeQuoted(packet, quoted);
  assert.equal(quoted.hook, HOOK.FORWARD);
});
