/**
 * Random rules of every kind, and random packets that they meet often: all values come from small pools.
 *
 * Tests that compare two ways of judging use them, and a kind of rule that is added later must be added here.
 */
import fc from "fast-check";
import {
  CONNTRACK_STATES,
  HOOK,
  HOOK_NAMES,
  type Hook,
  PINHOLE_MARK,
  PROTOCOL,
  TCP_FLAG,
  TCP_STATES,
} from "../base/index.ts";
import { FLOW } from "../policy/index.ts";
import type { ProbePacket } from "./policy-probe.ts";

const ADDRESSES = {
  4: ["192.0.2.1", "192.0.2.130", "192.0.3.7", "198.51.100.7", "10.0.0.1"],
  6: ["2001:db8::1", "2001:db8:0:1::1", "2001:db8:8000::2", "fd00::7", "fd00::c000:201"],
} as const;

/** Networks of many lengths around the addresses of packets. */
const NETWORKS: readonly string[] = [
  ...Object.values(ADDRESSES).flat(),
  "0.0.0.0/0",
  "10.1.2.3/8",
  "192.0.2.0/24",
  "192.0.2.128/25",
  "192.0.2.0/23",
  "198.51.100.4/30",
  "::/0",
  "2001:db8::/32",
  "2001:db8::/33",
  "2001:db8::/64",
  "2001:db8:0:1::/64",
  "fd00::/8",
];

const PORTS = [0, 22, 53, 443, 65_535];
const PROTOCOLS = [PROTOCOL.TCP, PROTOCOL.UDP, PROTOCOL.ICMP, PROTOCOL.ICMPV6, PROTOCOL.SCTP, 47] as const;
const INTERFACES = ["", "eth0", "eth1", "eth10", "wg0"];
const PATTERNS = ["eth0", "eth1", "eth*", "eth1+", "wg0", "*", "lo"];
const TCP_FLAGS = [
  TCP_FLAG.SYN,
  TCP_FLAG.SYN | TCP_FLAG.ACK,
  TCP_FLAG.ACK,
  TCP_FLAG.FIN | TCP_FLAG.ACK,
  TCP_FLAG.RST,
];

/** Names of the interfaces that packets are met at, by index. */
export function interfaceName(index: number): string {
  return INTERFACES[index] ?? "";
}

const port = fc.constantFrom(...PORTS);
const network = fc.constantFrom(...NETWORKS);
const transport = fc.constantFrom("TCP", "UDP");
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined });
const range = maybe(fc.tuple(port, port).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const));

/** Arguments of a rule, as a policy file writes them. */
export type RuleArguments = { readonly [argument: string]: unknown };

