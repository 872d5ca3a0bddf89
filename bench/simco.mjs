/**
 * SIMCO beside HTTP: what reading and writing a message costs, and how fast `postern pinhold` answers agents
 * at either door.
 *
 * The journal is on the disk, and the simulator in place of the kernel's packet filter. Agents are sessions
 * of this process, SIMCO over the loopback and HTTP over the Unix socket. Each does one thing after the
 * other: a permit, then its end. The doors take turns, round by round; figures are medians of the rounds.
 *
 * Usage: npm run build && node bench/simco.mjs [--seconds 5] [--rounds 3]
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readOptions } from "./options.mjs";
import { connectPinholes, SimcoConnection, simcoEnds } from "../dist/client/index.js";
import { decodeMessage, encodeMessage } from "../dist/simco/index.js";
import { describeMachine, machineWords, medians, processorMs, quantile } from "./measure.mjs";

const print = (line) => process.stdout.write(`${line}\n`);
const { values } = readOptions({
  options: { seconds: { type: "string", default: "5" }, rounds: { type: "string", default: "3" } },
});
const SECONDS = Number(values.seconds);
const ROUNDS_OF_LOAD = Number(values.rounds);
const SESSIONS = [1, 8, 64];
const MESSAGES = 200_000;
const ROUNDS = 5;
const UDP = 17;
const KEY = "000102030405060708090a0b0c0d0e0f";

const permit = (index) => ({
  name: "PER",
  enable: { parity: 0, direction: 3 },
  ...simcoEnds(`10.1.${index >> 8}.${index & 255}:5004`, "192.0.2.100:6004", UDP),
  lifetime: 300,
});

/** Nanoseconds for each message, the least of several rounds. */
function cost(work) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    for (let count = 0; count < MESSAGES; count += 1) work();
    best = Math.min(best, ((performance.now() - start) * 1e6) / MESSAGES);
  }
  return best;
}

function codec() {
  // Warm before anything is measured.
  cost(() => decodeMessage(new DataView(encodeMessage({ ...permit(1), tid: 1 }).buffer)));
  const messages = {
    "PLC request": { name: "PLC", tid: 7, rule: 4097, lifetime: 900 },
    "PER request": { ...permit(1), tid: 7 },
    ARE: { name: "ARE", tid: 7, rule: 4097, lifetime: 900 },
  };
  print("message       octets  write ns  read ns");
  for (const [name, message] of Object.entries(messages)) {
    const octets = encodeMessage(message);
    const view = new DataView(octets.buffer);
    const [write, read] = [cost(() => encodeMessage(message)), cost(() => decodeMessage(view))];
    const numbers = [octets.length, write.toFixed(0), read.toFixed(0)];
    print(`${name.padEnd(12)}${numbers.map((number) => String(number).padStart(9)).join("")}`);
  }
}

/** Each session is an agent of its own: agents that may see each other's rules would hear of every change. */
function writeAgents(file) {
  const profile = { requestsPerSecond: 1_000_000, requestBurst: 1_000_000 };
  const names = Array.from({ length: Math.max(...SESSIONS) }, (_, index) => `agent-${index}`);
  const agents = Object.fromEntries(names.map((name) => [name, { profile: "p", simcoKey: KEY }]));
  writeFileSync(file, JSON.stringify({ profiles: { p: profile }, agents }));
}

async function openMiddlebox(folder) {
  const postern = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const words = [
    "pinhold",
    "-s",
    join(folder, "s"),
    "--state",
    join(folder, "state"),
    "--backend",
    "simulator",
  ];
  const file = join(folder, "agents.json");
  writeAgents(file);
  const agent = ["--agents", file, "--simco-listen", "127.0.0.1:0"];
  const child = spawn(process.execPath, [postern, ...words, ...agent, "--table", "postern-bench"]);
  const port = await new Promise((resolve, reject) => {
    let log = "";
    child.once("exit", () => reject(new Error(log)));
    child.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
      const [, found] = /simco:\/\/127\.0\.0\.1:(\d+)/.exec(log) ?? [];
      if (found !== undefined && log.includes("ready")) resolve(Number(found));
    });
  });
  return { child, port, socket: join(folder, "s") };
}

