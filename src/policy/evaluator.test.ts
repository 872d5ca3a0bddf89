import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HOOK, PROTOCOL } from "../base/index.ts";
import {
  ContextProbe,
  compileValid,
  decodeBuilt,
  PolicyProbe,
  type ProbePacket,
} from "../testing/policy-probe.ts";
import { allocateMemory, createRegistry, Evaluator, Rule, type RuleRegistry, VerdictRule } from "./index.ts";

const ssh: ProbePacket = {
  source: "192.0.2.1",
  destination: "198.51.100.7",
  protocol: PROTOCOL.TCP,
  sourcePort: 40_000,
  destinationPort: 22,
};
const dns: ProbePacket = { ...ssh, protocol: PROTOCOL.UDP, destinationPort: 53 };

const isTcp = (action: string): object => ({ name: "TCPRule", action });
const always = (action: string): object => ({ name: "TrueRule", action });
const fromTest = (action: string): object => ({ name: "SourceIPRule", cidr_range: "192.0.2.0/24", action });

describe("walks through chains", () => {
  test("an empty object accepts everything", () => {
    assert.equal(new PolicyProbe("{}").judgeAt(ssh), "ACCEPT INPUT[-] default");
  });

  test("the first rule that matches decides", () => {
    const probe = new PolicyProbe({ INPUT: [isTcp("DROP"), always("ACCEPT")], default_chain: "DROP" });
    assert.equal(probe.judgeAt(ssh), "DROP INPUT[0] rule");
    assert.equal(probe.judgeAt(dns), "ACCEPT INPUT[1] rule");
  });

  test("a jump does not return: the end of the chain leads to the default", () => {
    const probe = new PolicyProbe({
      INPUT: [always("other"), always("ACCEPT")],
      other: [],
      default_chain: "DROP",
    });
    assert.equal(probe.judgeAt(ssh), "DROP other[-] default");
  });

  test("the default may be a chain", () => {
    const probe = new PolicyProbe({
      default_chain: "last",
      INPUT: [fromTest("other")],
      other: [{ name: "UDPRule", action: "DROP" }],
      last: [isTcp("DROP"), always("ACCEPT")],
    });
    assert.equal(probe.judgeAt(ssh), "DROP last[0] rule");
    assert.equal(probe.judgeAt(dns), "DROP other[0] rule");
    assert.equal(probe.judgeAt({ ...dns, source: "203.0.113.1" }), "ACCEPT last[1] rule");
  });

  test("ACCEPT and DROP are verdicts even where a chain has the name", () => {
    const probe = new PolicyProbe({
      INPUT: [always("ACCEPT")],
      ACCEPT: [always("DROP")],
      default_chain: "DROP",
    });
    assert.equal(probe.judgeAt(ssh), "ACCEPT INPUT[0] rule");
  });

  test("REJECT as an action answers as fits the packet", () => {
    const probe = new PolicyProbe({ INPUT: [always("REJECT")] });
    assert.equal(probe.judgeAt(ssh), "REJECT INPUT[0] rule");
    assert.equal(probe.evaluator.rejectWith, "tcp-reset");
    assert.equal(probe.judgeAt(dns), "REJECT INPUT[0] rule");
    assert.equal(probe.evaluator.rejectWith, "port-unreachable");
  });

  test("REJECT as the default", () => {
    const probe = new PolicyProbe({ default_chain: "REJECT" });
    assert.equal(probe.judgeAt(dns), "REJECT INPUT[-] default");
    assert.equal(probe.evaluator.rejectWith, "port-unreachable");
  });
});

