/** Any policy, any packets: the evaluator, its explanation and an interpreter written from the text agree. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PROTOCOL, SECOND, TCP_STATES } from "../base/index.ts";
import {
  PlainInterpreter,
  type PlainPacket,
  type PlainPolicy,
  type PlainRule,
} from "../testing/plain-interpreter.ts";
import { PolicyProbe, type ProbePacket } from "../testing/policy-probe.ts";

// Small pools, so that rules and packets meet often.
const ADDRESSES = {
  4: ["192.0.2.1", "192.0.2.130", "198.51.100.7", "10.0.0.1"],
  6: ["2001:db8::1", "2001:db8:0:1::1", "fd00::7", "::ffff:a00:1"],
} as const;
const NETWORKS = [
  "192.0.2.0/24",
  "192.0.2.128/25",
  "192.0.2.1",
  "0.0.0.0/0",
  "10.1.2.3/8",
  "2001:db8::/32",
  "2001:db8::/64",
  "fd00::7",
  "::/0",
];
const PORTS = [0, 22, 53, 9001, 49_001, 65_535];
const PROTOCOLS = { TCP: PROTOCOL.TCP, UDP: PROTOCOL.UDP, ICMP: PROTOCOL.ICMP, SCTP: PROTOCOL.SCTP } as const;
const CHAINS = ["INPUT", "first", "second", "third", "last"] as const;

const port = fc.constantFrom(...PORTS);
const transport = fc.constantFrom("TCP", "UDP");
const network = fc.constantFrom(...NETWORKS);
const state = fc.constantFrom(...TCP_STATES);
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });

/** A pair of bounds in order, or none. */
const range = maybe(fc.tuple(port, port).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const));

function withoutAbsent(rule: object): PlainRule {
  return Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== undefined)) as PlainRule;
}

const portRule = fc
  .record({ protocol: transport, src_port: maybe(port), dst_port: maybe(port) })
  .filter((ports) => ports.src_port !== undefined || ports.dst_port !== undefined)
  .map((ports) => ({ name: "PortRule", ...ports }));

function ranges(name: string, extra: object): fc.Arbitrary<object> {
  return fc
    .record({ protocol: transport, source: range, destination: range })
    .filter(({ source, destination }) => source !== undefined || destination !== undefined)
    .map(({ protocol, source, destination }) => ({
      name,
      protocol,
      ...extra,
      ...(source && { src_lo: source[0], src_hi: source[1] }),
      ...(destination && { dst_lo: destination[0], dst_hi: destination[1] }),
    }));
}

const rangeRule = ranges("PortRangeRule", {});
const addressPortRule = fc
  .record({ src_ip: maybe(network), dst_ip: maybe(network) })
  .chain((networks) => ranges("IPPortRule", networks));

const stateRule = fc
  .tuple(fc.constantFrom("match_if", "match_if_not"), fc.uniqueArray(state, { minLength: 1, maxLength: 4 }))
  .map(([list, states]) => ({ name: "TCPStateRule", [list]: states }));

const addressRule = fc
  .tuple(fc.constantFrom("SourceIPRule", "DestinationIPRule"), network)
  .map(([name, cidr_range]) => ({ name, cidr_range }));

const plainRule = fc.constantFrom("TCPRule", "UDPRule", "TrueRule").map((name) => ({ name }));

const knockRule = fc
  .record({
    protocol: transport,
    port,
    src_port: port,
    timeout: fc.constantFrom(1, 5, 60),
    doors: fc.array(fc.tuple(transport, port), { minLength: 1, maxLength: 3 }),
  })
  .map((knock) => ({ name: "PortKnocking", ...knock }));

