/**
 * What it takes to work off a backlog, by copy range, batch size and number of workers.
 *
 *   node bench/backlog.mjs [--json] [--rounds N] [--packets N] [--only copy|stream|batch|workers]
 *
 * The program at the queue is stopped, so many UDP packets are put into its queues, and it goes on: nobody
 * sends meanwhile, so it has the processors to itself as far as the machine's other work lets it. Told are
 * packets each second and the program's processor time for each, as medians of rounds in which the contenders
 * take turns.
 *
 * - copy: Postern's loop alone, which accepts everything, with whole copies and with headers only.
 * - stream: the same loop under one TCP stream (iperf3) of super-packets, processor time for each 64 KB.
 * - batch: the same with 64-byte packets, by packets taken in one call at most.
 * - workers: `postern up --no-offload` with twenty rules, by number of workers.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { readOptions } from "./options.mjs";
import { HOST_PAIR, withTopology } from "../dist/lab/index.js";
import { parseQueueStatistics } from "../dist/system/index.js";
import {
  describeMachine,
  hasProgram,
  here,
  machineWords,
  medians,
  node,
  pause,
  requireLaboratory,
  withFirewall,
  withQueueLoop,
} from "./measure.mjs";

const PORT = 9000;
const SETTLE_MS = 500;
const POLL_MS = 5;
const WARM_UPS = 2;
const PATIENCE_MS = 30_000;

const { values } = readOptions({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "5" },
    packets: { type: "string", default: "60000" },
    only: { type: "string" },
  },
});
const packets = Number(values.packets);

/** The firewall's queues as the kernel sees them, from within its namespace without starting a program. */
function readQueues(pid) {
  return parseQueueStatistics(readFileSync(`/proc/${pid}/net/netfilter/nfnetlink_queue`, "utf8"));
}

/** Time that all threads of a program have had a processor, in nanoseconds: proc(5), finer than its ticks. */
function processorNs(pid) {
  const folder = `/proc/${pid}/task`;
  const times = readdirSync(folder).map((task) => readFileSync(`${folder}/${task}/schedstat`, "utf8"));
  return times.reduce((sum, text) => sum + Number(text.split(" ")[0]), 0);
}

const sumOf = (queues, figure) => queues.reduce((sum, queue) => sum + queue[figure], 0);

/** Fills the queues of a stopped program, lets it go on, and waits until they are empty. */
async function workOff({ client, firewall }, program, bytes) {
  process.kill(program.pid, "SIGSTOP");
  await client.run(node("traffic.mjs", "backlog", firewall.ipv4, PORT, packets, bytes), PATIENCE_MS);
  const queued = sumOf(readQueues(program.pid), "waiting");
  const before = processorNs(program.pid);
  const startedAt = performance.now();
  process.kill(program.pid, "SIGCONT");
  while (sumOf(readQueues(program.pid), "waiting") > 0) {
    if (performance.now() - startedAt > PATIENCE_MS) throw new Error("the backlog is not worked off");
    await pause(POLL_MS);
  }
  const elapsedMs = performance.now() - startedAt;
  if (queued < packets * 0.9) throw new Error(`only ${queued} of ${packets} packets were queued`);
  return {
    perSecond: (1000 * queued) / elapsedMs,
    cpuNs: (processorNs(program.pid) - before) / queued,
  };
}

const STREAM_SECONDS = 3;
const PIECE_BYTES = 65_536;

/** Processor time of a program for each 64 KB of a TCP stream. */
async function stream({ client, firewall }, program) {
  const server = firewall.start(["iperf3", "-s", "-1"]);
  await pause(SETTLE_MS);
  const before = processorNs(program.pid);
  const words = ["-c", firewall.ipv4, "-t", String(STREAM_SECONDS), "-J"];
  const { output } = await client.run(["iperf3", ...words], PATIENCE_MS);
  const spent = processorNs(program.pid) - before;
  await server.stop("SIGTERM");
  const pieces = (JSON.parse(output).end?.sum_received?.bytes ?? Number.NaN) / PIECE_BYTES;
  return { perSecond: pieces / STREAM_SECONDS, cpuNs: spent / pieces };
}

