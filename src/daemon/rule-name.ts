/** What the policy file calls a rule. */
import type { FlowRule, RuleName } from "../client/index.ts";
import type { Policy } from "../policy/index.ts";

/** A rule by its numbers in a policy: -1 for the end of a chain, or for a hook without one. */
export interface RuleNumbers {
  readonly chain: number;
  readonly rule: number;
}

/** What the policy file calls a rule, or the end of a chain. */
export function nameRule(policy: Policy, { chain: index, rule }: RuleNumbers): RuleName {
  const { name: chain = "", rules = [] } = policy.chains[index] ?? {};
  const row = rules[rule];
  if (row === undefined) return { chain, rule: null, name: "default", line: null };
  const { name, line, comment } = row;
  return { chain, rule, name, line, ...(comment === undefined ? {} : { comment }) };
}

/** The same, with the file it stands in. */
export function placeRule(policy: Policy, numbers: RuleNumbers): FlowRule {
  return { ...nameRule(policy, numbers), file: policy.file };
}