describe("RETURN", () => {
  test("leads to the rule behind the jump", () => {
    const probe = new PolicyProbe({
      INPUT: [isTcp("check"), always("DROP")],
      check: [fromTest("RETURN"), always("ACCEPT")],
    });
    assert.equal(probe.judgeAt(ssh), "DROP INPUT[1] rule");
    assert.equal(probe.judgeAt({ ...ssh, source: "203.0.113.1" }), "ACCEPT check[1] rule");
  });

  test("works through several chains, and a chain may be met again", () => {
    const probe = new PolicyProbe({
      INPUT: [always("a"), always("b"), isTcp("DROP")],
      a: [always("b"), always("RETURN")],
      b: [{ name: "ReturnRule" }],
    });
    assert.equal(probe.judgeAt(ssh), "DROP INPUT[2] rule");
    assert.equal(probe.judgeAt(dns), "ACCEPT INPUT[-] default");
  });

  test("where nothing jumped it leads to the default", () => {
    const probe = new PolicyProbe({ INPUT: [always("RETURN")], default_chain: "DROP" });
    assert.equal(probe.judgeAt(ssh), "DROP INPUT[-] default");
  });

  test("forgets its callers when a chain ends", () => {
    const probe = new PolicyProbe({
      INPUT: [always("a"), always("ACCEPT")],
      a: [],
      default_chain: "last",
      last: [isTcp("sub"), always("REJECT")],
      sub: [always("RETURN")],
    });
    assert.equal(probe.judgeAt(ssh), "REJECT last[1] rule");
  });
});

describe("hooks", () => {
  test("a hook without a chain is not filtered, and says so", () => {
    const probe = new PolicyProbe({ INPUT: [always("DROP")], default_chain: "DROP" });
    assert.equal(probe.judgeAt({ ...ssh, hook: HOOK.OUTPUT }), "ACCEPT -[-] no-chain");
    assert.equal(probe.judgeAt({ ...ssh, hook: HOOK.FORWARD, cutTo: 22 }), "ACCEPT -[-] no-chain");
    assert.equal(probe.judgeAt(ssh), "DROP INPUT[0] rule");
  });

  test("INPUT is an empty chain when it is missing", () => {
    assert.equal(new PolicyProbe({ default_chain: "DROP" }).judgeAt(ssh), "DROP INPUT[-] default");
  });

  test("outgoing ports can be dropped", () => {
    const rule = { name: "PortRule", protocol: "TCP", dst_port: 25 };
    const probe = new PolicyProbe({ OUTPUT: [rule], FORWARD: [always("DROP")] });
    assert.equal(probe.judgeAt({ ...ssh, destinationPort: 25, hook: HOOK.OUTPUT }), "DROP OUTPUT[0] rule");
    assert.equal(probe.judgeAt({ ...ssh, hook: HOOK.OUTPUT }), "ACCEPT OUTPUT[-] default");
    assert.equal(probe.judgeAt({ ...ssh, hook: HOOK.FORWARD }), "DROP FORWARD[0] rule");
  });
});

describe("packets that rules cannot judge", () => {
  test("a malformed packet takes its declared outcome and meets no rule", () => {
    for (const outcome of ["ACCEPT", "DROP"]) {
      const probe = new PolicyProbe({
        settings: { outcomes: { malformed: outcome } },
        INPUT: [{ name: "PrintRule" }, always("REJECT")],
      });
      assert.equal(probe.judgeAt({ ...ssh, cutTo: 30 }), `${outcome} -[-] malformed`);
      assert.deepEqual(probe.report.lines, []);
    }
  });

  const later: Partial<ProbePacket> = { fragmentOffset: 1480, payload: new Uint8Array(40).fill(22) };
  const transportRules: readonly object[] = [
    { name: "PortRule", protocol: "TCP", dst_port: 0 },
    { name: "PortRangeRule", protocol: "TCP", dst_lo: 0, dst_hi: 65_535 },
    { name: "IPPortRule", protocol: "TCP", dst_lo: 0, dst_hi: 65_535 },
    { name: "TCPStateRule", match_if: ["CLOSED"] },
    { name: "ICMPRule", type: "echo-reply" },
  ];
  for (const rule of transportRules) {
    test(`a later fragment matches ${JSON.stringify(rule)} neither way`, () => {
      for (const not of [false, true]) {
        const probe = new PolicyProbe({ INPUT: [{ ...rule, not, action: "DROP" }] });
        assert.equal(probe.judge({ ...ssh, ...later }), "ACCEPT");
        assert.equal(probe.judge({ ...ssh, ...later, protocol: PROTOCOL.ICMP }), "ACCEPT");
      }
    });
  }

  test("a later fragment matches rules about addresses and protocols", () => {
    assert.equal(new PolicyProbe({ INPUT: [isTcp("DROP")] }).judge({ ...ssh, ...later }), "DROP");
    assert.equal(new PolicyProbe({ INPUT: [fromTest("DROP")] }).judge({ ...ssh, ...later }), "DROP");
  });
});

