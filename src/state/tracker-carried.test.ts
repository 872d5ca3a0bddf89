/**
 * Connections that the kernel carries to their end: who is asked about them, who gives way, what begins anew.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SECOND, TCP_STATES } from "../base/index.ts";
import { Conversation } from "../testing/conversation.ts";
import type { Packet } from "../wire/index.ts";
import type { TrackerOptions } from "./tracker-options.ts";
import { Tracker } from "./tracker.ts";

/** A tracker whose owner writes down what it is told, and knows which connections are over. */
function watched(options: TrackerOptions = {}): {
  readonly tracker: Tracker;
  readonly asked: number[];
  readonly lost: number[];
  readonly over: Set<number>;
  /** Connections that the owner was asked about because somebody wanted to know at once. */
  readonly checked: number[];
} {
  const asked: number[] = [];
  const lost: number[] = [];
  const over = new Set<number>();
  const checked: number[] = [];
  const told = {
    idle: (slot: number) => asked.push(slot),
    sealLost: (slot: number) => lost.push(slot),
    isOver: (slot: number) => {
      checked.push(slot);
      return over.has(slot);
    },
  };
  return { tracker: new Tracker({ ...options, ...told }), asked, lost, over, checked };
}

function accept(tracker: Tracker, packet: Packet, now: number): void {
  tracker.lookup(packet, now);
  tracker.commit(packet, now);
}

/** A connection from a port that the kernel carries. @returns its slot */
function carried(tracker: Tracker, remotePort: number, now = 0): number {
  const conversation = new Conversation({ remotePort, localPort: 80 });
  const opening = [conversation.received("S"), conversation.sent("SA"), conversation.received("A")];
  for (const packet of opening) accept(tracker, packet, now);
  tracker.carry(tracker.slot);
  return tracker.slot;
}

test("the owner is asked once a minute whether a connection that is carried is over", () => {
  const { tracker, asked, lost } = watched();
  const slot = carried(tracker, 4000);
  for (let now = 0; now <= 59 * SECOND; now += SECOND) tracker.expire(now);
  assert.deepEqual(asked, []);
  for (let now = 60 * SECOND; now <= 200 * SECOND; now += SECOND) tracker.expire(now);
  assert.deepEqual(asked, [slot, slot, slot]);
  assert.deepEqual([tracker.size, lost.length], [1, 0]);
});

test("a connection that was carried is asked about until this host speaks in it", () => {
  const { tracker, asked } = watched();
  const slot = carried(tracker, 4000);
  tracker.takeBack();
  tracker.expire(70 * SECOND);
  assert.deepEqual(asked, [slot]);
  assert.equal(tracker.flows.isOffloaded(slot), false);
  tracker.lookup(new Conversation({ remotePort: 4000, localPort: 80 }).received("A"), 71 * SECOND);
  assert.equal(tracker.slot, slot, "it is known still");
  accept(tracker, new Conversation({ remotePort: 4000, localPort: 80 }).received("A"), 71 * SECOND);
  assert.equal(tracker.flows.isCarried(slot), true, "nobody vouches for the other end");
  accept(tracker, new Conversation({ remotePort: 4000, localPort: 80 }).sent("A"), 72 * SECOND);
  assert.equal(tracker.flows.isCarried(slot), false);
});

test("in a full table a connection that was carried to its end gives way first, and no other that is carried", () => {
  const { tracker, lost, over } = watched({ capacity: 16 });
  const slots: number[] = [];
  for (let port = 4000; port < 4015; port += 1) slots.push(carried(tracker, port));
  over.add(slots[7] as number);
  accept(tracker, new Conversation({ remotePort: 5000 }).received("S"), 1);
  const opening = tracker.flows.id(tracker.slot);
  accept(tracker, new Conversation({ remotePort: 5001 }).received("S"), 1);
  assert.ok(tracker.flows.slotOf(opening) >= 0);
  assert.deepEqual([tracker.counters.evictedCarried, tracker.counters.evictedHalfOpen], [1, 0]);
  over.clear();
  accept(tracker, new Conversation({ remotePort: 5002 }).received("S"), 1);
  assert.equal(tracker.flows.slotOf(opening), -1, "the oldest half-open one, where none is over");
  assert.deepEqual([tracker.counters.evictedCarried, tracker.counters.evictedHalfOpen], [1, 1]);
  assert.equal(tracker.offloaded, 14);
  assert.deepEqual(lost, []);
});

