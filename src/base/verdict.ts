/** What becomes of a packet. */
export const VERDICT = {
  /** It goes on. */
  ACCEPT: 0,
  /** It vanishes without an answer. */
  DROP: 1,
  /** It vanishes, and its sender is told so (TCP reset or ICMP unreachable). */
  REJECT: 2,
} as const;

/** A verdict by its number. */
export type Verdict = (typeof VERDICT)[keyof typeof VERDICT];

/** A verdict by its name. */
export type VerdictName = keyof typeof VERDICT;

const NAMES: readonly VerdictName[] = ["ACCEPT", "DROP", "REJECT"];

/** Name of a verdict, as it stands in replies, logs and events. */
export function verdictName(verdict: Verdict): VerdictName {
  return NAMES[verdict] ?? "DROP";
}
