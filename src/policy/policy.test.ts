/** What a policy says of itself without its rules being made. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RULE_ARGUMENTS, TABLES } from "../testing/rule-arbitraries.ts";
import { compileValid } from "../testing/policy-probe.ts";
import { CONTENT, createRegistry, Evaluator, allocateMemory } from "./index.ts";

const WITHOUT_ACTION = ["RejectRule", "ReturnRule", "PortKnocking", "LogRule", "PrintRule"];

test("a policy reads bytes when one of its rules asks for them, whatever its kind, and only then", () => {
  const readers: string[] = [];
  for (const [name, argumentsOf] of Object.entries(RULE_ARGUMENTS)) {
    const [values = {}] = fc.sample(argumentsOf, { numRuns: 1, seed: 1 });
    const action = WITHOUT_ACTION.includes(name) ? {} : { action: "DROP" };
    const settings = { compatibility: "strict", tables: TABLES };
    const policy = compileValid({ settings, INPUT: [{ name, ...values, ...action }] });
    const { wants } = new Evaluator(policy, allocateMemory(policy));
    assert.equal(policy.readsBytes, wants !== CONTENT.NOTHING, name);
    if (policy.readsBytes) readers.push(name);
  }
  const registry = createRegistry();
  const declared = registry.names().filter((name) => registry.get(name)?.readsBytes === true);
  assert.deepEqual(readers.sort(), [...declared].sort());
});
