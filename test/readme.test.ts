/** What README.md shows at a prompt is what the commands print, wherever they need no root. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { POSTERN } from "#lab";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Blocks that must at least be found: a page that is cut otherwise would show nothing. */
const BLOCKS_MIN = 5;

/** The short name that the page gives the command. */
const ALIAS = `postern() { "${process.execPath}" "${POSTERN}" "$@"; }`;

const BLOCK = /^```console\n([^]*?)^```$/gm;
const PROMPT = "$ ";

const blocks = [...readFileSync(join(root, "README.md"), "utf8").matchAll(BLOCK)]
  .map(([, text = ""]) => text.trimEnd())
  .filter((text) => text.startsWith(`${PROMPT}`) && !text.includes("sudo "));

test("the page shows commands", () => {
  assert.ok(blocks.length >= BLOCKS_MIN, `${blocks.length} blocks`);
});

for (const block of blocks) {
  const lines = block.split("\n");
  const commands = lines.filter((line) => line.startsWith(PROMPT)).map((line) => line.slice(PROMPT.length));
  const shown = lines.filter((line) => !line.startsWith(PROMPT));
  test(`README shows what it prints: ${commands.at(-1)}`, () => {
    const script = [ALIAS, "exec 2>&1", ...commands].join("\n");
    const { stdout } = spawnSync("bash", ["-c", script], { cwd: root, encoding: "utf8" });
    assert.deepEqual(stdout.trimEnd().split("\n"), shown);
  });
}