class ThrowingRule extends Rule {
  override match(): boolean {
    throw new Error("no idea");
  }
}

class PromisingRule extends Rule {
  override match(): boolean {
    return Promise.resolve(true) as unknown as boolean;
  }
}

class StrangeVerdictRule extends VerdictRule {
  override decide(): 0 {
    return 7 as 0;
  }
}

function strangeRegistry(): RuleRegistry {
  const registry = createRegistry();
  const base = { summary: "Goes wrong.", arguments: {} };
  registry.register("ThrowingRule", { ...base, action: "required", create: () => new ThrowingRule() });
  registry.register("PromisingRule", { ...base, action: "required", create: () => new PromisingRule() });
  registry.register("StrangeVerdictRule", { ...base, action: "own", create: () => new StrangeVerdictRule() });
  return registry;
}

describe("rules that fail", () => {
  const rules = [
    { name: "ThrowingRule", action: "ACCEPT" },
    { name: "PromisingRule", action: "ACCEPT" },
    { name: "StrangeVerdictRule" },
  ];
  for (const rule of rules) {
    test(`${rule.name} is counted and takes the declared outcome`, () => {
      for (const outcome of ["ACCEPT", "DROP"]) {
        const source = {
          settings: { outcomes: { ruleError: outcome } },
          INPUT: [always("sub")],
          sub: [isTcp("DROP"), rule],
        };
        const probe = new PolicyProbe(source, { registry: strangeRegistry() });
        assert.equal(probe.judgeAt(dns), `${outcome} sub[1] rule-error`);
        assert.equal(probe.evaluator.ruleErrors, 1);
        assert.deepEqual(
          probe.report.errors.map(({ chain, rule: index }) => `${chain}[${index}]`),
          ["sub[1]"],
        );
      }
    });
  }

  test("reports are bounded, the count is not", () => {
    const probe = new PolicyProbe(
      { INPUT: [{ name: "ThrowingRule", action: "DROP" }] },
      { registry: strangeRegistry() },
    );
    for (let packet = 0; packet < 1000; packet += 1) probe.judge(ssh);
    assert.equal(probe.evaluator.ruleErrors, 1000);
    assert.equal(probe.report.errors.length, 10);
    probe.context.now += 1000;
    probe.judge(ssh);
    assert.equal(probe.report.errors.at(-1)?.suppressed, 990);
  });
});

test("matches are counted rule by rule", () => {
  const probe = new PolicyProbe({ INPUT: [isTcp("a"), always("DROP")], a: [fromTest("ACCEPT")] });
  for (const packet of [ssh, ssh, dns]) probe.judge(packet);
  const input = probe.policy.hookChain(HOOK.INPUT);
  const chain = probe.policy.chains.find(({ name }) => name === "a");
  assert.equal(probe.evaluator.matchCount(input?.index ?? -1, 0), 2);
  assert.equal(probe.evaluator.matchCount(input?.index ?? -1, 1), 1);
  assert.equal(probe.evaluator.matchCount(chain?.index ?? -1, 0), 2);
});

test("TCPStateRule sees the state before the packet", () => {
  const probe = new PolicyProbe({
    INPUT: [{ name: "TCPStateRule", match_if: ["CLOSED", "LAST_ACK"], action: "DROP" }],
  });
  assert.equal(probe.judge({ ...ssh, state: "CLOSED" }), "DROP");
  assert.equal(probe.judge({ ...ssh, state: "LAST_ACK" }), "DROP");
  assert.equal(probe.judge({ ...ssh, state: "ESTABLISHED" }), "ACCEPT");
  assert.equal(probe.judge({ ...dns, state: "CLOSED" }), "ACCEPT");
  const others = new PolicyProbe({
    INPUT: [{ name: "TCPStateRule", match_if_not: ["ESTABLISHED"], action: "DROP" }],
  });
  assert.equal(others.judge({ ...ssh, state: "ESTABLISHED" }), "ACCEPT");
  assert.equal(others.judge({ ...ssh, state: "INVALID" }), "DROP");
  assert.equal(others.judge({ ...dns, state: "CLOSED" }), "ACCEPT");
});

