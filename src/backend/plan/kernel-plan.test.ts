import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateMemory } from "../../policy/index.ts";
import { compileValid } from "../../testing/policy-probe.ts";
import { type KernelPlan, planPolicy } from "./kernel-plan.ts";
import { groupLines, isRun } from "./line-run.ts";

function planOf(rules: readonly Record<string, unknown>[]): KernelPlan {
  const policy = compileValid({ settings: { compatibility: "strict" }, INPUT: rules });
  return planPolicy(policy, allocateMemory(policy));
}

const source = (at: number): Record<string, unknown> => ({
  name: "SourceIPRule",
  cidr_range: `10.${at >> 8}.${at & 255}.1`,
  action: "DROP",
});

const port = (at: number): Record<string, unknown> => ({
  name: "PortRule",
  protocol: "UDP",
  dst_port: 1000 + at,
  action: "DROP",
});

/** Of another network than any source above with another number. */
const pair = (at: number): Record<string, unknown> => ({
  name: "IPPortRule",
  protocol: "UDP",
  src_ip: `10.${at >> 8}.${at & 255}.0/24`,
  dst_lo: 1000,
  dst_hi: 1000 + at,
  action: "DROP",
});

test("a thousand rules of one kind are one step, so all of them stay in the kernel", () => {
  const { places } = planOf(Array.from({ length: 1000 }, (_, at) => source(at)));
  assert.equal(places.filter(({ place }) => place === "kernel").length, 1001);
});

test("kinds that take turns are sorted into one step each where no packet meets two", () => {
  const { hooks, places } = planOf(Array.from({ length: 1000 }, (_, at) => (at % 2 ? pair : source)(at)));
  assert.equal(places.filter(({ place }) => place === "kernel").length, 1001);
  const lines = hooks.find(({ hook }) => hook === "INPUT")?.chains[0]?.lines ?? [];
  const sizes = groupLines(lines).steps.map((step) => (isRun(step) ? step.lines.length : 1));
  assert.deepEqual(sizes, [500, 500, 1]);
});

test("where a packet may meet both kinds the kernel walks so many steps, and userspace looks the rest up", () => {
  const { hooks, places } = planOf(Array.from({ length: 1000 }, (_, at) => (at % 2 ? port : source)(at)));
  const lines = hooks.find(({ hook }) => hook === "INPUT")?.chains[0]?.lines ?? [];
  assert.equal(lines.length, 129);
  assert.deepEqual(lines.at(-1)?.match, []);
  assert.equal(lines.at(-1)?.action.kind, "userspace");
  assert.equal(places.filter(({ place }) => place === "kernel").length, 128);
  const cut = places.find(({ chain, rule }) => chain === 0 && rule === 128);
  assert.match(cut?.reasons.join() ?? "", /walk from here on rule by rule/);
});
