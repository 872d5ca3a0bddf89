import assert from "node:assert/strict";
import { test } from "node:test";
import { HOOK, PROTOCOL, TCP_FLAG, TCP_STATES } from "../base/index.ts";
import { buildPacket, decodePacket, Packet } from "../wire/index.ts";
import { COMMIT } from "./commit.ts";
import { Tracker } from "./tracker.ts";

interface Sent {
  readonly out?: boolean;
  readonly protocol?: number;
  readonly flags?: number;
}

/** A packet between two hosts: in unless it goes out. */
function packetOf({ out = false, protocol = PROTOCOL.TCP, flags = 0 }: Sent): Packet {
  const [remote, local] = [
    { address: "192.0.2.2", port: 4000 },
    { address: "192.0.2.1", port: 80 },
  ];
  const [from, to] = out ? [local, remote] : [remote, local];
  const bytes = buildPacket({
    source: from.address,
    sourcePort: from.port,
    destination: to.address,
    destinationPort: to.port,
    protocol,
    flags,
  });
  const packet = new Packet();
  decodePacket(packet, new DataView(bytes.buffer), 0, bytes.length);
  packet.hook = out ? HOOK.OUTPUT : HOOK.INPUT;
  return packet;
}

function accept(tracker: Tracker, sent: Sent, now = 0): number {
  const packet = packetOf(sent);
  tracker.lookup(packet, now);
  return tracker.commit(packet, now);
}

/** A tracker with one established connection. */
function connected(): Tracker {
  const tracker = new Tracker();
  accept(tracker, { flags: TCP_FLAG.SYN });
  accept(tracker, { out: true, flags: TCP_FLAG.SYN | TCP_FLAG.ACK });
  accept(tracker, { flags: TCP_FLAG.ACK });
  assert.equal(TCP_STATES[tracker.flows.state(tracker.slot)], "ESTABLISHED");
  return tracker;
}

test("a killed connection is known as killed, whichever end speaks, and is not adopted again", () => {
  const tracker = connected();
  tracker.kill(tracker.slot);
  for (const out of [false, true]) {
    tracker.lookup(packetOf({ out, flags: TCP_FLAG.ACK }), 1000);
    assert.equal(tracker.killed, true);
    assert.equal(TCP_STATES[tracker.tcpState], "CLOSED");
  }
});

test("a SYN on a killed connection begins another", () => {
  const tracker = connected();
  tracker.kill(tracker.slot);
  tracker.lookup(packetOf({ flags: TCP_FLAG.SYN }), 1000);
  assert.equal(tracker.killed, false);
  assert.ok(accept(tracker, { flags: TCP_FLAG.SYN }, 1000) & COMMIT.MADE);
  tracker.lookup(packetOf({ out: true, flags: TCP_FLAG.SYN | TCP_FLAG.ACK }), 1000);
  assert.equal(tracker.killed, false);
});

test("a killed connection is forgotten after the timeout of closed ones", () => {
  const tracker = connected();
  tracker.kill(tracker.slot);
  const later = tracker.timeouts["tcp.closed"] + 1;
  tracker.lookup(packetOf({ flags: TCP_FLAG.ACK }), later);
  assert.equal(tracker.killed, false);
  assert.equal(tracker.slot, -1);
});

test("a killed flow of any other protocol is gone at once", () => {
  const tracker = new Tracker();
  accept(tracker, { protocol: PROTOCOL.UDP });
  tracker.kill(tracker.slot);
  tracker.lookup(packetOf({ protocol: PROTOCOL.UDP }), 0);
  assert.equal(tracker.slot, -1);
  assert.equal(tracker.killed, false);
  assert.equal(tracker.counters.killed, 1);
});
