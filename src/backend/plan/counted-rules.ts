/** Rules of a policy that count packets or remember knocks, and what they would be in the kernel. */
import type { Policy, PolicyRule } from "../../policy/index.ts";
import type { Match } from "./kernel-test.ts";
import { isStrictKnock, type KnockSets, knockPackets, knockSetsOf } from "./knock-sets.ts";
import { type Meter, meterOf } from "./meter.ts";
import type { Counting } from "./whole-judgement.ts";

/** See {@link Counts}. */
type Counted = Meter | readonly KnockSets[] | string;
/** Rules that count, and what they are in the kernel, or why they stay in userspace. */
export type Counts = ReadonlyMap<PolicyRule, Counted>;

/** True for a rule that remembers knocks. */
export function isKnock(counted: Counted | undefined): counted is readonly KnockSets[] {
  return typeof counted === "object" && "length" in counted;
}

/** All such rules, as though none of their packets went up. */
export function countedRules(policy: Policy): Map<PolicyRule, Counted> {
  const rows = policy.chains.flatMap((chain) => chain.rules);
  const counts = new Map<PolicyRule, Counted>();
  for (const row of rows) {
    if (row.name === "LimitRule") counts.set(row, meterOf(row, policy));
    if (isStrictKnock(row)) counts.set(row, knockSetsOf(row, policy));
  }
  return counts;
}

/** Rules that stand in the kernel with what they count. */
export function standing(policy: Policy, counts: Counts): Counting[] {
  const ipv4: Match = [{ field: "family", family: 4 }];
  return policy.chains.flatMap(({ index: chain, rules }) =>
    rules.flatMap((row, rule): Counting[] => {
      const counted = counts.get(row);
      if (counted === undefined || typeof counted === "string") return [];
      const origin = { chain, rule };
      if (isKnock(counted)) {
        const packets = counted.map(knockPackets).flatMap(({ opened, doors }) => [opened, ...doors]);
        return [{ row, origin, packets, kind: "knocks" }];
      }
      const isBySource = counted.by === "source";
      return [{ row, origin, packets: [isBySource ? ipv4 : []], kind: isBySource ? "sources" : "packets" }];
    }),
  );
}
