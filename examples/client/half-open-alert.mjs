/**
 * Watches for a flood of connections that are begun and never answered to the end.
 *
 * As soon as more than a number of them are open at a port, it says so and names the sources that hold most
 * of them. With a table, sources that hold more than a tenth of the number are put into it for ten minutes;
 * a policy that drops by TableRule then keeps them out.
 *
 * Usage: node half-open-alert.mjs [--socket PATH] [--most NUMBER] [--table NAME]
 */
import { parseArgs } from "node:util";
import { connect } from "postern/client";

const { values } = parseArgs({
  options: {
    socket: { type: "string" },
    most: { type: "string", default: "1000" },
    table: { type: "string" },
  },
});
const firewall = connect(values.socket === undefined ? {} : { socket: values.socket });
const most = Number(values.most);

/** What is not answered yet, by id: what a flood may grow is kept within this number. */
const HALF_OPEN_MAX = 100_000;
const BLOCKED_SECONDS = 600;
const halfOpen = new Map();
/** Ports that an alert was given for; it is given again when things were quiet meanwhile. */
const alerted = new Set();

function atPort(port) {
  return [...halfOpen.values()].filter((flow) => flow.port === port);
}

/** How many each source holds, the most first. */
function holders(flows) {
  const counts = new Map();
  for (const { source } of flows) counts.set(source, (counts.get(source) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

async function alert(port, flows) {
  const sources = holders(flows);
  const named = sources.slice(0, 3).map(([source, count]) => `${source} (${count})`);
  console.log(`ALERT port ${port}: ${flows.length} half-open connections, most from ${named.join(", ")}`);
  const addresses = sources.filter(([, count]) => count > most / 10).map(([source]) => source);
  if (values.table === undefined || addresses.length === 0) return;
  const { added } = await firewall.addAddresses(values.table, {
    addresses,
    lifetimeSeconds: BLOCKED_SECONDS,
  });
  console.log(`${added} sources put into table ${values.table}`);
}

async function begins({ id, sk }) {
  const port = sk.ports[1];
  if (halfOpen.size >= HALF_OPEN_MAX) halfOpen.delete(halfOpen.keys().next().value);
  halfOpen.set(id, { port, source: sk.addresses[0] });
  // Counting all of them for each new one would be a gift to whoever floods.
  if (halfOpen.size <= most || alerted.has(port)) return;
  const flows = atPort(port);
  if (flows.length <= most) return;
  alerted.add(port);
  await alert(port, flows);
}

function ends({ id, sk }) {
  const port = sk.ports[1];
  halfOpen.delete(id);
  if (alerted.has(port) && halfOpen.size <= most / 2) alerted.delete(port);
}

for await (const event of firewall.watchStates({ filter: "in tcp", source: "own" })) {
  if (event.kind === "gap") console.log(`${event.lost} events were lost: more happens than can be told`);
  else if (event.kind === "new") await begins(event.state);
  else if (event.kind === "destroy" || event.state.dst.levelName !== "SYN_SENT") ends(event.state);
}
