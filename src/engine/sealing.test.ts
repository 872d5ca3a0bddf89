import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConntrackState, HOOK, PROTOCOL } from "../base/index.ts";
import { allocateMemory } from "../policy/index.ts";
import { Tracker } from "../state/index.ts";
import { SILENT_REPORT } from "../testing/engine-sample.ts";
import { compileValid, decodeBuilt } from "../testing/policy-probe.ts";
import type { Packet } from "../wire/index.ts";
import { COUNTERS, Engine, SEAL } from "./index.ts";

const ENDS = { protocol: PROTOCOL.UDP, sourcePort: 53, destinationPort: 53 } as const;
const QUESTION = { ...ENDS, source: "192.0.2.1", destination: "198.51.100.7", hook: HOOK.INPUT } as const;
const ANSWER = { ...ENDS, source: "198.51.100.7", destination: "192.0.2.1", hook: HOOK.OUTPUT } as const;

/** What an engine wishes for the flow of each of some packets. */
function wishes(rules: readonly object[], packets: readonly Packet[]): number[] {
  const policy = compileValid({
    settings: { compatibility: "strict" },
    default_chain: "DROP",
    INPUT: rules,
    OUTPUT: rules,
  });
  const engine = new Engine({
    initial: { policy, memory: allocateMemory(policy), revision: 1 },
    tracker: new Tracker({ capacity: 16 }),
    report: SILENT_REPORT,
    interfaceName: () => "eth0",
    counters: new Float64Array(COUNTERS.length),
  });
  engine.allowSeals({ accepted: true, dropped: true });
  return packets.map((packet, at) => {
    engine.judge(packet, at);
    return engine.seal;
  });
}

/** So many questions, and no answer. */
function questions(count: number): Packet[] {
  return Array.from({ length: count }, () => decodeBuilt(QUESTION));
}

/** A question, its answer, and so on, in states that the kernel gives them. */
function inStates(...states: readonly ConntrackState[]): Packet[] {
  return states.map((conntrack, at) => decodeBuilt({ ...(at % 2 === 0 ? QUESTION : ANSWER), conntrack }));
}

const passes = (...states: readonly ConntrackState[]): object => ({
  name: "ConntrackRule",
  states,
  action: "ACCEPT",
});

test("a flow that a rule asks the kernel's state of is sealed once that state lasts", () => {
  const packets = inStates("new", "established", "established");
  assert.deepEqual(wishes([passes("new", "established")], packets), [SEAL.NONE, SEAL.NONE, SEAL.ACCEPT]);
});

test("what the kernel calls new may be called otherwise next, so it is not sealed", () => {
  const packets = inStates("new", "new", "new", "new");
  assert.ok(wishes([passes("new")], packets).every((seal) => seal === SEAL.NONE));
});

const flowRule = (is: string): object => ({ name: "FlowRule", is, action: "ACCEPT" });

test("a flow that nobody answers is sealed once it seems to expect no answer", () => {
  const seals = wishes([flowRule("known"), flowRule("new")], questions(12));
  assert.ok(
    seals.slice(0, 4).every((seal) => seal === SEAL.NONE),
    "a client asks more than once",
  );
  assert.deepEqual(new Set(seals.slice(8)), new Set([SEAL.ACCEPT]));
});

test("a flow whose answers would not pass is not sealed, however long it stays without", () => {
  const seals = wishes([flowRule("original"), flowRule("new")], questions(40));
  assert.ok(seals.every((seal) => seal === SEAL.NONE));
});
