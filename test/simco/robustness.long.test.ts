/** Statement W-33, a million mutations; and ten thousand connections that say nothing. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { POSTERN } from "#lab";
import { begin, lifetime, permit } from "./requests.ts";
import { AgentWire } from "./rig.ts";
import { MutationDesk } from "./mutations.ts";

const SILENT = 10_000;
/** Sockets that are opened at a time: what waits to be let in is limited by the system. */
const AT_ONCE = 500;

const MUTATIONS = 1_000_000;
/** What the heap may have grown by after the first tenth, in bytes: caches, not what each mutation leaves. */
const GROWTH_MAX = 16 * 1024 * 1024;

function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

test("W-33 a million mutations are answered or end their connection, and leave nothing behind", async () => {
  const desk = await MutationDesk.open(4540);
  assert.equal(await desk.say(MUTATIONS / 10), undefined);
  const before = heapBytes();
  assert.equal(await desk.say((MUTATIONS * 9) / 10), undefined);
  const grown = heapBytes() - before;
  assert.equal(desk.counts.said, MUTATIONS);
  assert.equal(desk.server.connections, 0);
  assert.ok(grown < GROWTH_MAX, `the heap grew by ${grown} bytes`);
  await desk.close();
});

/** Connections that say nothing. */
async function crowd(port: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < SILENT) {
    const more = Array.from({ length: AT_ONCE }, () => connect(port, "127.0.0.1"));
    const open = more.map(
      (socket) =>
        new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject)),
    );
    await Promise.all(open);
    sockets.push(...more);
  }
  return sockets;
}

test("ten thousand connections that say nothing do not stop a commit", async () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-silent-"));
  const place = ["-s", join(folder, "s"), "--state", join(folder, "state"), "--backend", "simulator"];
  const agents = ["-u", "root", "--simco-local-agent", "root", "--simco-listen", "127.0.0.1:0"];
  const chain = ["--table", "postern-silent"];
  const daemon = spawn(process.execPath, [POSTERN, "pinhold", ...place, ...chain, ...agents]);
  const port = await new Promise<number>((resolve, reject) => {
    let log = "";
    daemon.once("exit", () => reject(new Error(log)));
    daemon.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      const [, found] = /simco:\/\/127\.0\.0\.1:(\d+)/.exec(log) ?? [];
      if (found !== undefined && log.includes("ready")) resolve(Number(found));
    });
  });
  const wire = new AgentWire(connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
  await wire.must("SE_REPLY", begin());
  const silent = await crowd(port);
  assert.equal(silent.length, SILENT);
  for (let round = 0; round < 100; round += 1) {
    const { rule } = await wire.must("PER_REPLY", permit());
    await wire.must("PRD_REPLY", lifetime(rule, 0));
  }
  const late = new AgentWire(connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
  await late.must("SE_REPLY", begin());
  for (const socket of silent) socket.destroy();
  wire.close();
  late.close();
  const ended = new Promise<void>((resolve) => daemon.once("exit", () => resolve()));
  daemon.kill("SIGTERM");
  await ended;
  rmSync(folder, { recursive: true });
});
