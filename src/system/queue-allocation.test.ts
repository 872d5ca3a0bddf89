import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../testing/programs/queue-allocation.js", import.meta.url));

/** With default flags garbage is collected while we look, and a probe hid 208 bytes per packet behind 2.3. */
const FLAGS = ["--expose-gc", "--min-semi-space-size=512"];

test("the queue loop allocates nothing for a packet", () => {
  const output = execFileSync(process.execPath, [...FLAGS, PROGRAM], { encoding: "utf8" });
  const { bytesPerPacket, packets } = JSON.parse(output) as { bytesPerPacket: number; packets: number };
  assert.ok(packets > 500_000);
  // What calls into C leave behind, once for a batch.
  assert.ok(bytesPerPacket < 4, `${bytesPerPacket} bytes per packet`);
});
