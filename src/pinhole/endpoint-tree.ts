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
 * much is filed in and below it, so what a look-up would visit is known beforehand; see pair-index.ts.
 *
 * Values are small numbers, and nodes are rows of a few arrays of numbers: a hundred thousand pinholes make
 * several hundred thousand nodes, which the garbage collector would visit again and again.
 */
import { ADDRESS_WORDS, type Family, invariant } from "../base/index.ts";
import { grown } from "./column.ts";
import type { Endpoint } from "./endpoint.ts";

const WORD_BITS = 32;
const PORT_BITS = 16;

/** Of these many words of an address the last one is all there is to an IPv4 address. */
const IPV4_FIRST_WORD = ADDRESS_WORDS - 1;

/** Nodes, and values, for which there is room at first. */
const CAPACITY = 64;

const ROOT = 0;

/** Small numbers, filed under endpoints of one family. */
export class EndpointTree {
  readonly #firstWord: number;
  /** Words of a place: those of the address, and one with the port in its upper half. */
  readonly #stride: number;
  // Columns of nodes. Child 0 means none, for the root is nobody's child.
  #words: Uint32Array;
  #bits: Uint8Array = new Uint8Array(CAPACITY);
  #counts: Uint32Array = new Uint32Array(CAPACITY);
  #children: Uint32Array = new Uint32Array(2 * CAPACITY);
  /** The first value filed in a node, plus one; 0 for none. */
  #first: Uint32Array = new Uint32Array(CAPACITY);
  // Columns of values: their neighbours in the same node, plus one; 0 for none.
  #next: Uint32Array = new Uint32Array(CAPACITY);
  #previous: Uint32Array = new Uint32Array(CAPACITY);
  #nodes = 1;
  readonly #idle: number[] = [];
  // The place that is looked for, and the nodes on the way to it, of which each has more bits than the one
  // before.
  readonly #place: Uint32Array;
  #placeBits = 0;
  readonly #way: Uint32Array;
  #wayLength = 0;
  /** The topmost node that lies in the place, as the last descent found it. */
  #top: number | undefined;

  /** @param family - the family of all its endpoints */
  constructor(family: Family) {
    this.#firstWord = family === 4 ? IPV4_FIRST_WORD : 0;
    this.#stride = ADDRESS_WORDS - this.#firstWord + 1;
    this.#words = new Uint32Array(this.#stride * CAPACITY);
    this.#place = new Uint32Array(this.#stride);
    this.#way = new Uint32Array(this.#stride * WORD_BITS + 1);
  }

  /** How many values are filed. */
  get size(): number {
    return this.#counts[ROOT] ?? 0;
  }

  /** @param value - filed nowhere else in this tree */
  add(endpoint: Endpoint, value: number): void {
    this.#seek(endpoint);
    let node = ROOT;
    this.#count(node, 1);
    while (this.#bitsOf(node) < this.#placeBits) {
      node = this.#reach(node);
      this.#count(node, 1);
    }
    this.#link(node, value);
  }

