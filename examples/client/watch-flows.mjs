/**
 * Says of each flow when it begins, until it is stopped.
 *
 * Usage: node watch-flows.mjs [--socket PATH] [FILTER...]
 */
import { parseArgs } from "node:util";
import { connect } from "postern/client";

const { values, positionals } = parseArgs({
  options: { socket: { type: "string" } },
  allowPositionals: true,
});
const firewall = connect(values);

for await (const event of firewall.watchStates({ filter: positionals.join(" "), source: "own" })) {
  // A watcher that is too slow is told so; the firewall does not wait for it.
  if (event.kind === "gap") console.log(`${event.lost} events were lost`);
  if (event.kind !== "new") continue;
  const { protocolName, direction, sk, rule } = event.state;
  const [remote, local] = sk.addresses.map((address, index) => `${address} port ${sk.ports[index]}`);
  const why =
    rule === null ? "" : `, let in by ${rule.chain}${rule.index === null ? "" : ` rule ${rule.index}`}`;
  console.log(`${protocolName} ${direction}: ${local}, ${remote}${why}`);
}
