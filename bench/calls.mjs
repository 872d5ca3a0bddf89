/**
 * Calls come and go: how soon a call's packets pass after it was asked for, and what that costs.
 *
 *   node bench/calls.mjs [--json] [--calls 100,500,1000,5000,10000] [--seconds N] [--rate CALLS,…]
 *                        [--only NAME,…]
 *
 * A client and a server with a gateway between them. So many calls of eight pinholes stand
 * (calls/layout.mjs); a part of them carries 100 packets a second, a tenth of it unwanted, as many calls as
 * this machine can send for. Meanwhile calls are set up and torn down, a tenth of those that stand each
 * second unless `--rate` says otherwise, for as long as `--seconds` says; several rates are measured one
 * after the other. Asked of each way to change the filter (calls/filters.mjs), in one run:
 *
 * - effect: from asking for a call to its first packet at the server, which is sent all the while;
 * - commit: until the answer;
 * - changes each second that were done; wanted packets that were lost; unwanted ones that passed; processor
 *   time for each change, and how many changes go into a second of it.
 *
 * The first calls are told apart: code is compiled then. Where more is offered than is done, so many callers
 * wait as {@link PinholdFilter.atOnce} says, and how long they wait follows from that: latency is what rates
 * below capacity show. Callers, media and filter share the machine's processors; what the filter could do
 * with one of its own is the last column. Each commit waits for one synced write: how long the disk takes for
 * one is measured first.
 *
 * Needs root.
 */
import { spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readOptions } from "./options.mjs";
import { GATEWAY, RunningProgram, withTopology } from "../dist/lab/index.js";
import { IptablesFilter, NftProcessFilter, PinholdFilter } from "./calls/filters.mjs";
import { ports } from "./calls/layout.mjs";
import {
  deliveredUdp,
  describeMachine,
  machineWords,
  node,
  pause,
  quantile,
  requireLaboratory,
  say,
} from "./measure.mjs";

const { O_CREAT, O_DSYNC, O_EXCL, O_WRONLY } = constants;

/** Calls with traffic: 100 packets a second each; more would measure the sender. */
const SPEAKING_CALLS = 100;
const SETTLE_MS = 500;
/** How long the media go on behind the last change asked for. */
const LINGER_SECONDS = 4;
/** Longest time until a call's first packet before it counts as never. */
const EFFECT_PATIENCE_MS = 5000;
/** Calls that come and go before anything else is measured, at most; of them the longest answer is told. */
const FIRST_CALLS = 20;
/** Calls set up of which the effect is measured, in one second. */
const PROBES_PER_SECOND = 50;

/** Synced writes that are timed, of about the length of the record of a commit, in bytes. */
const SYNCED_WRITES = 500;
const SYNCED_BYTES = 4096;

/** How long the disk takes for one synced write, into a file that has room for it already. */
function syncedWrites(folder) {
  const path = join(folder, `postern-calls-${process.pid}`);
  const file = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_DSYNC);
  try {
    writeSync(file, Buffer.alloc(SYNCED_WRITES * SYNCED_BYTES));
    const bytes = Buffer.alloc(SYNCED_BYTES, 1);
    const waits = Array.from({ length: SYNCED_WRITES }, (_, at) => {
      const began = performance.now();
      writeSync(file, bytes, 0, SYNCED_BYTES, at * SYNCED_BYTES);
      return performance.now() - began;
    });
    return { p50Ms: quantile(waits, 0.5), p99Ms: quantile(waits, 0.99) };
  } finally {
    closeSync(file);
    rmSync(path);
  }
}

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

/** Starts a program of calls/media.mjs in a host; its input stays open. */
function startMedia(host, ...words) {
  const command = ["netns", "exec", host.fullName, ...node("calls/media.mjs", ...words)];
  const child = spawn("ip", command, { stdio: ["pipe", "pipe", "pipe"] });
  return { child, program: new RunningProgram(child, `media ${words[0]}`) };
}

/** The programs that send and receive, and what they have told. */
class Media {
  #sender;
  #receiver;
  #server;
  #arrivals = new Map();

