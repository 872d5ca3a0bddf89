/** The evaluator that looks rules up held against the one that asks them one after the other. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SECOND, tcpStateIndex } from "../base/index.ts";
import { allocateMemory, Evaluator, FLOW, type Policy } from "../policy/index.ts";
import { LOOKUP_FROM } from "../policy/rule-lookup.ts";
import { compileValid, ContextProbe, decodeBuilt, type ProbePacket } from "./policy-probe.ts";
import { interfaceName, policies, probePackets, type RuleArguments } from "./rule-arbitraries.ts";

class NamedContext extends ContextProbe {
  override interfaceName(index: number): string {
    return interfaceName(index);
  }
}

/** One way of judging by a policy, with all that it leaves behind. */
class Judge {
  readonly #memory;
  readonly #evaluator: Evaluator;
  readonly #context = new NamedContext();

  constructor(policy: Policy, lookupFrom: number) {
    this.#memory = allocateMemory(policy);
    this.#evaluator = new Evaluator(policy, this.#memory, lookupFrom);
  }

  /** Everything that can be told of a verdict. */
  judge(fields: ProbePacket): object {
    const context = this.#context;
    decodeBuilt(fields, context.packet);
    context.now += SECOND / 4;
    context.tcpState = tcpStateIndex(fields.state ?? "CLOSED");
    context.flow = fields.flow ?? FLOW.NEW;
    this.#evaluator.evaluate(context);
    const { verdict, chain, rule, reason, rejectWith } = this.#evaluator;
    const { report } = context;
    const said = [...report.takeLines(), ...report.logged.splice(0).map((line) => JSON.stringify(line))];
    return {
      verdict,
      chain,
      rule,
      reason,
      said,
      errors: report.errors.length,
      ...(verdict === 2 && { rejectWith }),
    };
  }

  /** What is left when all packets were judged: how often rules matched, and what tables counted. */
  remains(policy: Policy): object {
    const matches = policy.chains.map(({ rules, index }) =>
      rules.map((_, rule) => this.#evaluator.matchCount(index, rule)),
    );
    const tables = policy.attachTables(this.#memory).map((table) => table.statistics);
    return { matches, tables };
  }
}

function compare(source: RuleArguments, packets: readonly ProbePacket[]): void {
  const policy = compileValid(source);
  const plain = new Judge(policy, LOOKUP_FROM.NEVER);
  const looked = new Judge(policy, LOOKUP_FROM.ALWAYS);
  for (const packet of packets) assert.deepEqual(looked.judge(packet), plain.judge(packet));
  assert.deepEqual(looked.remains(policy), plain.remains(policy));
}

/** How many policies are compared, how large they are, and on how many packets each. */
export interface ComparisonPlan {
  readonly policies: number;
  readonly rules: number;
  readonly packets: number;
}

/** Compares on random policies and random packets. */
export function compareEvaluators(plan: ComparisonPlan): void {
  const packets = fc.array(probePackets, { minLength: plan.packets, maxLength: plan.packets });
  fc.assert(fc.property(policies(plan.rules), packets, compare), { numRuns: plan.policies });
}
