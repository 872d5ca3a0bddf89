import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateMemory, type Policy } from "../../policy/index.ts";
import { compileValid } from "../../testing/policy-probe.ts";
import { ChainWays } from "./chain-ways.ts";
import { planPolicy } from "./kernel-plan.ts";
import { matchText } from "./match-text.ts";

type Rules = readonly Record<string, unknown>[];

const ASKING = { name: "TCPStateRule", match_if: ["ESTABLISHED"], action: "ACCEPT" };

function compiled(chains: Readonly<Record<string, Rules>>): Policy {
  return compileValid({ settings: { compatibility: "strict" }, ...chains });
}

function waysTo(policy: Policy, name: string): string[] {
  const ways = new ChainWays(policy, policy.instantiate(allocateMemory(policy)));
  const chain = policy.chains.find((each) => each.name === name);
  return ways.to(chain?.index ?? -1).map((way) => matchText(way, 1).trimEnd());
}

function fromMany(count: number): Rules {
  return Array.from({ length: count }, (_, at) => ({
    name: "IPPortRule",
    protocol: "TCP",
    src_ip: `10.${at >> 8}.${at & 255}.1`,
    dst_lo: 22,
    dst_hi: 22,
    action: "asked",
  }));
}

function portsOf(count: number): Rules {
  return Array.from({ length: count }, (_, at) => ({
    name: "PortRule",
    protocol: at % 2 === 0 ? "TCP" : "UDP",
    dst_port: 1000 + at,
    action: "asked",
  }));
}

test("too many ways are rounded up: first without addresses, then without ports", () => {
  assert.equal(waysTo(compiled({ INPUT: fromMany(32), asked: [ASKING] }), "asked").length, 32);
  assert.deepEqual(waysTo(compiled({ INPUT: fromMany(33), asked: [ASKING] }), "asked"), [
    "meta l4proto 6 th dport 22 meta nfproto ipv4",
  ]);
  assert.equal(waysTo(compiled({ INPUT: portsOf(32), asked: [ASKING] }), "asked").length, 32);
  assert.deepEqual(waysTo(compiled({ INPUT: portsOf(33), asked: [ASKING] }), "asked"), [
    "meta l4proto 6",
    "meta l4proto 17",
  ]);
});

test("a way that holds another takes its place, whichever comes first", () => {
  const narrow = { name: "PortRule", protocol: "TCP", dst_port: 22, action: "asked" };
  const wide = { name: "TCPRule", action: "asked" };
  for (const INPUT of [
    [narrow, wide],
    [wide, narrow],
  ]) {
    assert.deepEqual(waysTo(compiled({ INPUT, asked: [ASKING] }), "asked"), ["meta l4proto 6"]);
  }
});

test("a jump that needs an interface of another hook leads nowhere", () => {
  const INPUT = [{ name: "InterfaceRule", out: "eth0", action: "asked" }];
  assert.deepEqual(waysTo(compiled({ INPUT, asked: [ASKING] }), "asked"), []);
  assert.deepEqual(waysTo(compiled({ FORWARD: INPUT, asked: [ASKING] }), "asked"), [""]);
});

/** Layers of chains of which each leads to all of the next by ports of its own. */
function layered(layers: number, width: number): Readonly<Record<string, Rules>> {
  const name = (layer: number, at: number): string => (layer === 0 ? "INPUT" : `c${layer}-${at}`);
  const chains = Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: layer === 0 ? 1 : width }, (__, from): [string, Rules] => [
      name(layer, from),
      layer === layers - 1
        ? [ASKING]
        : Array.from({ length: width }, (___, to) => ({
            name: "SourceIPRule",
            cidr_range: `10.${layer}.${from}.${to}`,
            not: true,
            action: name(layer + 1, to),
          })),
    ]),
  );
  return Object.fromEntries(chains.flat());
}

test("as many ways as ten thousand jumps make are followed no further than a bound", () => {
  const count = (chains: Readonly<Record<string, Rules>>): number => {
    const policy = compiled(chains);
    return new ChainWays(policy, policy.instantiate(allocateMemory(policy))).followed;
  };
  assert.ok(count({ INPUT: fromMany(10_000), asked: [ASKING] }) < 100);
  // Two hundred thousand ways by three chains, each of two pieces for a jump.
  const many = count(layered(6, 45));
  assert.ok(many > 8000 && many <= 60_000, `${many} ways`);
});

test("where ways are too many to be followed, every packet is asked about", () => {
  const names = Array.from({ length: 1000 }, (_, at) => `end${at}`);
  const policy = compiled({
    INPUT: portsOf(32).map((rule) => ({ ...rule, action: "middle" })),
    middle: [...names, ...names].map((name, at) => ({
      name: "SourceIPRule",
      cidr_range: `10.0.${at >> 8}.${at & 255}`,
      action: name,
    })),
    ...Object.fromEntries(names.map((name) => [name, [ASKING]])),
  });
  const ways = new ChainWays(policy, policy.instantiate(allocateMemory(policy)));
  assert.ok(ways.followed > 50_000 && ways.followed < 60_000, `${ways.followed} ways`);
  const last = policy.chains.find(({ name }) => name === "end999");
  assert.deepEqual(ways.to(last?.index ?? -1), [[]]);
  assert.deepEqual(
    planPolicy(policy, allocateMemory(policy)).regions.tracked.parts.map((part) => matchText(part, 1)),
    ["meta l4proto 6 "],
  );
});
