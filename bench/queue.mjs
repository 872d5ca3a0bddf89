/**
 * What the way through the queue costs, measured in one run beside no firewall and beside a loop in C.
 *
 *   node bench/queue.mjs [--json] [--rounds N] [--seconds N] [--judge MODULE] [--only flood|goodput|latency]
 *
 * Three questions, each asked of every contender in turn, round after round, so that a slow minute of the
 * machine hits all alike. The table shows the median of the rounds.
 *
 * - flood: 64-byte UDP packets as fast as one sender makes them; verdicts each second, and processor time for
 *   each. Without a firewall: packets each second.
 * - goodput: one TCP stream (iperf3), with whole super-packets (GSO) and without.
 * - latency: UDP round trips one at a time, through the queue on the way in and on the way out.
 *
 * MODULE gives the judge of Postern's loop, see queue-loop.mjs. Needs root, iperf3 for goodput, and a C
 * compiler for the loop in C; what is missing is left out, and said.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { constants, setPriority, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { readOptions } from "./options.mjs";
import { HOST_PAIR, withTopology } from "../dist/lab/index.js";
import { parseQueueStatistics } from "../dist/system/index.js";
import {
  compileReference,
  describeMachine,
  hasProgram,
  here,
  machineWords,
  medians,
  node,
  pause,
  processorMs,
  requireLaboratory,
  withFirewall,
  withQueueLoop,
} from "./measure.mjs";

const FLOOD_PORT = 9000;
const LATENCY_PORT = 9001;
const ROUND_TRIPS = 20_000;
const SETTLE_MS = 500;

/**
 * The contenders of a question. `command` answers the queue and leaves the rules to us; `policy` is for
 * `postern up`, which does everything; with neither there is no firewall.
 */
function contenders({ reference, judge, gso = true }) {
  const words = gso ? [] : ["--no-gso"];
  const judged = judge === undefined ? [] : ["--judge", pathToFileURL(resolve(judge)).href];
  const list = [{ name: "none" }];
  if (reference !== undefined) {
    list.push({ name: "c", command: [reference, ...words] });
    list.push({ name: "cJoined", command: [reference, "--join", ...words] });
  }
  list.push({ name: "loop", command: node("queue-loop.mjs", ...words, ...judged) });
  // `postern up` has the kernel hand up super-packets whole, always.
  if (gso) list.push({ name: "postern", policy: here("twenty-rules.json") });
  return list;
}

/** Runs a measurement with a contender at the queue, and nothing of it before or after. */
async function withContender(firewall, contender, measure) {
  if (contender.policy !== undefined) {
    return withFirewall({ firewall, policy: contender.policy }, measure);
  }
  if (contender.command === undefined) return measure(undefined);
  return withQueueLoop({ firewall, command: contender.command }, measure);
}

/** Verdicts given so far in a namespace, processor time of a program, and the time, all in this moment. */
async function takeStock(firewall, program) {
  const { output } = await firewall.run(["cat", "/proc/net/netfilter/nfnetlink_queue"]);
  const atMs = performance.now();
  const verdicts = parseQueueStatistics(output).reduce((sum, queue) => sum + queue.queued - queue.waiting, 0);
  return { atMs, verdicts, cpuMs: processorMs(program.pid) };
}

async function measureFlood({ client, firewall }, seconds, program) {
  const command = node("traffic.mjs", "flood", firewall.ipv4, FLOOD_PORT, 1000 * seconds + 3 * SETTLE_MS);
  const flood = client.run(command, 60_000);
  if (program === undefined) {
    const sent = JSON.parse((await flood).output);
    return { perSecond: (1000 * sent.packets) / sent.elapsedMs };
  }
  await pause(2 * SETTLE_MS);
  const before = await takeStock(firewall, program);
  await pause(1000 * seconds);
  const after = await takeStock(firewall, program);
  await flood;
  const verdicts = after.verdicts - before.verdicts;
  return {
    perSecond: (1000 * verdicts) / (after.atMs - before.atMs),
    cpuNs: (1e6 * (after.cpuMs - before.cpuMs)) / verdicts,
  };
}

async function measureGoodput({ client, firewall }, seconds) {
  const server = firewall.start(["iperf3", "-s", "-1"]);
  await pause(SETTLE_MS);
  const finished = await client.run(["iperf3", "-c", firewall.ipv4, "-t", String(seconds), "-J"], 60_000);
  await server.stop("SIGTERM");
  const report = JSON.parse(finished.output);
  return { gigabits: (report.end?.sum_received?.bits_per_second ?? Number.NaN) / 1e9 };
}

