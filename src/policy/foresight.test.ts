/** What foresight costs with many rules, in rules that are asked, and what it must not take for settled. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL, VERDICT } from "../base/index.ts";
import { compileValid, ContextProbe, decodeBuilt } from "../testing/policy-probe.ts";
import { allocateMemory } from "./policy.ts";
import { Evaluator } from "./evaluator.ts";
import { Foresight } from "./foresight.ts";
import { PacketFacts } from "./packet-facts.ts";
import { LOOKUP_FROM } from "./rule-lookup.ts";
import { RuleRow } from "./rule-row.ts";

class FlowContext extends ContextProbe {
  readonly strictTcp = false;

  constructor() {
    super();
    decodeBuilt(
      { source: "192.0.2.1", destination: "198.51.100.7", protocol: PROTOCOL.TCP, destinationPort: 443 },
      this.packet,
    );
  }
}

/** Rules of six kinds in turn, none of which settles the flow's fate; two kinds may match it. */
function rules(count: number): object[] {
  const kinds = [
    (at: number) => ({ name: "SourceIPRule", cidr_range: `10.${at >>> 8}.${at & 255}.0/25`, action: "DROP" }),
    (at: number) => ({ name: "PortRule", protocol: "UDP", dst_port: 1 + at, action: "DROP" }),
    (at: number) => ({ name: "PortRangeRule", protocol: "TCP", dst_lo: 500 + at, dst_hi: 900 + at }),
    (at: number) => ({ name: "DestinationIPRule", cidr_range: `2001:db8:${at}::/48`, action: "DROP" }),
    (at: number) => ({ name: "UserRule", user: at, action: "ACCEPT" }),
    (at: number) => ({ name: "InterfaceRule", in: `eth${at}`, action: "ACCEPT" }),
  ];
  return Array.from({ length: count }, (_, at) => ({ action: "DROP", ...kinds[at % kinds.length]?.(at) }));
}

/** Rules that are asked one by one to foresee the fate of a flow, and what is foreseen. */
function asked(count: number): { readonly asked: number; readonly verdict: number | undefined } {
  const policy = compileValid({ INPUT: [...rules(count), { name: "TrueRule", action: "ACCEPT" }] });
  const row = new RuleRow(policy, allocateMemory(policy));
  const { interfaces } = new PacketFacts();
  const lookups = policy.chains.map(({ index }) => row.lookup(index, interfaces, LOOKUP_FROM.WHERE_FASTER));
  const foresight = new Foresight(row, lookups);
  let found = 0;
  for (const rule of row.rules) {
    const { condition } = rule;
    Object.defineProperty(rule, "condition", {
      get: () => {
        found += 1;
        return condition;
      },
    });
  }
  return { verdict: foresight.verdict(new FlowContext()), asked: found };
}

test("the rules asked to foresee a flow's fate do not become more with the rules of the policy", () => {
  const few = asked(60);
  const many = asked(1800);
  assert.equal(few.verdict, VERDICT.ACCEPT);
  assert.equal(many.verdict, VERDICT.ACCEPT);
  assert.ok(many.asked <= few.asked, `${many.asked} of 1800 rules, ${few.asked} of 60`);
});

test("what a pinhole permits now need not be permitted later, and the other way round", () => {
  for (const lookupFrom of [LOOKUP_FROM.NEVER, LOOKUP_FROM.ALWAYS]) {
    const foresee = (action: string, otherwise: string): number | undefined => {
      const policy = compileValid({
        INPUT: [
          { name: "PinholeRule", action },
          { name: "TrueRule", action: otherwise },
        ],
      });
      const { foresight } = new Evaluator(policy, allocateMemory(policy), lookupFrom);
      return foresight.verdict(new FlowContext());
    };
    assert.equal(foresee("ACCEPT", "DROP"), undefined);
    assert.equal(foresee("DROP", "ACCEPT"), undefined);
    assert.equal(foresee("ACCEPT", "ACCEPT"), VERDICT.ACCEPT);
  }
});

/** Rules of INPUT, then what all others get, and whether bytes can change what becomes of a connection. */
const BYTES: readonly (readonly [string, readonly object[], string, boolean])[] = [
  ["nothing asks for bytes", [], "DROP", false],
  [
    "recognition that only counts",
    [{ name: "ProtocolRule", protocols: ["TLS"], action: "ACCEPT" }],
    "ACCEPT",
    false,
  ],
  [
    "what is told apart by bytes",
    [{ name: "ProtocolRule", protocols: ["TLS"], action: "ACCEPT" }],
    "DROP",
    true,
  ],
  ["what bytes refuse", [{ name: "ProtocolRule", protocols: ["TLS"], action: "DROP" }], "ACCEPT", true],
  [
    "what bytes would refuse in the shadow",
    [{ name: "ProtocolRule", protocols: ["TLS"], action: "DROP", shadow: true }],
    "ACCEPT",
    false,
  ],
  [
    "a table in front, which may change",
    [
      { name: "TableRule", table: "some", action: "DROP" },
      { name: "EncryptedRule", action: "ACCEPT" },
    ],
    "ACCEPT",
    false,
  ],
  [
    "a table that counts for some bytes only",
    [
      { name: "EncryptedRule", action: "ACCEPT" },
      { name: "TableRule", table: "some", action: "DROP" },
    ],
    "ACCEPT",
    true,
  ],
  ["states that lead to bytes", [{ name: "FlowRule", is: "reply", action: "later" }], "ACCEPT", true],
  [
    "what only some packets are dropped for, in front of what asks for bytes and behind it",
    [
      { name: "InterfaceRule", in: "eth1", action: "DROP" },
      { name: "TrueRule", action: "asking" },
      { name: "InterfaceRule", in: "eth2", action: "DROP" },
    ],
    "ACCEPT",
    true,
  ],
  [
    "a limit, which sees every packet",
    [
      { name: "LimitRule", rate: 5, action: "DROP" },
      { name: "EncryptedRule", action: "ACCEPT" },
    ],
    "ACCEPT",
    true,
  ],
];

for (const [title, rules, otherwise, isNeeded] of BYTES) {
  test(`bytes ${isNeeded ? "may change" : "change nothing of"} what becomes of a connection: ${title}`, () => {
    for (const lookupFrom of [LOOKUP_FROM.NEVER, LOOKUP_FROM.ALWAYS]) {
      const policy = compileValid({
        settings: { compatibility: "strict", tables: { some: { addresses: ["192.0.2.1"] } } },
        INPUT: [...rules, { name: "TrueRule", action: otherwise }],
        later: [{ name: "ServerNameRule", names: ["a.example"], action: "DROP" }],
        asking: [{ name: "ServerNameRule", names: ["a.example"], action: "ACCEPT" }, { name: "ReturnRule" }],
      });
      const { foresight } = new Evaluator(policy, allocateMemory(policy), lookupFrom);
      assert.equal(foresight.passesWhateverItSays(new FlowContext()), !isNeeded);
    }
  });
}
