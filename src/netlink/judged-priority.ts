/**
 * What the kernel says of a packet that it has dropped or refused and sends up to be logged.
 *
 * Behind a rule that counts in the kernel no packet may be judged again, so its way is told: our bits of the
 * mark say how it is refused (for a drop they stand too, and say nothing), and the packet's priority, which a
 * dropped packet needs no more, says whether it is, and by which rule of which policy: one may wait in its
 * queue while another policy comes into force. From the highest bit on: whether it is refused (1), the policy
 * (4), the chain (11), the rule (16).
 */

/** Largest index of a chain that can be told. */
export const JUDGED_CHAIN_MAX = 0x7ff;

/** Largest index of a rule in its chain that can be told. */
export const JUDGED_RULE_MAX = 0xfffe;

const REFUSED = 0x8000;

// Revisions of policies are told from 1 up to that, and then from 1 again; 0 is told by no packet.
const REVISION_SHIFT = 11;
const REVISION_MASK = 0xf;
const REVISIONS = REVISION_MASK;

/** Policies that a packet can have waited for, those from its own to the one in force. */
const REPLACED_MAX = 7;

/** A verdict of the kernel, and where it comes from. */
export interface JudgedPlace {
  readonly isRefused: boolean;
  /** Index of the chain in the policy. */
  readonly chain: number;
  /** Index of the rule in the chain; -1 for its end. */
  readonly rule: number;
  /** Revision of that policy; -1 when it is not told, or too many others have followed. */
  readonly revision: number;
}

function toldRevision(revision: number): number {
  return (revision % REVISIONS) + 1;
}

/** The priority as nftables writes it. */
export function judgedPriority({ isRefused, chain, rule, revision }: JudgedPlace): string {
  const policy = toldRevision(revision) << REVISION_SHIFT;
  return `${(chain | policy | (isRefused ? REFUSED : 0)).toString(16)}:${(rule + 1).toString(16)}`;
}

/**
 * What a priority tells.
 *
 * @param priority - 32 bits
 * @param newest - revision of the policy in force
 */
export function judgedPlace(priority: number, newest: number): JudgedPlace {
  const place = priority >>> 16;
  const told = (place >>> REVISION_SHIFT) & REVISION_MASK;
  const replaced = (toldRevision(newest) - told + REVISIONS) % REVISIONS;
  return {
    isRefused: (place & REFUSED) !== 0,
    chain: place & JUDGED_CHAIN_MAX,
    rule: (priority & 0xffff) - 1,
    revision: told === 0 || replaced > REPLACED_MAX || replaced >= newest ? -1 : newest - replaced,
  };
}
