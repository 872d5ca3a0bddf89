/**
 * Finds everything filed under endpoints that may overlap a given one.
 *
 * An endpoint's *place* is a beginning of bits: those of its network, and, where the network is a single
 * address, behind them those that all its ports have in common. So many calls between the same two gateways
 * lie far apart. A place covers its endpoint and perhaps a little more, and two places overlap only if one
 * contains the other. The answer is: what lies on the way down to the place, and everything below it.
 *
 * The tree is binary and path-compressed: a node exists where something is filed or where two branches part,
 * so a look-up takes at most as many steps as a place has bits, whatever the tree holds. Each node knows how
 * much is filed in and below it, so what a look-up would visit is known beforehand; see box-index.ts.
 */
import { type Family, invariant } from "../base/index.ts";
import { Bag } from "./bag.ts";
import { ALL_PORTS, allAddresses, Endpoint } from "./endpoint.ts";

const WORD_BITS = 32;

/** Where the bits of an IPv4 address begin in its four words. */
const IPV4_FIRST_BIT = 96;
const ADDRESS_BITS = 128;
const ADDRESS_WORDS = 4;
const PORT_BITS = 16;

/** The first bits of an address and a port behind it. */
interface Place {
  /** Four words of the address; the port is in the upper half of the fifth. */
  readonly words: Uint32Array;
  /** How many bits count. */
  readonly bits: number;
}

function placeOf({ prefix, ports }: Endpoint): Place {
  const words = new Uint32Array(ADDRESS_WORDS + 1);
  words.set(prefix.words);
  const bits = prefix.family === 4 ? IPV4_FIRST_BIT + prefix.length : prefix.length;
  if (bits < ADDRESS_BITS) return { words, bits };
  words[ADDRESS_WORDS] = ports.low << PORT_BITS;
  return { words, bits: ADDRESS_BITS + Math.clz32(ports.low ^ ports.high) - PORT_BITS };
}

interface Node<Value> {
  readonly place: Place;
  readonly values: Bag<Value>;
  /** Values here and below. */
  count: number;
  zero: Node<Value> | undefined;
  one: Node<Value> | undefined;
}

function bitAt(words: Uint32Array, index: number): boolean {
  const word = words[index >>> 5] ?? 0;
  return ((word >>> (WORD_BITS - 1 - (index & (WORD_BITS - 1)))) & 1) === 1;
}

/** How many bits two places share. */
function sharedBits(a: Place, b: Place): number {
  const limit = Math.min(a.bits, b.bits);
  for (let at = 0; at * WORD_BITS < limit; at += 1) {
    const difference = ((a.words[at] ?? 0) ^ (b.words[at] ?? 0)) >>> 0;
    if (difference !== 0) return Math.min(limit, at * WORD_BITS + Math.clz32(difference));
  }
  return limit;
}

function makeNode<Value>(place: Place): Node<Value> {
  return { place, values: new Bag(), count: 0, zero: undefined, one: undefined };
}

function childOf<Value>(node: Node<Value>, { words }: Place): Node<Value> | undefined {
  return bitAt(words, node.place.bits) ? node.one : node.zero;
}

function setChild<Value>(node: Node<Value>, { words }: Place, child: Node<Value> | undefined): void {
  if (bitAt(words, node.place.bits)) node.one = child;
  else node.zero = child;
}

/** Values filed under endpoints of one family. */
export class EndpointTree<Value> {
  readonly #root: Node<Value>;

  /** @param family - the family of all its endpoints */
  constructor(family: Family) {
    this.#root = makeNode(placeOf(new Endpoint(allAddresses(family), ALL_PORTS)));
  }

  /** How many values are filed. */
  get size(): number {
    return this.#root.count;
  }

  /** Files a value; it must not be filed under this endpoint already. */
  add(endpoint: Endpoint, value: Value): void {
    const place = placeOf(endpoint);
    let node = this.#root;
    node.count += 1;
    while (node.place.bits < place.bits) {
      const child = childOf(node, place);
      const next = child === undefined ? makeNode<Value>(place) : this.#reach(node, child, place);
      if (child === undefined) setChild(node, place, next);
      next.count += 1;
      node = next;
    }
    node.values.add(value);
  }

  /** Takes a value out; it must be filed under exactly this endpoint. */
  remove(endpoint: Endpoint, value: Value): void {
    const way = this.#wayTo(placeOf(endpoint));
    const node = way.at(-1);
    invariant(node?.values.delete(value) === true, "only what is filed is taken out");
    for (const passed of way) passed.count -= 1;
    for (let at = way.length - 1; at > 0; at -= 1) {
      const [parent, child] = [way[at - 1], way[at]];
      if (parent !== undefined && child !== undefined) dropIfIdle(parent, child);
    }
  }

  /** How many values {@link EndpointTree.near} would give. */
  weigh(endpoint: Endpoint): number {
    let weight = 0;
    this.#descend(placeOf(endpoint), (node, isBelow) => {
      weight += isBelow ? node.count : node.values.size;
    });
    return weight;
  }

  /** All values that overlap an endpoint, and some that do not. */
  near(endpoint: Endpoint): Value[] {
    const found: Value[] = [];
    this.#descend(placeOf(endpoint), (node, isBelow) => {
      if (isBelow) collect(node, found);
      else node.values.collect(found);
    });
    return found;
  }

  /** Visits the nodes that contain the place, and the topmost one that lies in it. */
  #descend(place: Place, visit: (node: Node<Value>, isBelow: boolean) => void): void {
    let node: Node<Value> | undefined = this.#root;
    while (node !== undefined) {
      if (sharedBits(node.place, place) < Math.min(node.place.bits, place.bits)) return;
      if (node.place.bits >= place.bits) return visit(node, true);
      visit(node, false);
      node = childOf(node, place);
    }
  }

  /** The next node towards a place: the child itself, or one put in where the ways part. */
  #reach(node: Node<Value>, child: Node<Value>, place: Place): Node<Value> {
    const shared = sharedBits(child.place, place);
    if (shared === child.place.bits) return child;
    const parting = makeNode<Value>({ words: place.words, bits: shared });
    parting.count = child.count;
    setChild(parting, child.place, child);
    setChild(node, place, parting);
    return parting;
  }

  /** The nodes from the root to the one of exactly this place. */
  #wayTo(place: Place): Node<Value>[] {
    const way = [this.#root];
    for (let node = this.#root; node.place.bits < place.bits; ) {
      const child = childOf(node, place);
      invariant(child !== undefined, "a place that holds something has a node");
      way.push(child);
      node = child;
    }
    return way;
  }
}

/** Takes a node out that neither holds anything nor parts two ways. */
function dropIfIdle<Value>(parent: Node<Value>, node: Node<Value>): void {
  if (node.values.size > 0 || (node.zero !== undefined && node.one !== undefined)) return;
  setChild(parent, node.place, node.zero ?? node.one);
}

function collect<Value>(top: Node<Value>, found: Value[]): void {
  const waiting = [top];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    node.values.collect(found);
    if (node.zero !== undefined) waiting.push(node.zero);
    if (node.one !== undefined) waiting.push(node.one);
  }
}
