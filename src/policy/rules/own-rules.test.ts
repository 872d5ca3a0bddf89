/** The rules that PyWall has not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HOOK, PROTOCOL, SECOND } from "../../base/index.ts";
import { PolicyProbe, type ProbePacket } from "../../testing/policy-probe.ts";
import { FLOW } from "../index.ts";

const tcp: ProbePacket = {
  source: "192.0.2.1",
  destination: "198.51.100.7",
  protocol: PROTOCOL.TCP,
  sourcePort: 40_000,
  destinationPort: 22,
};
const udp: ProbePacket = { ...tcp, protocol: PROTOCOL.UDP };
const ping: ProbePacket = { ...tcp, protocol: PROTOCOL.ICMP, icmpType: 8 };
const six = { source: "2001:db8::1", destination: "2001:db8::7" };
const ping6: ProbePacket = { ...tcp, ...six, protocol: PROTOCOL.ICMPV6, icmpType: 128 };

/** True when a single rule matches. */
function matches(rule: object, packet: ProbePacket): boolean {
  const chain = packet.hook === HOOK.OUTPUT ? "OUTPUT" : "INPUT";
  return new PolicyProbe({ [chain]: [{ ...rule, action: "DROP" }] }).judge(packet) === "DROP";
}

test("UDPRule", () => {
  assert.equal(matches({ name: "UDPRule" }, udp), true);
  assert.equal(matches({ name: "UDPRule" }, tcp), false);
});

describe("ICMPRule", () => {
  const unreachable = { ...ping, icmpType: 3, icmpCode: 3 };
  const unreachable6 = { ...ping6, icmpType: 1, icmpCode: 4 };
  const rows: readonly (readonly [object, ProbePacket, boolean])[] = [
    [{}, ping, true],
    [{}, ping6, true],
    [{}, tcp, false],
    [{ protocol: "ICMP" }, ping6, false],
    [{ protocol: "ICMPv6" }, ping6, true],
    [{ type: "echo-request" }, ping, true],
    [{ type: "echo-request" }, ping6, true],
    [{ type: "echo-request" }, { ...ping6, icmpType: 8 }, false],
    [{ type: 8, protocol: "ICMP" }, ping, true],
    [{ type: 8, protocol: "ICMP" }, { ...ping6, icmpType: 8 }, false],
    [{ code: "port-unreachable" }, unreachable, true],
    [{ code: "port-unreachable" }, unreachable6, true],
    [{ code: "port-unreachable" }, { ...unreachable6, icmpCode: 3 }, false],
    [{ type: "destination-unreachable", code: 3 }, unreachable, true],
    [{ type: "destination-unreachable", code: 3 }, unreachable6, false],
    [{ type: "packet-too-big" }, { ...ping6, icmpType: 2 }, true],
    [{ type: "packet-too-big" }, { ...ping, icmpType: 2 }, false],
  ];
  for (const [rule, packet, expected] of rows) {
    const { protocol, icmpType, icmpCode = 0 } = packet;
    test(`${JSON.stringify(rule)} and protocol ${protocol} type ${icmpType} code ${icmpCode}`, () => {
      assert.equal(matches({ name: "ICMPRule", ...rule }, packet), expected);
    });
  }
});

describe("FlowRule", () => {
  const { NEW, ORIGINAL, REPLY } = FLOW;
  const rows: readonly (readonly [string, readonly number[]])[] = [
    ["new", [NEW]],
    ["known", [ORIGINAL, REPLY]],
    ["original", [ORIGINAL]],
    ["reply", [REPLY]],
  ];
  for (const [is, flows] of rows) {
    test(is, () => {
      for (const flow of [NEW, ORIGINAL, REPLY]) {
        assert.equal(matches({ name: "FlowRule", is }, { ...udp, flow }), flows.includes(flow));
      }
    });
  }
});

