/** The tracker against its plain model: same states, same sizes, same victims, for any packets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HOOK, type Hook, PROTOCOL, TCP_STATES } from "../base/index.ts";
import { flagsOf, packetAt } from "../testing/conversation.ts";
import { type ModelPacket, TrackerModel } from "../testing/tracker-model.ts";
import { DATAGRAM_STATES } from "./datagram-machine.ts";
import { Tracker } from "./tracker.ts";

const ADDRESSES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
const PORTS = [1, 2];
const FLAGS = ["S", "SA", "A", "FA", "F", "PA", "-", "SF"];

interface Step {
  readonly hook: Hook;
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly flags: string;
  readonly waitMs: number;
  readonly dropped: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  hook: fc.constantFrom(HOOK.INPUT, HOOK.OUTPUT, HOOK.FORWARD),
  protocol: fc.constantFrom(PROTOCOL.TCP, PROTOCOL.TCP, PROTOCOL.UDP, PROTOCOL.SCTP),
  source: fc.nat(ADDRESSES.length - 1),
  destination: fc.nat(ADDRESSES.length - 1),
  sourcePort: fc.constantFrom(...PORTS),
  destinationPort: fc.constantFrom(...PORTS),
  flags: fc.constantFrom(...FLAGS),
  waitMs: fc.constantFrom(0, 0, 10, 20_000, 100_000),
  dropped: fc.constantFrom(false, false, false, true),
});

/** The step's packet as the model takes it. All numbers are zero, so that only control bits step a flow. */
function plainPacket(one: Step): ModelPacket {
  return {
    hook: one.hook,
    protocol: one.protocol,
    source: `${ADDRESSES[one.source]}:${one.sourcePort}`,
    destination: `${ADDRESSES[one.destination]}:${one.destinationPort}`,
    flags: flagsOf(one.flags),
    sequence: 0,
    acknowledgement: 0,
    window: 0xffff,
    payloadBytes: 0,
  };
}

/** Flows of the tracker that have not expired, in the words of the model. */
function read(tracker: Tracker, now: number): string[] {
  const lines: string[] = [];
  const words = new Uint32Array(4);
  tracker.flows.visit(0, 1_000_000, (slot) => {
    if (tracker.expiry(slot) <= now) return;
    const { flows } = tracker;
    const end = (peer: number): string => {
      flows.copyAddress(slot, peer, words);
      return `192.0.2.${(words[3] ?? 0) & 255}:${flows.port(slot, peer)}`;
    };
    const isTcp = flows.protocol(slot) === PROTOCOL.TCP;
    const state = (isTcp ? TCP_STATES : DATAGRAM_STATES)[flows.state(slot)];
    const zone = flows.zone(slot) === 0 ? "local" : "forward";
    const counts = `${flows.packets(slot, 0)}:${flows.packets(slot, 1)}`;
    lines.push(`${zone} ${flows.protocol(slot)} ${end(0)} ${end(1)} ${state} ${counts}`);
  });
  return lines.sort();
}

/** Runs both; compares what rules see at every packet and the flows after it. */
function compare(steps: readonly Step[], capacity: number, waits: boolean): number {
  const tracker = new Tracker({ capacity, seed: [3, 9], timeouts: { "adaptive.start": 0 } });
  const model = new TrackerModel(capacity);
  let now = 0;
  for (const one of steps) {
    if (waits) now += one.waitMs;
    const packet = packetAt(one.hook, {
      source: ADDRESSES[one.source] ?? "",
      destination: ADDRESSES[one.destination] ?? "",
      protocol: one.protocol,
      sourcePort: one.sourcePort,
      destinationPort: one.destinationPort,
      flags: flagsOf(one.flags),
      window: 0xffff,
    });
    tracker.lookup(packet, now);
    const seen = TCP_STATES[tracker.tcpState];
    if (!one.dropped) tracker.commit(packet, now);
    const plain = plainPacket(one);
    assert.equal(seen, model.look(plain, now).state);
    if (!one.dropped) model.enter(plain, now);
    assert.deepEqual(read(tracker, now), model.read(now));
    if (!waits) assert.equal(tracker.size, model.flows.size);
    if (waits) tracker.expire(now);
  }
  return model.evicted;
}

test("states, counters and expiry are the model's, for any packets", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => void compare(steps, 1000, true)),
    {
      numRuns: 150,
    },
  );
});

test("a table that is too small keeps the flows the model keeps", () => {
  let evicted = 0;
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 20, maxLength: 120 }),
      fc.integer({ min: 1, max: 12 }),
      (steps, capacity) => {
        evicted += compare(steps, capacity, false);
      },
    ),
    { numRuns: 150 },
  );
  assert.ok(evicted > 1000, `${evicted} evictions were compared`);
});
