/**
 * SIMCO: what reading and writing a message costs, and how fast a middlebox answers agents.
 *
 * The middlebox is `postern pinhold` with its journal on the disk and the simulator in place of the kernel's
 * packet filter; agents are sessions of this process, over the loopback. Each does one thing after the other:
 * a permit, then its end.
 *
 * Usage: npm run build && node bench/simco.mjs [--seconds 5]
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SimcoConnection, simcoEnds } from "../dist/client/index.js";
import { decodeMessage, encodeMessage } from "../dist/simco/index.js";

const print = (line) => process.stdout.write(`${line}\n`);
const at = process.argv.indexOf("--seconds");
const SECONDS = at < 0 ? 5 : Number(process.argv[at + 1]);
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
  return { child, port };
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

async function load(port, sessions) {
  const connections = [];
  for (let index = 0; index < sessions; index += 1) {
    const proof = { identity: `agent-${index}`, key: Buffer.from(KEY, "hex") };
    connections.push(await SimcoConnection.open({ port, proof }));
  }
  const waits = [];
  const end = performance.now() + SECONDS * 1000;
  const work = async (connection, index) => {
    const wish = permit(index);
    while (performance.now() < end) {
      const start = performance.now();
      const { rule } = await connection.ask(wish);
      waits.push(performance.now() - start);
      await connection.ask({ name: "PLC", rule, lifetime: 0 });
    }
  };
  await Promise.all(connections.map(work));
  for (const connection of connections) await connection.close();
  waits.sort((a, b) => a - b);
  return { pairs: waits.length / SECONDS, p50: quantile(waits, 0.5), p99: quantile(waits, 0.99) };
}

print(
  `Node ${process.version}, ${cpus().length} cores, ${cpus()[0]?.model}, ${new Date().toISOString().slice(0, 10)}`,
);
print("");
codec();
print("");
const folder = mkdtempSync(join(tmpdir(), "postern-bench-simco-"));
const { child, port } = await openMiddlebox(folder);
try {
  print("sessions  requests/s  permit p50 ms  p99 ms");
  for (const sessions of SESSIONS) {
    const { pairs, p50, p99 } = await load(port, sessions);
    const numbers = [
      (2 * pairs).toFixed(0).padStart(12),
      p50.toFixed(2).padStart(15),
      p99.toFixed(2).padStart(8),
    ];
    print(`${String(sessions).padEnd(8)}${numbers.join("")}`);
  }
} finally {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
