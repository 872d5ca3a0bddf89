import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HOOK, hookName, PROTOCOL, TCP_FLAG, verdictName } from "../../base/index.ts";
import { allocateMemory, Evaluator } from "../../policy/index.ts";
import { PlanWalk } from "../../testing/plan-walk.ts";
import {
  compileValid,
  ContextProbe,
  decodeBuilt,
  type PolicySource,
  type ProbePacket,
} from "../../testing/policy-probe.ts";
import {
  countingPolicies,
  interfaceName,
  KNOCK_PORTS,
  knockingPolicies,
  policies,
  probePackets,
} from "../../testing/rule-arbitraries.ts";
import { tcpStateIndex } from "../../base/index.ts";
import { FRAGMENT } from "../../wire/index.ts";
import { planPolicy } from "./kernel-plan.ts";

/** What the kernel vouches for; and interfaces as packets of each hook have them. */
const wholePackets = probePackets
  .filter((packet) => packet.moreFragments !== true && (packet.fragmentOffset ?? 0) === 0)
  .map((packet): ProbePacket => {
    const hook = hookName(packet.hook ?? 1);
    const isOut = hook === "OUTPUT";
    return {
      ...packet,
      conntrack: packet.conntrack ?? "new",
      inInterface: isOut ? 0 : Math.max(packet.inInterface ?? 0, 1),
      outInterface: hook === "INPUT" ? 0 : Math.max(packet.outInterface ?? 0, 1),
      // The owner of a packet has both a user and a group.
      userId: isOut ? (packet.userId ?? -1) : -1,
      groupId: isOut && (packet.userId ?? -1) >= 0 ? Math.max(packet.groupId ?? 0, 0) : -1,
    };
  });

type Seen = Record<"accept" | "drop" | "reject" | "userspace" | "counted", number>;

/** Has both judge the same packets. */
function compare(source: PolicySource, packets: readonly ProbePacket[], seen: Seen): void {
  const policy = compileValid(source);
  const memory = allocateMemory(policy);
  const walk = new PlanWalk(planPolicy(policy, memory), policy.attachTables(memory));
  const evaluator = new Evaluator(policy, memory);
  const context = new ContextProbe();
  for (const [index, name] of [1, 2, 3, 4].map((at) => [at, interfaceName(at)] as const)) {
    context.interfaces.set(index, name);
  }
  for (const fields of packets) {
    const packet = decodeBuilt(fields, context.packet);
    if (packet.fault !== undefined || packet.fragment !== FRAGMENT.NONE) continue;
    context.tcpState = tcpStateIndex(fields.state ?? "CLOSED");
    context.flow = fields.flow ?? -1;
    const hook = hookName(packet.hook);
    assert.ok(hook !== undefined);
    const before = [context.report.lines.length, context.report.logged.length];
    const verdict = verdictName(evaluator.evaluate(context)).toLowerCase();
    const said = [context.report.lines.length, context.report.logged.length];
    const { action, line } = walk.walk(hook, packet, {
      inInterface: interfaceName(packet.inInterface),
      outInterface: interfaceName(packet.outInterface),
    });
    assert.ok(action === "accept" || action === "drop" || action === "reject" || action === "userspace");
    seen[action] += 1;
    if (action === "userspace") continue;
    if (line?.meter !== undefined || line?.knock !== undefined) seen.counted += 1;
    assert.equal(action, verdict, JSON.stringify({ source, fields, line }));
    assert.deepEqual(said, before, "what the kernel judges has no side effect");
    if (line === undefined) continue;
    const { chain, rule } = line.origin;
    // A RETURN from a start chain ends it, by whatever chain the default was reached.
    if (rule >= 0) assert.deepEqual([chain, rule], [evaluator.chain, evaluator.rule]);
  }
}

const RUNS = { numRuns: 400 };

test("whatever the policy and the packet, the kernel says what the interpreter says, or asks it", () => {
  const seen = { accept: 0, drop: 0, reject: 0, userspace: 0, counted: 1000 };
  const many = fc.array(wholePackets, { minLength: 30, maxLength: 30 });
  fc.assert(
    fc.property(policies(6), many, (source, packets) => compare(source, packets, seen)),
    RUNS,
  );
  for (const [action, count] of Object.entries(seen)) assert.ok(count > 100, `${action}: ${count}`);
});

test("limits that stand in the kernel count what the interpreter counts", () => {
  const seen = { accept: 0, drop: 0, reject: 0, userspace: 0, counted: 0 };
  const arriving = wholePackets.filter(
    ({ source, hook }) => typeof source === "string" && !source.includes(":") && hook !== HOOK.OUTPUT,
  );
  const few = fc.array(arriving, { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(countingPolicies, few, (source, packets) =>
      compare(source, Array.from({ length: 6 }, () => packets).flat(), seen),
    ),
    RUNS,
  );
  for (const [action, count] of Object.entries(seen)) assert.ok(count > 100, `${action}: ${count}`);
});

test("knocks that stand in the kernel count as for the interpreter", () => {
  const seen = { accept: 0, drop: 0, reject: 0, userspace: 0, counted: 0 };
  const ends = [
    { source: "192.0.2.1", destination: "10.0.0.1" },
    { source: "192.0.2.130", destination: "10.0.0.1" },
    { source: "2001:db8::1", destination: "2001:db8::9" },
  ];
  const headers = fc.record({
    protocol: fc.constantFrom(PROTOCOL.TCP, PROTOCOL.TCP, PROTOCOL.TCP, PROTOCOL.UDP),
    sourcePort: fc.constantFrom(22, 22, 23),
    destinationPort: fc.constantFrom(...KNOCK_PORTS.doors, KNOCK_PORTS.opened),
    flags: fc.constantFrom(TCP_FLAG.SYN, TCP_FLAG.SYN, TCP_FLAG.SYN, TCP_FLAG.ACK),
    sequence: fc.nat(5),
    conntrack: fc.constant("new" as const),
    inInterface: fc.constant(1),
  });
  const knocks = fc
    .tuple(fc.constantFrom(...ends), headers)
    .map(([each, header]): ProbePacket => ({ ...each, ...header }));
  const many = fc.array(knocks, { minLength: 30, maxLength: 30 });
  fc.assert(
    fc.property(knockingPolicies, many, (source, packets) => compare(source, packets, seen)),
    RUNS,
  );
  for (const [action, count] of Object.entries(seen)) assert.ok(count > 100, `${action}: ${count}`);
});