/** The twenty rules with so many workers, and queues with room for the backlog. */
function policyFile(folder, workers) {
  // Its first line is a comment.
  const policy = JSON.parse(readFileSync(here("twenty-rules.json"), "utf8").replace(/^\/\/.*/, ""));
  const limits = { queuePackets: packets, receiveBufferBytes: packets * 4096 };
  const file = join(folder, `${workers}.json`);
  writeFileSync(file, JSON.stringify({ ...policy, settings: { ...policy.settings, workers, limits } }));
  return file;
}

/** Contenders by question: a title, packets of so many bytes, and what is started. */
function questions(folder) {
  const loop = (title, bytes, ...words) => ({
    title,
    bytes,
    command: node("queue-loop.mjs", "--backlog", packets, ...words),
  });
  return {
    copy: [64, 1500].flatMap((bytes) =>
      [65_535, 1024, 256].map((copy) => loop(`${bytes} bytes, ${copy} copied`, bytes, "--copy", copy)),
    ),
    stream: [65_535, 1024, 256].map((copy) => ({
      title: `64 KB of a stream, ${copy} copied`,
      command: node("queue-loop.mjs", "--copy", copy),
    })),
    batch: [16, 32, 64, 128, 256, 512, 1024].map((batch) =>
      loop(`batches of ${batch}`, 64, "--batch", batch),
    ),
    workers: [1, 2].map((workers) => ({
      title: `${workers} ${workers === 1 ? "worker" : "workers"}`,
      bytes: 64,
      policy: policyFile(folder, workers),
    })),
  };
}

async function measure(hosts, { command, policy, bytes }) {
  const run = async (program) => {
    // V8 compiles what runs often, beside it: the first backlogs are for that.
    for (let warmUp = 0; warmUp < WARM_UPS; warmUp += 1) await workOff(hosts, program, bytes);
    return workOff(hosts, program, bytes);
  };
  if (bytes === undefined)
    return withQueueLoop({ firewall: hosts.firewall, command, hooks: "INPUT" }, (program) =>
      stream(hosts, program),
    );
  if (policy !== undefined) return withFirewall({ firewall: hosts.firewall, policy }, run);
  return withQueueLoop({ firewall: hosts.firewall, command, hooks: "INPUT" }, run);
}

async function ask(hosts, contenders) {
  const samples = new Map(contenders.map(({ title }) => [title, []]));
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const contender of contenders) samples.get(contender.title).push(await measure(hosts, contender));
  }
  return Object.fromEntries([...samples].map(([title, results]) => [title, medians(results)]));
}

/** Answers to a question as a Markdown table. */
function table(question, found) {
  const rows = Object.entries(found).map(
    ([title, { perSecond, cpuNs }]) => `| ${title} | ${perSecond.toFixed(0)} | ${cpuNs.toFixed(0)} |`,
  );
  const head = `| ${question} | each second | processor time for each, ns |`;
  return [head, "|---|---:|---:|", ...rows, ""].join("\n");
}

/** Asks all questions, or the one that is wanted. */
async function askAll(hosts) {
  const sink = hosts.firewall.start(node("traffic.mjs", "sink", PORT));
  await sink.waitForLine(/ready/);
  // Nothing leads back to the forged sources.
  const open = "for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $file; done";
  await hosts.firewall.must(["sh", "-c", open]);
  const found = {};
  for (const [question, contenders] of Object.entries(questions(folder))) {
    const isWanted = values.only === undefined || values.only === question;
    if (!isWanted || (question === "stream" && !hasProgram("iperf3", "the stream"))) continue;
    found[question] = await ask(hosts, contenders);
  }
  await sink.stop("SIGTERM");
  return found;
}

requireLaboratory();
// Programs that run beside us, and are none of the contenders, shall not decide the race.
setPriority(constants.priority.PRIORITY_HIGHEST);
const folder = mkdtempSync(join(tmpdir(), "postern-bench-"));
try {
  const answers = await withTopology(HOST_PAIR, askAll);
  if (values.json) process.stdout.write(`${JSON.stringify({ ...describeMachine(), packets, answers })}\n`);
  else {
    for (const [question, found] of Object.entries(answers)) process.stdout.write(table(question, found));
    const words = `${values.rounds} rounds of ${packets} packets`;
    process.stdout.write(`${machineWords(describeMachine())}; ${words}.\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
