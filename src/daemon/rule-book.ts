/**
 * Names of rules for flows that were let in by them: a flow outlives the policy that accepted it, so the last
 * policies are remembered by their revision.
 */
import { HOOK_NAMES } from "../base/index.ts";
import type { FlowRule } from "../client/index.ts";
import type { EnginePolicy } from "../engine/index.ts";
import type { Policy } from "../policy/index.ts";
import type { RuleNames, StateRule } from "../view/index.ts";
import { placeRule } from "./rule-name.ts";

/** Policies that are remembered; flows of older ones have no rule any more. */
const REMEMBERED_MAX = 64;

/** See above. */
export class RuleBook {
  readonly #policies = new Map<number, Policy>();

  /** Remembers a policy that comes into force. */
  add({ policy, revision }: EnginePolicy): void {
    this.#policies.set(revision, policy);
    const [oldest] = this.#policies.keys();
    if (this.#policies.size > REMEMBERED_MAX && oldest !== undefined) this.#policies.delete(oldest);
  }

  /** The policy of a revision; `undefined` when it is forgotten. */
  policy(revision: number): Policy | undefined {
    return this.#policies.get(revision);
  }

  /**
   * Where a rule stands that a state names.
   *
   * @returns `undefined` when its policy is forgotten
   */
  place({ chain, index, revision }: StateRule): FlowRule | undefined {
    const policy = this.#policies.get(revision);
    const found = policy?.chains.find(({ name }) => name === chain);
    if (policy === undefined || found === undefined) return undefined;
    return placeRule(policy, { chain: found.index, rule: index ?? -1 });
  }

  /**
   * What the policy of that revision calls a rule.
   *
   * @param chain - index of the chain, -1 for a hook without one
   * @param rule - index of the rule, -1 for the chain's default
   * @returns `undefined` when the policy is forgotten or has no such chain
   */
  names(chain: number, rule: number, revision: number): RuleNames | undefined {
    const found = this.#policies.get(revision)?.chains[chain];
    if (found === undefined) return undefined;
    return {
      chain: found.name,
      isStart: (HOOK_NAMES as readonly string[]).includes(found.name),
      label: found.rules[rule]?.comment ?? "",
      log: false,
    };
  }
}
