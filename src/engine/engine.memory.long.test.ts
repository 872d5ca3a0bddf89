/** Memory stays as it is, however many packets come. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const LOAD = fileURLToPath(new URL("../testing/programs/engine-load.js", import.meta.url));
const GROWTH_MAX = 1_000_000;

test("memory is flat over ten million packets", () => {
  const words = ["--expose-gc", LOAD, "10000000"];
  const { heapGrowth, buffersGrowth, flows } = JSON.parse(
    execFileSync(process.execPath, words, { encoding: "utf8" }),
  ) as { heapGrowth: number; buffersGrowth: number; flows: number };
  assert.ok(heapGrowth < GROWTH_MAX, `the heap grew by ${heapGrowth} bytes`);
  assert.ok(buffersGrowth < GROWTH_MAX, `buffers grew by ${buffersGrowth} bytes`);
  assert.ok(flows <= 10_000, `${flows} flows`);
});
