/** Things with two endpoints: finds among very many those that overlap a pair. */
import { invariant, type Prefix } from "../base/index.ts";
import { ANY_PROTOCOL } from "./element.ts";
import type { Endpoint, PortRange } from "./endpoint.ts";
import { type Pair, PairIndex } from "./pair-index.ts";

function portsMeet(a: PortRange, b: PortRange): boolean {
  return a.low <= b.high && b.low <= a.high;
}

function prefixesMeet(a: Prefix, b: Prefix): boolean {
  if (a.family !== b.family) return false;
  return a.length <= b.length ? a.contains(b.family, b.words) : b.contains(a.family, a.words);
}

/** True when some address and port belong to both. */
export function endpointsMeet(a: Endpoint, b: Endpoint): boolean {
  return prefixesMeet(a.prefix, b.prefix) && portsMeet(a.ports, b.ports);
}

/**
 * True when some packet between the near and the far side belongs to both pairs.
 *
 * @see RFC 4540 section 8.8.1
 */
export function pairsMeet(a: Pair, b: Pair): boolean {
  const protocolsMeet =
    a.protocol === b.protocol || a.protocol === ANY_PROTOCOL || b.protocol === ANY_PROTOCOL;
  return protocolsMeet && endpointsMeet(a.near, b.near) && endpointsMeet(a.far, b.far);
}

/** Things with two endpoints, of both families. */
export class BoxIndex<Value> {
  readonly #pairOf: (value: Value) => Pair;
  readonly #index: PairIndex = new PairIndex();
  readonly #values: (Value | undefined)[] = [];
  readonly #rows: Map<Value, number> = new Map();
  readonly #idle: number[] = [];

  /** @param pairOf - the endpoints of a value; they stay the same as long as it is filed */
  constructor(pairOf: (value: Value) => Pair) {
    this.#pairOf = pairOf;
  }

  get size(): number {
    return this.#rows.size;
  }

  add(value: Value): void {
    const row = this.#idle.pop() ?? this.#values.length;
    this.#values[row] = value;
    this.#rows.set(value, row);
    this.#index.add(row, this.#pairOf(value));
  }

  remove(value: Value): void {
    const row = this.#rows.get(value);
    invariant(row !== undefined, "only what is filed is taken out");
    this.#index.remove(row, this.#pairOf(value));
    this.#rows.delete(value);
    this.#values[row] = undefined;
    this.#idle.push(row);
  }

  /** Everything whose pair meets the given one. */
  meeting(pair: Pair): Value[] {
    const found: Value[] = [];
    for (const row of this.#index.meeting(pair)) {
      const value = this.#values[row];
      if (value !== undefined) found.push(value);
    }
    return found;
  }

  /** True when something's pair meets the given one. */
  meets(pair: Pair): boolean {
    return this.#index.meeting(pair).length > 0;
  }
}
