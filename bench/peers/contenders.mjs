/**
 * Who is measured: each puts one policy in force in a namespace, calls `measure` with the process id of the
 * program that judges packets, if there is one, and takes the policy away again.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { startFirewall } from "../../dist/lab/index.js";
import { here, withQueueLoop } from "../measure.mjs";
import { iptablesText, nftablesText, posternPolicy, pywallPolicy } from "./policy.mjs";

/** Postern reads and compiles ten thousand rules before it is ready. */
const START_PATIENCE_MS = 90_000;

async function must(firewall, command) {
  const finished = await firewall.run(command, 120_000);
  if (finished.status !== 0) throw new Error(`${command.join(" ")}: ${finished.output}`);
}

function written(folder, name, text) {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

async function withNftables({ firewall, folder, rules }, measure) {
  await must(firewall, ["nft", "-f", written(folder, "policy.nft", nftablesText(rules))]);
  try {
    return await measure();
  } finally {
    await must(firewall, ["nft", "delete", "table", "inet", "peer"]);
  }
}

async function withIptables({ firewall, folder, rules }, measure) {
  await must(firewall, ["iptables-restore", written(folder, "policy.iptables", iptablesText(rules))]);
  try {
    return await measure();
  } finally {
    await must(firewall, ["nft", "flush", "ruleset"]);
  }
}

function withPython({ firewall, folder, rules }, measure) {
  const policy = written(folder, "pywall.json", JSON.stringify(pywallPolicy(rules)));
  const command = ["/usr/bin/python3", here("peers/pywall-reference.py"), policy];
  return withQueueLoop({ firewall, command, hooks: "INPUT" }, ({ pid }) => measure(pid));
}

async function withPostern({ firewall, rules, form = {}, words }, measure) {
  const policy = posternPolicy(rules, form);
  const running = await startFirewall(firewall, { policy, words, patienceMs: START_PATIENCE_MS });
  try {
    return await measure(running.program.pid);
  } finally {
    await running.stop();
  }
}

/**
 * The contenders in the order of the table.
 *
 * @param reference - path of the loop in C; `undefined` when it could not be compiled
 */
export function contenders(reference) {
  const list = [
    { name: "none", title: "no firewall", within: (_site, measure) => measure() },
    { name: "nftables", title: "nftables by hand", within: withNftables },
    { name: "iptables", title: "iptables", within: withIptables },
    { name: "postern", title: "Postern", within: (site, measure) => withPostern(site, measure) },
    {
      name: "inspecting",
      title: "Postern, recognising protocols",
      within: (site, measure) => withPostern({ ...site, form: { inspects: true } }, measure),
    },
    {
      name: "conntrack",
      title: "Postern, conntrack states",
      within: (site, measure) => withPostern({ ...site, form: { asksConntrack: true } }, measure),
    },
    {
      name: "queued",
      title: "Postern, every packet queued",
      within: (site, measure) => withPostern({ ...site, words: ["--no-offload"] }, measure),
    },
    {
      name: "python",
      title: "PyWall's design in Python",
      // One packet at a time through every rule: with a thousand rules a connection takes seconds.
      rulesMax: 10,
      within: withPython,
    },
  ];
  if (reference !== undefined) {
    const within = ({ firewall }, measure) =>
      withQueueLoop({ firewall, command: [reference], hooks: "INPUT" }, ({ pid }) => measure(pid));
    list.push({ name: "c", title: "C loop, accepts all", rulesMax: 10, within });
  }
  return list;
}
