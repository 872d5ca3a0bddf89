/**
 * Very many pinholes: how long they take to load, what a commit costs beside them, and how soon a daemon that
 * was killed is back.
 *
 *   node bench/pinholes.mjs [--json] [--pinholes 100000] [--commits 200] [--profile FOLDER]
 *
 * Asked of `postern pinhold` over its socket, journal and kernel and all, in a network namespace. Needs root.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readOptions } from "./options.mjs";
import { GATEWAY, withTopology } from "../dist/lab/index.js";
import { PinholdFilter } from "./calls/filters.mjs";
import { PINHOLES_PER_CALL } from "./calls/layout.mjs";
import { describeMachine, machineWords, quantile, requireLaboratory, say } from "./measure.mjs";

/** Calls opened and closed one by one after which nearly all that they need is machine code. */
const COMPILED_AFTER = 1500;

/** Runs something; how long it took, and how much of that the daemon was at work. */
async function timed(filter, work) {
  const began = performance.now();
  const before = filter.processorMs();
  await work();
  return { ms: performance.now() - began, processorMs: filter.processorMs() - before };
}

/** Opens and closes calls one after the other; how long each commit took. */
async function churn(filter, first, commits) {
  const times = [];
  for (let call = first; call < first + commits; call += 1) {
    for (const change of [() => filter.open(call), () => filter.close(call)]) {
      const began = performance.now();
      await change();
      times.push(performance.now() - began);
    }
  }
  return times;
}

/** Opens and closes calls for as long as everything is audited; how long each commit took, and the audit. */
async function auditBeside(filter, first) {
  const began = performance.now();
  let auditMs;
  const audit = filter.audit().then((answer) => {
    auditMs = performance.now() - began;
    return answer;
  });
  const times = [];
  for (let call = first; auditMs === undefined; call += 1) times.push(...(await churn(filter, call, 1)));
  return { times, auditMs, answer: await audit };
}

/** Closes wide pinholes one after the other while calls come and go; how long both took. */
async function closeWide(filter, calls, count) {
  const ports = Array.from({ length: count }, (_, at) => 40_000 + at);
  for (const port of ports) await filter.openWide(port);
  const times = [];
  const closing = (async () => {
    for (const port of ports) {
      const began = performance.now();
      await filter.closeWide(port);
      times.push(performance.now() - began);
    }
  })();
  const beside = await churn(filter, calls, count);
  await closing;
  return { times, beside };
}

async function measure(filter, { firewall, calls, commits }) {
  await filter.start();
  try {
    say(`loading ${calls * PINHOLES_PER_CALL} pinholes`);
    const load = await timed(filter, () => filter.load(calls));
    say("commits of eight");
    let times = [];
    const commit = await timed(filter, async () => {
      times = await churn(filter, calls, commits);
    });
    say("commits of eight when the program's code is compiled");
    await churn(filter, calls, COMPILED_AFTER);
    let later = [];
    const compiled = await timed(filter, async () => {
      later = await churn(filter, calls, commits);
    });
    say("closing pinholes with wildcards beside them");
    const wide = await closeWide(filter, calls, Math.min(100, commits));
    say("an audit beside them");
    const audited = await auditBeside(filter, calls);
    say("an audit after somebody has emptied the set");
    await firewall.run([
      "sh",
      "-c",
      "for set in $(nft list sets | grep -o 'pinholes-pass[^ ]*'); do nft flush set inet calls $set; done",
    ]);
    const mended = await auditBeside(filter, calls);
    say(`${JSON.stringify(audited.answer)} ${JSON.stringify(mended.answer)}`);
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
      commitProcessorMs: commit.processorMs / times.length,
      compiledCommitP50Ms: quantile(later, 0.5),
      compiledCommitP99Ms: quantile(later, 0.99),
      compiledCommitProcessorMs: compiled.processorMs / later.length,
      closeWideP50Ms: quantile(wide.times, 0.5),
      closeWideP99Ms: quantile(wide.times, 0.99),
      commitBesideP50Ms: quantile(wide.beside, 0.5),
      commitBesideP99Ms: quantile(wide.beside, 0.99),
      auditMs: audited.auditMs,
      commitBesideAuditP50Ms: quantile(audited.times, 0.5),
      commitBesideAuditMaxMs: quantile(audited.times, 1),
      mendMs: mended.auditMs,
      commitBesideMendP50Ms: quantile(mended.times, 0.5),
      commitBesideMendMaxMs: quantile(mended.times, 1),
      recoveryMs,
      recoveryProcessorMs: filter.processorMs(),
    };
  } finally {
    await filter.stop();
  }
}

async function main() {
  const { values } = readOptions({
    options: {
      json: { type: "boolean", default: false },
      pinholes: { type: "string", default: "100000" },
      commits: { type: "string", default: "200" },
      profile: { type: "string" },
    },
  });
  requireLaboratory();
  const calls = Math.ceil(Number(values.pinholes) / PINHOLES_PER_CALL);
  const folder = mkdtempSync(join(tmpdir(), "postern-pinholes-"));
  try {
    const figures = await withTopology(GATEWAY, (hosts) =>
      measure(new PinholdFilter({ ...hosts, folder, profile: values.profile }), {
        firewall: hosts.firewall,
        calls,
        commits: Number(values.commits),
      }),
    );
    const report = { ...describeMachine(), pinholes: calls * PINHOLES_PER_CALL, ...figures };
    const lines = Object.entries(figures).map(([name, value]) => `${name.padEnd(26)} ${value.toFixed(2)}`);
    const text = `${report.pinholes} pinholes\n${lines.join("\n")}\n\n${machineWords(report)}`;
    process.stdout.write(`${values.json ? JSON.stringify(report) : text}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
