import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_MARK_MASK } from "../../netlink/index.ts";
import { allocateMemory } from "../../policy/index.ts";
import { compileValid } from "../../testing/policy-probe.ts";
import { planPolicy } from "./kernel-plan.ts";
import { planText } from "./plan-text.ts";

const FORM = {
  number: 1,
  revision: 1,
  tracksConnections: true,
  logsDrops: false,
  seals: true,
  markMask: DEFAULT_MARK_MASK,
} as const;

/** So many blocked sources, then what is under way. */
function textOf(count: number, last: Record<string, unknown>): string {
  const blocked = Array.from({ length: count }, (_, at) => ({
    name: "SourceIPRule",
    cidr_range: `10.${at >> 8}.${at & 255}.1`,
    action: "DROP",
  }));
  const policy = compileValid({
    settings: { compatibility: "strict" },
    INPUT: [...blocked, { ...last, action: "ACCEPT" }],
  });
  return planText(planPolicy(policy, allocateMemory(policy)), FORM).text;
}

/** Rules of a chain, without their comments. */
function rulesOf(text: string, chain: string): string[] {
  const body = text.split(`\tchain plan1-${chain} {\n`)[1]?.split("\n\t}")[0];
  return (body ?? "").split("\n").map((line) => line.trim().replace(/ comment .*$/, ""));
}

test("where flows go up, a packet is asked for its seal before anything else", () => {
  const text = textOf(4, { name: "FlowRule", is: "known" });
  assert.deepEqual(rulesOf(text, "hook-input").slice(0, 2), [
    "jump sealed",
    'iifname "lo" jump pass-answers',
  ]);
  assert.deepEqual(rulesOf(text, "hook-output").slice(0, 2), ["jump sealed", "jump pass-answers"]);
  const judged = textOf(4, { name: "ConntrackRule", states: ["established", "related"] });
  assert.doesNotMatch(judged, /jump sealed/);
});

test("a packet meets as many rules with a thousand sources as with ten", () => {
  for (const last of [
    { name: "FlowRule", is: "known" },
    { name: "ConntrackRule", states: ["established", "related"] },
  ]) {
    const [few, many] = [10, 1000].map((count) => textOf(count, last));
    for (const chain of ["hook-input", "hook-output", "vouch", "input-0"]) {
      const rules = rulesOf(many ?? "", chain);
      assert.notEqual(rules.join(), "");
      assert.deepEqual(rules, rulesOf(few ?? "", chain));
    }
  }
});

test("states of connection tracking are compared as bits, unless they are negated", () => {
  const rule = { name: "ConntrackRule", states: ["established", "related"] };
  assert.match(textOf(4, rule), /\tct state established,related counter accept/);
  assert.match(textOf(4, { ...rule, not: true }), /\tct state != \{ established, related \} counter accept/);
});
