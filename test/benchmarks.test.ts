/** Every benchmark says which options it has, and what is wrong with others; none begins before. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const bench = fileURLToPath(new URL("../../bench", import.meta.url));

/** Benchmarks with options that must at least be found. */
const BENCHMARKS_MIN = 10;

const names = readdirSync(bench).filter(
  (name) =>
    name.endsWith(".mjs") &&
    name !== "options.mjs" &&
    readFileSync(join(bench, name), "utf8").includes("readOptions("),
);

function run(name: string, word: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(bench, name), word], { encoding: "utf8", timeout: 60_000 });
}

test("there are benchmarks with options", () => {
  assert.ok(names.length >= BENCHMARKS_MIN, names.join(" "));
});

for (const name of names) {
  test(`${name} tells its options, and refuses others`, () => {
    const asked = run(name, "--help");
    assert.deepEqual([asked.status, asked.stderr], [0, ""]);
    assert.match(asked.stdout, new RegExp(String.raw`^Usage: node bench/${name} \[--`));
    const wrong = run(name, "--bogus");
    assert.deepEqual([wrong.status, wrong.stdout], [2, ""]);
    assert.match(wrong.stderr, /^Unknown option '--bogus'/);
    assert.ok(wrong.stderr.endsWith(asked.stdout));
  });
}
