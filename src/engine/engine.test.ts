import assert from "node:assert/strict";
import { test } from "node:test";
import { HOOK, type Hook, PROTOCOL, TCP_FLAG, TCP_STATES, VERDICT } from "../base/index.ts";
import { allocateMemory, compilePolicy } from "../policy/index.ts";
import { sampleEngine } from "../testing/engine-sample.ts";
import { buildPacket, decodePacket, Packet } from "../wire/index.ts";
import { COUNTER, COUNTERS, sumCounters } from "./counters.ts";
import { type Engine, NOT_TRACKED } from "./engine.ts";

const { SYN, ACK } = TCP_FLAG;
const strict = { compatibility: "strict" };

function packetOf(hook: Hook, flags: number, bytes?: Uint8Array): Packet {
  const ends = { a: { address: "192.0.2.2", port: 4000 }, b: { address: "192.0.2.1", port: 80 } };
  const [from, to] = hook === HOOK.OUTPUT ? [ends.b, ends.a] : [ends.a, ends.b];
  const built = buildPacket({
    source: from.address,
    sourcePort: from.port,
    destination: to.address,
    destinationPort: to.port,
    protocol: PROTOCOL.TCP,
    flags,
  });
  const octets = bytes ?? built;
  const packet = new Packet();
  decodePacket(packet, new DataView(octets.buffer), 0, octets.length);
  packet.hook = hook;
  return packet;
}

function stateOf(engine: Engine): string | undefined {
  return TCP_STATES[engine.tracker.flows.state(engine.tracker.slot)];
}

test("rules see the state before the packet; what they accept steps it", () => {
  const engine = sampleEngine({
    settings: strict,
    INPUT: [{ name: "TCPStateRule", match_if: ["SYN_RCVD2"], action: "DROP" }],
  });
  assert.equal(engine.judge(packetOf(HOOK.INPUT, SYN), 0), VERDICT.ACCEPT);
  assert.equal(engine.judge(packetOf(HOOK.OUTPUT, SYN | ACK), 0), VERDICT.ACCEPT);
  assert.equal(engine.judge(packetOf(HOOK.INPUT, ACK), 0), VERDICT.DROP, "SYN_RCVD2 before the ACK");
  assert.equal(engine.transition, NOT_TRACKED);
  assert.equal(stateOf(engine), "SYN_RCVD2", "a dropped packet steps nothing");
});

test("a dropped packet makes no flow, and a rejected one neither", () => {
  for (const action of ["DROP", "REJECT"]) {
    const engine = sampleEngine({ settings: strict, INPUT: [{ name: "TCPRule", action }] });
    engine.judge(packetOf(HOOK.INPUT, SYN), 0);
    assert.equal(engine.tracker.size, 0, action);
  }
});

test("a flow is noted with the rule that let it in", () => {
  const engine = sampleEngine({
    settings: strict,
    INPUT: [
      { name: "UDPRule", action: "DROP" },
      { name: "TCPRule", action: "ACCEPT" },
    ],
  });
  engine.judge(packetOf(HOOK.INPUT, SYN), 0);
  const { flows, slot } = engine.tracker;
  assert.deepEqual([flows.chain(slot), flows.rule(slot), flows.revision(slot)], [0, 1, 1]);
});

test("packets of a killed connection are dropped without asking a rule", () => {
  const engine = sampleEngine({ settings: strict, INPUT: [{ name: "TrueRule", action: "ACCEPT" }] });
  engine.judge(packetOf(HOOK.INPUT, SYN), 0);
  engine.tracker.kill(engine.tracker.slot);
  assert.equal(engine.judge(packetOf(HOOK.INPUT, ACK), 1), VERDICT.DROP);
  assert.equal(engine.evaluator.reason, "killed");
  assert.equal(engine.judge(packetOf(HOOK.INPUT, SYN), 2), VERDICT.ACCEPT, "a SYN begins another");
});

test("a malformed packet takes its outcome, is counted, and touches no flow", () => {
  const engine = sampleEngine({ settings: { ...strict, outcomes: { malformed: "ACCEPT" } }, INPUT: [] });
  const bytes = buildPacket({
    source: "192.0.2.2",
    destination: "192.0.2.1",
    protocol: PROTOCOL.TCP,
    flags: SYN,
  });
  bytes[32] = 0x10;
  assert.equal(engine.judge(packetOf(HOOK.INPUT, SYN, bytes), 0), VERDICT.ACCEPT);
  assert.equal(engine.counters[COUNTER.malformed], 1);
  assert.equal(engine.tracker.size, 0);
});

test("another policy judges from the next packet on, and flows stay", () => {
  const engine = sampleEngine({ settings: strict, INPUT: [] });
  engine.judge(packetOf(HOOK.INPUT, SYN), 0);
  const text = JSON.stringify({
    settings: strict,
    INPUT: [{ name: "TCPStateRule", match_if: ["SYN_RCVD1"], action: "DROP" }],
  });
  const { policy } = compilePolicy(text, { file: "next.json" });
  assert.ok(policy !== undefined);
  engine.swap({ policy, memory: allocateMemory(policy), revision: 2 });
  assert.equal(engine.judge(packetOf(HOOK.INPUT, SYN), 0), VERDICT.DROP, "the flow is still known");
  assert.equal(engine.revision, 2);
});

test("an observer sees each packet once, with its verdict", () => {
  const seen: number[] = [];
  const engine = sampleEngine(
    { settings: strict, INPUT: [{ name: "TCPRule", action: "DROP" }] },
    { observer: { judged: (_packet, { evaluator }) => seen.push(evaluator.verdict) } },
  );
  engine.judge(packetOf(HOOK.INPUT, SYN), 0);
  engine.judge(packetOf(HOOK.OUTPUT, SYN), 0);
  assert.deepEqual(seen, [VERDICT.DROP, VERDICT.ACCEPT]);
});

test("counters add up, over packets and over workers", () => {
  const engine = sampleEngine({ settings: strict, INPUT: [{ name: "TCPRule", action: "REJECT" }] });
  engine.judge(packetOf(HOOK.INPUT, SYN), 0);
  engine.judge(packetOf(HOOK.OUTPUT, SYN), 0);
  const sum = sumCounters([engine.counters, engine.counters]);
  assert.deepEqual(Object.keys(sum), [...COUNTERS]);
  assert.equal(sum.packets, 4);
  assert.equal(sum.bytes, 160);
  assert.equal(sum.accepted, 2);
  assert.equal(sum.rejected, 2);
  assert.equal(sum.dropped, 0);
});
