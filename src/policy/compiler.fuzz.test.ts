/** Any text gives problems or a policy, never an exception; a policy that loads judges any packet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PROTOCOL } from "../base/index.ts";
import { ContextProbe, decodeBuilt } from "../testing/policy-probe.ts";
import {
  allocateMemory,
  compilePolicy,
  createRegistry,
  Evaluator,
  explainPacket,
  policyModules,
} from "./index.ts";

const registry = createRegistry();
const context = new ContextProbe();
decodeBuilt(
  { source: "192.0.2.1", destination: "198.51.100.7", protocol: PROTOCOL.TCP, destinationPort: 22 },
  context.packet,
);

/** Every problem has a place inside the text, and there is either an error or a policy that works. */
function checkText(text: string): void {
  policyModules(text);
  const { policy, problems } = compilePolicy(text, { file: "fuzz.json", registry });
  const lines = text.split("\n").length;
  for (const problem of problems) {
    assert.ok(problem.line >= 1 && problem.line <= lines, JSON.stringify(problem));
    assert.ok(problem.column >= 1 && problem.path.startsWith("$") && problem.message !== "");
  }
  const hasErrors = problems.some(({ severity }) => severity === "error");
  assert.equal(policy === undefined, hasErrors);
  if (policy === undefined) return;
  const memory = allocateMemory(policy);
  new Evaluator(policy, memory).evaluate(context);
  explainPacket(policy, memory, context);
}

test("any text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), checkText), { numRuns: 200 });
});

test("any JSON", () => {
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), checkText), { numRuns: 200 });
});

// Words of the language in any order, and values that are almost right.
const argumentNames = registry.names().flatMap((name) => Object.keys(registry.get(name)?.arguments ?? {}));
const keys = fc.constantFrom(
  "name",
  "action",
  "not",
  "comment",
  "body",
  "__proto__",
  "constructor",
  "toString",
  "",
  ...argumentNames,
);
const words = fc.constantFrom(
  "ACCEPT",
  "DROP",
  "REJECT",
  "RETURN",
  "INPUT",
  "a",
  "b",
  "TCP",
  "UDP",
  "CLOSED",
  "192.0.2.0/24",
  "::/0",
  "eth*",
  "source",
  "over",
  "strict",
  "pywall",
  "echo-request",
  "",
  "__proto__",
);
const scalars = fc.oneof(
  words,
  fc.integer({ min: -2, max: 70_000 }),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
);
const values = fc.oneof(
  scalars,
  fc.array(scalars, { maxLength: 3 }),
  fc.array(fc.array(scalars, { maxLength: 3 }), { maxLength: 3 }),
  fc.dictionary(keys, scalars, { maxKeys: 3 }),
);
const ruleNames = fc.constantFrom(...registry.names(), ...registry.oldNames(), "NoRule");
const rules = fc
  .tuple(ruleNames, fc.dictionary(keys, values, { maxKeys: 6 }))
  .map(([name, rest]) => ({ ...rest, name }));
const chains = fc.oneof(fc.array(fc.oneof(rules, values), { maxLength: 5 }), values);
const settingNames = [
  "compatibility",
  "modules",
  "failMode",
  "outcomes",
  "limits",
  "timeouts",
  "markMask",
  "queues",
];
const settings = fc.dictionary(fc.constantFrom(...settingNames), values);

test("texts that are nearly policies", () => {
  const members = { default_chain: scalars, settings, INPUT: chains, OUTPUT: chains, a: chains, b: chains };
  const policies = fc.record(members, { requiredKeys: [] });
  fc.assert(
    fc.property(policies, (source) => checkText(JSON.stringify(source, null, 1))),
    { numRuns: 500 },
  );
});

test("good policies with a piece missing or twice", () => {
  const good = JSON.stringify({
    default_chain: "last",
    settings: { compatibility: "strict", limits: { knockSources: 16, limitSources: 16 } },
    INPUT: [
      { name: "PortKnocking", protocol: "TCP", port: 22, src_port: 9, doors: [["TCP", 1]] },
      { name: "IPPortRule", protocol: "UDP", src_lo: 1, src_hi: 9, src_ip: "10/8", action: "sub" },
    ],
    sub: [{ name: "LimitRule", rate: 5, by: "source", action: "REJECT" }],
    last: [{ name: "TrueRule", action: "DROP" }],
  });
  const cut = fc.tuple(fc.nat(good.length), fc.nat(12), fc.boolean());
  fc.assert(
    fc.property(cut, ([at, length, twice]) => {
      checkText(
        good.slice(0, at) +
          (twice ? good.slice(at, at + length) : "") +
          good.slice(at + (twice ? 0 : length)),
      );
    }),
    { numRuns: 300 },
  );
});

test("nesting without end", () => {
  for (const [open, close] of [
    ["[", "]"],
    ['{"a":', "}"],
  ] as const) {
    checkText(open.repeat(100_000));
    checkText(`{"INPUT": ${open.repeat(100_000)}${close.repeat(100_000)}}`);
    checkText(`${open.repeat(50)}1${close.repeat(50)}`);
  }
});

test("large files", () => {
  const rule = { name: "PortRule", protocol: "TCP", dst_port: 1 };
  checkText(JSON.stringify({ INPUT: new Array<object>(5000).fill(rule) }));
  checkText(JSON.stringify(Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`chain${at}`, []]))));
});
