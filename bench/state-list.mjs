/**
 * Lists and kills of a whole state table beside `conntrack`: one flood fills our table and the kernel's with
 * the same flows, in network namespaces, then both are listed and emptied. Needs root, nft and conntrack.
 *
 * The flood is bounded by what the kernel lets one namespace track (nf_conntrack_max). Times are those of
 * whole commands, starting Node included: by the clock, and of the processor in the command itself.
 *
 * Usage: npm run build && node bench/state-list.mjs [FLOWS]
 */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { connect } from "../dist/client/index.js";
import { HOST_PAIR, POSTERN, startFirewall, withTopology } from "../dist/lab/index.js";

const FLOOD = fileURLToPath(new URL("../dist/testing/programs/syn-flood.js", import.meta.url));
const FLOWS = Number(process.argv[2] ?? 100_000);
const PART = 10_000;
const PATIENCE_MS = 600_000;

/** Tracks what comes in, and keeps refusals from ending what was tracked. */
const RULES = `table inet fill {
  chain mute { type filter hook output priority raw; tcp flags rst drop; }
  chain track { type filter hook input priority 0; ct state new accept; }
}`;

const print = (line) => process.stdout.write(`${line}\n`);

/** Runs a program that has to succeed, however long it takes. */
async function run(host, words) {
  const { status, output } = await host.run(words, PATIENCE_MS);
  if (status !== 0) throw new Error(`${words.join(" ")}: ${output}`);
  return output;
}

/** Runs a command and tells its times, and how many lines it wrote. */
async function timed(host, title, words) {
  const script = `TIMEFORMAT="times %R %U %S"; time ${words.join(" ")} 2>/dev/null | wc -l`;
  const output = await run(host, ["bash", "-c", script]);
  const lines = Number(/^\d+$/m.exec(output)?.[0]);
  const [real, user, system] = (/times (.*)/.exec(output)?.[1] ?? "").split(" ").map(Number);
  const times = `${real.toFixed(2)} s`.padStart(10) + `${(user + system).toFixed(2)} s`.padStart(12);
  print(`${title.padEnd(44)}${String(lines).padStart(9)}${times}`);
}

const most = Number(readFileSync("/proc/sys/net/netfilter/nf_conntrack_max", "utf8"));
const wanted = Math.min(FLOWS, Math.floor(0.9 * most));

await withTopology(HOST_PAIR, async ({ client, firewall: host }) => {
  await host.must(["nft", RULES]);
  for (const state of ["syn_sent", "syn_recv"]) {
    await host.must(["sysctl", "-qw", `net.netfilter.nf_conntrack_tcp_timeout_${state}=3600`]);
  }
  const settings = { compatibility: "strict", workers: 1, limits: { flows: 2 * wanted } };
  const timeouts = { "tcp.first": 3600, "tcp.opening": 3600, "tcp.closed": 3600 };
  const policy = { settings: { ...settings, timeouts }, INPUT: [] };
  const firewall = await startFirewall(host, { policy });
  const remote = connect({ socket: firewall.socket });
  const table = async () => (await remote.getStatus()).pf;
  for (let sent = 0, flows = 0; flows < wanted; ) {
    const share = Math.min(wanted - flows, PART);
    sent += share;
    const words = [process.execPath, FLOOD, host.ipv4, "80", String(sent)];
    await run(client, words);
    flows = (await table()).states;
  }
  const { states, kernel } = await table();
  print(`Node ${process.version}, ${cpus()[0].model}: ${states} flows here, ${kernel.entries} in the kernel`);
  print("command                                         lines   by clock   processor");
  const postern = (...words) => [process.execPath, POSTERN, ...words, "--socket", firewall.socket];
  await timed(host, "conntrack -L", ["conntrack", "-L"]);
  await timed(host, "conntrack -L -o xml", ["conntrack", "-L", "-o", "xml"]);
  await timed(
    host,
    "postern states list --source kernel --json",
    postern("states", "list", "--source", "kernel", "--json"),
  );
  await timed(
    host,
    "postern states list --source own --json",
    postern("states", "list", "--source", "own", "--json"),
  );
  await timed(
    host,
    "postern states list --source both --json",
    postern("states", "list", "--source", "both", "--json"),
  );
  await timed(host, "postern states clear --source own", postern("states", "clear", "--source", "own"));
  await timed(host, "postern states clear --source kernel", postern("states", "clear", "--source", "kernel"));
  await firewall.stop();
});
process.exit(0);