async function measureLatency({ client, firewall }) {
  const pong = firewall.start(node("traffic.mjs", "pong", LATENCY_PORT));
  await pong.waitForLine(/ready/);
  const finished = await client.run(node("traffic.mjs", "ping", firewall.ipv4, LATENCY_PORT, ROUND_TRIPS));
  await pong.stop("SIGTERM");
  const { p50Us, p99Us } = JSON.parse(finished.output);
  return { p50Us, p99Us };
}

/** Asks a question of all contenders, `rounds` times. Returns the medians by contender and figure. */
async function ask(hosts, list, rounds, measure) {
  const samples = new Map(list.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of list) {
      const sample = await withContender(hosts.firewall, contender, measure);
      samples.get(contender.name).push(sample);
    }
  }
  return Object.fromEntries([...samples].map(([name, results]) => [name, medians(results)]));
}

/**
 * Runs the benchmark.
 *
 * @param options - rounds, seconds for each measurement, judge module, one question only
 * @returns figures by question and contender, with the machine and the day
 */
export async function benchQueue({ rounds = 3, seconds = 3, judge, only } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "postern-bench-"));
  const wanted = (question) => only === undefined || only === question;
  try {
    const reference = compileReference(folder);
    const all = contenders({ reference, judge });
    const results = await withTopology(HOST_PAIR, async (hosts) => {
      const answers = {};
      if (wanted("flood")) {
        const sink = hosts.firewall.start(node("traffic.mjs", "sink", FLOOD_PORT));
        await sink.waitForLine(/ready/);
        answers.flood = await ask(hosts, all, rounds, (program) => measureFlood(hosts, seconds, program));
        await sink.stop("SIGTERM");
      }
      if (wanted("goodput") && hasProgram("iperf3", "goodput")) {
        const measure = () => measureGoodput(hosts, seconds);
        answers.goodput = await ask(hosts, all, rounds, measure);
        answers.goodputNoGso = await ask(
          hosts,
          contenders({ reference, judge, gso: false }),
          rounds,
          measure,
        );
      }
      if (wanted("latency")) answers.latency = await ask(hosts, all, rounds, () => measureLatency(hosts));
      return answers;
    });
    return { ...describeMachine(), rounds, seconds, results };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const ROWS = [
  ["flood", "perSecond", "64-byte UDP, verdicts/s", 0],
  ["flood", "cpuNs", "processor time for each packet, ns", 0],
  ["goodput", "gigabits", "one TCP stream, GSO, Gbit/s", 2],
  ["goodputNoGso", "gigabits", "one TCP stream, no GSO, Gbit/s", 2],
  ["latency", "p50Us", "UDP round trip p50, µs", 1],
  ["latency", "p99Us", "UDP round trip p99, µs", 1],
];

/** Columns: contender and title. */
const COLUMNS = [
  ["none", "no firewall"],
  ["c", "C loop"],
  ["cJoined", "C loop, joined verdicts"],
  ["loop", "Postern's loop"],
  ["postern", "`postern up --no-offload`, 20 rules"],
];

/** The figures as a Markdown table. */
export function formatTable(report) {
  const heads = [...COLUMNS.map(([, title]) => title), "loop / C", "up / C"];
  const lines = [`| | ${heads.join(" | ")} |`, `|---|${"---:|".repeat(heads.length)}`];
  for (const [question, figure, title, digits] of ROWS) {
    const row = report.results[question];
    if (row === undefined) continue;
    const value = (name) => row[name]?.[figure] ?? Number.NaN;
    const text = (number, places) => (Number.isFinite(number) ? number.toFixed(places) : "–");
    const cells = COLUMNS.map(([name]) => text(value(name), digits));
    const ratios = ["loop", "postern"].map((name) => text(value(name) / value("c"), 2));
    lines.push(`| ${[title, ...cells, ...ratios].join(" | ")} |`);
  }
  const { rounds, seconds: each } = report;
  return `${lines.join("\n")}\n\n${machineWords(report)}; median of ${rounds} rounds of ${each} s.`;
}

async function main() {
  const { values } = readOptions({
    options: {
      json: { type: "boolean", default: false },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "3" },
      judge: { type: "string" },
      only: { type: "string" },
    },
  });
  requireLaboratory();
  // Programs that run beside us, and are none of the contenders, shall not decide the race.
  setPriority(constants.priority.PRIORITY_HIGHEST);
  const { judge, only } = values;
  const report = await benchQueue({
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    judge,
    only,
  });
  process.stdout.write(`${values.json ? JSON.stringify(report) : formatTable(report)}\n`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
