import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateMemory } from "../../policy/index.ts";
import { compileValid } from "../../testing/policy-probe.ts";
import { type KernelPlan, planPolicy } from "./kernel-plan.ts";
import { groupLines, isRun } from "./line-run.ts";
import { matchText } from "./match-text.ts";

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

type Rules = readonly Record<string, unknown>[];

const ASKING = { name: "ProtocolRule", protocols: ["SSH"], action: "ACCEPT" };
const STATE = { name: "TCPStateRule", match_if: ["ESTABLISHED"], action: "ACCEPT" };
const PASS = { name: "TrueRule", action: "ACCEPT" };

function leadTo(name: string, dst_port: number, protocol = "TCP"): Record<string, unknown> {
  return { name: "PortRule", protocol, dst_port, action: name };
}

function chainPlan(chains: Readonly<Record<string, Rules>>, default_chain = "ACCEPT"): KernelPlan {
  const policy = compileValid({ settings: { compatibility: "strict" }, default_chain, ...chains });
  return planPolicy(policy, allocateMemory(policy));
}

const ERRORS = "meta l4proto { 1, 58 }";

test("flows are asked about as far as jumps lead them to the rule that asks", () => {
  const from = (name: string): Record<string, unknown> => ({
    name: "SourceIPRule",
    cidr_range: "10.0.0.0/8",
    action: name,
  });
  const SSH = ["meta l4proto 6 th dport 22", "meta l4proto 6 th sport 22"];
  const table: readonly [
    words: string,
    chains: Readonly<Record<string, Rules>>,
    tracked: readonly string[],
  ][] = [
    ["one jump", { INPUT: [leadTo("ssh", 22)], ssh: [ASKING] }, [...SSH, ERRORS]],
    ["without bytes errors are not asked about", { INPUT: [leadTo("ssh", 22)], ssh: [STATE] }, SSH],
    [
      "two ways are a union",
      { INPUT: [leadTo("ssh", 22)], OUTPUT: [leadTo("ssh", 23)], ssh: [STATE] },
      [...SSH, "meta l4proto 6 th dport 23", "meta l4proto 6 th sport 23"],
    ],
    [
      "jumps one behind the other narrow",
      { INPUT: [from("near")], near: [leadTo("ssh", 22)], ssh: [STATE] },
      ["meta l4proto 6 ip saddr 10.0.0.0/8 th dport 22", "meta l4proto 6 ip daddr 10.0.0.0/8 th sport 22"],
    ],
    [
      "what returns was in the caller before",
      {
        INPUT: [leadTo("ssh", 22)],
        ssh: [{ name: "ReturnRule" }],
        FORWARD: [leadTo("web", 22)],
        web: [STATE],
      },
      SSH,
    ],
    ["nobody comes", { INPUT: [leadTo("udp", 22, "UDP")], udp: [STATE] }, []],
    ["no jump leads there", { INPUT: [PASS], ssh: [STATE] }, []],
    [
      "other packets than those to a port",
      { INPUT: [{ ...leadTo("ssh", 22), not: true }], ssh: [STATE] },
      ["meta l4proto 6 th dport != 22", "meta l4proto 6 th sport != 22"],
    ],
    [
      "interfaces are not the same for all packets of a flow",
      { INPUT: [{ name: "InterfaceRule", in: "eth0", action: "ssh" }], ssh: [STATE] },
      ["meta l4proto 6"],
    ],
    [
      "a rule that can meet errors asks about every flow",
      {
        INPUT: [{ name: "ICMPRule", action: "ssh" }],
        ssh: [{ name: "FlowRule", is: "known", action: "ACCEPT" }],
      },
      [""],
    ],
    ["addresses alone do not keep errors out", { INPUT: [from("near")], near: [ASKING] }, [""]],
    [
      "a rule about flows lets any flow of its packets through",
      { INPUT: [{ ...STATE, action: "on" }], on: [{ ...leadTo("ssh", 22) }], ssh: [ASKING] },
      ["meta l4proto 6", ERRORS],
    ],
  ];
  for (const [words, chains, tracked] of table) {
    const { parts } = chainPlan(chains).regions.tracked;
    assert.deepEqual(
      parts.map((part) => matchText(part, 1).trimEnd()),
      tracked,
      words,
    );
  }
});

test("the default chain is asked about whatever comes to the end of a chain", () => {
  const chains = { INPUT: [leadTo("ssh", 22)], ssh: [], last: [STATE, { ...PASS, action: "DROP" }] };
  const { parts } = chainPlan(chains, "last").regions.tracked;
  assert.deepEqual(
    parts.map((part) => matchText(part, 1)),
    ["meta l4proto 6 "],
  );
});

test("behind a rule about bytes at one port, others are judged in the kernel", () => {
  const { places } = chainPlan({
    INPUT: [leadTo("ssh", 22), leadTo("ACCEPT", 443), leadTo("ACCEPT", 53, "UDP"), leadTo("web", 80, "UDP")],
    ssh: [ASKING],
    web: [PASS],
  });
  const said = places.map(
    ({ chain, rule, place, reasons }) => `${chain}.${rule} ${place}: ${reasons.join()}`,
  );
  const asks = "what it accepts makes flows that ProtocolRule (ssh, line 33) asks about";
  assert.deepEqual(said.slice(0, 5), [
    "0.0 kernel: ",
    // From port 22 it may be the answer to a packet that the rule asks about.
    `0.1 both: ${asks}`,
    "0.2 kernel: ",
    "0.3 kernel: ",
    `0.-1 both: ${asks}`,
  ]);
  assert.ok(said.includes("2.0 kernel: "), "what comes to it by its way is of no such flow");
});

test("what may quote a packet of a flow that has ended is refused in userspace, and dropped in the kernel", () => {
  const { places } = chainPlan({
    INPUT: [leadTo("ssh", 22), { name: "ICMPRule", action: "REJECT" }],
    FORWARD: [{ name: "ICMPRule", action: "DROP" }],
    ssh: [ASKING],
  });
  const found = places.filter(
    ({ chain, rule }) => (chain === 0 && rule === 1) || (chain === 1 && rule === 0),
  );
  assert.deepEqual(
    found.map(({ place }) => place),
    ["userspace", "kernel"],
  );
});
