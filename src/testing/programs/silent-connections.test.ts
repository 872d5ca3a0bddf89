import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("silent connections end with their input, also while nobody is there to connect to", async () => {
  const program = fileURLToPath(new URL("silent-connections.js", import.meta.url));
  const child = spawn(process.execPath, [program, "/nonexistent/socket", "3"], {
    stdio: ["pipe", "ignore", "inherit"],
    timeout: 30_000,
  });
  child.stdin.end();
  assert.deepEqual(await once(child, "close"), [0, null]);
});
