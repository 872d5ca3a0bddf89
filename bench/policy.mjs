/**
 * What a packet costs in the chains: `node bench/policy.mjs`, needs no root.
 *
 * Each policy is measured in short runs, of which the fastest counts: on a machine that does other work too,
 * that is the one that was not interrupted. "Gates open" is the same policy with every rule asked, see Gate
 * in src/policy/rule.ts.
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

/** Nanoseconds per packet. */
function measure(source, registry) {
  const text = typeof source === "string" ? source : JSON.stringify(source);
  const { policy, problems } = compilePolicy(text, { file: "bench", registry });
  if (policy === undefined) throw new Error(problems[0].message);
  const evaluator = new Evaluator(policy, allocateMemory(policy));
  const packet = new Packet();
  const bytes = buildPacket(udp);
  decodePacket(packet, new DataView(bytes.buffer), 0, bytes.length);
  const context = { packet, now: 0, tcpState: 0, flow: -1, interfaceName: () => "", report };
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run += 1) {
    const from = performance.now();
    for (let at = 0; at < PACKETS; at += 1) {
      context.now += 0.013;
      evaluator.evaluate(context);
    }
    best = Math.min(best, (performance.now() - from) / PACKETS);
  }
  return best * NANOSECONDS;
}

const line = (...cells) =>
  process.stdout.write(`${cells[0].padEnd(40)}${cells[1].padStart(8)}${cells[2].padStart(12)}\n`);
line("policy", "ns", "gates open");
for (const [name, source] of Object.entries(POLICIES)) {
  line(name, measure(source, createRegistry()).toFixed(1), measure(source, openRegistry()).toFixed(1));
}
