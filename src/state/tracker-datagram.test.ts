import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { HOOK, type Hook, PROTOCOL, TCP_STATES } from "../base/index.ts";
import { Conversation, packetAt } from "../testing/conversation.ts";
import {
  buildIcmpError,
  buildPacket,
  decodePacket,
  FRAGMENT,
  ICMP_TYPE,
  ICMPV6_TYPE,
  Packet,
  type PacketFields,
} from "../wire/index.ts";
import { COMMIT } from "./commit.ts";
import { DATAGRAM_STATES, LEVEL } from "./datagram-machine.ts";
import { DIRECTION, PEER } from "./direction.ts";
import { Tracker } from "./tracker.ts";

let tracker = new Tracker();

beforeEach(() => {
  tracker = new Tracker();
});

function accept(packet: Packet, now = 0): number {
  tracker.lookup(packet, now);
  return tracker.commit(packet, now);
}

function state(): string {
  return DATAGRAM_STATES[tracker.flows.state(tracker.slot)] ?? "?";
}

const HOST = "192.0.2.2";
const PEER_HOST = "192.0.2.1";

function received(fields: Partial<PacketFields>): Packet {
  return packetAt(HOOK.INPUT, { source: PEER_HOST, destination: HOST, protocol: PROTOCOL.UDP, ...fields });
}

function sent(fields: Partial<PacketFields>): Packet {
  return packetAt(HOOK.OUTPUT, { source: HOST, destination: PEER_HOST, protocol: PROTOCOL.UDP, ...fields });
}

const ASKED = { sourcePort: 4000, destinationPort: 53 };
const ANSWERED = { sourcePort: 53, destinationPort: 4000 };

test("a UDP flow goes through pf's levels", () => {
  const seen: string[] = [];
  for (const packet of [received(ASKED), received(ASKED), sent(ANSWERED), sent(ANSWERED), received(ASKED)]) {
    accept(packet);
    const { flows, slot } = tracker;
    seen.push(`${state()} ${flows.level(slot, PEER.REMOTE)}:${flows.level(slot, PEER.LOCAL)}`);
  }
  assert.deepEqual(seen, ["FIRST 1:0", "SINGLE 1:0", "REPLIED 2:1", "REPLIED 2:1", "MULTIPLE 2:2"]);
  assert.equal(LEVEL.MULTIPLE, 2);
});

const TIMED = [
  [PROTOCOL.UDP, 60, 30, 30, 60],
  [PROTOCOL.UDPLITE, 60, 30, 30, 60],
  [PROTOCOL.SCTP, 60, 30, 30, 60],
  [47, 60, 30, 30, 60],
] as const;

for (const [protocol, ...seconds] of TIMED) {
  test(`protocol ${protocol}: the timeout follows the levels`, () => {
    const asked = received({ ...ASKED, protocol });
    const answered = sent({ ...ANSWERED, protocol });
    const actual: number[] = [];
    for (const packet of [asked, asked, answered, asked]) {
      accept(packet);
      actual.push(tracker.expiry(tracker.slot) / 1000);
    }
    assert.deepEqual(actual, seconds);
    assert.equal(tracker.size, 1);
  });
}

for (const family of [4, 6] as const) {
  const [host, peer] = family === 4 ? [HOST, PEER_HOST] : ["2001:db8::2", "2001:db8::1"];
  const protocol = family === 4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6;
  const request = family === 4 ? ICMP_TYPE.ECHO_REQUEST : ICMPV6_TYPE.ECHO_REQUEST;
  const reply = family === 4 ? ICMP_TYPE.ECHO_REPLY : ICMPV6_TYPE.ECHO_REPLY;

  test(`ICMP echo is a flow by its identifier (IPv${family})`, () => {
    const ping = { source: peer, destination: host, protocol, icmpType: request, icmpIdentifier: 77 };
    const pong = { source: host, destination: peer, protocol, icmpType: reply, icmpIdentifier: 77 };
    assert.equal(accept(packetAt(HOOK.INPUT, ping)), COMMIT.MADE);
    assert.equal(tracker.flows.port(tracker.slot, PEER.REMOTE), 77);
    assert.equal(tracker.flows.port(tracker.slot, PEER.LOCAL), request);
    assert.equal(accept(packetAt(HOOK.OUTPUT, pong)), COMMIT.STEPPED);
    assert.equal(tracker.direction, DIRECTION.REPLY);
    assert.equal(accept(packetAt(HOOK.INPUT, { ...ping, icmpIdentifier: 78 })), COMMIT.MADE);
    assert.equal(tracker.size, 2);
  });

  test(`two hosts that ping each other with one identifier have two flows (IPv${family})`, () => {
    const fields = { protocol, icmpType: request, icmpIdentifier: 5 };
    accept(packetAt(HOOK.INPUT, { ...fields, source: peer, destination: host }));
    accept(packetAt(HOOK.OUTPUT, { ...fields, source: host, destination: peer }));
    assert.equal(tracker.size, 2);
  });

  test(`an echo reply that answers nothing makes no flow (IPv${family})`, () => {
    const pong = packetAt(HOOK.INPUT, { source: peer, destination: host, protocol, icmpType: reply });
    assert.equal(accept(pong), COMMIT.UNTRACKED);
    assert.equal(tracker.size, 0);
  });
}

