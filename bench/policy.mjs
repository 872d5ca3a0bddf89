/**
 * What a packet costs in the chains: `node bench/policy.mjs`, needs no root.
 *
 * Each policy is measured in short runs, of which the fastest counts: on a machine that does other work too,
 * that is the one that was not interrupted. "Gates open" is the same policy with every rule asked, see Gate
 * in src/policy/rule.ts. The second table is about long policies: asked rule by rule, looked up where that is
 * worth it (as the firewall does), and how long the evaluator takes to make.
 */
import { readFileSync } from "node:fs";
import {
  allocateMemory,
  compilePolicy,
  createRegistry,
  Evaluator,
  makeGate,
  RuleRegistry,
} from "../dist/policy/index.js";
import { LOOKUP_FROM } from "../dist/policy/rule-lookup.js";
import { buildPacket, decodePacket, Packet } from "../dist/wire/index.js";

const PACKETS = 2000;
const RUNS = 2000;
const NANOSECONDS = 1e6;

const udp = {
  source: "192.0.2.1",
  destination: "198.51.100.7",
  protocol: 17,
  sourcePort: 5000,
  destinationPort: 5001,
};
const ports = (protocol) =>
  Array.from({ length: 20 }, (_, at) => ({ name: "PortRule", protocol, dst_port: 1000 + at }));
const strict = { compatibility: "strict" };
const knock = { name: "PortKnocking", protocol: "TCP", port: 22, src_port: 9, doors: [["TCP", 1]] };

const POLICIES = {
  "no rule": {},
  "20 PortRules of the packet's protocol": { settings: strict, INPUT: ports("UDP") },
  "20 PortRules of the other protocol": { settings: strict, INPUT: ports("TCP") },
  "bench/twenty-rules.json": readFileSync(new URL("twenty-rules.json", import.meta.url), "utf8"),
  "PortKnocking, compatible": { INPUT: [knock] },
  "PortKnocking, strict": { INPUT: [{ ...knock, mode: "strict" }] },
  "LimitRule, overall": { INPUT: [{ name: "LimitRule", rate: 1000, action: "DROP" }] },
  "LimitRule, by source": { INPUT: [{ name: "LimitRule", rate: 1000, by: "source", action: "DROP" }] },
};

/** Postern's rules, with nothing that rules them out before they are asked. */
function openRegistry() {
  const own = createRegistry();
  const open = new RuleRegistry();
  for (const name of own.names()) {
    const definition = own.get(name);
    const create = (values, setup) => Object.assign(definition.create(values, setup), { gate: makeGate() });
    open.register(name, { ...definition, create });
  }
  return open;
}

const report = { printing: false, print() {}, log() {}, ruleError() {} };

function compile(source, registry) {
  const text = typeof source === "string" ? source : JSON.stringify(source);
  const { policy, problems } = compilePolicy(text, { file: "bench", registry });
  if (policy === undefined) throw new Error(problems[0].message);
  return policy;
}

function decode(fields) {
  const packet = new Packet();
  const bytes = buildPacket(fields);
  decodePacket(packet, new DataView(bytes.buffer), 0, bytes.length);
  packet.inInterface = 2;
  return packet;
}

const INTERFACES = ["", "lo", "eth0"];

/** Nanoseconds per packet; the packets come in turn. */
function measure(evaluator, packets, runs = RUNS) {
  const interfaceName = (index) => INTERFACES[index];
  const context = { packet: packets[0], now: 0, tcpState: 0, flow: -1, interfaceName, report };
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run += 1) {
    const from = performance.now();
    for (let at = 0; at < PACKETS; at += 1) {
      context.now += 0.013;
      context.packet = packets[at % packets.length];
      evaluator.evaluate(context);
    }
    best = Math.min(best, (performance.now() - from) / PACKETS);
  }
  return best * NANOSECONDS;
}

const print = (first, ...cells) =>
  process.stdout.write(`${first.padEnd(44)}${cells.map((cell) => cell.padStart(12)).join("")}\n`);

function judging(policy, lookupFrom) {
  return new Evaluator(policy, allocateMemory(policy), lookupFrom);
}

print("policy", "ns", "gates open");
for (const [name, source] of Object.entries(POLICIES)) {
  const [usual, open] = [createRegistry(), openRegistry()].map((registry) =>
    measure(judging(compile(source, registry)), [decode(udp)]).toFixed(1),
  );
  print(name, usual, open);
}

/** The same numbers in every run. */
function randomNumbers(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

const SIZES = [10, 100, 1000, 10_000];
const random = randomNumbers(7);
const octets = (first) => [first, random(256), random(256), random(256)].join(".");
const transport = () => (random(2) === 0 ? "TCP" : "UDP");
const action = () => (random(2) === 0 ? "DROP" : "ACCEPT");

/** Rules of many kinds; none of them meets the packets, so that every rule would have to be asked. */
const KINDS = [
  () => ({ name: "SourceIPRule", cidr_range: `${octets(20 + random(100))}/${16 + random(17)}` }),
  () => ({ name: "DestinationIPRule", cidr_range: `${octets(20 + random(100))}/${16 + random(17)}` }),
  () => ({ name: "PortRule", protocol: transport(), dst_port: 1000 + random(9000) }),
  () => {
    const low = 10_000 + random(20_000);
    return { name: "PortRangeRule", protocol: transport(), dst_lo: low, dst_hi: low + random(1000) };
  },
  () => {
    const dst_lo = random(60_000);
    const dst_hi = dst_lo + random(1000);
    return { name: "IPPortRule", protocol: transport(), src_ip: octets(20 + random(100)), dst_lo, dst_hi };
  },
  () => ({ name: "InterfaceRule", in: `vlan${random(4000)}` }),
  () => ({ name: "ICMPRule", protocol: "ICMP", type: random(200) }),
];
const mixed = (count) =>
  Array.from({ length: count }, (_, at) => ({ ...KINDS[at % KINDS.length](), action: action() }));
const sources = (count) =>
  Array.from({ length: count }, () => ({
    name: "SourceIPRule",
    cidr_range: octets(20 + random(100)),
    action: "DROP",
  }));

const packets = Array.from({ length: 64 }, () =>
  decode({
    source: octets(150 + random(50)),
    destination: octets(150 + random(50)),
    protocol: random(2) === 0 ? 6 : 17,
    sourcePort: 40_000 + random(20_000),
    destinationPort: 40_000 + random(20_000),
  }),
);

print("\nlong policies, every rule passed over", "walk, ns", "as used, ns", "made in, ms");
for (const [name, make] of Object.entries({ "mixed kinds": mixed, SourceIPRule: sources })) {
  for (const count of name === "SourceIPRule" ? [...SIZES.slice(0, 3), 5000] : SIZES) {
    const policy = compile({ settings: strict, INPUT: make(count) });
    const runs = Math.max(20, RUNS / count);
    const walk = measure(judging(policy, LOOKUP_FROM.NEVER), packets, runs);
    const from = performance.now();
    const evaluator = judging(policy);
    const made = performance.now() - from;
    const used = measure(evaluator, packets, Math.max(200, runs));
    print(`${count} rules, ${name}`, walk.toFixed(0), used.toFixed(0), made.toFixed(1));
  }
}