test("PrintRule prints two lines in PyWall's form and never matches", () => {
  const probe = new PolicyProbe({ INPUT: [{ name: "PrintRule", action: "DROP" }] });
  assert.equal(probe.judge(ssh), "ACCEPT");
  probe.judge(dns);
  probe.judge({ source: "2001:db8::1", destination: "2001:db8::2", protocol: PROTOCOL.ICMPV6 });
  probe.judge({ ...ssh, protocol: 143 });
  assert.deepEqual(probe.report.takeLines(), [
    "IP Packet 192.0.2.1 => 198.51.100.7, proto=TCP",
    "TCP from 40000 to 22",
    "IP Packet 192.0.2.1 => 198.51.100.7, proto=UDP",
    "UDP from 40000 to 53",
    "IP Packet 2001:db8::1 => 2001:db8::2, proto=IPv6-ICMP",
    "None",
    "IP Packet 192.0.2.1 => 198.51.100.7, proto=unknown",
    "None",
  ]);
  probe.report.printing = false;
  probe.judge(ssh);
  assert.deepEqual(probe.report.lines, []);
});

describe("PyWall compatibility", () => {
  const udp = { name: "PortRule", protocol: "UDP", dst_port: 53, action: "DROP" };
  const settings = { compatibility: "pywall" };

  test("a PortRule takes both protocols there, and only its own otherwise", () => {
    const strict = new PolicyProbe({ INPUT: [udp] });
    const pywall = new PolicyProbe({ settings, INPUT: [udp] });
    assert.equal(strict.judge({ ...dns, protocol: PROTOCOL.TCP }), "ACCEPT");
    assert.equal(pywall.judge({ ...dns, protocol: PROTOCOL.TCP }), "DROP");
    assert.equal(pywall.judge({ ...dns, protocol: PROTOCOL.SCTP }), "ACCEPT");
    const tcp = new PolicyProbe({ settings, INPUT: [{ ...udp, protocol: "TCP" }] });
    assert.equal(tcp.judge(dns), "DROP");
  });

  test("port rules announce their matches", () => {
    const range = { protocol: "UDP", dst_lo: 50, dst_hi: 60 };
    const probe = new PolicyProbe({
      settings,
      INPUT: [
        { name: "PortRangeRule", ...range, action: "next" },
        { ...udp, action: "DROP" },
      ],
      next: [
        { name: "IPPortRule", ...range, src_ip: "203.0.113.1" },
        { ...udp, action: "DROP" },
      ],
    });
    assert.equal(probe.judge(dns), "DROP");
    assert.deepEqual(probe.report.takeLines(), [
      "PortRangeRule: next",
      "PortRangeRule: DROP",
      "PortRule: DROP",
    ]);
  });

  test("rules without an action never act, string ports never match", () => {
    const probe = new PolicyProbe({
      settings,
      INPUT: [
        { name: "TrueRule" },
        { name: "SourceIPRule", cidr_range: "0.0.0.0/0", action: null },
        { ...udp, dst_port: "53" },
        { name: "PortRangeRule", protocol: "UDP", dst_lo: "1", dst_hi: 65_535 },
        { name: "PortRangeRule", protocol: "UDP", dst_lo: 1, dst_hi: "65535" },
        { name: "TCPStateRule", match_if: ["CLOSD"], action: "DROP" },
        { name: "TrueRule", action: "DROP", unknown: 1, not: true },
      ],
    });
    assert.equal(probe.judgeAt(dns), "ACCEPT INPUT[-] default");
    assert.equal(probe.judgeAt(ssh), "ACCEPT INPUT[-] default");
  });
});

test("two evaluators of one policy share nothing but the memory", () => {
  const policy = compileValid({ INPUT: [{ name: "LimitRule", rate: 1, burst: 1, action: "DROP" }] });
  const memory = allocateMemory(policy);
  const context = new ContextProbe();
  decodeBuilt(ssh, context.packet);
  const verdicts = [memory, memory, {}].map((given) => new Evaluator(policy, given).evaluate(context));
  assert.deepEqual(verdicts, [0, 1, 0]);
});