/** An ICMP error that a third host sends about a packet. */
function errorAbout(hook: Hook, quoted: PacketFields, source = "203.0.113.9"): Packet {
  const bytes = buildIcmpError({
    source,
    destination: quoted.source,
    type: ICMP_TYPE.DESTINATION_UNREACHABLE,
    code: 3,
    quoted: buildPacket(quoted),
  });
  const packet = new Packet();
  packet.hook = hook;
  decodePacket(packet, new DataView(bytes.buffer, bytes.byteOffset), 0, bytes.byteLength);
  return packet;
}

test("an ICMP error belongs to the flow that it quotes, wherever it comes from", () => {
  const asked = { source: HOST, destination: PEER_HOST, protocol: PROTOCOL.UDP, ...ASKED };
  accept(packetAt(HOOK.OUTPUT, asked));
  const { slot } = tracker;
  const error = errorAbout(HOOK.INPUT, asked);
  assert.equal(accept(error), COMMIT.RELATED);
  assert.ok(tracker.related);
  assert.equal(tracker.slot, slot);
  assert.equal(tracker.direction, DIRECTION.REPLY);
  assert.equal(state(), "FIRST", "the error steps nothing");
  assert.equal(tracker.counters.related, 1);
  accept(packetAt(HOOK.OUTPUT, asked));
  assert.ok(!tracker.related);
});

test("an ICMP error that this host sends belongs to the flow it refuses", () => {
  const asked = { source: PEER_HOST, destination: HOST, protocol: PROTOCOL.UDP, ...ASKED };
  accept(packetAt(HOOK.INPUT, asked));
  assert.equal(accept(errorAbout(HOOK.OUTPUT, asked, HOST)), COMMIT.RELATED);
});

test("forwarded ICMP errors find their flow in either direction", () => {
  const asked = { source: PEER_HOST, destination: HOST, protocol: PROTOCOL.UDP, ...ASKED };
  const answered = { source: HOST, destination: PEER_HOST, protocol: PROTOCOL.UDP, ...ANSWERED };
  accept(packetAt(HOOK.FORWARD, asked));
  accept(errorAbout(HOOK.FORWARD, asked));
  assert.equal(tracker.direction, DIRECTION.REPLY);
  accept(errorAbout(HOOK.FORWARD, answered));
  assert.equal(tracker.direction, DIRECTION.ORIGINAL);
  assert.equal(tracker.counters.related, 2);
});

test("an ICMP error about a TCP flow belongs to it and steps nothing", () => {
  const conversation = new Conversation();
  accept(conversation.sent("S"));
  const { local, remote } = conversation;
  const error = errorAbout(HOOK.INPUT, {
    source: local.address,
    destination: remote.address,
    protocol: PROTOCOL.TCP,
    sourcePort: local.port,
    destinationPort: remote.port,
  });
  assert.equal(accept(error), COMMIT.RELATED);
  assert.equal(TCP_STATES[tracker.flows.state(tracker.slot)], "SYN_SENT1");
});

test("an ICMP error about a stranger belongs to no flow", () => {
  const error = errorAbout(HOOK.INPUT, { source: HOST, destination: PEER_HOST, protocol: PROTOCOL.UDP });
  assert.equal(accept(error), COMMIT.UNTRACKED);
  assert.equal(tracker.slot, -1);
});

test("what has no ports to read makes no flow: later fragments, faulty packets, neighbour discovery", () => {
  const later = received(ASKED);
  later.fragment = FRAGMENT.LATER;
  const faulty = received(ASKED);
  faulty.fault = "udp-truncated";
  const discovery = packetAt(HOOK.INPUT, {
    source: "fe80::1",
    destination: "fe80::2",
    protocol: PROTOCOL.ICMPV6,
    icmpType: 135,
  });
  for (const packet of [later, faulty, discovery, new Packet()]) {
    assert.equal(accept(packet), COMMIT.UNTRACKED);
  }
  assert.equal(tracker.size, 0);
  assert.equal(tracker.counters.untracked, 4);
});

test("the first fragment of a datagram makes and keeps the flow", () => {
  const first = received(ASKED);
  first.fragment = FRAGMENT.FIRST;
  assert.equal(accept(first), COMMIT.MADE);
});
