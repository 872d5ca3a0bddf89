import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { posternInterpreter } from "#lab";

const folder = mkdtempSync(join(tmpdir(), "postern-young-"));
after(() => rmSync(folder, { recursive: true }));

/**
 * Fills the heap with much that is short-lived and some that is not, and prints the young generation's size.
 */
const PROGRAM = `
import { getHeapSpaceStatistics } from "node:v8";
const kept = [];
for (let made = 0; made < 2_000_000; made += 1) {
  const one = { made, pair: [made, made + 1], name: "n" + made };
  if (made % 10 === 0) kept.push(one);
  if (kept.length > 60_000) kept.splice(0, 30_000);
}
console.log(getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size);
`;

/** Both halves of the young generation, in bytes. */
function youngBytes(program: string, words: readonly string[]): number {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return Number(stdout);
}

test("the `postern` command, started by its first line, has a young generation of twice 4 MiB", () => {
  const file = join(folder, "program.mjs");
  writeFileSync(file, PROGRAM);
  const [program, argument] = posternInterpreter();
  assert.equal(youngBytes(program, [argument, file]), 2 * (4 << 20));
  assert.ok(
    youngBytes(process.execPath, [file]) > 2 * (4 << 20),
    "the program would make it grow beyond that",
  );
});
