/** What flows under inspection hold, at the default limits. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { LIMITS } from "../base/index.ts";

const LOAD = fileURLToPath(new URL("../testing/programs/content-load.js", import.meta.url));
const FLOWS = 100_000;
const GIBIBYTE = 2 ** 30;

test("a hundred thousand open flows under inspection hold less than a gibibyte", (context) => {
  const words = ["--expose-gc", LOAD, String(FLOWS)];
  const { flows, holding, refused, rssGrowth } = JSON.parse(
    execFileSync(process.execPath, words, { encoding: "utf8" }),
  ) as { flows: number; holding: number; refused: number; rssGrowth: number };
  context.diagnostic(`${(rssGrowth / 2 ** 20).toFixed(0)} MiB`);
  assert.equal(flows, FLOWS);
  // Bytes are counted and kept for as many flows as the limit says; the others are recognised only.
  assert.equal(holding, LIMITS.contentFlows.default);
  assert.equal(refused, FLOWS - LIMITS.contentFlows.default);
  assert.ok(rssGrowth < GIBIBYTE, `${rssGrowth} bytes`);
});
