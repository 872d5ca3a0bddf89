/** The coverage-guided fuzzer, a few thousand inputs for each parser. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { RecogniserSet } from "#recognise";

const FUZZER = fileURLToPath(new URL("../../../tools/fuzz/main.mjs", import.meta.url));
const RUNS = 5000;

/** Found behind what another protocol says, by its recogniser. */
const PART_OF_ANOTHER: readonly string[] = ["mDNS", "LLMNR", "RPC"];

test("thousands of inputs to each parser: nothing throws, hangs or contradicts itself", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [FUZZER, "--runs", String(RUNS)], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout + stderr);
  const lines = stdout.trim().split("\n");
  for (const line of lines) assert.match(line, /: 5000 inputs, [1-9]\d* kept, [1-9]\d* branches/);
  const fuzzed = new Set(lines.map((line) => line.split(/[-:]/)[0]));
  const missing = new RecogniserSet().protocols.filter(
    (protocol) => !fuzzed.has(protocol) && !PART_OF_ANOTHER.includes(protocol),
  );
  assert.deepEqual(missing, []);
  for (const parser of ["packet", "capture", "stream"]) assert.ok(fuzzed.has(parser), parser);
});
