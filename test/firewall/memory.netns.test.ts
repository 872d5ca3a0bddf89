/** What a firewall holds in memory that nobody asks anything of. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "#client";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const SETTINGS = { compatibility: "strict", workers: 2 };
const TELNET = { name: "PortRule", protocol: "TCP", dst_port: 23, action: "DROP" };

/** Longest time until V8 has given back what it no longer needs. */
const PATIENCE_MS = 90_000;
const STEP_MS = 1000;

/** A list of so many sources and ports, as it is in the benchmarks. */
function manyRules(count: number): object[] {
  return Array.from({ length: count }, (_, at) => ({
    name: at % 2 === 0 ? "SourceIPRule" : "IPPortRule",
    ...(at % 2 === 0
      ? { cidr_range: `100.${64 + ((at >> 8) % 64)}.${at % 256}.${at % 100}` }
      : { protocol: "TCP", src_ip: `100.64.${at % 256}.0/24`, dst_lo: at, dst_hi: at }),
    action: "DROP",
  }));
}

/** Memory of a process that is in use, in megabytes; of the program file what has been touched counts too. */
function residentMegabytes(pid: number | undefined): number {
  const [, kilobytes] = /^Rss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

/** The most that a process has held at any time, in megabytes. */
function highestMegabytes(pid: number | undefined): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}

/** In megabytes. */
interface Bounds {
  /** Of what an idle firewall holds after a while. */
  readonly settled: number;
  /** Of what it holds at any time until it has started. */
  readonly starting: number;
}

/** Waits until an idle firewall holds less than it may; says what it holds when it never does. */
async function assertSettlesBelow(
  host: Namespace,
  policy: object,
  { settled: mostMegabytes, starting }: Bounds,
): Promise<void> {
  const firewall = await startFirewall(host, { policy: { ...policy }, patienceMs: 120_000 });
  const { pid } = await connect({ socket: firewall.socket }).getStatus();
  const highest = highestMegabytes(pid);
  let held = Number.POSITIVE_INFINITY;
  for (let waited = 0; waited < PATIENCE_MS && held >= mostMegabytes; waited += STEP_MS) {
    await pause(STEP_MS);
    held = residentMegabytes(pid);
  }
  await firewall.stop();
  assert.ok(
    held < mostMegabytes,
    `an idle firewall holds ${held.toFixed(1)} MB, at most ${mostMegabytes} expected`,
  );
  assert.ok(highest < starting, `it held ${highest.toFixed(1)} MB, at most ${starting} expected`);
}

netnsTest(
  "an idle firewall with two workers settles below 125 MB, with ten thousand rules below 250 MB, and starts below 450",
  HOST_PAIR,
  async ({ firewall: host }) => {
    await assertSettlesBelow(host, { settings: SETTINGS, INPUT: [TELNET] }, { settled: 125, starting: 250 });
    await assertSettlesBelow(
      host,
      { settings: SETTINGS, INPUT: manyRules(10_000) },
      { settled: 250, starting: 450 },
    );
  },
);

/** Files that threads of a firewall have read from start to end, by thread; thread 0 is the main thread. */
async function scriptsOf(host: Namespace): Promise<Map<number, string>> {
  const folder = mkdtempSync(join(tmpdir(), "postern-scripts-"));
  try {
    const preload = new URL("../../testing/programs/script-list.js", import.meta.url).href;
    process.env["SCRIPT_LIST"] = folder;
    const firewall = await startFirewall(host, {
      policy: { settings: SETTINGS, INPUT: [TELNET] },
      nodeWords: ["--import", preload],
    });
    await firewall.stop();
    const files = readdirSync(folder);
    return new Map(
      files.map((name) => [Number(name.replace("thread-", "")), readFileSync(join(folder, name), "utf8")]),
    );
  } finally {
    delete process.env["SCRIPT_LIST"];
    rmSync(folder, { recursive: true, force: true });
  }
}

netnsTest(
  "a firewall that nobody asks reads no HTTP framework, no journal and no other command; workers read no rule set either",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const scripts = await scriptsOf(host);
    const main = scripts.get(0) ?? "";
    assert.match(main, /daemon\/firewall\.js/);
    assert.doesNotMatch(main, /node_modules\/(fastify|ajv|lmdb|msgpackr)\//);
    assert.doesNotMatch(main, /cli\/commands\/(?!up\.js)/);
    const workers = [...scripts].filter(([thread]) => thread > 0).map(([, list]) => list);
    assert.equal(workers.length, 2);
    for (const worker of workers) {
      assert.match(worker, /daemon\/queue-loop\.js/);
      assert.doesNotMatch(worker, /node_modules\/(fastify|ajv|lmdb|msgpackr|commander)\//);
      assert.doesNotMatch(worker, /dist\/(backend|pinhole|simco|client)\//);
    }
  },
);
