/** The packet path allocates nothing, measured in a process of its own. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { PROTOCOL } from "../base/index.ts";
import { PolicyProbe, type ProbePacket } from "../testing/policy-probe.ts";

const PACKETS = 200_000;
/** What is no allocation for each packet, in bytes: a number that is not small takes 16. */
const BOUND_BYTES = 4;
/**
 * The least of so many measurements counts: what else the process allocates only ever adds, and on a busy
 * machine V8 takes its time to compile what is measured.
 */
const MEASUREMENTS = 15;
/**
 * The least of so many processes counts: what V8 inlines, and so whether a number is passed in a register or
 * in an object, depends in each process on what it had compiled by when.
 */
const PROCESSES = 5;
const FLAGS = ["--expose-gc", "--min-semi-space-size=512", "--max-semi-space-size=512"];

const packets: readonly ProbePacket[] = [
  {
    source: "192.0.2.1",
    destination: "198.51.100.7",
    protocol: PROTOCOL.UDP,
    sourcePort: 5000,
    destinationPort: 53,
  },
  {
    source: "2001:db8::1",
    destination: "fd00::7",
    protocol: PROTOCOL.TCP,
    sourcePort: 5000,
    destinationPort: 443,
  },
  { source: "255.255.255.254", destination: "198.51.100.7", protocol: PROTOCOL.ICMP },
];

const portRules = Array.from({ length: 20 }, (_, at) => ({
  name: "PortRule",
  protocol: "UDP",
  dst_port: 1000 + at,
}));

/**
 * Rules that are looked up: exact values, ranges, networks of both families, interfaces, and one in between.
 */
const lookedUpRules = Array.from({ length: 40 }, (_, at) => [
  { name: "PortRangeRule", protocol: "TCP", dst_lo: 1000 * at + 500, dst_hi: 1000 * at + 900 },
  { name: "SourceIPRule", cidr_range: `203.0.${at}.0/24`, action: "DROP" },
  { name: "SourceIPRule", cidr_range: `2001:db8:${at + 1}::/48`, action: "DROP" },
  { name: "InterfaceRule", in: `eth${at}`, action: "DROP" },
  { name: "TCPStateRule", match_if: ["LAST_ACK"], action: "DROP" },
]).flat();

/** Twenty port rules; one of each rule that keeps or compares something; and tables that count. */
const POLICIES: Readonly<Record<string, object>> = {
  "20 port rules": { INPUT: portRules },
  "200 rules, most of them looked up": { INPUT: lookedUpRules },
  "address tables": {
    settings: {
      tables: { some: { addresses: ["192.0.2.0/24", "!192.0.2.7", "2001:db8::/32"], counters: true } },
    },
    INPUT: [
      { name: "TableRule", table: "some", address: "destination", action: "DROP" },
      { name: "TableRule", table: "some", address: "either", action: "ACCEPT" },
    ],
  },
  "every kind of rule": {
    INPUT: [
      { name: "PortRangeRule", protocol: "TCP", dst_lo: 1, dst_hi: 9 },
      {
        name: "IPPortRule",
        protocol: "TCP",
        dst_lo: 443,
        dst_hi: 443,
        src_ip: "2001:db8::/32",
        action: "sub",
      },
      { name: "TCPStateRule", match_if: ["LAST_ACK"], action: "DROP" },
      {
        name: "PortKnocking",
        protocol: "TCP",
        port: 22,
        src_port: 5000,
        doors: [
          ["UDP", 53],
          ["TCP", 9],
        ],
      },
      {
        name: "PortKnocking",
        protocol: "TCP",
        port: 22,
        doors: [
          ["UDP", 53],
          ["TCP", 443],
        ],
        mode: "strict",
      },
      { name: "LimitRule", rate: 1000, by: "source", action: "DROP" },
      { name: "LogRule", rate: 0.001, burst: 1 },
      { name: "ICMPRule", type: "echo-reply", action: "DROP" },
      { name: "InterfaceRule", in: "eth*", action: "DROP" },
      { name: "SourceIPRule", cidr_range: "203.0.113.0/24", action: "DROP", not: true },
    ],
    sub: [{ name: "SourceIPRule", cidr_range: "::/0", action: "RETURN" }],
  },
};

/** Bytes per packet of one policy, after a warm-up. */
function measure(policy: object): number {
  const probes = packets.map((packet) => {
    const probe = new PolicyProbe({ ...policy });
    probe.report.printing = false;
    probe.judge(packet);
    return probe;
  });
  const run = (count: number): void => {
    for (let at = 0; at < count; at += 1) {
      for (const { evaluator, context } of probes) {
        // Fractions of a millisecond, as a real clock gives them.
        context.now += 0.013;
        evaluator.evaluate(context);
      }
    }
  };
  run(PACKETS / 2);
  const collect = (globalThis as { gc?: () => void }).gc;
  let least = Number.POSITIVE_INFINITY;
  for (let measured = 0; measured < MEASUREMENTS && least >= BOUND_BYTES; measured += 1) {
    collect?.();
    const before = process.memoryUsage().heapUsed;
    run(PACKETS);
    least = Math.min(least, (process.memoryUsage().heapUsed - before) / (PACKETS * probes.length));
  }
  return least;
}

if (process.argv[2] === "measure") {
  for (const [name, policy] of Object.entries(POLICIES))
    process.stdout.write(`${name}\t${measure(policy)}\n`);
} else {
  const file = new URL(import.meta.url).pathname;
  const least = new Map<string, number>();
  const isDone = (): boolean => least.size > 0 && [...least.values()].every((bytes) => bytes < BOUND_BYTES);
  for (let processes = 0; processes < PROCESSES && !isDone(); processes += 1) {
    const output = execFileSync(process.execPath, [...FLAGS, file, "measure"], { encoding: "utf8" });
    for (const line of output.trim().split("\n")) {
      const [name = "", bytes = "NaN"] = line.split("\t");
      least.set(name, Math.min(Number(bytes), least.get(name) ?? Number.POSITIVE_INFINITY));
    }
  }
  for (const [name, bytes] of least) {
    test(`${name}: ${bytes.toFixed(3)} bytes per packet`, () => {
      assert.ok(bytes < BOUND_BYTES, `${bytes} bytes per packet`);
    });
  }
  test("all policies were measured", () => {
    assert.deepEqual([...least.keys()], Object.keys(POLICIES));
  });
}