/** One session at each door: what it opens and closes is the same pinhole. */
const DOORS = {
  SIMCO: async ({ port }, index) => {
    const proof = { identity: `agent-${index}`, key: Buffer.from(KEY, "hex") };
    const connection = await SimcoConnection.open({ port, proof });
    return {
      open: async () => (await connection.ask(permit(index))).rule,
      close: (rule) => connection.ask({ name: "PLC", rule, lifetime: 0 }),
      end: () => connection.close(),
    };
  },
  HTTP: async ({ socket }, index) => {
    const client = connectPinholes({ socket });
    await client.getCapabilities();
    const spec = {
      kind: "permit",
      internal: { family: 4, address: `10.1.${index >> 8}.${index & 255}`, ports: [5004, 5004] },
      external: { family: 4, address: "192.0.2.100", ports: [6004, 6004] },
      protocol: UDP,
      direction: "both",
      lifetime: 300,
    };
    return {
      open: async () => (await client.apply([{ op: "open", spec }])).results[0].id,
      close: (id) => client.close(id),
      end: () => client.end(),
    };
  },
};

async function load(box, door, count) {
  const openings = [];
  const sessions = [];
  for (let index = 0; index < count; index += 1) {
    const start = performance.now();
    sessions.push(await DOORS[door](box, index));
    openings.push(performance.now() - start);
  }
  const waits = [];
  const before = processorMs(box.child.pid);
  const began = performance.now();
  const end = began + SECONDS * 1000;
  const work = async ({ open, close }) => {
    while (performance.now() < end) {
      const start = performance.now();
      const rule = await open();
      waits.push(performance.now() - start);
      await close(rule);
    }
  };
  await Promise.all(sessions.map(work));
  const seconds = (performance.now() - began) / 1000;
  const spent = processorMs(box.child.pid) - before;
  for (const session of sessions) await session.end();
  const requests = 2 * waits.length;
  return {
    opening: quantile(openings, 0.5),
    requests: requests / seconds,
    p50: quantile(waits, 0.5),
    p99: quantile(waits, 0.99),
    processor: spent / requests,
  };
}

/** What both doors do, round by round. */
async function compare(box, count) {
  const samples = Object.fromEntries(Object.keys(DOORS).map((door) => [door, []]));
  // Unmeasured, so that the first door has not to warm the daemon for the second.
  for (const door of Object.keys(DOORS)) await load(box, door, count);
  for (let round = 0; round < ROUNDS_OF_LOAD; round += 1) {
    for (const door of Object.keys(DOORS)) samples[door].push(await load(box, door, count));
  }
  return samples;
}

print(machineWords(describeMachine()));
print("");
codec();
print("");
const folder = mkdtempSync(join(tmpdir(), "postern-bench-simco-"));
const box = await openMiddlebox(folder);
try {
  print(
    "| sessions | door | session, ms | requests/s | permit p50, ms | p99, ms | processor time a request, ms |",
  );
  print("|---:|---|---:|---:|---:|---:|---:|");
  for (const count of SESSIONS) {
    const samples = await compare(box, count);
    for (const door of Object.keys(DOORS)) {
      const { opening, requests, p50, p99, processor } = medians(samples[door]);
      const cells = [
        opening.toFixed(1),
        requests.toFixed(0),
        p50.toFixed(1),
        p99.toFixed(1),
        processor.toFixed(2),
      ];
      print(`| ${count} | ${door} | ${cells.join(" | ")} |`);
    }
  }
} finally {
  const ended = new Promise((resolve) => box.child.once("exit", resolve));
  box.child.kill("SIGTERM");
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
