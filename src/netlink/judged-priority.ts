/**
 * What the kernel says of a packet that it has dropped or refused and sends up to be logged.
 *
 * Behind a rule that counts in the kernel no packet may be judged again, so its way is told: our bits of the
 * mark say how it is refused (for a drop they stand too, and say nothing), and the packet's priority, which a
 * dropped packet needs no more, says whether it is, and by which rule.
 */

/** Largest index of a chain that can be told. */
export const JUDGED_CHAIN_MAX = 0x7fff;

/** Largest index of a rule in its chain that can be told. */
export const JUDGED_RULE_MAX = 0xfffe;

const REFUSED = 0x8000;

/** A verdict of the kernel, and where it comes from. */
export interface JudgedPlace {
  readonly isRefused: boolean;
  /** Index of the chain in the policy. */
  readonly chain: number;
  /** Index of the rule in the chain; -1 for its end. */
  readonly rule: number;
}

/** The priority as nftables writes it. */
export function judgedPriority({ isRefused, chain, rule }: JudgedPlace): string {
  return `${(chain | (isRefused ? REFUSED : 0)).toString(16)}:${(rule + 1).toString(16)}`;
}

/** What a priority tells. @param priority - 32 bits */
export function judgedPlace(priority: number): JudgedPlace {
  const chain = priority >>> 16;
  return {
    isRefused: (chain & REFUSED) !== 0,
    chain: chain & JUDGED_CHAIN_MAX,
    rule: (priority & 0xffff) - 1,
  };
}
