/**
 * What the inspection of a TCP stream costs when its fate is sealed, and when it is not.
 *
 *   node bench/sealing.mjs [--json] [--rounds N] [--seconds N]
 *
 * One TCP stream (iperf3) through a policy that recognises protocols, in turn: without a firewall, with seals
 * (`"offload": "flows"`), and with every packet in userspace (`"offload": "none"`). The table shows the
 * median of the rounds, the share of no firewall in the same run, and how many packets userspace has judged.
 * Needs root and iperf3.
 */
import { readOptions } from "./options.mjs";
import { connect } from "../dist/client/index.js";
import { HOST_PAIR, startFirewall, withTopology } from "../dist/lab/index.js";
import { describeMachine, hasProgram, machineWords, medians, pause, requireLaboratory } from "./measure.mjs";

const SETTLE_MS = 500;
const TIMEOUT_MS = 60_000;

const inspecting = (offload) => {
  const chain = [
    { name: "ProtocolRule", protocols: ["BitTorrent"], action: "DROP" },
    { name: "TCPRule", action: "ACCEPT" },
  ];
  return {
    settings: { compatibility: "strict", offload },
    default_chain: "DROP",
    INPUT: chain,
    OUTPUT: chain,
  };
};

const CONTENDERS = {
  "no firewall": undefined,
  "inspecting, sealed": inspecting("flows"),
  "inspecting, every packet": inspecting("none"),
};

const { values } = readOptions({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
  },
});

async function goodput({ client, firewall }) {
  const server = firewall.start(["iperf3", "-s", "-1"]);
  await pause(SETTLE_MS);
  const { output } = await client.run(
    ["iperf3", "-c", firewall.ipv4, "-t", values.seconds, "-J"],
    TIMEOUT_MS,
  );
  await server.stop("SIGTERM");
  return (JSON.parse(output).end?.sum_received?.bits_per_second ?? Number.NaN) / 1e9;
}

async function measure(hosts, policy) {
  if (policy === undefined) return { gigabits: await goodput(hosts), packets: 0 };
  const running = await startFirewall(hosts.firewall, {
    policy,
    patienceMs: TIMEOUT_MS,
  });
  try {
    const gigabits = await goodput(hosts);
    const { counters } = await connect({ socket: running.socket }).getStatus();
    return { gigabits, packets: counters.packets };
  } finally {
    await running.stop();
  }
}

requireLaboratory();
if (!hasProgram("iperf3", "the benchmark")) process.exit(3);

const samples = new Map(Object.keys(CONTENDERS).map((name) => [name, []]));
await withTopology(HOST_PAIR, async (hosts) => {
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const [name, policy] of Object.entries(CONTENDERS)) {
      samples.get(name).push(await measure(hosts, policy));
    }
  }
});
const answers = Object.fromEntries([...samples].map(([name, found]) => [name, medians(found)]));
const machine = describeMachine();
if (values.json)
  process.stdout.write(`${JSON.stringify({ machine, answers, samples: Object.fromEntries(samples) })}\n`);
else {
  const bare = answers["no firewall"].gigabits;
  process.stdout.write(`${machineWords(machine)}\n`);
  for (const [name, { gigabits, packets }] of Object.entries(answers)) {
    const cells = [gigabits.toFixed(1), (gigabits / bare).toFixed(2), String(packets)];
    process.stdout.write(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(12)).join("")}\n`);
  }
}
