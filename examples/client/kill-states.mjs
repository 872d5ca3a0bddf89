/**
 * Ends the connections that a filter chooses, with a TCP reset to both ends, and says which they were.
 *
 * Usage: node kill-states.mjs [--socket PATH] FILTER...
 */
import { parseArgs } from "node:util";
import { connect } from "postern/client";

const { values, positionals } = parseArgs({
  options: { socket: { type: "string" } },
  allowPositionals: true,
});
const filter = positionals.join(" ");
if (filter === "") throw new Error("name a filter, such as: tcp from 203.0.113.0/24 to any port 22");
const firewall = connect(values);

for await (const { protocolName, sk, ageMs } of firewall.getStates({ filter })) {
  const [remote, local] = sk.addresses.map((address, index) => `${address} port ${sk.ports[index]}`);
  console.log(`${protocolName} ${local} and ${remote}, ${Math.floor((ageMs ?? 0) / 1000)} seconds old`);
}
const { own, kernel, resets } = await firewall.killStates({ filter, reset: true });
console.log(`ended ${own} flows of the firewall and ${kernel} of the kernel, ${resets} resets sent`);