  static async start({ client, server }, calls, seconds) {
    const media = new Media();
    media.#server = server;
    media.#receiver = startMedia(server, "receive");
    await media.#receiver.program.waitForLine(/ready/);
    media.#receiver.program.follow((line) => {
      const { probe, atMs } = JSON.parse(line);
      if (probe !== undefined) media.#arrivals.set(probe, atMs);
    });
    media.#sender = startMedia(client, "send", client.ipv4, server.ipv4, calls, seconds);
    await media.#sender.program.waitForLine(/ready/);
    return media;
  }

  probe(id, { internal, external }) {
    this.#sender.child.stdin.write(`probe ${id} ${internal} ${external}\n`);
  }

  /** When a probe's first packet came; `undefined` when none did in time. */
  async arrival(id) {
    const deadline = performance.now() + EFFECT_PATIENCE_MS;
    while (!this.#arrivals.has(id) && performance.now() < deadline) await pause(1);
    this.#sender.child.stdin.write(`stop ${id}\n`);
    return this.#arrivals.get(id);
  }

  /** What was sent and received, once the sender has ended. */
  async totals() {
    const sent = JSON.parse(await this.#sender.program.waitForLine(/total/, 600_000)).total;
    await pause(SETTLE_MS);
    this.#receiver.child.stdin.end();
    const received = JSON.parse(await this.#receiver.program.waitForLine(/total/)).total;
    // What found the receiver's buffer full had passed the gateway.
    const { spilt } = await deliveredUdp(this.#server);
    return { sent, received, spilt };
  }

  async stop() {
    await Promise.all([this.#sender.program.stop(), this.#receiver.program.stop()]);
  }
}

/** The calls that stand. Those that speak stay; of the others the oldest is torn down. */
class StandingCalls {
  #next;
  #silent;

  constructor(calls, speaking) {
    this.#next = calls;
    this.#silent = Array.from({ length: calls - speaking }, (_, at) => speaking + at);
  }

  /** A new one; it stands when it is added. */
  take() {
    this.#next += 1;
    return this.#next - 1;
  }

  add(call) {
    this.#silent.push(call);
  }

  /** The oldest that does not speak, which stands no more. */
  drop() {
    return this.#silent.shift();
  }
}

/** Sets calls up and tears the oldest down, at a rate, and times each. */
async function churn({ filter, media, standing, rate, seconds }) {
  const commits = [];
  const effects = [];
  let missing = 0;
  let changed = 0;
  let asked = 0;
  const started = performance.now();
  const end = started + 1000 * seconds;
  const probeEvery = Math.max(1, Math.ceil(rate / PROBES_PER_SECOND));
  const change = async (call) => {
    const isProbed = call % probeEvery === 0;
    if (isProbed) media.probe(call, ports(call, 0));
    const askedMs = nowMs();
    await filter.open(call);
    commits.push(nowMs() - askedMs);
    if (isProbed) {
      const atMs = await media.arrival(call);
      if (atMs === undefined) missing += 1;
      else effects.push(atMs - askedMs);
    }
    standing.add(call);
    await filter.close(standing.drop());
    changed += 1;
  };
  const running = new Set();
  while (performance.now() < end) {
    const due = Math.ceil(((performance.now() - started) / 1000) * rate);
    while (asked < due && running.size < filter.atOnce && performance.now() < end) {
      const work = change(standing.take()).finally(() => running.delete(work));
      running.add(work);
      asked += 1;
    }
    await (running.size >= filter.atOnce ? Promise.race(running) : pause(1));
  }
  await Promise.all(running);
  const elapsed = (performance.now() - started) / 1000;
  return { commits, effects, missing, changed, perSecond: changed / elapsed };
}

/**
 * The first calls that come and go, one after the other: programs compile what they are made of meanwhile, on
 * both sides.
 *
 * @returns longest time until an answer, in milliseconds
 */
async function firstCalls(filter, standing, seconds) {
  let longestMs = 0;
  const end = performance.now() + 1000 * seconds;
  for (let done = 0; done < FIRST_CALLS && performance.now() < end; done += 1) {
    const call = standing.take();
    const askedMs = nowMs();
    await filter.open(call);
    longestMs = Math.max(longestMs, nowMs() - askedMs);
    standing.add(call);
    await filter.close(standing.drop());
  }
  return longestMs;
}

/** What calls that come and go at one rate take, beside the media of those that speak. */
async function measureAt(rate, { filter, hosts, standing, speaking, seconds }) {
  const media = await Media.start(hosts, speaking, seconds + LINGER_SECONDS);
  try {
    await pause(SETTLE_MS);
    const before = filter.processorMs();
    const churned = await churn({ filter, media, standing, rate, seconds });
    const processorMs = filter.processorMs() - before;
    const { sent, received, spilt } = await media.totals();
    return {
      offered: rate,
      changesPerSecond: churned.perSecond,
      effectP50Ms: quantile(churned.effects, 0.5),
      effectP99Ms: quantile(churned.effects, 0.99),
      neverThrough: churned.missing,
      commitP50Ms: quantile(churned.commits, 0.5),
      commitP99Ms: quantile(churned.commits, 0.99),
      wantedSent: sent.wanted,
      wantedLost: Math.max(0, sent.wanted - received.wanted - spilt),
      unwantedPassed: received.unwanted,
      processorMsPerChange: processorMs / Math.max(1, churned.changed),
      changesPerProcessorSecond: (1000 * churned.changed) / processorMs,
    };
  } finally {
    await media.stop();
  }
}

/** A row for each rate, one after the other beside the same calls. */
async function measure(filter, hosts, { calls, seconds, rates }) {
  await filter.start();
  try {
    const loadedAt = performance.now();
    await filter.load(calls);
    const loadMs = performance.now() - loadedAt;
    const speaking = Math.min(calls >> 1, SPEAKING_CALLS);
    const standing = new StandingCalls(calls, speaking);
    const firstMaxMs = await firstCalls(filter, standing, seconds);
    const rows = [];
    for (const rate of rates) {
      rows.push({
        loadMs,
        firstMaxMs,
        ...(await measureAt(rate, { filter, hosts, standing, speaking, seconds })),
      });
    }
    return rows;
  } finally {
    await filter.stop();
  }
}

const COLUMNS = [
  ["loadMs", "loaded in, ms", 0],
  ["firstMaxMs", `longest of the first ${FIRST_CALLS}, ms`, 1],
  ["offered", "calls/s offered", 0],
  ["changesPerSecond", "calls up and down/s", 0],
  ["effectP50Ms", "to first packet p50, ms", 2],
  ["effectP99Ms", "p99", 2],
  ["commitP50Ms", "to the answer p50, ms", 2],
  ["commitP99Ms", "p99", 2],
  ["wantedLost", "wanted lost", 0],
  ["unwantedPassed", "unwanted passed", 0],
  ["processorMsPerChange", "processor time a call, ms", 2],
  ["changesPerProcessorSecond", "calls/s of one processor", 0],
];

function formatTable({ rows, ...report }) {
  const heads = ["calls", "way", ...COLUMNS.map(([, title]) => title)];
  const lines = [`| ${heads.join(" | ")} |`, `|---:|---|${"---:|".repeat(COLUMNS.length)}`];
  for (const { calls, title, ...figures } of rows) {
    const cells = COLUMNS.map(([name, , digits]) =>
      Number.isFinite(figures[name]) ? figures[name].toFixed(digits) : "–",
    );
    lines.push(`| ${[calls, title, ...cells].join(" | ")} |`);
  }
  const { seconds, disk } = report;
  const words = `each for ${seconds} s; ${SPEAKING_CALLS} calls with 100 packets/s`;
  const waits = `p50 ${disk.p50Ms.toFixed(2)} ms, p99 ${disk.p99Ms.toFixed(2)} ms`;
  return `${lines.join("\n")}\n\n${machineWords(report)}; ${words}; a synced write of a record: ${waits}.`;
}

async function main() {
  const { values } = readOptions({
    options: {
      json: { type: "boolean", default: false },
      calls: { type: "string", default: "100,500,1000,5000,10000" },
      seconds: { type: "string", default: "5" },
      rate: { type: "string" },
      only: { type: "string" },
    },
  });
  requireLaboratory();
  const seconds = Number(values.seconds);
  const disk = syncedWrites(tmpdir());
  const rows = [];
  for (const calls of values.calls.split(",").map(Number)) {
    for (const Filter of [PinholdFilter, NftProcessFilter, IptablesFilter]) {
      const folder = mkdtempSync(join(tmpdir(), "postern-calls-"));
      const measured = await withTopology(GATEWAY, async (hosts) => {
        const filter = new Filter({ ...hosts, folder });
        if (values.only !== undefined && !values.only.split(",").includes(filter.name)) return [];
        say(`${calls} calls: ${filter.title}`);
        const { name, title } = filter;
        const rates = values.rate === undefined ? [calls / 10] : values.rate.split(",").map(Number);
        const figures = await measure(filter, hosts, { calls, seconds, rates });
        return figures.map((one) => ({ calls, name, title, ...one }));
      }).finally(() => rmSync(folder, { recursive: true, force: true }));
      rows.push(...measured);
    }
  }
  const report = { ...describeMachine(), seconds, disk, rows };
  process.stdout.write(`${values.json ? JSON.stringify(report) : formatTable(report)}\n`);
}

await main();
