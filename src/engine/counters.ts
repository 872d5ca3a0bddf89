/**
 * What a worker counts, in one typed array so that counting allocates nothing and another thread can read
 * along.
 *
 * Doubles count exactly up to 2^53: at a million packets a second that is 285 years.
 */

/** Names of the counters, in the order of their slots. */
export const COUNTERS = [
  /** Packets judged. */
  "packets",
  /** Bytes of all packets judged, as they were on the wire. */
  "bytes",
  "accepted",
  "dropped",
  "rejected",
  /** Packets whose headers could not be read; they took the policy's outcome for malformed packets. */
  "malformed",
  /** Packets whose judging rule threw; they took the policy's outcome for rule errors. */
  "ruleErrors",
  /** Segments that the state of their connection does not provide for. */
  "undefinedTransitions",
  /** Packets of which only the copy range came to userspace. */
  "truncated",
  /**
   * Packets that could not even be told from the kernel's message; they took the outcome for malformed ones.
   */
  "unanswered",
  /** Verdicts that came too late: the kernel had given the packet up. */
  "lateVerdicts",
  /** Verdicts that the kernel refused for another reason. */
  "refusedVerdicts",
  /** Times the kernel had to throw packets away because the socket's buffer was full. */
  "overruns",
  /** Log and print lines that were not kept because there were too many. */
  "lostLines",
  /** Flows handed over to the kernel because no later packet can get another verdict. */
  "sealed",
  /**
   * Those among them whose bytes rules had not done with: packets waited longer than the policy's objective.
   */
  "sealedEarly",
] as const;

/** A counter by its name. */
export type CounterName = (typeof COUNTERS)[number];

/** Slot of each counter. */
export const COUNTER: { readonly [Name in CounterName]: number } = Object.fromEntries(
  COUNTERS.map((name, slot) => [name, slot]),
) as { [Name in CounterName]: number };

/** Bytes of memory for one set of counters. */
export const COUNTERS_BYTES: number = COUNTERS.length * Float64Array.BYTES_PER_ELEMENT;

/** Values of all counters, by name. */
export type CounterValues = { readonly [Name in CounterName]: number };

/** Adds up the counters of several workers. */
export function sumCounters(sets: readonly Float64Array[]): CounterValues {
  const values: Partial<Record<CounterName, number>> = {};
  for (const [slot, name] of COUNTERS.entries()) {
    values[name] = sets.reduce((sum, set) => sum + (set[slot] ?? 0), 0);
  }
  return values as CounterValues;
}
