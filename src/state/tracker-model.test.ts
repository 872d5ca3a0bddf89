/**
 * The tracker against a model that keeps plain objects in a Map and says the rules in the plainest way: same
 * states, same sizes, same victims, for any packets. The model knows nothing of rows, links, wheels or
 * hashes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HOOK, type Hook, PROTOCOL, TCP_FLAG, TCP_STATES } from "../base/index.ts";
import { flagsOf, packetAt } from "../testing/conversation.ts";
import { DATAGRAM_STATES, DATAGRAM_TABLE, type DatagramState } from "./datagram-machine.ts";
import { NEXT_STATE, segmentOf, stepSegment, stepUnknown } from "./tcp-machine.ts";
import { DATAGRAM_TIMEOUTS, defaultTimeouts, TCP_TIMEOUTS } from "./timeout.ts";
import { Tracker } from "./tracker.ts";

const ADDRESSES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
const PORTS = [1, 2];
const FLAGS = ["S", "SA", "A", "FA", "F", "PA", "-", "SF"];
const TIMEOUTS = defaultTimeouts(1);

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

/** A flow of the model. Its numbers are all zero, so only control bits step it. */
interface ModelFlow {
  state: string;
  readonly protocol: number;
  readonly originalFlowing: number;
  replied: boolean;
  lastSeen: number;
  /** When it came to where it stands in the order of those that give way. */
  since: number;
  packets: [number, number];
}

/** The rules, as plainly as they can be said. */
class Model {
  readonly flows = new Map<string, ModelFlow>();
  readonly #capacity: number;
  #order = 0;
  evicted = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  timeout(flow: ModelFlow): number {
    if (flow.protocol === PROTOCOL.TCP) {
      if (flow.state === "ESTABLISHED" && !flow.replied) return TIMEOUTS["tcp.first"];
      return TIMEOUTS[TCP_TIMEOUTS[flow.state as keyof typeof TCP_TIMEOUTS]];
    }
    const kind = flow.protocol === PROTOCOL.UDP ? "udp" : "other";
    return TIMEOUTS[DATAGRAM_TIMEOUTS[kind][flow.state as DatagramState]];
  }

  stage(flow: ModelFlow): number {
    if (flow.protocol !== PROTOCOL.TCP) return flow.state === "MULTIPLE" ? 2 : 0;
    if (flow.state === "ESTABLISHED") return flow.replied ? 2 : 0;
    return flow.state.startsWith("SYN") ? 0 : 1;
  }

  /** Enters a packet; answers the state that rules see. */
  packet(one: Step, now: number): string {
    for (const [key, flow] of this.flows) {
      if (now >= flow.lastSeen + this.timeout(flow)) this.flows.delete(key);
    }
    const ends = [
      `${ADDRESSES[one.source]}:${one.sourcePort}`,
      `${ADDRESSES[one.destination]}:${one.destinationPort}`,
    ];
    const zone = one.hook === HOOK.FORWARD ? "forward" : "local";
    const keyOf = (flowing: number): string =>
      `${zone} ${one.protocol} ${ends[flowing]} ${ends[1 - flowing]}`;
    let flowing = one.hook === HOOK.OUTPUT ? 1 : 0;
    if (one.hook === HOOK.FORWARD && !this.flows.has(keyOf(0)) && this.flows.has(keyOf(1))) flowing = 1;
    const key = keyOf(flowing);
    const flow = this.flows.get(key);
    const isTcp = one.protocol === PROTOCOL.TCP;
    const reopens = isTcp && one.flags === "S" && /^(CLOSED|TIME_WAIT)$/.test(flow?.state ?? "");
    const known = flow !== undefined && !reopens;
    const seen = known && isTcp ? flow.state : "CLOSED";
    if (one.dropped) return seen;
    if (known) this.#step(flow, flowing, one, now);
    else this.#make(one.hook === HOOK.FORWARD ? keyOf(0) : key, one, reopens ? key : undefined, now);
    return seen;
  }

  #step(flow: ModelFlow, flowing: number, one: Step, now: number): void {
    const before = this.stage(flow);
    const isReply = flowing !== flow.originalFlowing;
    if (flow.protocol === PROTOCOL.TCP) {
      const state = TCP_STATES.indexOf(flow.state as (typeof TCP_STATES)[number]);
      const cell = stepSegment(state, flowing, segmentOf(flagsOf(one.flags)));
      flow.state = TCP_STATES[cell & NEXT_STATE] ?? "?";
    } else flow.state = DATAGRAM_TABLE[flow.state as DatagramState][isReply ? "reply" : "original"];
    flow.replied ||= isReply;
    flow.lastSeen = now;
    flow.packets[isReply ? 1 : 0] += 1;
    this.#order += 1;
    if (this.stage(flow) !== before) flow.since = this.#order;
  }

  #make(key: string, one: Step, replaced: string | undefined, now: number): void {
    if (replaced !== undefined) this.flows.delete(replaced);
    if (this.flows.size >= this.#capacity && !this.#evict()) return;
    const flowing = one.hook === HOOK.OUTPUT ? 1 : 0;
    const isTcp = one.protocol === PROTOCOL.TCP;
    const state = isTcp
      ? (TCP_STATES[stepUnknown(flowing, segmentOf(flagsOf(one.flags)))] ?? "?")
      : (DATAGRAM_STATES[0] ?? "?");
    this.#order += 1;
    this.flows.set(key, {
      state,
      protocol: one.protocol,
      originalFlowing: flowing,
      replied: false,
      lastSeen: now,
      since: this.#order,
      packets: [1, 0],
    });
  }

  #evict(): boolean {
    const candidates = [...this.flows].filter(([, flow]) => this.stage(flow) < 2);
    candidates.sort(([, a], [, b]) => this.stage(a) - this.stage(b) || a.since - b.since);
    const victim = candidates[0];
    if (victim === undefined) return false;
    this.flows.delete(victim[0]);
    this.evicted += 1;
    return true;
  }
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

function readModel(model: Model, now: number): string[] {
  return [...model.flows]
    .filter(([, flow]) => now < flow.lastSeen + model.timeout(flow))
    .map(([key, flow]) => `${key} ${flow.state} ${flow.packets.join(":")}`)
    .sort();
}

/** Runs both; compares what rules see at every packet and the flows after it. */
function compare(steps: readonly Step[], capacity: number, waits: boolean): number {
  const tracker = new Tracker({ capacity, seed: [3, 9], timeouts: { "adaptive.start": 0 } });
  const model = new Model(capacity);
  let now = 0;
  for (const one of steps) {
    if (waits) now += one.waitMs;
    const packet = packetAt(one.hook, {
      source: ADDRESSES[one.source] ?? "",
      destination: ADDRESSES[one.destination] ?? "",
      protocol: one.protocol,
      sourcePort: one.sourcePort,
      destinationPort: one.destinationPort,
      flags: flagsOf(one.flags) & ~TCP_FLAG.RST,
      window: 0xffff,
    });
    tracker.lookup(packet, now);
    const seen = TCP_STATES[tracker.tcpState];
    if (!one.dropped) tracker.commit(packet, now);
    assert.equal(seen, model.packet(one, now));
    assert.deepEqual(read(tracker, now), readModel(model, now));
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
