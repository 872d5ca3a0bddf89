import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hookName } from "../../base/index.ts";
import { allocateMemory } from "../../policy/index.ts";
import { PlanWalk } from "../../testing/plan-walk.ts";
import { compileValid, decodeBuilt } from "../../testing/policy-probe.ts";
import { interfaceName, probePackets, similarPolicies } from "../../testing/rule-arbitraries.ts";
import { FRAGMENT, type Packet } from "../../wire/index.ts";
import { type PlanLine, planPolicy } from "./kernel-plan.ts";
import { groupLines, isRun, type LineRun, type RunElement } from "./line-run.ts";

function addressNumber(packet: Packet, side: "source" | "destination"): bigint {
  const words = packet[side];
  if (packet.family === 4) return BigInt(words[3] ?? 0);
  return words.reduce((number, word) => (number << 32n) | BigInt(word), 0n);
}

/** Elements of a run that a packet fits, as the kernel would look them up. */
function found(run: LineRun, packet: Packet): RunElement[] {
  const hasAddress = run.fields.includes("source") || run.fields.includes("destination");
  if (hasAddress && packet.family !== run.family) return [];
  if ((run.fields.includes("sourcePort") || run.fields.includes("destinationPort")) && !packet.hasPorts)
    return [];
  const key = run.fields.map((field) =>
    field === "source" || field === "destination" ? addressNumber(packet, field) : BigInt(packet[field]),
  );
  return run.elements.filter(({ ranges }) =>
    ranges.every(({ low, high }, at) => (key[at] ?? 0n) >= low && (key[at] ?? 0n) <= high),
  );
}

test("sorted into runs, each packet still meets its first line, in a run as its only element", () => {
  let runs = 0;
  let hits = 0;
  let sorted = 0;
  fc.assert(
    fc.property(
      similarPolicies,
      fc.array(probePackets, { minLength: 40, maxLength: 40 }),
      (source, packets) => {
        const policy = compileValid(source);
        const plan = planPolicy(policy, allocateMemory(policy));
        const walk = new PlanWalk(plan);
        for (const { hook, chains } of plan.hooks) {
          for (const { lines } of chains) {
            const { steps } = groupLines(lines);
            const grouped = steps.flatMap((step) => (isRun(step) ? step.lines : [step]));
            assert.deepEqual(new Set(grouped), new Set(lines));
            assert.equal(grouped.length, lines.length);
            if (grouped.some((line, at) => line !== lines[at])) sorted += 1;
            for (const fields of packets) {
              const packet = decodeBuilt(fields);
              if (packet.fault !== undefined || packet.fragment !== FRAGMENT.NONE) continue;
              const names = { inInterface: interfaceName(1), outInterface: interfaceName(1) };
              const fits = ({ match }: PlanLine): boolean => walk.fits(match, packet, names);
              assert.equal(grouped.find(fits), lines.find(fits), JSON.stringify({ source, fields }));
            }
            for (const run of steps.filter(isRun)) {
              runs += 1;
              for (const fields of packets) {
                const packet = decodeBuilt(fields);
                if (packet.fault !== undefined || packet.fragment !== FRAGMENT.NONE) continue;
                if (hookName(packet.hook) !== hook) continue;
                const names = { inInterface: interfaceName(1), outInterface: interfaceName(1) };
                const first = run.lines.find(({ match }) => walk.fits(match, packet, names));
                const elements = found(run, packet);
                assert.deepEqual(
                  elements.map(({ line }) => line.origin),
                  first === undefined ? [] : [first.origin],
                );
                hits += elements.length;
              }
            }
          }
        }
      },
    ),
    { numRuns: 150 },
  );
  assert.ok(runs > 100 && hits > 200, `${runs} runs, ${hits} hits`);
  assert.ok(sorted > 20, `${sorted} chains were sorted`);
});
