/**
 * Which flows can come to a chain of a policy, told by the jumps that lead there.
 *
 * Jumps one behind the other narrow, and several ways to a chain are a union. What comes to a chain's end
 * goes on to the default chain; what returns from a chain was in its caller before. Rules that stand before a
 * jump are not asked what they leave: so a chain may seem to be met by more packets than come there, never by
 * fewer.
 *
 * Of a jump counts what holds for every packet of a flow and direction: family, protocol, addresses, ports.
 * Its other tests are left out: another packet of the flow may pass where one did not. Fragments without
 * ports, which conditions about ports may tell apart otherwise than the kernel, are of no flow.
 */
import { HOOK, HOOK_NAMES, type HookName } from "../../base/index.ts";
import type { Chain, Policy, Rule } from "../../policy/index.ts";
import { chainLevels } from "./chain-levels.ts";
import type { KernelTest, Match } from "./kernel-test.ts";
import { intersection, MatchUnion } from "./match-union.ts";
import { judgeRule } from "./rule-judgement.ts";

/** Ways that are followed for one policy; beyond that every chain that is led to is met by all packets. */
const WAYS_MAX = 50_000;

function flowTest(test: KernelTest): KernelTest[] {
  switch (test.field) {
    case "family":
    case "protocol":
    case "source":
    case "destination":
    case "sourcePort":
    case "destinationPort":
      return [test];
    case "table":
      return [{ field: "family", family: test.family }];
    default:
      return [];
  }
}

/** Ways to the chains of a policy. */
export class ChainWays {
  readonly #policy: Policy;
  readonly #rules: readonly (readonly Rule[])[];
  readonly #found = new Map<number, MatchUnion>();
  /** Ways that were followed. */
  followed = 0;

  /** @param rules - of the policy */
  constructor(policy: Policy, rules: readonly (readonly Rule[])[]) {
    this.#policy = policy;
    this.#rules = rules;
    for (const hook of HOOK_NAMES) {
      const start = policy.hookChain(HOOK[hook]);
      if (start !== undefined) this.#follow(hook, start);
    }
  }

  /** Matches of which every packet fits one that can come to a chain, at any hook; none: no packet comes. */
  to(chain: number): readonly Match[] {
    return this.#found.get(chain)?.parts ?? [];
  }

  #follow(hook: HookName, start: Chain): void {
    const here = new Map([[start.index, new MatchUnion([[]])]]);
    const order = [...chainLevels(this.#policy, start)].toSorted(([, one], [, other]) => one - other);
    for (const [index] of order) {
      const from = here.get(index);
      if (from === undefined) continue;
      for (const { target, match } of this.#jumps(index, hook)) {
        const to = here.get(target) ?? new MatchUnion();
        this.#lead(from, match, to);
        if (to.parts.length > 0) here.set(target, to);
      }
    }
    for (const [index, { parts }] of here) {
      const all = this.#found.get(index) ?? new MatchUnion();
      this.#found.set(index, all);
      for (const part of parts) all.add(part);
    }
  }

  #jumps(index: number, hook: HookName): { target: number; match: Match }[] {
    const { chains, defaultTarget } = this.#policy;
    const jumps = (chains[index]?.rules ?? []).flatMap((row, at) => {
      const rule = this.#rules[index]?.[at];
      const { target } = row;
      if (rule === undefined || target.kind !== "chain") return [];
      const { pieces } = judgeRule(row, rule, hook);
      return pieces.map(({ match }) => ({ target: target.chain, match: match.flatMap(flowTest) }));
    });
    return defaultTarget.kind === "chain" ? [...jumps, { target: defaultTarget.chain, match: [] }] : jumps;
  }

  #lead(from: MatchUnion, match: Match, to: MatchUnion): void {
    if (to.has(match)) return;
    for (const part of from.parts) {
      this.followed += 1;
      const both = this.followed > WAYS_MAX ? [] : intersection(part, match);
      if (both !== undefined) to.add(both);
      if (to.has([])) return;
    }
  }
}