  /** Takes a value out; it must be filed under exactly this endpoint. */
  remove(endpoint: Endpoint, value: number): void {
    this.#seek(endpoint);
    this.#wayLength = 0;
    let node = ROOT;
    this.#pass(node);
    while (this.#bitsOf(node) < this.#placeBits) {
      node = this.#childTowards(node);
      invariant(node !== ROOT, "a place that holds something has a node");
      this.#pass(node);
    }
    this.#unlink(node, value);
    for (let at = 0; at < this.#wayLength; at += 1) this.#count(this.#wayAt(at), -1);
    for (let at = this.#wayLength - 1; at > 0; at -= 1)
      this.#dropIfIdle(this.#wayAt(at - 1), this.#wayAt(at));
  }

  /** How many values {@link EndpointTree.near} would give. */
  weigh(endpoint: Endpoint): number {
    this.#descend(endpoint);
    let weight = 0;
    for (let at = 0; at < this.#wayLength; at += 1) weight += this.#valuesIn(this.#wayAt(at));
    return weight + this.#below();
  }

  /** All values that overlap an endpoint, and some that do not. */
  near(endpoint: Endpoint): number[] {
    this.#descend(endpoint);
    const found: number[] = [];
    for (let at = 0; at < this.#wayLength; at += 1) this.#collect(this.#wayAt(at), found);
    if (this.#top !== undefined) this.#collectAll(this.#top, found);
    return found;
  }

  /** True when something holds for one of {@link EndpointTree.near}, of which no list is made. */
  someNear(endpoint: Endpoint, holds: (value: number) => boolean): boolean {
    this.#descend(endpoint);
    for (let at = 0; at < this.#wayLength; at += 1) if (this.#someIn(this.#wayAt(at), holds)) return true;
    if (this.#top === undefined) return false;
    const waiting = [this.#top];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (this.#someIn(node, holds)) return true;
      for (let side = 0; side < 2; side += 1) {
        const child = this.#children[2 * node + side] ?? 0;
        if (child !== 0) waiting.push(child);
      }
    }
    return false;
  }

  #someIn(node: number, holds: (value: number) => boolean): boolean {
    for (let next = this.#first[node] ?? 0; next !== 0; next = this.#next[next - 1] ?? 0) {
      if (holds(next - 1)) return true;
    }
    return false;
  }

  /** Makes the way that of the nodes that contain the place, from the root; the top lies in it. */
  #descend(endpoint: Endpoint): void {
    this.#seek(endpoint);
    this.#wayLength = 0;
    this.#top = undefined;
    for (let node = ROOT; ; ) {
      const bits = this.#bitsOf(node);
      if (this.#sharedBits(node) < Math.min(bits, this.#placeBits)) return;
      if (bits >= this.#placeBits) {
        this.#top = node;
        return;
      }
      this.#pass(node);
      node = this.#childTowards(node);
      if (node === ROOT) return;
    }
  }

  #pass(node: number): void {
    this.#way[this.#wayLength] = node;
    this.#wayLength += 1;
  }

  #wayAt(at: number): number {
    return this.#way[at] ?? ROOT;
  }

  #below(): number {
    return this.#top === undefined ? 0 : (this.#counts[this.#top] ?? 0);
  }

  #valuesIn(node: number): number {
    const zero = this.#children[2 * node] ?? 0;
    const one = this.#children[2 * node + 1] ?? 0;
    const below = (zero === 0 ? 0 : (this.#counts[zero] ?? 0)) + (one === 0 ? 0 : (this.#counts[one] ?? 0));
    return (this.#counts[node] ?? 0) - below;
  }

  #collect(node: number, found: number[]): void {
    for (let next = this.#first[node] ?? 0; next !== 0; next = this.#next[next - 1] ?? 0)
      found.push(next - 1);
  }

  #collectAll(top: number, found: number[]): void {
    const waiting = [top];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      this.#collect(node, found);
      for (let side = 0; side < 2; side += 1) {
        const child = this.#children[2 * node + side] ?? 0;
        if (child !== 0) waiting.push(child);
      }
    }
  }

  /** Makes an endpoint's place the one that is looked for. */
  #seek({ prefix, ports }: Endpoint): void {
    const addressWords = this.#stride - 1;
    for (let at = 0; at < addressWords; at += 1) {
      this.#place[at] = prefix.words[this.#firstWord + at] ?? 0;
    }
    const isHost = prefix.length === addressWords * WORD_BITS;
    this.#place[addressWords] = isHost ? ports.low << PORT_BITS : 0;
    this.#placeBits = prefix.length + (isHost ? Math.clz32(ports.low ^ ports.high) - PORT_BITS : 0);
  }

  #bitsOf(node: number): number {
    return this.#bits[node] ?? 0;
  }

  /** How many bits a node shares with the place. */
  #sharedBits(node: number): number {
    const limit = Math.min(this.#bitsOf(node), this.#placeBits);
    const first = node * this.#stride;
    for (let at = 0; at * WORD_BITS < limit; at += 1) {
      const difference = (this.#words[first + at] ?? 0) ^ (this.#place[at] ?? 0);
      if (difference !== 0) return Math.min(limit, at * WORD_BITS + Math.clz32(difference));
    }
    return limit;
  }

  /** Where the child of a node towards the place is written. */
  #wayOn(node: number): number {
    const index = this.#bitsOf(node);
    const word = this.#place[index >>> 5] ?? 0;
    return 2 * node + ((word >>> (WORD_BITS - 1 - (index & (WORD_BITS - 1)))) & 1);
  }

  #childTowards(node: number): number {
    return this.#children[this.#wayOn(node)] ?? 0;
  }

