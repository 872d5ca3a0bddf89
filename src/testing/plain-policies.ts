/**
 * Random policies that the plain interpreter knows. All values come from small pools, so that rules meet
 * packets often.
 */
import fc from "fast-check";
import { TCP_STATES } from "../base/index.ts";
import type { PlainPolicy, PlainRule } from "./plain-interpreter.ts";

/** Addresses of packets. */
export const PLAIN_ADDRESSES = {
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
/** Ports of packets. */
export const PLAIN_PORTS: readonly number[] = [0, 22, 53, 9001, 49_001, 65_535];
/** Chains in the order in which rules may lead from one to the next. */
const CHAINS = ["first", "second", "third", "last"] as const;

const port = fc.constantFrom(...PLAIN_PORTS);
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

const flowRule = fc.constantFrom("new", "known", "original", "reply").map((is) => ({ name: "FlowRule", is }));

/** A rule that may lead to these chains, which come later, so that no policy loops. */
function ruleTo(later: readonly string[]): fc.Arbitrary<PlainRule> {
  const targets = ["ACCEPT", "DROP", "REJECT", ...later.filter((chain) => chain !== "last")];
  // What comes behind the default chain must not return to it.
  if (later.length > 0) targets.push("RETURN");
  const matching = fc
    .tuple(
      fc.oneof(portRule, rangeRule, addressPortRule, stateRule, flowRule, addressRule, plainRule),
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

const compatibility = fc.constantFrom("strict", "pywall");
const defaultChain = fc.constantFrom(undefined, "ACCEPT", "DROP", "REJECT", "last");

/**
 * Policies that the plain interpreter knows.
 *
 * @param hooks - names of the chains where packets start
 */
export function plainPolicies(hooks: readonly string[]): fc.Arbitrary<PlainPolicy> {
  const names = [...hooks, ...CHAINS];
  const laterThan = (at: number): readonly string[] => CHAINS.slice(Math.max(0, at - hooks.length + 1));
  const chains = names.map((_, at) => fc.array(ruleTo(laterThan(at)), { maxLength: 5 }));
  return fc
    .tuple(fc.tuple(...chains), defaultChain, compatibility)
    .map(([rules, default_chain, chosen]): PlainPolicy => {
      const byName = Object.fromEntries(names.map((name, index) => [name, rules[index] ?? []]));
      // A default chain must not end.
      byName["last"] = [...(byName["last"] ?? []), { name: "TrueRule", action: "DROP" }];
      return { settings: { compatibility: chosen }, ...(default_chain && { default_chain }), ...byName };
    });
}
