import assert from "node:assert/strict";
import { test } from "node:test";
import { InvariantError } from "../base/index.ts";
import { Conversation } from "../testing/conversation.ts";
import type { Packet } from "../wire/index.ts";
import { COMMIT } from "./commit.ts";
import { PEER } from "./direction.ts";
import type { TrackerOptions } from "./tracker-options.ts";
import { Tracker } from "./tracker.ts";

const OPENED = "in:S out:SA in:A";

/** Timeouts that do not depend on the size, so that only the limit is at work. */
const STEADY: TrackerOptions = { timeouts: { "adaptive.start": 0 } };

function accept(tracker: Tracker, packet: Packet, now = 0): number {
  tracker.lookup(packet, now);
  return tracker.commit(packet, now);
}

/** Plays a script on a connection of its own. */
function play(tracker: Tracker, remotePort: number, script: string): void {
  const conversation = new Conversation({ remotePort });
  for (const word of script.split(" ")) accept(tracker, conversation.play(word));
}

/** Remote ports of the flows held. */
function held(tracker: Tracker): number[] {
  const ports: number[] = [];
  tracker.flows.visit(0, 1_000_000, (slot) => ports.push(tracker.flows.port(slot, PEER.REMOTE)));
  return ports.sort((a, b) => a - b);
}

test("at the limit the oldest half-open flow gives way, then the oldest closing one, established ones never", () => {
  const tracker = new Tracker({ ...STEADY, capacity: 6 });
  play(tracker, 1, OPENED);
  play(tracker, 2, `${OPENED} in:FA`);
  play(tracker, 3, "in:S");
  play(tracker, 4, `${OPENED} in:R`);
  play(tracker, 5, "in:S out:SA");
  play(tracker, 6, "out:S");
  const gone: number[] = [];
  for (let port = 11; port <= 15; port += 1) {
    const before = held(tracker);
    play(tracker, port, OPENED);
    gone.push(...before.filter((one) => !held(tracker).includes(one)));
  }
  assert.deepEqual(gone, [3, 5, 6, 2, 4]);
  assert.equal(tracker.counters.evictedHalfOpen, 3);
  assert.equal(tracker.counters.evictedClosing, 2);
});

test("half-open connections are counted: from their SYN until they stand, are refused or give way", () => {
  const tracker = new Tracker({ capacity: 4 });
  const first = new Conversation({ remotePort: 1 });
  accept(tracker, first.received("S"));
  accept(tracker, first.sent("SA"));
  assert.equal(tracker.halfOpen, 1);
  accept(tracker, first.received("A"));
  assert.equal(tracker.halfOpen, 0, "established");
  const refused = new Conversation({ remotePort: 2 });
  accept(tracker, refused.received("S"));
  assert.equal(tracker.halfOpen, 1);
  accept(tracker, refused.sent("RA"));
  assert.equal(tracker.halfOpen, 0, "refused");
  for (let port = 3; port < 9; port += 1)
    accept(tracker, new Conversation({ remotePort: port }).received("S"));
  assert.equal(tracker.halfOpen, tracker.size - 2, "all but the established and the refused one");
  tracker.expire(1_000_000);
  assert.equal(tracker.halfOpen, 0, "expired");
});

test("when only established flows are left a further one is refused, not tracked and counted", () => {
  const tracker = new Tracker({ ...STEADY, capacity: 3 });
  for (const port of [1, 2, 3]) play(tracker, port, OPENED);
  const conversation = new Conversation({ remotePort: 4 });
  assert.equal(accept(tracker, conversation.received("S")), COMMIT.REFUSED);
  assert.equal(tracker.slot, -1);
  assert.deepEqual(held(tracker), [1, 2, 3]);
  assert.equal(tracker.counters.refused, 1);
  tracker.lookup(new Conversation({ remotePort: 1 }).received("A"), 86_400_000);
  assert.equal(accept(tracker, conversation.received("S")), COMMIT.MADE, "room again");
});

test("no flood pushes an established flow out, whatever its packets look like", () => {
  const tracker = new Tracker({ ...STEADY, capacity: 300 });
  for (let port = 1; port <= 100; port += 1) play(tracker, port, OPENED);
  const floods = ["in:S", "in:A", "in:FA", "in:SA", "in:-", "in:S out:SA in:R", "in:A out:R", "in:S out:RA"];
  for (const [kind, script] of floods.entries()) {
    for (let port = 1; port <= 400; port += 1) play(tracker, 1000 * (kind + 1) + port, script);
  }
  assert.deepEqual(
    held(tracker).slice(0, 100),
    Array.from({ length: 100 }, (_, index) => index + 1),
  );
  assert.equal(tracker.size, 300);
  assert.equal(tracker.counters.refused, 0);
});

test("an adopted connection counts as established once both ends have been seen", () => {
  const tracker = new Tracker({ ...STEADY, capacity: 2 });
  play(tracker, 1, "out:A in:A");
  play(tracker, 2, "in:A");
  play(tracker, 3, "in:S");
  assert.deepEqual(held(tracker), [1, 3]);
});

test("a flow that closes joins the closing ones by the time it began to", () => {
  const tracker = new Tracker({ ...STEADY, capacity: 3 });
  const first = new Conversation({ remotePort: 1 });
  for (const word of OPENED.split(" ")) accept(tracker, first.play(word));
  play(tracker, 2, `${OPENED} in:FA`);
  accept(tracker, first.received("FA"));
  play(tracker, 3, OPENED);
  play(tracker, 4, OPENED);
  assert.deepEqual(held(tracker), [1, 3, 4]);
});

test("a million tuples stay within the limit", () => {
  const tracker = new Tracker({ capacity: 4096 });
  const packet = new Conversation().received("S");
  for (let number = 0; number < 1_000_000; number += 1) {
    packet.source[3] = number;
    accept(tracker, packet, number / 100);
    if (number % 1000 === 0) tracker.expire(number / 100);
  }
  assert.ok(tracker.size <= 4096);
  assert.ok(tracker.bytes < 4 * 1024 * 1024, `${tracker.bytes} bytes`);
  const { inserts, removals } = tracker.counters;
  assert.equal(inserts, 1_000_000);
  assert.equal(inserts - removals, tracker.size);
});

test("a table of 100,000 flows takes less than 200 bytes a flow", () => {
  const tracker = new Tracker({ capacity: 100_000 });
  const packet = new Conversation().received("S");
  for (let number = 0; number < 98_304; number += 1) {
    packet.source[3] = number;
    accept(tracker, packet);
  }
  assert.ok(tracker.bytes / tracker.size < 200, `${tracker.bytes / tracker.size} bytes`);
  assert.ok(tracker.longestMove < 300, `${tracker.longestMove} entries moved by one packet`);
});

test("a tracker holds at least one flow and at most 16,777,216", () => {
  for (const capacity of [0, 2 ** 24 + 1, Number.NaN]) {
    assert.throws(() => new Tracker({ capacity }), InvariantError);
  }
  const tracker = new Tracker({ ...STEADY, capacity: 1 });
  play(tracker, 1, "in:S");
  play(tracker, 2, "in:S");
  assert.deepEqual(held(tracker), [2]);
});
