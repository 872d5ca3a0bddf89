/**
 * Finds what overlaps a pair of endpoints among very many.
 *
 * Everything is filed twice, under each of its two endpoints. A question goes to whichever tree has less to
 * show: for a block of one outside host that is the tree of outside endpoints, for one inside host the other.
 * What it shows is then compared exactly.
 *
 * Values are small numbers that the caller gives; their pairs are kept in columns.
 */
import { ADDRESS_WORDS, type Family } from "../base/index.ts";
import { grown } from "./column.ts";
import { ANY_PROTOCOL } from "./element.ts";
import type { Endpoint } from "./endpoint.ts";
import { EndpointTree } from "./endpoint-tree.ts";

/** A protocol between two endpoints: what boxes and pinholes have in common. */
export interface Pair {
  readonly protocol: number;
  readonly near: Endpoint;
  readonly far: Endpoint;
}

/** Of an endpoint: the words of its network, then both ports in one. */
const ENDPOINT_WORDS = ADDRESS_WORDS + 1;
const WORD_BITS = 32;
const PORT_BITS = 16;
const PORT_MASK = 0xffff;

/** Bits of a network's length; its family is above them. */
const LENGTH_BITS = 8;
const LENGTH_MASK = 0xff;

/** One side of all pairs. */
class Side {
  readonly #trees: Record<Family, EndpointTree> = { 4: new EndpointTree(4), 6: new EndpointTree(6) };
  #words: Uint32Array = new Uint32Array(0);
  #networks: Uint16Array = new Uint16Array(0);

  get size(): number {
    return this.#trees[4].size + this.#trees[6].size;
  }

  add(value: number, endpoint: Endpoint): void {
    const { prefix, ports } = endpoint;
    this.#words = grown(this.#words, ENDPOINT_WORDS * (value + 1));
    this.#networks = grown(this.#networks, value + 1);
    const first = ENDPOINT_WORDS * value;
    // For so few words a loop takes less than to have them copied.
    for (let at = 0; at < ADDRESS_WORDS; at += 1) this.#words[first + at] = prefix.words[at] ?? 0;
    this.#words[first + ADDRESS_WORDS] = (ports.low << PORT_BITS) | ports.high;
    this.#networks[value] = (prefix.family << LENGTH_BITS) | prefix.length;
    this.#trees[prefix.family].add(endpoint, value);
  }

  remove(value: number, endpoint: Endpoint): void {
    this.#trees[endpoint.family].remove(endpoint, value);
  }

  weigh(endpoint: Endpoint): number {
    return this.#trees[endpoint.family].weigh(endpoint);
  }

  near(endpoint: Endpoint): number[] {
    return this.#trees[endpoint.family].near(endpoint);
  }

  someNear(endpoint: Endpoint, holds: (value: number) => boolean): boolean {
    return this.#trees[endpoint.family].someNear(endpoint, holds);
  }

  /** True when a value's endpoint has an address and a port in common with another. */
  meets(value: number, { prefix, ports }: Endpoint): boolean {
    const network = this.#networks[value] ?? 0;
    if (network >>> LENGTH_BITS !== prefix.family) return false;
    const first = ENDPOINT_WORDS * value;
    const range = this.#words[first + ADDRESS_WORDS] ?? 0;
    if (range >>> PORT_BITS > ports.high || ports.low > (range & PORT_MASK)) return false;
    let bits = Math.min(network & LENGTH_MASK, prefix.length);
    // IPv4 addresses are kept in mapped form, so only their last word tells them apart.
    for (let at = prefix.family === 4 ? ADDRESS_WORDS - 1 : 0; bits > 0; at += 1, bits -= WORD_BITS) {
      const difference = (this.#words[first + at] ?? 0) ^ (prefix.words[at] ?? 0);
      if (difference >>> Math.max(0, WORD_BITS - bits) !== 0) return false;
    }
    return true;
  }
}

const NOTHING: readonly number[] = [];

/** Small numbers by the two endpoints of each, of both families. */
export class PairIndex {
  readonly #near: Side = new Side();
  readonly #far: Side = new Side();
  #protocols: Uint8Array = new Uint8Array(0);

  get size(): number {
    return this.#near.size;
  }

  /** @param value - filed nowhere else here */
  add(value: number, { protocol, near, far }: Pair): void {
    this.#protocols = grown(this.#protocols, value + 1);
    this.#protocols[value] = protocol;
    this.#near.add(value, near);
    this.#far.add(value, far);
  }

  /** @param pair - as it was added with */
  remove(value: number, { near, far }: Pair): void {
    this.#near.remove(value, near);
    this.#far.remove(value, far);
  }

  /**
   * Everything whose pair has a packet in common with the given one.
   *
   * @see RFC 4540 section 8.8.1
   */
  meeting(pair: Pair): readonly number[] {
    const candidates = this.candidates(pair);
    return candidates === NOTHING ? NOTHING : candidates.filter((value) => this.#meets(value, pair));
  }

  /**
   * True when something holds for one of {@link PairIndex.meeting}, of which no list is made.
   *
   * @param holds - asked first, also about what does not meet the pair
   */
  someMeeting(pair: Pair, holds: (value: number) => boolean): boolean {
    const { near, far } = pair;
    const [nearWeight, farWeight] = [this.#near.weigh(near), this.#far.weigh(far)];
    if (nearWeight === 0 || farWeight === 0) return false;
    const meets = (value: number): boolean => holds(value) && this.#meets(value, pair);
    return nearWeight <= farWeight ? this.#near.someNear(near, meets) : this.#far.someNear(far, meets);
  }

  /** How many {@link PairIndex.meeting} would compare. */
  weigh({ near, far }: Pair): number {
    return Math.min(this.#near.weigh(near), this.#far.weigh(far));
  }

  /** What {@link PairIndex.meeting} compares. */
  candidates({ near, far }: Pair): readonly number[] {
    if (this.size === 0) return NOTHING;
    const [nearWeight, farWeight] = [this.#near.weigh(near), this.#far.weigh(far)];
    // So it is for nearly every pinhole that opens, and every packet of one that has closed.
    if (nearWeight === 0 || farWeight === 0) return NOTHING;
    return nearWeight <= farWeight ? this.#near.near(near) : this.#far.near(far);
  }

  #meets(value: number, { protocol, near, far }: Pair): boolean {
    const own = this.#protocols[value] ?? ANY_PROTOCOL;
    const protocolsMeet = own === protocol || own === ANY_PROTOCOL || protocol === ANY_PROTOCOL;
    return protocolsMeet && this.#near.meets(value, near) && this.#far.meets(value, far);
  }
}