/** A rule of a chain; it may jump to later chains only, so that no policy loops. */
function ruleOf(chain: number): fc.Arbitrary<PlainRule> {
  const targets = ["ACCEPT", "DROP", "REJECT", ...CHAINS.slice(chain + 1, -1)];
  if (chain < CHAINS.length - 1) targets.push("RETURN");
  const matching = fc
    .tuple(
      fc.oneof(portRule, rangeRule, addressPortRule, stateRule, addressRule, plainRule),
      fc.constantFrom(...targets),
      maybe(fc.boolean()),
    )
    .map(([rule, action, not]) => withoutAbsent({ ...rule, action, not }));
  return fc.oneof(
    { weight: 8, arbitrary: matching },
    { weight: 1, arbitrary: knockRule },
    { weight: 1, arbitrary: fc.constant({ name: "PrintRule" }) },
  );
}

const chains = fc.tuple(...CHAINS.map((_, index) => fc.array(ruleOf(index), { maxLength: 5 })));

const policy = fc
  .tuple(
    chains,
    fc.constantFrom(undefined, "ACCEPT", "DROP", "REJECT", "last"),
    fc.constantFrom("strict", "pywall"),
  )
  .map(([rules, default_chain, compatibility]): PlainPolicy => {
    const byName = Object.fromEntries(CHAINS.map((name, index) => [name, rules[index] ?? []]));
    // A default chain must not end.
    byName["last"] = [...(byName["last"] ?? []), { name: "TrueRule", action: "DROP" }];
    return { settings: { compatibility }, ...(default_chain && { default_chain }), ...byName };
  });

const packet = fc
  .record({
    family: fc.constantFrom<4 | 6>(4, 6),
    from: fc.nat(3),
    to: fc.nat(3),
    protocol: fc.constantFrom("TCP", "UDP", "ICMP", "SCTP"),
    sourcePort: port,
    destinationPort: port,
    later: fc.boolean(),
    state,
    pause: fc.constantFrom(0, 0.5, 2, 6),
  })
  .map(({ family, from, to, later, ...rest }) => ({
    source: ADDRESSES[family][from] ?? "",
    destination: ADDRESSES[family][to] ?? "",
    // A fragment now and then is enough.
    later: later && rest.sourcePort === 0,
    ...rest,
  }));

type Sent = typeof packet extends fc.Arbitrary<infer T> ? T : never;

function toPlain(sent: Sent): PlainPacket {
  const { sourcePort, destinationPort, later, protocol, ...rest } = sent;
  const hasPorts = !later && protocol !== "ICMP";
  return { ...rest, protocol, later, ...(hasPorts && { sourcePort, destinationPort }) };
}

function toProbe(sent: Sent): ProbePacket {
  const { later, protocol, state: tcpState, pause: _pause, ...rest } = sent;
  return {
    ...rest,
    protocol: PROTOCOLS[protocol],
    state: tcpState,
    ...(later && { fragmentOffset: 1480, payload: new Uint8Array(8) }),
  };
}

/** What the explanation ends with. */
function explained(probe: PolicyProbe, sent: ProbePacket): unknown {
  const last = probe.explain(sent).at(-1);
  assert.ok(last?.kind === "verdict");
  return { verdict: last.verdict, chain: last.chain, rule: last.rule };
}

test("evaluator, explanation and plain interpreter agree", () => {
  fc.assert(
    fc.property(policy, fc.array(packet, { minLength: 1, maxLength: 12 }), (source, packets) => {
      const probe = new PolicyProbe(source);
      const plain = new PlainInterpreter(source);
      for (const sent of packets) {
        probe.context.now += sent.pause * SECOND;
        const expected = plain.judge(toPlain(sent), probe.context.now / SECOND);
        const { verdict, chain, rule } = expected;
        assert.deepEqual(explained(probe, toProbe(sent)), { verdict, chain, rule });
        assert.deepEqual(probe.report.takeLines(), [], "an explanation prints nothing");
        assert.equal(probe.judge(toProbe(sent)), verdict);
        const { evaluator } = probe;
        assert.equal(probe.policy.chains[evaluator.chain]?.name, chain);
        assert.equal(evaluator.rule, rule ?? -1);
        assert.deepEqual(probe.report.takeLines(), expected.lines);
      }
    }),
    { numRuns: 200 },
  );
});
