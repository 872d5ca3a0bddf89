/** What the tracker counts. Numbers only go up; they are doubles, exact to 2^53. */

/** Names of the counters, with their meaning. */
export const COUNTER_MEANINGS = {
  searches: "lookups of a packet's flow",
  matches: "lookups that found it",
  inserts: "flows made",
  removals: "flows removed, for any cause",
  expired: "flows removed because they were silent for their timeout",
  evictedHalfOpen: "half-open flows removed to make room",
  evictedClosing: "closing flows removed to make room",
  evictedCarried: "connections that the kernel has carried to their end removed to make room",
  replaced: "ended connections whose tuple a new connection took over",
  killed: "flows removed on request",
  refused: "flows not made because the table was full of established ones",
  adopted: "TCP connections picked up after their beginning",
  undefinedSegments: "accepted segments that no table speaks of",
  outOfWindow: "segments outside the window",
  badTimestamp: "segments with an old timestamp (RFC 7323 section 5)",
  disbelievedResets: "RST segments that did not end the connection",
  invalid: "segments shown to rules as INVALID",
  related: "ICMP errors that quote a packet of a flow",
  untracked: "accepted packets that belong to no flow",
} as const;

/** A counter by its name. */
export type CounterName = keyof typeof COUNTER_MEANINGS;

const NAMES = Object.keys(COUNTER_MEANINGS) as CounterName[];

/** Index of each counter. */
export const COUNTER = Object.fromEntries(NAMES.map((name, index) => [name, index])) as {
  readonly [Name in CounterName]: number;
};

/** Values of all counters. */
export type CounterValues = { readonly [Name in CounterName]: number };

/** A set of counters. */
export class Counters {
  readonly #values = new Float64Array(NAMES.length);

  /** @param counter - a value of COUNTER */
  add(counter: number): void {
    this.#values[counter] = (this.#values[counter] ?? 0) + 1;
  }

  /** Copies the values out. */
  read(): CounterValues {
    const entries = NAMES.map((name, index) => [name, this.#values[index] ?? 0]);
    return Object.fromEntries(entries) as CounterValues;
  }
}
