/** What a long policy costs, and the corners of lookups that random policies seldom reach. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL } from "../base/index.ts";
import { PolicyProbe, type ProbePacket } from "../testing/policy-probe.ts";

const from = (source: string, fields: Partial<ProbePacket> = {}): ProbePacket => ({
  source,
  destination: "198.51.100.7",
  protocol: PROTOCOL.TCP,
  ...fields,
});

function sources(count: number): PolicyProbe {
  const rule = (_: unknown, at: number): object => ({
    name: "SourceIPRule",
    cidr_range: `10.${at >>> 8}.${at & 255}.1`,
    action: "DROP",
  });
  return new PolicyProbe({ INPUT: Array.from({ length: count }, rule) });
}

/** Least processor time of several runs, in microseconds. */
function cost({ evaluator, context }: PolicyProbe): number {
  const runs = Array.from({ length: 8 }, () => {
    const before = process.cpuUsage().user;
    for (let at = 0; at < 200_000; at += 1) evaluator.evaluate(context);
    return process.cpuUsage().user - before;
  });
  return Math.min(...runs);
}

test("ten thousand rules cost little more than twenty", () => {
  const few = sources(20);
  const many = sources(10_000);
  for (const probe of [few, many]) assert.equal(probe.judge(from("192.0.2.1")), "ACCEPT");
  assert.equal(many.judgeAt(from("10.39.15.1")), "DROP INPUT[9999] rule");
  many.judge(from("192.0.2.1"));
  // A walk costs a thousand times as much.
  const ratio = cost(many) / cost(few);
  assert.ok(ratio < 20, `${ratio.toFixed(1)} times as much`);
});

test("the first of many rules with the same key decides, and a jump comes back behind it", () => {
  const jumps = Array.from({ length: 30 }, () => ({
    name: "SourceIPRule",
    cidr_range: "192.0.2.0/24",
    action: "back",
  }));
  const probe = new PolicyProbe({
    INPUT: [...jumps, { name: "TCPRule", action: "REJECT" }],
    back: [{ name: "ReturnRule" }],
  });
  assert.equal(probe.judgeAt(from("192.0.2.1")), "REJECT INPUT[30] rule");
  const counts = jumps.map((_, at) => probe.evaluator.matchCount(0, at));
  assert.deepEqual(new Set(counts), new Set([1]));
});

test("of nested ranges of ports the first that covers the port decides", () => {
  const rules = Array.from({ length: 3000 }, (_, at) => ({
    name: "PortRangeRule",
    protocol: "TCP",
    dst_lo: 4000 - at,
    dst_hi: 4000 + at,
    action: at % 2 === 0 ? "DROP" : "REJECT",
  }));
  const probe = new PolicyProbe({ INPUT: rules });
  for (const [port, rule] of [
    [4000, 0],
    [4001, 1],
    [3998, 2],
    [6999, 2999],
    [1001, 2999],
  ] as const) {
    assert.match(
      probe.judgeAt(from("192.0.2.1", { destinationPort: port })),
      new RegExp(`INPUT\\[${rule}\\]`),
    );
  }
  assert.equal(probe.judge(from("192.0.2.1", { destinationPort: 1000 })), "ACCEPT");
});
