/**
 * Lists the state table in four lines a state, as the sample of py-pf's manual does.
 *
 * Usage: node list-states.mjs [--socket PATH] [FILTER...]
 */
import { parseArgs } from "node:util";
import { connect } from "postern/client";

const { values, positionals } = parseArgs({
  options: { socket: { type: "string" } },
  allowPositionals: true,
});
const firewall = connect(values);

/** An address with its port; IPv6 keeps the two apart by brackets around the port. */
function end(key, index) {
  const [address, port] = [key.addresses[index], key.ports[index]];
  if (port === 0) return address;
  return key.family === 6 ? `${address}[${port}]` : `${address}:${port}`;
}

/** One end as it is on the wire, and in parentheses what it is behind a translation. */
function translated(state, index) {
  const [shown, other] = [end(state.nk, index), end(state.sk, index)];
  return shown === other ? shown : `${shown} (${other})`;
}

for await (const state of firewall.getStates({ filter: positionals.join(" ") })) {
  const [remote, local] = [translated(state, 0), translated(state, 1)];
  const arrow = state.direction === "out" ? "->" : "<-";
  console.log(`State 0x${state.id} on ${state.interface || "all"} (${local} ${arrow} ${remote})`);
  console.log(`Packets: ${(state.packets ?? [0, 0]).join(":")}`);
  console.log(`Bytes: ${(state.bytes ?? [0, 0]).join(":")}`);
  console.log(`Expires in ${Math.floor((state.expiresInMs ?? 0) / 1000)} seconds`);
}
