/** Connections with FIN and RST anywhere, under seals: other ones each time. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { GATEWAY } from "#lab";
import { longNetnsTest } from "#testing";
import { KernelJudge } from "./kernel-judge.ts";
import { expectSameVerdicts, LIVES, POLICIES } from "./random-lives.ts";

const RUNS = 20;
const SEEDS = 2 ** 31 - POLICIES.length;

longNetnsTest(
  "a hundred thousand connections get the interpreter's verdicts under seals, however they end",
  GATEWAY,
  async (hosts) => {
    assert.ok(RUNS * POLICIES.length * LIVES >= 100_000);
    const judge = await KernelJudge.open(hosts);
    try {
      for (let run = 0; run < RUNS; run += 1) {
        const seed = randomInt(SEEDS);
        process.stdout.write(`seed ${seed}\n`);
        expectSameVerdicts(judge, seed);
      }
    } finally {
      judge.close();
    }
  },
);
