/** Which states come first, and how fast they are. */
import type { Milliseconds } from "../base/index.ts";
import type { State } from "./state.ts";

/** What lists can be ordered by, largest first. */
export const SORT_KEYS = ["bytes", "packets", "age", "rate", "expires"] as const;

/** One of {@link SORT_KEYS}. */
export type SortKey = (typeof SORT_KEYS)[number];

const SECOND = 1000;

/** Bytes of both directions; 0 when nobody counts. */
export function totalBytes(state: State): number {
  return state.bytes === null ? 0 : state.bytes[0] + state.bytes[1];
}

/** Packets of both directions; 0 when nobody counts. */
export function totalPackets(state: State): number {
  return state.packets === null ? 0 : state.packets[0] + state.packets[1];
}

/** Bytes per second over the whole life of a state; 0 when unknown. */
export function averageRate(state: State): number {
  if (state.ageMs === null || state.ageMs <= 0) return 0;
  return (totalBytes(state) * SECOND) / state.ageMs;
}

/** Bytes per second of a state. */
export type RateOf = (state: State) => number;

function valueOf(key: SortKey, state: State, rateOf: RateOf): number {
  switch (key) {
    case "bytes":
      return totalBytes(state);
    case "packets":
      return totalPackets(state);
    case "age":
      return state.ageMs ?? 0;
    case "rate":
      return rateOf(state);
    case "expires":
      return state.expiresInMs ?? 0;
  }
}

/**
 * The first states in an order; equal ones by id, so that a screen does not flicker.
 *
 * @param states - left as it is
 * @param key - what counts, largest first
 * @param top - most to return, all when left out
 * @param rateOf - how fast a state is; over its whole life when left out
 */
export function sortStates(
  states: readonly State[],
  key: SortKey,
  top: number = states.length,
  rateOf: RateOf = averageRate,
): State[] {
  const valued = states.map((state) => ({ state, value: valueOf(key, state, rateOf) }));
  valued.sort((a, b) => b.value - a.value || (a.state.id < b.state.id ? -1 : 1));
  return valued.slice(0, top).map(({ state }) => state);
}

/**
 * Rates between two looks at the table: what a live screen shows. Remembers only the states of the last look.
 */
export class RateMeter {
  #last = new Map<string, number>();
  #lastAt: Milliseconds = 0;
  #rates = new Map<string, number>();

  /** Takes in the states of a look. @param now - milliseconds, monotonic */
  update(states: readonly State[], now: Milliseconds): void {
    const span = now - this.#lastAt;
    const totals = new Map<string, number>();
    const rates = new Map<string, number>();
    for (const state of states) {
      const total = totalBytes(state);
      const before = this.#last.get(state.id);
      totals.set(state.id, total);
      if (before !== undefined && span > 0) {
        rates.set(state.id, (Math.max(0, total - before) * SECOND) / span);
      }
    }
    this.#last = totals;
    this.#lastAt = now;
    this.#rates = rates;
  }

  /** Bytes per second since the look before; over its whole life for a state that was not there. */
  rateOf(state: State): number {
    return this.#rates.get(state.id) ?? averageRate(state);
  }
}
