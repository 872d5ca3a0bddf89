import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hookName } from "../../base/index.ts";
import { allocateMemory } from "../../policy/index.ts";
import { PlanWalk } from "../../testing/plan-walk.ts";
import { compileValid, decodeBuilt } from "../../testing/policy-probe.ts";
import { countingPolicies, interfaceName, policies, probePackets } from "../../testing/rule-arbitraries.ts";
import { FRAGMENT, Packet } from "../../wire/index.ts";
import { walkFlow } from "./flow-walk.ts";
import { planPolicy } from "./kernel-plan.ts";

test("what a packet of a flow meets is among the outcomes of its ends, and is the one when there is one", () => {
  const seen = { proven: 0, possible: 0 };
  fc.assert(
    fc.property(
      fc.oneof(policies(6), countingPolicies),
      fc.array(probePackets, { minLength: 20, maxLength: 20 }),
      (source, packets) => {
        const policy = compileValid(source);
        const plan = planPolicy(policy, allocateMemory(policy));
        const walk = new PlanWalk(plan);
        const packet = new Packet();
        for (const fields of packets) {
          decodeBuilt(fields, packet);
          const { family, protocol } = packet;
          if (packet.fault !== undefined || packet.fragment !== FRAGMENT.NONE || family === 0) continue;
          const hook = hookName(packet.hook);
          assert.ok(hook !== undefined);
          const { action, line } = walk.walk(hook, packet, {
            inInterface: interfaceName(packet.inInterface),
            outInterface: interfaceName(packet.outInterface),
          });
          const { source: from, destination: to, sourcePort, destinationPort } = packet;
          const ends = { family, protocol, source: from, destination: to, sourcePort, destinationPort };
          const outcomes = walkFlow(plan, hook, ends);
          const { chain, rule } = line?.origin ?? { chain: -1, rule: -1 };
          const met = outcomes.some(
            (each) => each.action === action && each.origin.chain === chain && each.origin.rule === rule,
          );
          assert.ok(met, JSON.stringify({ source, fields, action, chain, rule, outcomes }));
          if (outcomes.length === 1) seen.proven += 1;
          else seen.possible += 1;
        }
      },
    ),
    { numRuns: 400 },
  );
  assert.ok(seen.proven > 1000 && seen.possible > 100, JSON.stringify(seen));
});