test("a full table asks in vain a bounded number of times in a tenth of a second", () => {
  const { tracker, checked } = watched({ capacity: 256 });
  for (let port = 4000; port < 4256; port += 1) carried(tracker, port);
  for (let port = 5000; port < 5100; port += 1) {
    tracker.lookup(new Conversation({ remotePort: port }).received("S"), 1);
    tracker.commit(new Conversation({ remotePort: port }).received("S"), 1);
  }
  assert.equal(checked.length, 32);
  accept(tracker, new Conversation({ remotePort: 6000 }).received("S"), 200);
  assert.equal(checked.length, 64);
  assert.equal(new Set(checked).size, 64, "each time other ones");
});

test("a flood of first packets pushes out itself and not what is carried", () => {
  const { tracker } = watched({ capacity: 64 });
  for (let port = 4000; port < 4010; port += 1) carried(tracker, port);
  for (let port = 5000; port < 5500; port += 1) {
    accept(tracker, new Conversation({ remotePort: port }).received("S"), 1);
  }
  assert.equal(tracker.offloaded, 10);
  assert.equal(tracker.counters.evictedCarried, 0);
});

test("a SYN that the kernel takes for a beginning ends what it carried, and no seal is to be taken away", () => {
  const { tracker, lost } = watched();
  carried(tracker, 4000);
  const next = new Conversation({ remotePort: 4000, localPort: 80 }).received("S");
  next.vouched = true;
  tracker.lookup(next, 10);
  assert.equal(
    TCP_STATES[tracker.tcpState],
    "ESTABLISHED",
    "one that it vouches for belongs to the connection",
  );
  next.vouched = false;
  accept(tracker, next, 10);
  assert.equal(TCP_STATES[tracker.flows.state(tracker.slot)], "SYN_RCVD1");
  assert.deepEqual([tracker.size, tracker.offloaded, lost.length], [1, 0, 0]);
});

test("where seals are not in force any more a SYN is held against what the kernel knows of the connection", () => {
  const { tracker, over, checked } = watched();
  const slot = carried(tracker, 4000);
  tracker.takeBack();
  const forged = new Conversation({ remotePort: 4000, localPort: 80 }).received("S");
  tracker.lookup(forged, 10);
  assert.deepEqual([tracker.slot, TCP_STATES[tracker.tcpState], checked], [slot, "ESTABLISHED", [slot]]);
  over.add(slot);
  tracker.lookup(forged, 20);
  assert.deepEqual([tracker.slot, TCP_STATES[tracker.tcpState]], [-1, "CLOSED"]);
});

test("a connection that is killed as it opens is told to be without a seal, which may be prepared", () => {
  const { tracker, lost } = watched();
  const conversation = new Conversation({ remotePort: 4000, localPort: 80 });
  for (const packet of [conversation.received("S"), conversation.sent("SA")]) accept(tracker, packet, 0);
  tracker.kill(tracker.slot);
  assert.deepEqual(lost, [tracker.slot]);
});

test("a connection that was carried and is killed then is a closed one like others", () => {
  const { tracker, lost } = watched({ capacity: 16 });
  const slot = carried(tracker, 4000);
  tracker.takeBack();
  tracker.kill(slot);
  assert.deepEqual([tracker.flows.isCarried(slot), lost], [false, []]);
  for (let port = 5000; port < 5015; port += 1) carried(tracker, port);
  accept(tracker, new Conversation({ remotePort: 6000 }).received("S"), 1);
  assert.deepEqual([tracker.counters.evictedClosing, tracker.counters.refused], [1, 0]);
});

test("a carried connection that is killed loses its seal", () => {
  const { tracker, lost } = watched();
  const slot = carried(tracker, 4000);
  tracker.kill(slot);
  assert.deepEqual(lost, [slot]);
  assert.equal(tracker.flows.isCarried(slot), false);
});

