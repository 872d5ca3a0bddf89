/** SIGHUP: the file of agents is read anew by a daemon that goes on. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connectPinholes } from "#client";
import { POSTERN } from "#lab";
import { closeAtEnd } from "#testing";

test("SIGHUP reads the agents anew; a file that is wrong changes nothing, and the log says why", async () => {
  const folder = mkdtempSync(join(tmpdir(), "postern-reload-"));
  const file = join(folder, "agents.json");
  const socket = join(folder, "s");
  const write = (name: string): void => {
    writeFileSync(
      file,
      `{ "profiles": { "p": {} }, "agents": { "${name}": { "profile": "p", "users": ["0"] } } }`,
    );
  };
  write("first");
  const where = ["-s", socket, "--state", join(folder, "state"), "-c", `reload-${process.pid}`];
  const words = ["pinhold", ...where, "--backend", "simulator", "--agents", file, "--log-json"];
  const daemon = spawn(process.execPath, [POSTERN, ...words], { stdio: ["ignore", "ignore", "pipe"] });
  closeAtEnd(() => void daemon.kill("SIGKILL"));
  let log = "";
  daemon.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const until = async (says: RegExp): Promise<void> => {
    for (let attempt = 0; !says.test(log); attempt += 1) {
      assert.ok(attempt < 6000, `waited in vain for ${String(says)}: ${log}`);
      await delay(10);
    }
  };
  await until(/"message":"ready"/);
  const client = connectPinholes({ socket });
  assert.equal((await client.getCapabilities()).agent, "first");
  writeFileSync(file, "{ nonsense");
  daemon.kill("SIGHUP");
  await until(/the agents stay as they are: .*agents\.json: line 1 is no JSON/);
  assert.equal((await client.getCapabilities()).agent, "first");
  write("second");
  daemon.kill("SIGHUP");
  await until(/read the agents anew/);
  assert.equal((await client.getCapabilities()).agent, "second");
  client.end();
  const ended = new Promise((resolve) => daemon.once("close", resolve));
  daemon.kill("SIGTERM");
  assert.equal(await ended, 0);
  rmSync(folder, { recursive: true });
});
