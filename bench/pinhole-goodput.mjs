/**
 * What a hundred thousand pinholes cost the packets of one: goodput of a TCP stream and processor time for a
 * UDP packet through a gateway whose chain holds that many, beside one whose chain is empty.
 *
 *   node bench/pinhole-goodput.mjs [--json] [--pinholes 100000] [--rounds 5] [--seconds 2]
 *
 * Both gateways stand at the same time and are asked in turn, round by round; so is a third without a chain.
 * UDP packets are sent, forwarded and delivered within the sender's system call, so their cost is the
 * sender's processor time: those of one flow, and of 10,000 flows in turn, each permitted by a pinhole of its
 * own. Needs root and iperf3.
 */
import { readOptions } from "./options.mjs";
import { NftablesPinholes } from "../dist/backend/index.js";
import { defaultLimits } from "../dist/base/index.js";
import { GATEWAY, withTopology } from "../dist/lab/index.js";
import { ADMINISTRATOR_PROFILE, PinholeStore } from "../dist/pinhole/index.js";
import { inNamespace, machineMoment } from "../dist/system/index.js";
import { fakeEntropy } from "../dist/testing/index.js";
import { PINHOLES_PER_CALL, ports } from "./calls/layout.mjs";
import {
  describeMachine,
  hasProgram,
  machineWords,
  median,
  node,
  requireLaboratory,
  say,
} from "./measure.mjs";
import { addressNumber, ForgedUdp } from "./sockets.mjs";

const { values } = readOptions({
  options: {
    json: { type: "boolean", default: false },
    pinholes: { type: "string", default: "100000" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
  },
});

const AGENT = { name: "bench", profile: ADMINISTRATOR_PROFILE };
const UDP = 17;
const TCP = 6;
const STREAM_PORT = 5201;
const PACKETS = 20_000;
const FLOWS = 10_000;
const PAYLOAD_BYTES = 12;
const LOAD_AT_ONCE = 20_000;

const flow = (index) => ports(Math.floor(index / PINHOLES_PER_CALL), index % PINHOLES_PER_CALL);

function pinhole({ client, server }, protocol, internal, external) {
  return {
    kind: "permit",
    internal: {
      family: 4,
      address: client.ipv4,
      ...(internal === undefined ? {} : { ports: [internal, internal] }),
    },
    external: { family: 4, address: server.ipv4, ports: [external, external] },
    protocol,
    direction: "out",
    lifetime: 3600,
  };
}

/** Puts a chain into a gateway; with no pinholes it lets everything go on. */
async function openChain(hosts, count) {
  const otherwise = count === 0 ? "accept" : "drop";
  const backend = inNamespace(hosts.firewall.fullName, () =>
    NftablesPinholes.open({ table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise }),
  );
  const { expansionMax } = backend.abilities;
  const store = new PinholeStore({ limits: defaultLimits(), expansionMax, entropy: fakeEntropy() });
  await backend.restore(store.desired(machineMoment().now));
  const specs = Array.from({ length: count }, (_, index) => {
    const { internal, external } = flow(index);
    return pinhole(hosts, UDP, internal, external);
  });
  if (count > 0) specs.push(pinhole(hosts, TCP, undefined, STREAM_PORT));
  for (let at = 0; at < specs.length; at += LOAD_AT_ONCE) {
    const transaction = store.stage(AGENT, machineMoment());
    for (const spec of specs.slice(at, at + LOAD_AT_ONCE)) transaction.stage({ op: "open", spec });
    const prepared = store.prepare([{ transaction, options: {} }], machineMoment());
    await backend.commit(backend.prepare(prepared.plan));
    prepared.settle();
  }
  return backend;
}

async function goodput({ client, server }) {
  const listener = server.start(["iperf3", "-s", "-1", "--forceflush", "-p", String(STREAM_PORT)]);
  await listener.waitForLine(/listening/);
  const words = ["-c", server.ipv4, "-p", String(STREAM_PORT), "-t", values.seconds, "-J"];
  const { output } = await client.run(["iperf3", ...words], 1000 * (Number(values.seconds) + 30));
  await listener.stop("SIGTERM");
  return (JSON.parse(output).end?.sum_received?.bits_per_second ?? Number.NaN) / 1e9;
}

/** Processor time of a packet, in nanoseconds, when so many flows take turns. */
function packetCost({ sender, source }, flows) {
  const before = process.cpuUsage();
  for (let at = 0; at < PACKETS; at += 1) {
    const { internal, external } = flow(at % flows);
    sender.send(source, internal, external);
  }
  const { user, system } = process.cpuUsage(before);
  return (1000 * (user + system)) / PACKETS;
}

/** A gateway with its traffic, ready to be asked. */
async function prepare(title, hosts, count) {
  const backend = count === undefined ? undefined : await openChain(hosts, count);
  const sink = hosts.server.start(node("traffic.mjs", "sink", flow(0).external));
  await sink.waitForLine(/ready/);
  const { client, server } = hosts;
  const sender = inNamespace(client.fullName, () => new ForgedUdp(server.ipv4, PAYLOAD_BYTES));
  const source = addressNumber(client.ipv4);
  return {
    title,
    samples: { gigabits: [], oneFlowNs: [], manyFlowsNs: [] },
    async round() {
      this.samples.gigabits.push(await goodput(hosts));
      this.samples.oneFlowNs.push(packetCost({ sender, source }, 1));
      this.samples.manyFlowsNs.push(packetCost({ sender, source }, FLOWS));
    },
    async close() {
      await sink.stop("SIGTERM");
      await backend?.close();
    },
  };
}

function formatTable(report) {
  const [, empty] = report.rows;
  const lines = report.rows.map(({ title, gigabits, oneFlowNs, manyFlowsNs, samples }) => {
    const share = median(samples.gigabits.map((one, round) => one / empty.samples.gigabits[round])).toFixed(
      2,
    );
    return `| ${[title, gigabits.toFixed(2), share, oneFlowNs.toFixed(0), manyFlowsNs.toFixed(0)].join(" | ")} |`;
  });
  return `| chain | one TCP stream, Gbit/s | share of the empty chain | UDP packet of one flow, ns | of ${FLOWS} flows in turn, ns |
|---|---:|---:|---:|---:|
${lines.join("\n")}

${machineWords(report)}; median of ${values.rounds} rounds of ${values.seconds} s.`;
}

requireLaboratory();
if (!hasProgram("iperf3", "the benchmark")) process.exit(3);

await withTopology(GATEWAY, (bare) =>
  withTopology(GATEWAY, (few) =>
    withTopology(GATEWAY, async (many) => {
      const count = Number(values.pinholes);
      const gateways = [
        await prepare("none", bare, undefined),
        await prepare("empty", few, 0),
        await prepare(`${count} pinholes`, many, count),
      ];
      for (let round = 0; round < Number(values.rounds); round += 1) {
        say(`round ${round + 1}`);
        for (const gateway of gateways) await gateway.round();
      }
      for (const gateway of gateways) await gateway.close();
      const rows = gateways.map(({ title, samples }) => ({
        title,
        ...Object.fromEntries(Object.entries(samples).map(([name, list]) => [name, median(list)])),
        samples,
      }));
      const report = { ...describeMachine(), rows };
      process.stdout.write(`${values.json ? JSON.stringify(report) : formatTable(report)}\n`);
    }),
  ),
);