test("before a connection expires whose SYN was answered its owner is asked, and may say that it is carried", () => {
  const { tracker, asked } = watched();
  const conversation = new Conversation({ remotePort: 4000, localPort: 80 });
  accept(tracker, conversation.received("S"), 0);
  accept(tracker, conversation.sent("SA"), 0);
  const { slot } = tracker;
  tracker.expire(29 * SECOND);
  assert.deepEqual([asked, tracker.halfOpen], [[], 1]);
  tracker.expire(31 * SECOND);
  assert.deepEqual(asked, [slot]);
  tracker.carryUnseen(slot);
  const { flows } = tracker;
  assert.deepEqual([tracker.halfOpen, tracker.offloaded], [0, 1]);
  assert.ok(flows.isEstablished(slot) && flows.isCarried(slot) && flows.isNumbered(slot));
  tracker.renew(slot, 31 * SECOND);
  tracker.expire(90 * SECOND);
  assert.deepEqual(asked, [slot]);
  tracker.expire(92 * SECOND);
  assert.deepEqual(asked, [slot, slot], "as about any connection that is carried");
});

test("nobody is asked about connections without an answer, nor about any in a flood", () => {
  const { tracker, asked } = watched({ capacity: 16 });
  for (let port = 4000; port < 4006; port += 1) {
    const conversation = new Conversation({ remotePort: port, localPort: 80 });
    accept(tracker, conversation.received("S"), 0);
    if (port < 4005) accept(tracker, conversation.sent("SA"), 0);
  }
  for (let now = 0; now <= 200; now += 1) tracker.expire(now * SECOND);
  const some = new Set(asked);
  // An eighth of the table is two, of which one had no answer.
  assert.equal(some.size, 1);
  for (const slot of some) tracker.ended(slot);
  assert.equal(tracker.size, 0);
});

/** A connection that opens, and what both its ends say when far more has passed than its handshake allows. */
function overtaken(tracker: Tracker): { readonly slot: number; readonly conversation: Conversation } {
  const conversation = new Conversation({ remotePort: 4000, localPort: 80, forwarded: true });
  for (const packet of [conversation.received("S"), conversation.sent("SA")]) accept(tracker, packet, 0);
  conversation.remote.next += 1_000_000;
  conversation.local.next += 1_000_000;
  return { slot: tracker.slot, conversation };
}

const ENDS = ["received", "sent"] as const;

for (const end of ENDS) {
  test(`that an overtaken connection stands is the kernel's to say, and nobody else's: ${end}`, () => {
    const { tracker } = watched();
    const { slot, conversation } = overtaken(tracker);
    const stateOf = (): string | undefined => TCP_STATES[tracker.flows.state(slot)];
    accept(tracker, conversation[end]("PA", { bytes: 100 }), 1);
    assert.equal(stateOf(), "SYN_RCVD2");
    const vouched = conversation[end]("PA", { bytes: 100 });
    vouched.vouched = true;
    accept(tracker, vouched, 2);
    assert.deepEqual([stateOf(), tracker.flows.isNumbered(slot)], ["ESTABLISHED", true]);
    assert.equal(tracker.halfOpen, 0);
    // The segment may be a forged one that seems delayed to the kernel: it tells no more.
    for (const sender of ENDS) {
      for (const flags of ["R", "FA"]) {
        const forged = conversation[sender](flags, { sequence: 77, acknowledgement: 78 });
        forged.vouched = true;
        accept(tracker, forged, 3);
        assert.equal(stateOf(), "ESTABLISHED");
      }
    }
  });
}

test("a reset and a SYN that the kernel vouches for make no connection stand", () => {
  const { tracker } = watched();
  const { slot, conversation } = overtaken(tracker);
  for (const flags of ["R", "S", "SA"]) {
    const packet = conversation.received(flags, { sequence: 77 });
    packet.vouched = true;
    accept(tracker, packet, 1);
    assert.equal(TCP_STATES[tracker.flows.state(slot)], "SYN_RCVD2", flags);
  }
});

test("in strict mode an overtaken connection stands where the kernel carries it, of which no rule asks", () => {
  const { tracker } = watched({ strict: true });
  const { slot, conversation } = overtaken(tracker);
  const packet = conversation.received("A");
  packet.vouched = true;
  tracker.lookup(packet, 1);
  assert.equal(TCP_STATES[tracker.tcpState], "INVALID");
  packet.carried = true;
  tracker.lookup(packet, 2);
  assert.equal(TCP_STATES[tracker.tcpState], "SYN_RCVD2");
  tracker.commit(packet, 2);
  assert.equal(TCP_STATES[tracker.flows.state(slot)], "ESTABLISHED");
});
