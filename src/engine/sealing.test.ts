import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConntrackState, HOOK, PROTOCOL } from "../base/index.ts";
import { allocateMemory } from "../policy/index.ts";
import { Tracker } from "../state/index.ts";
import { SILENT_REPORT } from "../testing/engine-sample.ts";
import { compileValid, decodeBuilt } from "../testing/policy-probe.ts";
import { COUNTERS, Engine, SEAL } from "./index.ts";

/** What the engine wishes for a flow of UDP whose packets the kernel gives a state, packet by packet. */
function wishes(rules: readonly object[], states: readonly ConntrackState[]): number[] {
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
  const ends = ["192.0.2.1", "198.51.100.7"] as const;
  return states.map((conntrack, at) => {
    const [source, destination] = at % 2 === 0 ? ends : ends.toReversed();
    const fields = { source, destination, protocol: PROTOCOL.UDP, sourcePort: 53, destinationPort: 53 };
    const hook = at % 2 === 0 ? HOOK.INPUT : HOOK.OUTPUT;
    engine.judge(
      decodeBuilt({ ...fields, source: source ?? "", destination: destination ?? "", hook, conntrack }),
      at,
    );
    return engine.seal;
  });
}

const passes = (...states: readonly ConntrackState[]): object => ({
  name: "ConntrackRule",
  states,
  action: "ACCEPT",
});

test("a flow that a rule asks the kernel's state of is sealed once that state lasts", () => {
  const states = ["new", "established", "established"] as const;
  assert.deepEqual(wishes([passes("new", "established")], states), [SEAL.NONE, SEAL.NONE, SEAL.ACCEPT]);
});

test("what the kernel calls new may be called otherwise next, so it is not sealed", () => {
  assert.ok(wishes([passes("new")], ["new", "new", "new", "new"]).every((seal) => seal === SEAL.NONE));
});
