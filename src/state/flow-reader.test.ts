import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress, HOOK, PROTOCOL } from "../base/index.ts";
import { Conversation, packetAt } from "../testing/conversation.ts";
import type { Packet } from "../wire/index.ts";
import { DIRECTION, FLOWING, PEER, ZONE } from "./direction.ts";
import { Tracker } from "./tracker.ts";

function accept(tracker: Tracker, packet: Packet, now = 0): void {
  tracker.lookup(packet, now);
  tracker.commit(packet, now);
}

function address(tracker: Tracker, peer: number): string {
  const words = new Uint32Array(4);
  tracker.flows.copyAddress(tracker.slot, peer, words);
  return formatAddress(tracker.flows.family(tracker.slot), words);
}

test("every field of a flow can be read back, whichever end began it", () => {
  for (const way of ["in", "out", "forward"] as const) {
    const tracker = new Tracker();
    const conversation = new Conversation({
      remote: "2001:db8::1",
      local: "2001:db8::2",
      forwarded: way === "forward",
    });
    const first = way === "out" ? conversation.sent("S") : conversation.received("S");
    first.inInterface = 3;
    first.outInterface = 4;
    first.mark = 0xdead_beef;
    accept(tracker, first, 1000);
    const answer = way === "out" ? conversation.received("SA") : conversation.sent("SA");
    answer.timeToLive = 50;
    answer.userId = 1001;
    accept(tracker, answer, 1500);
    tracker.attribute(tracker.slot, 7, -1, 3_000_000_000);
    tracker.setNote(tracker.slot, 300);

    const { flows, slot } = tracker;
    assert.equal(flows.protocol(slot), PROTOCOL.TCP);
    assert.equal(flows.family(slot), 6);
    assert.equal(flows.zone(slot), way === "forward" ? ZONE.FORWARD : ZONE.LOCAL);
    assert.equal(flows.hook(slot), { in: HOOK.INPUT, out: HOOK.OUTPUT, forward: HOOK.FORWARD }[way]);
    assert.equal(flows.originalFlowing(slot), way === "out" ? FLOWING.SENT : FLOWING.RECEIVED);
    assert.equal(address(tracker, PEER.REMOTE), "2001:db8::1");
    assert.equal(address(tracker, PEER.LOCAL), "2001:db8::2");
    assert.equal(flows.port(slot, PEER.REMOTE), 40_000);
    assert.equal(flows.port(slot, PEER.LOCAL), 443);
    assert.equal(flows.created(slot), 1000);
    assert.equal(flows.lastSeen(slot), 1500);
    assert.equal(tracker.expiry(slot), 1500 + 30_000);
    for (const direction of [DIRECTION.ORIGINAL, DIRECTION.REPLY]) {
      assert.equal(flows.packets(slot, direction), 1);
      assert.equal(flows.bytes(slot, direction), 60);
    }
    assert.equal(flows.timeToLive(slot, way === "out" ? PEER.REMOTE : PEER.LOCAL), 50);
    assert.equal(flows.chain(slot), 7);
    assert.equal(flows.rule(slot), -1);
    assert.equal(flows.revision(slot), 3_000_000_000);
    assert.equal(flows.note(slot), 300);
    assert.equal(flows.user(slot), 1001);
    assert.equal(flows.mark(slot), 0xdead_beef);
    assert.equal(flows.inInterface(slot), 3);
    assert.equal(flows.outInterface(slot), 4);
    assert.ok(flows.isReplied(slot));
    assert.ok(!flows.isOffloaded(slot));
    tracker.setOffloaded(slot, true);
    tracker.setMark(slot, 5);
    assert.ok(flows.isOffloaded(slot));
    assert.equal(flows.mark(slot), 5);
    tracker.setOffloaded(slot, false);
    assert.ok(!flows.isOffloaded(slot));
  }
});

test("a visit in slices meets each flow once, and may remove flows on its way", () => {
  const tracker = new Tracker();
  for (let port = 1; port <= 1000; port += 1) {
    accept(tracker, new Conversation({ remotePort: port }).received("S"));
  }
  const seen = new Set<number>();
  let slices = 0;
  for (let cursor = 0; cursor >= 0; slices += 1) {
    cursor = tracker.flows.visit(cursor, 64, (slot) => {
      const port = tracker.flows.port(slot, PEER.REMOTE);
      assert.ok(!seen.has(port));
      seen.add(port);
      if (port % 2 === 0) tracker.remove(slot);
    });
  }
  assert.equal(seen.size, 1000);
  assert.equal(slices, Math.ceil(1000 / 64));
  assert.equal(tracker.size, 500);
  assert.equal(tracker.counters.killed, 500);
});

test("an id names one flow: removed, it is gone, also when its slot is used again", () => {
  const tracker = new Tracker();
  accept(tracker, new Conversation({ remotePort: 1 }).received("S"));
  const { slot } = tracker;
  const id = tracker.flows.id(slot);
  assert.ok(Number.isSafeInteger(id));
  assert.equal(tracker.flows.slotOf(id), slot);
  tracker.remove(slot);
  tracker.remove(slot);
  assert.equal(tracker.counters.killed, 1, "nothing is removed twice");
  assert.equal(tracker.flows.slotOf(id), -1);
  accept(tracker, new Conversation({ remotePort: 2 }).received("S"));
  assert.equal(tracker.slot, slot);
  assert.equal(tracker.flows.slotOf(id), -1);
});

test("a flow that is removed between lookup and commit is made anew", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  accept(tracker, conversation.received("S"));
  const packet = conversation.sent("SA");
  tracker.lookup(packet, 0);
  tracker.remove(tracker.slot);
  tracker.commit(packet, 0);
  assert.equal(tracker.size, 1);
});

test("an empty tracker has nothing to visit", () => {
  const tracker = new Tracker();
  assert.equal(
    tracker.flows.visit(0, 100, () => assert.fail("no flow is there")),
    -1,
  );
});

test("counters can be read by name", () => {
  const tracker = new Tracker();
  const udp = packetAt(HOOK.INPUT, { source: "192.0.2.1", destination: "192.0.2.2", protocol: PROTOCOL.UDP });
  accept(tracker, udp);
  accept(tracker, udp);
  const { searches, matches, inserts, removals } = tracker.counters;
  assert.deepEqual(
    { searches, matches, inserts, removals },
    { searches: 2, matches: 1, inserts: 1, removals: 0 },
  );
});
