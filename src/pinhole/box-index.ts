/**
 * Finds what overlaps a pair of endpoints among very many.
 *
 * Everything is filed twice, under each of its two endpoints. A question goes to whichever tree has less to
 * show: for a block of one outside host that is the tree of outside endpoints, for one inside host the other.
 * What it shows is then compared exactly.
 */
import { type Family, type Prefix } from "../base/index.ts";
import type { Endpoint, PortRange } from "./endpoint.ts";
import { ANY_PROTOCOL } from "./element.ts";
import { EndpointTree } from "./endpoint-tree.ts";

/** A protocol between two endpoints: what boxes and pinholes have in common. */
export interface Pair {
  readonly protocol: number;
  readonly near: Endpoint;
  readonly far: Endpoint;
}

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
  readonly #near: Record<Family, EndpointTree<Value>>;
  readonly #far: Record<Family, EndpointTree<Value>>;

  /** @param pairOf - the endpoints of a value; they stay the same as long as it is filed */
  constructor(pairOf: (value: Value) => Pair) {
    this.#pairOf = pairOf;
    this.#near = { 4: new EndpointTree(4), 6: new EndpointTree(6) };
    this.#far = { 4: new EndpointTree(4), 6: new EndpointTree(6) };
  }

  get size(): number {
    return this.#near[4].size + this.#near[6].size;
  }

  add(value: Value): void {
    const { near, far } = this.#pairOf(value);
    this.#near[near.family].add(near, value);
    this.#far[far.family].add(far, value);
  }

  remove(value: Value): void {
    const { near, far } = this.#pairOf(value);
    this.#near[near.family].remove(near, value);
    this.#far[far.family].remove(far, value);
  }

  /** Everything whose pair meets the given one. */
  meeting(pair: Pair): Value[] {
    const near = this.#near[pair.near.family];
    const far = this.#far[pair.far.family];
    const nearIsShorter = near.weigh(pair.near) <= far.weigh(pair.far);
    const candidates = nearIsShorter ? near.near(pair.near) : far.near(pair.far);
    return candidates.filter((value) => pairsMeet(this.#pairOf(value), pair));
  }

  /** True when something's pair meets the given one. */
  meets(pair: Pair): boolean {
    return this.meeting(pair).length > 0;
  }
}
