/**
 * Very many pinholes: how long they take to load, what a commit costs beside them, and how soon a daemon that
 * was killed is back.
 *
 *   node bench/pinholes.mjs [--json] [--pinholes 100000] [--commits 200]
 *
 * Asked of `postern pinhold` over its socket, journal and kernel and all, in a network namespace. Needs root.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { GATEWAY, laboratoryObstacle, withTopology } from "../dist/lab/index.js";
import { PinholdFilter } from "./calls/filters.mjs";
import { PINHOLES_PER_CALL } from "./calls/layout.mjs";
import { describeMachine, machineWords, quantile, say } from "./measure.mjs";

/** Runs something; how long it took, and how much of that the daemon was at work. */
async function timed(filter, work) {
  const began = performance.now();
  const before = filter.processorMs();
  await work();
  return { ms: performance.now() - began, processorMs: filter.processorMs() - before };
}

async function measure(filter, calls, commits) {
  await filter.start();
  try {
    say(`loading ${calls * PINHOLES_PER_CALL} pinholes`);
    const load = await timed(filter, () => filter.load(calls));
    say("commits of eight");
    const times = [];
    const churn = await timed(filter, async () => {
      for (let call = calls; call < calls + commits; call += 1) {
        for (const change of [() => filter.open(call), () => filter.close(call)]) {
          const began = performance.now();
          await change();
          times.push(performance.now() - began);
        }
      }
    });
    say("killed, and started anew");
    await filter.crash();
    const began = performance.now();
    await filter.start();
    const recoveryMs = performance.now() - began;
    return {
      loadMs: load.ms,
      loadProcessorMs: load.processorMs,
      commitP50Ms: quantile(times, 0.5),
      commitP99Ms: quantile(times, 0.99),
      commitProcessorMs: churn.processorMs / times.length,
      recoveryMs,
      recoveryProcessorMs: filter.processorMs(),
    };
  } finally {
    await filter.stop();
  }
}

async function main() {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      pinholes: { type: "string", default: "100000" },
      commits: { type: "string", default: "200" },
    },
  });
  const obstacle = laboratoryObstacle();
  if (obstacle !== undefined) {
    say(`The benchmark cannot run: ${obstacle}.`);
    process.exit(3);
  }
  const calls = Math.ceil(Number(values.pinholes) / PINHOLES_PER_CALL);
  const folder = mkdtempSync(join(tmpdir(), "postern-pinholes-"));
  try {
    const figures = await withTopology(GATEWAY, (hosts) =>
      measure(new PinholdFilter({ ...hosts, folder }), calls, Number(values.commits)),
    );
    const report = { ...describeMachine(), pinholes: calls * PINHOLES_PER_CALL, ...figures };
    const lines = Object.entries(figures).map(([name, value]) => `${name.padEnd(22)} ${value.toFixed(2)}`);
    const text = `${report.pinholes} pinholes\n${lines.join("\n")}\n\n${machineWords(report)}`;
    process.stdout.write(`${values.json ? JSON.stringify(report) : text}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