describe("ConntrackRule", () => {
  const probe = new PolicyProbe({
    INPUT: [
      { name: "ConntrackRule", states: ["established", "related"], action: "ACCEPT" },
      { name: "ConntrackRule", states: ["new"], not: true, action: "REJECT" },
      { name: "TrueRule", action: "DROP" },
    ],
  });
  const error = { ...udp, protocol: PROTOCOL.ICMP, icmpType: 3, icmpCode: 1, flow: FLOW.REPLY };
  // What the kernel tells, or what is known of the flow, and the rule that follows.
  for (const [title, packet, verdict] of [
    ["the kernel's word counts, whatever our table knows", { ...udp, conntrack: "established" }, "ACCEPT"],
    ["the kernel's word counts for what we know", { ...udp, conntrack: "new", flow: FLOW.REPLY }, "DROP"],
    ["related", { ...udp, conntrack: "related" }, "ACCEPT"],
    ["untracked is neither", { ...udp, conntrack: "untracked" }, "REJECT"],
    ["untold: an unknown flow is new", udp, "DROP"],
    ["untold: a known one is established", { ...udp, flow: FLOW.ORIGINAL }, "ACCEPT"],
    ["untold: an error about a known one is related", error, "ACCEPT"],
    [
      "untold: a segment that our table calls invalid is invalid",
      { ...udp, protocol: PROTOCOL.TCP, state: "INVALID", flow: FLOW.ORIGINAL },
      "REJECT",
    ],
  ] as const) {
    test(title, () => assert.equal(probe.judge(packet), verdict));
  }

  test("the explanation says whose word it is", () => {
    const reason = (packet: ProbePacket): string =>
      probe.explain(packet).find((step) => step.kind === "rule")?.reason ?? "";
    assert.equal(
      reason({ ...udp, conntrack: "invalid" }),
      "conntrack state invalid is not among established, related",
    );
    assert.match(reason(udp), /^conntrack state new \(not told by the kernel: inferred from the flow\)/);
  });
});

describe("InterfaceRule", () => {
  const probe = (rule: object): PolicyProbe => {
    const made = new PolicyProbe({ INPUT: [{ name: "InterfaceRule", ...rule, action: "DROP" }] });
    made.context.interfaces.set(2, "eth0").set(3, "wg12");
    return made;
  };
  const rows: readonly (readonly [object, number, number, boolean])[] = [
    [{ in: "eth0" }, 2, 0, true],
    [{ in: "eth" }, 2, 0, false],
    [{ in: "eth*" }, 2, 0, true],
    [{ in: "wg+" }, 3, 0, true],
    [{ in: "wg+" }, 2, 0, false],
    [{ in: "*" }, 2, 0, true],
    [{ in: "*" }, 0, 0, false],
    [{ in: "*" }, 99, 0, false],
    [{ out: "wg12" }, 2, 3, true],
    [{ in: "eth0", out: "wg*" }, 2, 3, true],
    [{ in: "eth0", out: "wg*" }, 3, 3, false],
    [{ in: "eth0", not: true }, 3, 0, true],
  ];
  for (const [rule, inInterface, outInterface, expected] of rows) {
    test(`${JSON.stringify(rule)}, in ${inInterface}, out ${outInterface}`, () => {
      const verdict = probe(rule).judge({ ...tcp, inInterface, outInterface });
      assert.equal(verdict, expected ? "DROP" : "ACCEPT");
    });
  }
});

describe("UserRule", () => {
  const users = {
    userId: (name: string) => (name === "alice" ? 1000 : undefined),
    groupId: (name: string) => (name === "staff" ? 50 : undefined),
  };
  const judge = (rule: object, packet: Partial<ProbePacket>): boolean => {
    const probe = new PolicyProbe({ OUTPUT: [{ name: "UserRule", ...rule, action: "DROP" }] }, { users });
    return probe.judge({ ...tcp, hook: HOOK.OUTPUT, ...packet }) === "DROP";
  };
  test("by name and by number", () => {
    assert.equal(judge({ user: "alice" }, { userId: 1000, groupId: 1 }), true);
    assert.equal(judge({ user: 1000 }, { userId: 1000, groupId: 1 }), true);
    assert.equal(judge({ user: 0 }, { userId: 1000, groupId: 1 }), false);
    assert.equal(judge({ group: "staff" }, { userId: 1000, groupId: 50 }), true);
    assert.equal(judge({ user: "alice", group: "staff" }, { userId: 1000, groupId: 51 }), false);
  });
  test("a packet without an owner matches neither way", () => {
    assert.equal(judge({ user: "alice" }, {}), false);
    assert.equal(judge({ user: "alice", not: true }, {}), false);
    assert.equal(judge({ user: "alice", not: true }, { userId: 5, groupId: 5 }), true);
  });
});

