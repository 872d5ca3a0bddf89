/** Which chains of a policy lead to which, and how deep they lie. */
import type { Chain, Policy } from "../../policy/index.ts";

/** Chains that a rule or the end of a chain leads to. */
function nextChains(policy: Policy, chain: Chain): number[] {
  const targets = [...chain.rules.map(({ target }) => target), policy.defaultTarget];
  return targets.flatMap((target) => (target.kind === "chain" ? [target.chain] : []));
}

/** Chains that packets of a hook can come to, each with the length of the longest way there. */
export function chainLevels(policy: Policy, start: Chain): Map<number, number> {
  const levels = new Map<number, number>();
  const order: number[] = [];
  const visit = (index: number): void => {
    if (levels.has(index)) return;
    levels.set(index, 0);
    const chain = policy.chains[index];
    if (chain !== undefined) for (const next of nextChains(policy, chain)) visit(next);
    order.push(index);
  };
  visit(start.index);
  // Each chain before those it leads to: the graph has no circles.
  for (const index of order.toReversed()) {
    const chain = policy.chains[index];
    if (chain === undefined) continue;
    for (const next of nextChains(policy, chain)) {
      levels.set(next, Math.max(levels.get(next) ?? 0, (levels.get(index) ?? 0) + 1));
    }
  }
  return levels;
}
