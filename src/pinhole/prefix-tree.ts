/**
 * Finds everything filed under networks that overlap a given one.
 *
 * Two networks overlap only if one contains the other, so the answer is: what lies on the way down to the
 * network, and everything below it. The tree is binary and path-compressed: a node exists where something is
 * filed or where two branches part, so a look-up takes at most as many steps as a prefix has bits, whatever
 * the tree holds. Each node knows how much is filed in and below it, so what a look-up would visit is known
 * beforehand; see box-index.ts.
 */
import { type AddressWords, type Family, invariant, Prefix } from "../base/index.ts";
import { Bag } from "./bag.ts";
import { allAddresses } from "./endpoint.ts";

const WORD_BITS = 32;

/** Where the bits of an IPv4 prefix begin in its four words. */
const IPV4_FIRST_BIT = 96;

interface Node<Value> {
  readonly prefix: Prefix;
  /** Bits of the prefix, counted from the first of the four words. */
  readonly bits: number;
  readonly values: Bag<Value>;
  /** Values here and below. */
  count: number;
  zero: Node<Value> | undefined;
  one: Node<Value> | undefined;
}

function bitsOf(prefix: Prefix): number {
  return prefix.family === 4 ? IPV4_FIRST_BIT + prefix.length : prefix.length;
}

function bitAt(words: AddressWords, index: number): boolean {
  const word = words[index >>> 5] ?? 0;
  return ((word >>> (WORD_BITS - 1 - (index & (WORD_BITS - 1)))) & 1) === 1;
}

/** How many bits two prefixes share, at most `limit`. */
function sharedBits(a: AddressWords, b: AddressWords, limit: number): number {
  for (let at = 0; at * WORD_BITS < limit; at += 1) {
    const difference = ((a[at] ?? 0) ^ (b[at] ?? 0)) >>> 0;
    if (difference !== 0) return Math.min(limit, at * WORD_BITS + Math.clz32(difference));
  }
  return limit;
}

function makeNode<Value>(prefix: Prefix): Node<Value> {
  return { prefix, bits: bitsOf(prefix), values: new Bag(), count: 0, zero: undefined, one: undefined };
}

function childOf<Value>(node: Node<Value>, words: AddressWords): Node<Value> | undefined {
  return bitAt(words, node.bits) ? node.one : node.zero;
}

function setChild<Value>(node: Node<Value>, words: AddressWords, child: Node<Value> | undefined): void {
  if (bitAt(words, node.bits)) node.one = child;
  else node.zero = child;
}

/** Values filed under networks of one family. */
export class PrefixTree<Value> {
  readonly #root: Node<Value>;

  /** @param family - the family of all its networks */
  constructor(family: Family) {
    this.#root = makeNode(allAddresses(family));
  }

  /** How many values are filed. */
  get size(): number {
    return this.#root.count;
  }

  /** Files a value; it must not be filed under this network already. */
  add(prefix: Prefix, value: Value): void {
    let node = this.#root;
    const bits = bitsOf(prefix);
    node.count += 1;
    while (node.bits < bits) {
      const child = childOf(node, prefix.words);
      const next = child === undefined ? makeNode<Value>(prefix) : this.#reach(node, child, prefix);
      if (child === undefined) setChild(node, prefix.words, next);
      next.count += 1;
      node = next;
    }
    node.values.add(value);
  }

  /** Takes a value out; it must be filed under exactly this network. */
  remove(prefix: Prefix, value: Value): void {
    const way = this.#wayTo(prefix);
    const node = way.at(-1);
    invariant(node?.values.delete(value) === true, "only what is filed is taken out");
    for (const passed of way) passed.count -= 1;
    for (let at = way.length - 1; at > 0; at -= 1) {
      const [parent, child] = [way[at - 1], way[at]];
      if (parent !== undefined && child !== undefined) dropIfIdle(parent, child);
    }
  }

  /** How many values {@link PrefixTree.overlapping} would give. */
  weigh(prefix: Prefix): number {
    let weight = 0;
    this.#descend(prefix, (node, isBelow) => {
      weight += isBelow ? node.count : node.values.size;
    });
    return weight;
  }

  /** All values filed under networks that contain the given one or lie in it. */
  overlapping(prefix: Prefix): Value[] {
    const found: Value[] = [];
    this.#descend(prefix, (node, isBelow) => {
      if (isBelow) collect(node, found);
      else node.values.collect(found);
    });
    return found;
  }

  /** Visits the nodes that contain the network, and the topmost one that lies in it. */
  #descend(prefix: Prefix, visit: (node: Node<Value>, isBelow: boolean) => void): void {
    const bits = bitsOf(prefix);
    let node: Node<Value> | undefined = this.#root;
    while (node !== undefined) {
      const shared = sharedBits(node.prefix.words, prefix.words, Math.min(node.bits, bits));
      if (shared < Math.min(node.bits, bits)) return;
      if (node.bits >= bits) return visit(node, true);
      visit(node, false);
      node = childOf(node, prefix.words);
    }
  }

  /** The next node towards a network: the child itself, or one put in where the ways part. */
  #reach(node: Node<Value>, child: Node<Value>, prefix: Prefix): Node<Value> {
    const bits = bitsOf(prefix);
    const shared = sharedBits(child.prefix.words, prefix.words, Math.min(child.bits, bits));
    if (shared === child.bits) return child;
    const family = prefix.family;
    const length = family === 4 ? shared - IPV4_FIRST_BIT : shared;
    const parting = makeNode<Value>(shared === bits ? prefix : new Prefix(family, prefix.words, length));
    parting.count = child.count;
    setChild(parting, child.prefix.words, child);
    setChild(node, prefix.words, parting);
    return parting;
  }

  /** The nodes from the root to the one of exactly this network. */
  #wayTo(prefix: Prefix): Node<Value>[] {
    const bits = bitsOf(prefix);
    const way = [this.#root];
    for (let node = this.#root; node.bits < bits; ) {
      const child = childOf(node, prefix.words);
      invariant(child !== undefined, "a network that holds something has a node");
      way.push(child);
      node = child;
    }
    return way;
  }
}

/** Takes a node out that neither holds anything nor parts two ways. */
function dropIfIdle<Value>(parent: Node<Value>, node: Node<Value>): void {
  if (node.values.size > 0 || (node.zero !== undefined && node.one !== undefined)) return;
  setChild(parent, node.prefix.words, node.zero ?? node.one);
}

function collect<Value>(top: Node<Value>, found: Value[]): void {
  const waiting = [top];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    node.values.collect(found);
    if (node.zero !== undefined) waiting.push(node.zero);
    if (node.one !== undefined) waiting.push(node.one);
  }
}
