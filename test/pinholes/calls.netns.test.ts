/** Calls that come and go while others speak: the benchmark's own programs, asked for what was lost. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { laboratoryObstacle } from "#lab";

const BENCH = fileURLToPath(new URL("../../../bench/calls.mjs", import.meta.url));

/** Each of eight pinholes; some change every tenth of a second, half of them speak. */
const WORDS = ["--json", "--only", "postern", "--calls", "100", "--rate", "10", "--seconds", "4"];

interface Row {
  readonly changesPerSecond: number;
  readonly neverThrough: number;
  readonly wantedSent: number;
  readonly wantedLost: number;
  readonly unwantedPassed: number;
}

const OPTIONS = { skip: laboratoryObstacle() ?? false, timeout: 120_000 };

void test(
  "calls come and go ten times a second: no wanted packet is lost, no unwanted one passes",
  OPTIONS,
  async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [BENCH, ...WORDS]);
    const { rows } = JSON.parse(stdout) as { readonly rows: readonly Row[] };
    const [row] = rows;
    assert.ok(row !== undefined && row.changesPerSecond > 0, stdout);
    assert.ok(row.wantedSent > 1000, stdout);
    assert.equal(row.wantedLost, 0, stdout);
    assert.equal(row.unwantedPassed, 0, stdout);
    assert.equal(row.neverThrough, 0, stdout);
  },
);
