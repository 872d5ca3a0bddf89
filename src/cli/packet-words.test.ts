import assert from "node:assert/strict";
import { test } from "node:test";
import { FirewallError, formatAddress, HOOK, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { type PacketWords, parsePacketWords } from "./packet-words.ts";

/** The words of one packet, and what they mean where that differs from nothing. */
const MEANINGS: readonly { words: string; means: Partial<PacketWords> }[] = [
  {
    words: "in tcp 192.0.2.1:40000 > 198.51.100.7:22 syn",
    means: {
      hook: HOOK.INPUT,
      protocol: PROTOCOL.TCP,
      sourcePort: 40_000,
      destinationPort: 22,
      tcpFlags: TCP_FLAG.SYN,
    },
  },
  {
    words: "OUT udp [2001:db8::1]:5353 > [2001:db8::2]:53 user 1000 group 100",
    means: {
      hook: HOOK.OUTPUT,
      protocol: PROTOCOL.UDP,
      sourcePort: 5353,
      destinationPort: 53,
      userId: 1000,
      groupId: 100,
    },
  },
  {
    words: "forward icmp 192.0.2.1 > 198.51.100.7 type 3 code 1 iif eth0 oif eth1",
    means: {
      hook: HOOK.FORWARD,
      protocol: PROTOCOL.ICMP,
      icmpType: 3,
      icmpCode: 1,
      inInterface: "eth0",
      outInterface: "eth1",
    },
  },
  {
    words: "in tcp 192.0.2.1:1 > 192.0.2.2:2 fin ack state established mark 0x10 ttl 3 bytes 5",
    means: {
      tcpFlags: TCP_FLAG.FIN | TCP_FLAG.ACK,
      tcpState: "ESTABLISHED",
      mark: 16,
      timeToLive: 3,
      payloadBytes: 5,
    },
  },
  { words: "out udp 192.0.2.1:1 > 192.0.2.2:2 ct Untracked", means: { conntrack: "untracked" } },
  {
    words: "in icmpv6 fe80::1 > ff02::1",
    means: { protocol: PROTOCOL.ICMPV6, icmpType: 128, timeToLive: 64 },
  },
];

for (const { words, means } of MEANINGS) {
  test(`"${words}" is understood`, () => {
    const parsed = parsePacketWords(words);
    assert.deepEqual({ ...parsed, ...means }, parsed);
  });
}

test("addresses keep their family", () => {
  const parsed = parsePacketWords("in udp [2001:db8::1]:1 > [2001:db8::2]:2");
  assert.equal(formatAddress(parsed.source.family, parsed.source.words), "2001:db8::1");
  assert.equal(formatAddress(parsed.destination.family, parsed.destination.words), "2001:db8::2");
});

/** What is wrong, and the column (from 0) of the word that the caret must stand below. */
const MISTAKES: readonly { words: string; at: number; says: RegExp }[] = [
  { words: "", at: 0, says: /ends where a hook should stand/ },
  { words: "up tcp 1.2.3.4:1 > 1.2.3.5:2", at: 0, says: /"up" is not a hook/ },
  { words: "constructor tcp 1.2.3.4:1 > 1.2.3.5:2", at: 0, says: /"constructor" is not a hook/ },
  { words: "in toString 1.2.3.4:1 > 1.2.3.5:2", at: 3, says: /"toString" is not a protocol/ },
  { words: "in tpc 1.2.3.4:1 > 1.2.3.5:2", at: 3, says: /"tpc" is not a protocol/ },
  { words: "in tcp 1.2.3.444:1 > 1.2.3.5:2", at: 7, says: /is no address/ },
  { words: "in tcp 1.2.3.4:70000 > 1.2.3.5:2", at: 7, says: /is no address/ },
  { words: "in tcp 1.2.3.4 > 1.2.3.5:2", at: 7, says: /"1.2.3.4" has no port/ },
  { words: "in sctp [::1]:5 > ::2", at: 18, says: /"::2" has no port/ },
  { words: "in icmp 1.2.3.4 > 1.2.3.5:2", at: 18, says: /ICMP has none/ },
  { words: "in udp 1.2.3.4:1 > 1.2.3.5:2 ttl 5 syn", at: 35, says: /only TCP packets have "syn"/ },
  { words: "in udp 1.2.3.4:1 > 1.2.3.5:2 state CLOSED", at: 29, says: /only TCP packets have "state"/ },
  { words: "in tcp 1.2.3.4:1 > 1.2.3.5:2 type 8", at: 29, says: /only ICMP packets have "type"/ },
  { words: "in tcp 1.2.3.4:1 1.2.3.5:2", at: 17, says: />" should stand here/ },
  { words: "in tcp 1.2.3.4:1 > [::1]:2", at: 0, says: /different families/ },
  { words: "in tcp 1.2.3.4:1 > 1.2.3.5:2 sny", at: 29, says: /"sny" is unknown/ },
  { words: "in tcp 1.2.3.4:1 > 1.2.3.5:2 state OPEN", at: 35, says: /no TCP state/ },
  { words: "in tcp 1.2.3.4:1 > 1.2.3.5:2 ttl 300", at: 33, says: /from 0 to 255/ },
  { words: "in tcp 1.2.3.4:1 > 1.2.3.5:2 constructor", at: 29, says: /"constructor" is unknown/ },
];

for (const { words, at, says } of MISTAKES) {
  test(`"${words}" is refused with a caret at column ${at}`, () => {
    assert.throws(
      () => parsePacketWords(words),
      (error: unknown) => {
        assert.ok(error instanceof FirewallError);
        assert.equal(error.code, "PACKET_WORDS");
        assert.match(error.message, says);
        assert.equal(error.message.split("\n").at(-1), `  ${" ".repeat(at)}^`);
        return true;
      },
    );
  });
}
