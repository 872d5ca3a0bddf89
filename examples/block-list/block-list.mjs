/**
 * Puts the far end of every flow that a rule has ended into a table, for a time.
 *
 * A policy that drops by TableRule then has nothing more to do with that address. Addresses that the policy
 * accepts before it looks at the bytes, by a table of trusted ones for instance, never get here.
 *
 * Usage: node block-list.mjs [--socket PATH] [--table NAME] [--comment WORDS] [--seconds NUMBER]
 */
import { parseArgs } from "node:util";
import { connect } from "postern/client";

const { values } = parseArgs({
  options: {
    socket: { type: "string" },
    table: { type: "string", default: "blocked" },
    // Of the rule whose flows count, as the policy has it; any rule's when absent.
    comment: { type: "string" },
    seconds: { type: "string", default: "600" },
  },
});
const firewall = connect(values.socket === undefined ? {} : { socket: values.socket });
const lifetimeSeconds = Number(values.seconds);

for await (const event of firewall.watchStates({ filter: "", source: "own" })) {
  if (event.kind === "gap") console.log(`${event.lost} events were lost`);
  if (event.kind !== "destroy" || (event.state.verdict?.verdict ?? "ACCEPT") === "ACCEPT") continue;
  const { rule, sk } = event.state;
  if (values.comment !== undefined && rule?.label !== values.comment) continue;
  const [remote] = sk.addresses;
  const { added } = await firewall.addAddresses(values.table, { addresses: [remote], lifetimeSeconds });
  if (added > 0)
    console.log(`${remote} is blocked for ${lifetimeSeconds} seconds: ${rule?.label ?? "a rule"}`);
}