describe("RejectRule", () => {
  const rows: readonly (readonly [string, ProbePacket, string])[] = [
    ["auto", tcp, "tcp-reset"],
    ["auto", udp, "port-unreachable"],
    ["auto", { ...tcp, fragmentOffset: 8 }, "port-unreachable"],
    ["tcp-reset", tcp, "tcp-reset"],
    ["tcp-reset", udp, "port-unreachable"],
    ["port-unreachable", tcp, "port-unreachable"],
    ["host-unreachable", tcp, "host-unreachable"],
    ["admin-prohibited", ping, "admin-prohibited"],
  ];
  for (const [wish, packet, answer] of rows) {
    test(`${wish} for protocol ${packet.protocol} is ${answer}`, () => {
      const probe = new PolicyProbe({ INPUT: [{ name: "RejectRule", with: wish }] });
      assert.equal(probe.judgeAt(packet), "REJECT INPUT[0] rule");
      assert.equal(probe.evaluator.rejectWith, answer);
    });
  }
});

describe("LogRule", () => {
  test("logs so many lines, says how many it swallowed, and never matches", () => {
    const rule = { name: "LogRule", prefix: "ssh", level: "WARNING", rate: 1, burst: 2 };
    const probe = new PolicyProbe({ INPUT: [rule] });
    for (let packet = 0; packet < 10; packet += 1) assert.equal(probe.judge(tcp), "ACCEPT");
    assert.equal(probe.report.logged.length, 2);
    probe.context.now += SECOND;
    probe.judge(tcp);
    const line = { prefix: "ssh", source: "192.0.2.1:40000", level: "WARNING" };
    assert.deepEqual(probe.report.logged, [
      { ...line, suppressed: 0 },
      { ...line, suppressed: 0 },
      { ...line, suppressed: 8 },
    ]);
  });
});

describe("LimitRule", () => {
  const burst = (probe: PolicyProbe, count: number, packet = tcp): number => {
    let dropped = 0;
    for (let sent = 0; sent < count; sent += 1) if (probe.judge(packet) === "DROP") dropped += 1;
    return dropped;
  };
  const limit = (rule: object, settings: object = {}): PolicyProbe =>
    new PolicyProbe({ settings, INPUT: [{ name: "LimitRule", ...rule, action: "DROP" }] });

  test("over the limit matches, under it does not", () => {
    const probe = limit({ rate: 5, burst: 3 });
    assert.equal(burst(probe, 10), 7);
    probe.context.now += SECOND;
    assert.equal(burst(probe, 10), 7);
    probe.context.now += 0.2 * SECOND;
    assert.equal(burst(probe, 10), 9);
  });

  test("the burst is the rate, rounded up, when not given", () => {
    assert.equal(burst(limit({ rate: 2.5 }), 10), 7);
    assert.equal(burst(limit({ rate: 1, per: "hour" }), 10), 9);
  });

  test('"under" matches what fits into the limit', () => {
    const probe = limit({ rate: 5, burst: 3, match: "under" });
    assert.equal(burst(probe, 10), 3);
  });

  test("per minute", () => {
    const probe = limit({ rate: 6, per: "minute", burst: 1 });
    assert.equal(burst(probe, 2), 1);
    probe.context.now += 9.9 * SECOND;
    assert.equal(burst(probe, 1), 1);
    probe.context.now += 0.2 * SECOND;
    assert.equal(burst(probe, 1), 0);
  });

  test("per source, or all together", () => {
    const others = { ...tcp, ...six };
    const apart = limit({ rate: 1, burst: 1, by: "source" });
    assert.deepEqual([burst(apart, 2), burst(apart, 2, others)], [1, 1]);
    const together = limit({ rate: 1, burst: 1 });
    assert.deepEqual([burst(together, 2), burst(together, 2, others)], [1, 2]);
  });

  test("a flood of spoofed sources neither grows the memory nor frees a source that is over", () => {
    const probe = limit({ rate: 1, per: "hour", burst: 2, by: "source" }, { limits: { limitSources: 64 } });
    assert.equal(burst(probe, 5), 3);
    for (let spoofed = 0; spoofed < 5000; spoofed += 1) {
      probe.judge({ ...tcp, source: `10.0.${spoofed >> 8}.${spoofed & 255}` });
    }
    assert.equal(probe.judge(tcp), "DROP");
  });

  test("explaining a packet takes no token", () => {
    const probe = limit({ rate: 1, burst: 1 });
    for (let time = 0; time < 5; time += 1) probe.explain(tcp);
    assert.equal(probe.judge(tcp), "ACCEPT");
  });
});
