import assert from "node:assert/strict";
import { test } from "node:test";
import { Conversation } from "../testing/conversation.ts";
import { PEER } from "./direction.ts";
import { Tracker } from "./tracker.ts";

const FLOOD = 2_000_000;
const ESTABLISHED = 10_000;
const CAPACITY = 262_144;

test("a flood of 2 million forged SYNs leaves 10,000 established flows alive and memory flat", () => {
  const tracker = new Tracker({ capacity: CAPACITY, seed: [11, 13] });
  for (let port = 1; port <= ESTABLISHED; port += 1) {
    const conversation = new Conversation({ remotePort: port });
    for (const packet of [conversation.received("S"), conversation.sent("SA"), conversation.received("A")]) {
      tracker.lookup(packet, 0);
      tracker.commit(packet, 0);
    }
  }
  const syn = new Conversation().received("S");
  let fullBytes = 0;
  for (let number = 0; number < FLOOD; number += 1) {
    const now = number / 200; // 200,000 SYNs a second
    syn.source[3] = 0x0a000000 + number;
    tracker.lookup(syn, now);
    tracker.commit(syn, now);
    if (number % 1000 === 0) tracker.expire(now);
    if (number === FLOOD / 2) fullBytes = tracker.bytes;
  }
  assert.equal(tracker.bytes, fullBytes, "memory is flat once the table is full");
  assert.ok(tracker.bytes / CAPACITY <= 200, `${tracker.bytes / CAPACITY} bytes a flow`);
  let alive = 0;
  tracker.flows.visit(0, CAPACITY, (slot) => {
    if (tracker.flows.port(slot, PEER.LOCAL) === 443 && tracker.flows.isNumbered(slot)) alive += 1;
  });
  assert.equal(alive, ESTABLISHED);
  assert.equal(tracker.counters.refused, 0);
});

test("a million flows take at most 256 MiB, and no packet moves more than a few clusters of the index", () => {
  const tracker = new Tracker({ capacity: 1_000_000 });
  const syn = new Conversation().received("S");
  for (let number = 0; number < 1_000_000; number += 1) {
    syn.source[3] = number;
    tracker.lookup(syn, 0);
    tracker.commit(syn, 0);
  }
  assert.equal(tracker.size, 1_000_000);
  assert.ok(tracker.bytes <= 256 * 1024 * 1024, `${tracker.bytes} bytes`);
  assert.ok(tracker.bytes / tracker.size < 200, `${tracker.bytes / tracker.size} bytes a flow`);
  assert.ok(tracker.longestMove < 500, `${tracker.longestMove} entries`);
});
