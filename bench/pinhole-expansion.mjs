/**
 * What a range of ports costs as single ports in a hash set and as one interval: processor time of a commit,
 * memory of the kernel, and processor time of a packet, from 1 to 1024 ports, with few and many others
 * standing.
 *
 * The slides of 2007 ask: "what is small: 4, 10, 100?" The answer is EXPANSION_MAX in
 * src/backend/pinholes/nftables-pinholes.ts.
 *
 * Usage: npm run build && node bench/pinhole-expansion.mjs [--json] [--standing 0,100,1000,4000] [--ports
 * 1,2,…]
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { readOptions } from "./options.mjs";
import { NftablesPinholes } from "../dist/backend/index.js";
import { defaultLimits, ipv4Words } from "../dist/base/index.js";
import { withTopology } from "../dist/lab/index.js";
import { ADMINISTRATOR_PROFILE, PinholeStore } from "../dist/pinhole/index.js";
import { inNamespace, machineMoment, RawSocket } from "../dist/system/index.js";
import { BORDER, fakeEntropy } from "../dist/testing/index.js";
import { buildPacket } from "../dist/wire/index.js";

const { values: options } = readOptions({
  options: {
    json: { type: "boolean", default: false },
    standing: { type: "string", default: "0,100,1000,4000" },
    ports: { type: "string", default: "1,2,4,8,16,32,64,128,256,512,1024" },
  },
});

const print = (line) => process.stdout.write(`${line}\n`);
const numbers = (text) => text.split(",").map(Number);
const AGENT = { name: "bench", profile: ADMINISTRATOR_PROFILE };
const UDP = 17;
const COMMITS = 20;
const PACKETS = 4000;
const ROUNDS = 5;
/** More elements than this in one set are not filled in: the curve is clear by then. */
const ELEMENTS_MAX = 300_000;

/** The kernel's memory of this process alone, where control groups of version 1 count it. */
const GROUP = `/sys/fs/cgroup/memory/postern-bench-${process.pid}`;
const HOME = "/sys/fs/cgroup/memory";

function enterGroup() {
  if (!existsSync(`${HOME}/memory.kmem.usage_in_bytes`)) return () => undefined;
  const home = /memory:(\S+)/.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "/";
  mkdirSync(GROUP);
  writeFileSync(`${GROUP}/cgroup.procs`, String(process.pid));
  return () => {
    writeFileSync(`${HOME}${home}/cgroup.procs`, String(process.pid));
    rmdirSync(GROUP);
  };
}

function kernelBytes() {
  const file = `${GROUP}/memory.kmem.usage_in_bytes`;
  return existsSync(file) ? Number(readFileSync(file, "utf8")) : Number.NaN;
}

/** A pinhole for a range of ports of one host of ours, from anywhere. */
function spec(index, ports) {
  const address = `10.${1 + (index >> 14)}.${(index >> 7) & 127}.${1 + (index & 127)}`;
  return {
    kind: "permit",
    internal: { family: 4, address, ports: [20_000, 20_000 + ports - 1] },
    external: { family: 4, address: "203.0.113.1" },
    protocol: UDP,
    direction: "in",
    lifetime: 3600,
  };
}

function median(times) {
  return [...times].sort((a, b) => a - b)[times.length >> 1];
}

/** Carries operations out, and tells the processor time from the decision to the kernel's yes. */
async function commit(store, backend, operations) {
  const begin = process.cpuUsage();
  const transaction = store.stage(AGENT, machineMoment());
  for (const operation of operations) transaction.stage(operation);
  const prepared = store.prepare([{ transaction, options: {} }], machineMoment());
  await backend.commit(backend.prepare(prepared.plan));
  prepared.settle();
  const { user, system } = process.cpuUsage(begin);
  return { ms: (user + system) / 1000, ids: prepared.outcomes[0].results.map(({ id }) => id) };
}

/** Processor time of the kernel for a packet that passes, in nanoseconds: the least of several rounds. */
function packetCost(socket) {
  const packet = buildPacket({
    source: { family: 4, words: ipv4Words(0xcb007101) },
    destination: { family: 4, words: ipv4Words(0x0a010001) },
    protocol: UDP,
    sourcePort: 6004,
    destinationPort: 20_000,
    payload: new Uint8Array(8),
  });
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = process.cpuUsage();
    for (let count = 0; count < PACKETS; count += 1) socket.send(packet);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, ((user + system) * 1000) / PACKETS);
  }
  return least;
}

async function measure(hosts, form, standing, ports) {
  const elements = form === "single ports" ? ports : 1;
  if (standing * elements > ELEMENTS_MAX) return undefined;
  await hosts.firewall.run(["nft", "delete", "table", "inet", "pinholes"]);
  const backend = inNamespace(hosts.firewall.fullName, () =>
    NftablesPinholes.open({ table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" }),
  );
  const limits = { ...defaultLimits(), pinholeElements: 16_777_216 };
  const expansionMax = form === "single ports" ? ports : 0;
  const store = new PinholeStore({ limits, expansionMax, entropy: fakeEntropy() });
  const sender = inNamespace(hosts.outside.fullName, () => RawSocket.open(4));
  try {
    await backend.restore(store.desired(machineMoment().now));
    const before = kernelBytes();
    const standers = Array.from({ length: standing + 1 }, (_, index) => ({
      op: "open",
      spec: spec(index, ports),
    }));
    await commit(store, backend, standers);
    const bytes = (kernelBytes() - before) / (standing + 1);
    const opens = [];
    const closes = [];
    for (let round = 0; round < COMMITS; round += 1) {
      const opened = await commit(store, backend, [{ op: "open", spec: spec(100_000 + round, ports) }]);
      const closed = await commit(store, backend, [{ op: "close", id: opened.ids[0] }]);
      opens.push(opened.ms);
      closes.push(closed.ms);
    }
    const [openMs, closeMs] = [median(opens), median(closes)];
    return { form, standing, ports, openMs, closeMs, bytes, packetNs: packetCost(sender) };
  } finally {
    sender.close();
    await backend.close();
  }
}

function* cases() {
  for (const standing of numbers(options.standing)) {
    for (const ports of numbers(options.ports)) {
      for (const form of ["single ports", "one interval"]) yield [standing, ports, form];
    }
  }
}

function show({ standing, ports, form, openMs, closeMs, bytes, packetNs }) {
  const cells = [
    String(standing).padStart(8),
    String(ports).padStart(6),
    ` ${form.padEnd(13)}`,
    openMs.toFixed(2).padStart(8),
    closeMs.toFixed(2).padStart(9),
    (Number.isNaN(bytes) ? "-" : bytes.toFixed(0)).padStart(17),
    packetNs.toFixed(0).padStart(10),
  ];
  print(cells.join(" "));
}

// Also when somebody interrupts it.
process.on("exit", enterGroup());
const rows = [];
if (!options.json) {
  print(`${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} processors`);
  print("standing  ports  form           open ms  close ms  bytes a pinhole  packet ns");
}
await withTopology(BORDER, async (hosts) => {
  await hosts.firewall.must(["ip", "route", "add", "10.0.0.0/8", "via", "192.0.2.2"]);
  await hosts.firewall.must(["ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.2"]);
  await measure(hosts, "single ports", 0, 1);
  for (const [standing, ports, form] of cases()) {
    const row = await measure(hosts, form, standing, ports);
    if (row === undefined) continue;
    rows.push(row);
    if (!options.json) show(row);
  }
});
if (options.json) print(JSON.stringify({ machine: cpus()[0]?.model, rows }));
