/**
 * For any policy and any flow: lookups foresee what a walk along the rules foresees, and it comes true,
 * whatever else is in a packet.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PROTOCOL, type Verdict, VERDICT, tcpStateIndex } from "../base/index.ts";
import { compileValid, ContextProbe, decodeBuilt, type ProbePacket } from "../testing/policy-probe.ts";
import { interfaceName, policies, probePackets, type RuleArguments } from "../testing/rule-arbitraries.ts";
import { allocateMemory, Evaluator, FLOW, type ForesightContext } from "./index.ts";
import { LOOKUP_FROM } from "./rule-lookup.ts";

const RUNS = 150;
const FLOWS = 24;

class FlowContext extends ContextProbe implements ForesightContext {
  strictTcp = false;

  override interfaceName(index: number): string {
    return interfaceName(index);
  }

  set(fields: ProbePacket): this {
    decodeBuilt(fields, this.packet);
    this.tcpState = tcpStateIndex(fields.state ?? "CLOSED");
    this.flow = fields.flow ?? FLOW.NEW;
    return this;
  }
}

const flowPackets = probePackets.map(
  ({ moreFragments: _more, fragmentOffset: _offset, payload: _payload, ...fields }): ProbePacket => ({
    ...fields,
    protocol: fields.protocol === PROTOCOL.UDP ? PROTOCOL.UDP : PROTOCOL.TCP,
  }),
);

/** Nothing but hook, ends and flow. */
function bare(fields: ProbePacket): ProbePacket {
  return { ...fields, inInterface: 0, outInterface: 0, userId: -1, groupId: -1, mark: 0 };
}

test("lookups foresee what a walk foresees, and it comes true", () => {
  const told = new Map<Verdict | undefined, number>();
  const compare = (source: RuleArguments, flows: readonly ProbePacket[], strictTcp: boolean): void => {
    const policy = compileValid(source);
    const walk = new Evaluator(policy, allocateMemory(policy), LOOKUP_FROM.NEVER);
    const looked = new Evaluator(policy, allocateMemory(policy), LOOKUP_FROM.ALWAYS);
    const context = new FlowContext();
    context.strictTcp = strictTcp;
    for (const fields of flows) {
      const expected = walk.foresight.verdict(context.set(bare(fields)));
      assert.equal(looked.foresight.verdict(context), expected);
      told.set(expected, (told.get(expected) ?? 0) + 1);
      if (expected !== undefined) assert.equal(walk.evaluate(context.set(fields)), expected);
    }
  };
  const flows = fc.array(flowPackets, { minLength: FLOWS, maxLength: FLOWS });
  fc.assert(fc.property(policies(12), flows, fc.boolean(), compare), { numRuns: RUNS });
  for (const verdict of [VERDICT.ACCEPT, VERDICT.DROP, undefined]) {
    assert.ok((told.get(verdict) ?? 0) > FLOWS, `${verdict} was foreseen ${told.get(verdict) ?? 0} times`);
  }
});
