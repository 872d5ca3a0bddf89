/**
 * How long a policy swap takes while a TCP connection talks through the firewall.
 *
 *   node bench/swap.mjs [--json] [--rules N] [--swaps N]
 *
 * Two policies of N rules (10,000) are swapped in turn through the control socket; the time is that of the
 * whole request, from the file to the last chain of the kernel. Beside it: round trips of the connection
 * meanwhile, and the longest of them. Needs root.
 */
import { writeFileSync } from "node:fs";
import { readOptions } from "./options.mjs";
import { connect } from "../dist/client/index.js";
import { HOST_PAIR, startFirewall, withTopology } from "../dist/lab/index.js";
import { describeMachine, machineWords, median, requireLaboratory } from "./measure.mjs";

const PATIENCE_MS = 60_000;

const { values } = readOptions({
  options: {
    json: { type: "boolean", default: false },
    rules: { type: "string", default: "10000" },
    swaps: { type: "string", default: "10" },
  },
});

const policy = (octet) => ({
  settings: { compatibility: "strict" },
  default_chain: "ACCEPT",
  INPUT: Array.from({ length: Number(values.rules) }, (_, at) => ({
    name: "SourceIPRule",
    cidr_range: `${octet}.${at >> 8}.${at & 255}.0/24`,
    action: "DROP",
  })),
});

requireLaboratory();

/** One round trip of the connection, in milliseconds. */
async function roundTrip(connection) {
  const sent = performance.now();
  if ((await connection.exchange("hello", PATIENCE_MS)) !== "hello") throw new Error("no answer");
  return performance.now() - sent;
}

/** One swap to the policy in the file, and what the connection felt of it. */
async function swap(remote, connection) {
  const start = performance.now();
  let milliseconds;
  const reload = remote.reload().finally(() => (milliseconds = performance.now() - start));
  let [roundTrips, longest] = [0, 0];
  while (milliseconds === undefined) {
    longest = Math.max(longest, await roundTrip(connection));
    roundTrips += 1;
  }
  await reload;
  return { milliseconds, roundTrips, longest };
}

const swaps = [];
await withTopology(HOST_PAIR, async ({ client, firewall: host }) => {
  const firewall = await startFirewall(host, { policy: policy(10), patienceMs: PATIENCE_MS });
  try {
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: 80 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    for (let at = 0; at < Number(values.swaps); at += 1) {
      writeFileSync(firewall.policyFile, JSON.stringify(policy(at % 2 === 0 ? 11 : 10)));
      swaps.push(await swap(remote, connection));
    }
  } finally {
    await firewall.stop();
  }
});

const machine = describeMachine();
if (values.json) process.stdout.write(`${JSON.stringify({ machine, swaps })}\n`);
else {
  process.stdout.write(`${machineWords(machine)}\n`);
  for (const [name, words] of [
    ["milliseconds", "swap, ms"],
    ["roundTrips", "round trips meanwhile"],
    ["longest", "longest of them, ms"],
  ]) {
    const found = swaps.map((each) => each[name]);
    const figures = `median ${median(found).toFixed(0)}, most ${Math.max(...found).toFixed(0)}`;
    process.stdout.write(`${words.padEnd(24)}${figures}\n`);
  }
}
