import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HOOK, PROTOCOL, TCP_FLAG } from "../base/index.ts";
import { PolicyProbe, type ProbePacket } from "../testing/policy-probe.ts";
import type { ExplainStep } from "./index.ts";

const https: ProbePacket = {
  source: "192.0.2.1",
  destination: "198.51.100.7",
  protocol: PROTOCOL.TCP,
  sourcePort: 40_000,
  destinationPort: 443,
};

/** A step on one line. */
function words(step: ExplainStep): string {
  switch (step.kind) {
    case "chain":
      return `${step.chain}: ${step.reason}`;
    case "rule":
      return (
        `${step.chain}[${step.rule}] ${step.name} ` +
        `${step.matched ? "yes" : "no"}: ${step.reason} -> ${step.target}`
      );
    case "verdict":
      return `${step.verdict} ${step.cause} ${step.chain}[${step.rule}]: ${step.reason}`;
  }
}

function explain(policy: { readonly [name: string]: unknown }, packet: ProbePacket): string[] {
  return new PolicyProbe(policy).explain(packet).map(words);
}

describe("explanations", () => {
  test("show every chain, every rule asked, and why", () => {
    const policy = {
      INPUT: [
        { name: "PortRule", protocol: "TCP", dst_port: 22, action: "ACCEPT" },
        { name: "TCPRule", action: "web" },
        { name: "TrueRule", action: "REJECT" },
      ],
      web: [
        { name: "SourceIPRule", cidr_range: "10.0.0.0/8", action: "ACCEPT", comment: "the house" },
        { name: "PortRangeRule", protocol: "UDP", dst_lo: 1, dst_hi: 2, not: true, action: "RETURN" },
      ],
    };
    assert.deepEqual(explain(policy, https), [
      "INPUT: the packet's hook",
      "INPUT[0] PortRule no: destination port 443 is not 22 -> next",
      "INPUT[1] TCPRule yes: protocol TCP is TCP -> web",
      "web: rule 1 of INPUT jumps here",
      "web[0] SourceIPRule no: source 192.0.2.1 is not in 10.0.0.0/8 -> next",
      'web[1] PortRangeRule yes: protocol TCP is not UDP, inverted by "not" -> RETURN',
      "INPUT: back from web",
      "INPUT[2] TrueRule yes: matches every packet -> REJECT",
      "REJECT rule INPUT[2]: rule 2 of INPUT",
    ]);
  });

  test("show the way through the default chain", () => {
    const policy = { default_chain: "last", INPUT: [], last: [{ name: "TrueRule", action: "DROP" }] };
    assert.deepEqual(explain(policy, https).slice(1), [
      "last: chain INPUT ends: default_chain",
      "last[0] TrueRule yes: matches every packet -> DROP",
      "DROP rule last[0]: rule 0 of last",
    ]);
    assert.deepEqual(
      explain({ default_chain: "REJECT" }, https).at(-1),
      "REJECT default INPUT[null]: chain " + "INPUT ends: default_chain is REJECT",
    );
  });

  test("name the cause where no rule is asked", () => {
    const policy = { settings: { outcomes: { malformed: "ACCEPT" } }, INPUT: [] };
    assert.deepEqual(explain(policy, { ...https, cutTo: 30 }), [
      "ACCEPT malformed null[null]: the packet cannot be read (tcp-truncated); outcomes.malformed is ACCEPT",
    ]);
    assert.deepEqual(explain(policy, { ...https, hook: HOOK.FORWARD }), [
      "ACCEPT no-chain null[null]: the policy has no chain for this hook: packets are tracked, not filtered",
    ]);
  });

  const fragment = { ...https, fragmentOffset: 8 };
  const unreachable = { ...https, protocol: PROTOCOL.ICMP, icmpType: 3, icmpCode: 1 };
  const reasons: readonly (readonly [object, ProbePacket, string])[] = [
    [{ name: "PortRule", protocol: "TCP", src_port: 1 }, https, "source port 40000 is not 1"],
    [{ name: "PortRule", protocol: "TCP", src_port: 40_000 }, https, "TCP from port 40000 to port 443"],
    [{ name: "PortRule", protocol: "UDP", dst_port: 443 }, https, "protocol TCP is not UDP"],
    [
      { name: "PortRule", protocol: "TCP", dst_port: 443 },
      fragment,
      "a later fragment has no ports, flags or ICMP type: matches neither way",
    ],
    [
      { name: "PortRangeRule", protocol: "TCP", dst_lo: 1, dst_hi: 9 },
      https,
      "destination port 443 is not in 1-9",
    ],
    [
      { name: "PortRangeRule", protocol: "TCP", src_lo: 1, src_hi: 9 },
      https,
      "source port 40000 is not in 1-9",
    ],
    [
      { name: "IPPortRule", protocol: "TCP", dst_lo: 1, dst_hi: 999, src_ip: "10/8", dst_ip: "198.51.100.7" },
      https,
      "TCP from port 40000 to port 443, source 192.0.2.1 is not " +
        "in 10.0.0.0/8, destination 198.51.100.7 is in 198.51.100.7/32",
    ],
    [{ name: "TCPStateRule", match_if: ["ESTABLISHED"] }, https, "state CLOSED is not in ESTABLISHED"],
    [{ name: "TCPStateRule", match_if_not: ["ESTABLISHED"] }, https, "state CLOSED is outside ESTABLISHED"],
    [{ name: "TCPStateRule", match_if: ["CLOSED"] }, unreachable, "protocol ICMP is not TCP"],
    [{ name: "FlowRule", is: "known" }, https, "the flow is new, wanted is known"],
    [{ name: "ICMPRule", type: "echo-request" }, unreachable, "ICMP type 3 is not 8"],
    [{ name: "ICMPRule", code: "port-unreachable" }, unreachable, "ICMP code 1 is not 3"],
    [{ name: "ICMPRule", type: "redirect" }, https, "protocol TCP is not the one that is meant"],
    [{ name: "InterfaceRule", in: "eth*" }, https, "in interface (none) is not eth*"],
    [
      { name: "UserRule", user: 0 },
      https,
      "the packet has no owner known to the kernel: matches neither way",
    ],
    [{ name: "UserRule", user: 0 }, { ...https, userId: 7, groupId: 7 }, "user 7 is not 0"],
    [
      { name: "LimitRule", rate: 5 },
      https,
      "all sources together: 5 tokens " + "left, so the packet is under the limit",
    ],
  ];
  for (const [rule, packet, reason] of reasons) {
    test(`${JSON.stringify(rule)}: ${reason}`, () => {
      const [, step] = new PolicyProbe({ INPUT: [{ ...rule, action: "DROP" }] }).explain(packet);
      assert.ok(step?.kind === "rule");
      assert.equal(step.reason, reason);
    });
  }

  test("of knocks follow the source", () => {
    const rule = {
      name: "PortKnocking",
      protocol: "TCP",
      port: 443,
      mode: "strict",
      attempts: 1,
      doors: [
        ["TCP", 1],
        ["UDP", 2],
      ],
    };
    const probe = new PolicyProbe({ INPUT: [rule] });
    const door1 = { ...https, destinationPort: 1, flags: TCP_FLAG.SYN };
    const door2 = { ...https, protocol: PROTOCOL.UDP, destinationPort: 2 };
    const reason = (packet: ProbePacket): string => {
      const [, step] = probe.explain(packet);
      return step?.reason ?? "";
    };
    assert.equal(reason(https), "0 of 2 doors are passed, and this is no knock on the next one (TCP port 1)");
    assert.equal(reason(door1), "knocks on door 1 of 2");
    probe.judge(door1);
    assert.equal(reason(door1), "repeats a knock that has counted; 1 of 2 doors are passed");
    assert.equal(
      reason({ ...door1, flags: TCP_FLAG.ACK }),
      "knocks on a wrong door: " + "the source has to begin again",
    );
    assert.equal(reason({ ...door1, sequence: 1 }), "the source has begun too often and has to wait");
    probe.judge(door2);
    assert.equal(reason(https), "all 2 doors are passed: TCP port 443 is open for this source");
    assert.equal(reason(door2), "TCP port 443 is open for this source, but the packet does not go there");
  });
});