  /** The next node towards the place: the child itself, one put in where the ways part, or one of its own. */
  #reach(node: number): number {
    const slot = this.#wayOn(node);
    const child = this.#children[slot] ?? 0;
    if (child === 0) {
      const made = this.#make(this.#placeBits);
      this.#children[slot] = made;
      return made;
    }
    const shared = this.#sharedBits(child);
    if (shared === this.#bitsOf(child)) return child;
    const parting = this.#make(shared);
    this.#counts[parting] = this.#counts[child] ?? 0;
    this.#children[2 * parting + this.#sideOf(child, shared)] = child;
    this.#children[slot] = parting;
    return parting;
  }

  /** On which side of a node with so many bits another one lies. */
  #sideOf(node: number, bits: number): number {
    const word = this.#words[node * this.#stride + (bits >>> 5)] ?? 0;
    return (word >>> (WORD_BITS - 1 - (bits & (WORD_BITS - 1)))) & 1;
  }

  /** A node at the first bits of the place. */
  #make(bits: number): number {
    const node = this.#idle.pop() ?? this.#nodes;
    if (node === this.#nodes) this.#nodes += 1;
    if (node >= this.#bits.length) this.#growNodes();
    const first = node * this.#stride;
    // For so few words a loop takes less than to have them copied.
    for (let at = 0; at < this.#stride; at += 1) this.#words[first + at] = this.#place[at] ?? 0;
    this.#bits[node] = bits;
    return node;
  }

  #growNodes(): void {
    const capacity = 2 * this.#bits.length;
    this.#words = grown(this.#words, this.#stride * capacity);
    this.#bits = grown(this.#bits, capacity);
    this.#counts = grown(this.#counts, capacity);
    this.#children = grown(this.#children, 2 * capacity);
    this.#first = grown(this.#first, capacity);
  }

  #count(node: number, step: number): void {
    this.#counts[node] = (this.#counts[node] ?? 0) + step;
  }

  #link(node: number, value: number): void {
    this.#next = grown(this.#next, value + 1);
    this.#previous = grown(this.#previous, value + 1);
    const next = this.#first[node] ?? 0;
    this.#next[value] = next;
    this.#previous[value] = 0;
    if (next !== 0) this.#previous[next - 1] = value + 1;
    this.#first[node] = value + 1;
  }

  #unlink(node: number, value: number): void {
    const next = this.#next[value] ?? 0;
    const previous = this.#previous[value] ?? 0;
    const pointer = previous === 0 ? this.#first[node] : this.#next[previous - 1];
    invariant(pointer === value + 1, "only what is filed is taken out");
    if (previous === 0) this.#first[node] = next;
    else this.#next[previous - 1] = next;
    if (next !== 0) this.#previous[next - 1] = previous;
  }

  /** Takes a node out that neither holds anything nor parts two ways. */
  #dropIfIdle(parent: number, node: number): void {
    const zero = this.#children[2 * node] ?? 0;
    const one = this.#children[2 * node + 1] ?? 0;
    if (this.#first[node] !== 0 || (zero !== 0 && one !== 0)) return;
    this.#children[2 * parent + this.#sideOf(node, this.#bitsOf(parent))] = zero === 0 ? one : zero;
    this.#children.fill(0, 2 * node, 2 * node + 2);
    this.#counts[node] = 0;
    this.#idle.push(node);
  }
}