function present(values: object): RuleArguments {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

const NONE: fc.Arbitrary<RuleArguments> = fc.constant({});

function atLeastOne(values: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<RuleArguments> {
  return fc
    .record(values)
    .map(present)
    .filter((given) => Object.keys(given).length > 0);
}

function ports(extra: RuleArguments): fc.Arbitrary<RuleArguments> {
  return fc
    .record({ protocol: transport, source: range, destination: range })
    .filter(({ source, destination }) => source !== undefined || destination !== undefined)
    .map(({ protocol, source, destination }) => ({
      protocol,
      ...extra,
      ...(source && { src_lo: source[0], src_hi: source[1] }),
      ...(destination && { dst_lo: destination[0], dst_hi: destination[1] }),
    }));
}

const portPair = fc
  .record({ protocol: transport, src_port: maybe(port), dst_port: maybe(port) })
  .filter((each) => each.src_port !== undefined || each.dst_port !== undefined)
  .map(present);

const icmp: fc.Arbitrary<RuleArguments> = fc.oneof(
  fc.constantFrom<RuleArguments[]>(
    {},
    { protocol: "ICMP" },
    { protocol: "ICMPv6" },
    { type: "echo-request" },
    { type: "echo-reply" },
    { code: "port-unreachable" },
  ),
  fc.record({ protocol: fc.constantFrom("ICMP", "ICMPv6"), type: fc.constantFrom(0, 3, 8, 128) }),
  fc.record({
    protocol: fc.constantFrom("ICMP", "ICMPv6"),
    type: fc.constantFrom(3, 8, 128),
    code: fc.constantFrom(0, 1, 3),
  }),
);

const states = fc
  .tuple(
    fc.constantFrom("match_if", "match_if_not"),
    fc.uniqueArray(fc.constantFrom(...TCP_STATES), { minLength: 1, maxLength: 6 }),
  )
  .map(([list, chosen]): RuleArguments => ({ [list]: chosen }));

const knock: fc.Arbitrary<RuleArguments> = fc
  .record({
    protocol: transport,
    port,
    src_port: port,
    timeout: fc.constantFrom(1, 60),
    doors: fc.array(fc.tuple(transport, port), { minLength: 1, maxLength: 2 }),
    mode: fc.constantFrom(undefined, "strict"),
  })
  .map(present);

/** Tables that policies of these rules must declare in their settings. */
export const TABLES = {
  some: { addresses: ["192.0.2.0/24", "!192.0.2.130", "2001:db8::/33"] },
  none: {},
} as const;

/** Arguments for each kind of rule, by its name. */
export const RULE_ARGUMENTS: Readonly<Record<string, fc.Arbitrary<RuleArguments>>> = {
  SourceIPRule: network.map((cidr_range) => ({ cidr_range })),
  DestinationIPRule: network.map((cidr_range) => ({ cidr_range })),
  PortRule: portPair,
  PortRangeRule: ports({}),
  IPPortRule: fc
    .record({ src_ip: maybe(network), dst_ip: maybe(network) })
    .chain((each) => ports(present(each))),
  TCPRule: NONE,
  UDPRule: NONE,
  TrueRule: NONE,
  ICMPRule: icmp,
  InterfaceRule: atLeastOne({
    in: maybe(fc.constantFrom(...PATTERNS)),
    out: maybe(fc.constantFrom(...PATTERNS)),
  }),
  UserRule: atLeastOne({ user: maybe(fc.constantFrom(0, 1000)), group: maybe(fc.constantFrom(0, 1000)) }),
  PinholeRule: NONE,
  ConntrackRule: fc.subarray([...CONNTRACK_STATES], { minLength: 1 }).map((states) => ({ states })),
  RejectRule: fc.constantFrom<RuleArguments[]>({}, { with: "tcp-reset" }, { with: "host-unreachable" }),
  ReturnRule: NONE,
  TCPStateRule: states,
  FlowRule: fc.constantFrom("new", "known", "original", "reply").map((is) => ({ is })),
  TableRule: fc.record({
    table: fc.constantFrom("some", "none"),
    address: fc.constantFrom("source", "destination", "either"),
  }),
  PortKnocking: knock,
  // So slow that no token comes in while a test runs.
  LimitRule: fc.record({
    rate: fc.constantFrom(1, 5),
    per: fc.constant("hour"),
    by: fc.constantFrom("overall", "source"),
    match: fc.constantFrom("over", "under"),
  }),
  LogRule: NONE,
  PrintRule: NONE,
  ProtocolRule: fc.constantFrom("TLS", "SSH").map((name) => ({ protocols: [name] })),
  ServerNameRule: fc.constantFrom("example.org", "*.example.net").map((name) => ({ names: [name] })),
  FingerprintRule: fc.constant({ ja4: ["t13d1516h2_8daaf6152771_b186095e22b6"] }),
  EntropyRule: NONE,
  EncryptedRule: NONE,
};

/** Kinds whose rules meet a packet or not by its header alone. */
export const STATELESS_KINDS: readonly string[] = Object.keys(RULE_ARGUMENTS).slice(0, 15);

/** Packets of both families and many protocols: fragments, messages without ports, packets of local users. */
export const probePackets: fc.Arbitrary<ProbePacket> = fc
  .record({
    family: fc.constantFrom<4 | 6>(4, 6),
    from: fc.nat(4),
    to: fc.nat(4),
    protocol: fc.constantFrom(PROTOCOL.TCP, PROTOCOL.TCP, PROTOCOL.UDP, PROTOCOL.UDP, ...PROTOCOLS),
    sourcePort: port,
    destinationPort: port,
    flags: fc.constantFrom(...TCP_FLAGS),
    icmpType: fc.constantFrom(0, 3, 8, 128, 129),
    icmpCode: fc.constantFrom(0, 1, 3),
    fragment: fc.constantFrom("none", "none", "none", "first", "later"),
    hook: fc.constantFrom<Hook>(HOOK.INPUT, HOOK.OUTPUT, HOOK.FORWARD),
    inInterface: fc.nat(INTERFACES.length - 1),
    outInterface: fc.nat(INTERFACES.length - 1),
    userId: fc.constantFrom(-1, 0, 1000),
    groupId: fc.constantFrom(-1, 0, 1000),
    mark: fc.constantFrom(0, PINHOLE_MARK, 0xffff_ffff, 1),
    conntrack: fc.constantFrom(undefined, ...CONNTRACK_STATES),
    state: fc.constantFrom("CLOSED", "ESTABLISHED", ...TCP_STATES),
    flow: fc.constantFrom(FLOW.NEW, FLOW.ORIGINAL, FLOW.REPLY),
  })
  .map(({ family, from, to, fragment, conntrack, ...rest }) => ({
    ...rest,
    ...(conntrack && { conntrack }),
    source: ADDRESSES[family][from] ?? "",
    destination: ADDRESSES[family][to] ?? "",
    ...(fragment === "first" && { moreFragments: true }),
    ...(fragment === "later" && { fragmentOffset: 1480, payload: new Uint8Array(8) }),
  }));

const CHAINS = ["INPUT", "OUTPUT", "FORWARD", "first", "second", "last"] as const;
const VERDICTS = ["ACCEPT", "DROP", "REJECT"];

/** Kinds that take an action; every other one has its own, or none. */
const WITHOUT_ACTION: readonly string[] = [
  "RejectRule",
  "ReturnRule",
  "PortKnocking",
  "LogRule",
  "PrintRule",
];

const anyRule: fc.Arbitrary<RuleArguments> = fc
  .oneof(
    { weight: 9, arbitrary: fc.constantFrom(...STATELESS_KINDS.filter((name) => name !== "TrueRule")) },
    { weight: 3, arbitrary: fc.constantFrom(...Object.keys(RULE_ARGUMENTS)) },
    { weight: 1, arbitrary: fc.constant("TableRule") },
  )
  .chain((name) => (RULE_ARGUMENTS[name] ?? NONE).map((values) => ({ name, ...values })));

/** A rule of a chain; it may jump to later chains only, so that no policy loops. */
function ruleOf(chain: number): fc.Arbitrary<RuleArguments> {
  const later = CHAINS.slice(Math.max(chain + 1, 3), -1);
  const isLast = chain === CHAINS.length - 1;
  const targets = [...VERDICTS, ...VERDICTS, ...later, ...(isLast ? [] : ["RETURN"])];
  return fc
    .record({
      rule: anyRule,
      action: fc.constantFrom(...targets),
      not: fc.constantFrom(undefined, undefined, undefined, undefined, true, false),
      shadow: fc.constantFrom(undefined, undefined, undefined, undefined, undefined, true),
    })
    .map(({ rule, action, not, shadow }) => {
      const name = String(rule["name"]);
      if (isLast && name === "ReturnRule") return { name: "TCPRule", action: "DROP" };
      if (WITHOUT_ACTION.includes(name)) return rule;
      return present({ ...rule, action, not, ...(VERDICTS.includes(action) && { shadow }) });
    });
}

/** Little memory for what rules remember, so that some of it has to give way. */
const SMALL = { limitSources: 16, knockSources: 16, tableEntries: 16 };

/**
 * Policies of every kind of rule.
 *
 * @param rulesMax - of each chain
 */
export function policies(rulesMax: number): fc.Arbitrary<RuleArguments> {
  return fc
    .record({
      rules: fc.tuple(
        ...CHAINS.map((_, chain) => fc.array(ruleOf(chain), { maxLength: rulesMax, size: "max" })),
      ),
      default_chain: fc.constantFrom("ACCEPT", "DROP", "REJECT", "last"),
      compatibility: fc.constantFrom("strict", "strict", "pywall"),
    })
    .map(({ rules, default_chain, compatibility }) => ({
      settings: { compatibility, tables: TABLES, limits: SMALL },
      default_chain,
      ...Object.fromEntries(CHAINS.map((name, at) => [name, rules[at] ?? []])),
      // A default chain must not end.
      last: [...(rules[CHAINS.length - 1] ?? []), { name: "TrueRule", action: "DROP" }],
    }));
}

/** Kinds of rules that the kernel judges wholly, whatever the packet. */
const PLAIN_KINDS = ["SourceIPRule", "DestinationIPRule", "PortRule", "PortRangeRule", "TCPRule", "ICMPRule"];

function oneOf(names: readonly string[], targets: readonly string[]): fc.Arbitrary<RuleArguments> {
  return fc
    .tuple(fc.constantFrom(...names), fc.constantFrom(...targets), fc.constantFrom(true, false, false, false))
    .chain(([name, action, not]) =>
      (RULE_ARGUMENTS[name] ?? NONE).map((values) => ({ name, ...values, action, ...(not && { not }) })),
    );
}

/** Kinds of rules that ask about flows, or about their bytes. */
const ASKING_KINDS = ["FlowRule", "FlowRule", "TCPStateRule", "ProtocolRule", "EncryptedRule"];

/** Kinds that lead to chains; the last tell more than which flow it is. */
const LEADING_KINDS = [
  "PortRule",
  "PortRule",
  "PortRangeRule",
  "IPPortRule",
  "TCPRule",
  "UDPRule",
  "SourceIPRule",
  "DestinationIPRule",
  "ICMPRule",
  "InterfaceRule",
  "ConntrackRule",
  "FlowRule",
];

const ASKING_CHAINS = ["outer", "inner", "asked"] as const;

/** A chain of rules that lead on to later ones, ask about flows, or judge. */
function leadingChain(later: readonly string[]): fc.Arbitrary<RuleArguments[]> {
  const judging = { weight: 2, arbitrary: oneOf(PLAIN_KINDS, [...VERDICTS, "RETURN"]) };
  const leading = { weight: 3, arbitrary: oneOf(LEADING_KINDS, later) };
  return fc.array(later.length === 0 ? judging.arbitrary : fc.oneof(judging, leading), {
    minLength: 1,
    maxLength: 4,
  });
}

/** A start chain that leads to the rules that ask by one end of a service, or not at all. */
const serviceChain: fc.Arbitrary<RuleArguments[]> = fc
  .record({
    protocol: transport,
    side: fc.constantFrom("src_port", "dst_port"),
    port: fc.constantFrom(...PORTS.slice(1)),
    action: fc.constantFrom("asked", "asked", ...ASKING_CHAINS),
  })
  .map(({ side, port: number, ...rest }) => ({ name: "PortRule", ...rest, [side]: number }))
  .chain((rule) => fc.constantFrom<RuleArguments[][]>([], [rule], [rule]));

/** Policies whose rules that ask about flows stand behind jumps: one, several, and one behind the other. */
export const leadingPolicies: fc.Arbitrary<RuleArguments> = fc
  .record({
    starts: fc.oneof(
      fc.tuple(...HOOK_NAMES.map(() => leadingChain(ASKING_CHAINS))),
      fc.tuple(...HOOK_NAMES.map(() => serviceChain)),
    ),
    outer: leadingChain(ASKING_CHAINS.slice(1)),
    inner: leadingChain(ASKING_CHAINS.slice(2)),
    before: fc.array(oneOf(PLAIN_KINDS, VERDICTS), { maxLength: 1 }),
    asked: fc.array(oneOf(ASKING_KINDS, [...VERDICTS, "RETURN"]), { minLength: 1, maxLength: 2 }),
    last: fc.array(oneOf([...PLAIN_KINDS, "FlowRule", "TCPStateRule"], VERDICTS), { maxLength: 1 }),
    default_chain: fc.constantFrom("ACCEPT", "ACCEPT", "DROP", "REJECT", "last"),
  })
  .map(({ starts, outer, inner, before, asked, last, default_chain }) => ({
    settings: { compatibility: "strict", limits: SMALL },
    default_chain,
    ...Object.fromEntries(HOOK_NAMES.map((name, at) => [name, starts[at] ?? []])),
    outer,
    inner,
    asked: [...before, ...asked],
    last: [...last, { name: "TrueRule", action: "ACCEPT" }],
  }));

/** Rules that count, most of them where all their packets stay in the kernel. */
export const countingPolicies: fc.Arbitrary<RuleArguments> = fc
  .record({
    before: fc.array(oneOf(PLAIN_KINDS, VERDICTS), { maxLength: 1 }),
    counted: fc.array(
      fc.oneof(
        { weight: 3, arbitrary: oneOf(["LimitRule"], [...VERDICTS, "RETURN", "last"]) },
        { weight: 1, arbitrary: oneOf(PLAIN_KINDS, [...VERDICTS, "RETURN"]) },
      ),
      { minLength: 1, maxLength: 3 },
    ),
    gates: fc.constantFrom(["TCPRule", "ICMPRule"], ["UDPRule"], ["TrueRule"]),
    late: fc.array(oneOf(["PortRule", "UDPRule", "TCPStateRule"], VERDICTS), { maxLength: 1 }),
    forward: fc.boolean(),
    outgoing: fc.boolean(),
    default_chain: fc.constantFrom(...VERDICTS),
  })
  .map(({ before, counted, gates, late, forward, outgoing, default_chain }) => ({
    settings: { compatibility: "strict", limits: SMALL },
    default_chain,
    INPUT: [...before, { name: "SourceIPRule", cidr_range: "0.0.0.0/0", action: "first" }, ...late],
    ...(forward && { FORWARD: [{ name: "DestinationIPRule", cidr_range: "192.0.0.0/8", action: "first" }] }),
    ...(outgoing && { OUTPUT: [{ name: "SourceIPRule", cidr_range: "0.0.0.0/0", action: "first" }] }),
    first: [...gates.map((name) => ({ name, action: "second" })), { name: "ReturnRule" }],
    second: counted,
    last: [{ name: "LimitRule", rate: 3, per: "hour", action: "REJECT" }],
  }));

/** Where knocks may go, and the port that they open. */
export const KNOCK_PORTS = { doors: [22, 53], opened: 65_535 } as const;

const strictKnock: fc.Arbitrary<RuleArguments> = fc
  .record({
    protocol: fc.constantFrom("TCP", "TCP", "UDP"),
    doors: fc.array(fc.tuple(fc.constantFrom("TCP", "TCP", "UDP"), fc.constantFrom(...KNOCK_PORTS.doors)), {
      minLength: 1,
      maxLength: 4,
    }),
    src_port: fc.constantFrom(undefined, undefined, 22),
    attempts: fc.constantFrom(1, 3, 20),
  })
  .map((values) =>
    present({
      name: "PortKnocking",
      mode: "strict",
      port: KNOCK_PORTS.opened,
      ...values,
      attempt_window: 86_400,
      timeout: 1000,
    }),
  );

/** Rules about knocks, most of them where all packets that they are about stay in the kernel. */
export const knockingPolicies: fc.Arbitrary<RuleArguments> = fc
  .record({
    before: fc.array(oneOf(PLAIN_KINDS, VERDICTS), { maxLength: 1 }),
    knocks: fc.oneof(
      { weight: 3, arbitrary: fc.tuple(strictKnock) },
      { weight: 1, arbitrary: fc.tuple(strictKnock, strictKnock) },
    ),
    behind: fc.array(oneOf([...PLAIN_KINDS, "LimitRule"], [...VERDICTS, "RETURN"]), { maxLength: 2 }),
    late: fc.array(oneOf(["PortRule", "UDPRule", "TCPStateRule"], VERDICTS), { maxLength: 1 }),
    gate: fc.constantFrom({ name: "SourceIPRule", cidr_range: "0.0.0.0/0" }, { name: "TrueRule" }),
    forward: fc.boolean(),
    outgoing: fc.boolean(),
    default_chain: fc.constantFrom(...VERDICTS),
  })
  .map(({ before, knocks, behind, late, gate, forward, outgoing, default_chain }) => ({
    settings: { compatibility: "strict", limits: { ...SMALL, knockSources: 1024 } },
    default_chain,
    INPUT: [...before, { ...gate, action: "knocks" }, ...late],
    ...(forward && { FORWARD: [{ name: "TrueRule", action: "knocks" }] }),
    ...(outgoing && { OUTPUT: [{ name: "TrueRule", action: "knocks" }] }),
    knocks: [...knocks, ...behind],
  }));

/** Kinds of which policies have long lists. */
const LISTED_KINDS = ["SourceIPRule", "DestinationIPRule", "PortRule", "PortRangeRule", "IPPortRule"];

function listedRule(name: string): fc.Arbitrary<RuleArguments> {
  return fc
    .tuple(RULE_ARGUMENTS[name] ?? NONE, fc.constantFrom(...VERDICTS))
    .map(([values, action]) => ({ name, ...values, action }));
}

/** Policies whose start chains hold many rules of one kind, or of two in turn. */
export const similarPolicies: fc.Arbitrary<RuleArguments> = fc
  .record({
    lists: fc.tuple(
      ...["INPUT", "OUTPUT", "FORWARD"].map(() =>
        fc
          .array(fc.constantFrom(...LISTED_KINDS), { minLength: 1, maxLength: 2 })
          .chain((names) => fc.array(fc.oneof(...names.map(listedRule)), { minLength: 8, maxLength: 24 })),
      ),
    ),
    default_chain: fc.constantFrom(...VERDICTS),
  })
  .map(({ lists, default_chain }) => ({
    settings: { compatibility: "strict" },
    default_chain,
    INPUT: lists[0],
    OUTPUT: lists[1],
    FORWARD: lists[2],
  }));
