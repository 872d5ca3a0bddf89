/**
 * Longest-prefix match in a trie with sixteen children per node and compressed paths.
 *
 * A node stands at a *nibble* of the address (four bits; 32 of them in the mapped form) and chooses one of
 * sixteen children by it. Nibbles in which all entries below agree have no node of their own, and a child
 * that leads to a single entry is that entry. So there are fewer nodes than entries, and a look-up takes at
 * most 8 steps for IPv4 and 32 for IPv6, however many entries there are; with a million random ones it takes
 * six.
 *
 * An entry whose prefix ends inside a node's nibble hangs in that node's list, longest first: at most fifteen
 * differ in the four lengths that end there. A child reference is a node's index when positive, `-1 - entry`
 * when negative, nothing when zero.
 *
 * Skipped nibbles are not compared on the way down. The walk may therefore run into a subtree that has
 * nothing to do with the address, but every entry is compared in full before it counts, and all that lie on
 * the right path were met before the walk went astray.
 */
import type { AddressWords, Family, Milliseconds } from "../base/index.ts";
import { HEADER, META, NODE, NODE_WORDS, ROOT, type TableArrays } from "./memory.ts";

/**
 * What time it is. Look-ups take it as an object: a number with a fraction that goes from method to method is
 * allocated anew each time.
 */
export interface TableClock {
  readonly now: Milliseconds;
}

/** More steps than any sound trie needs: a torn read ends here. */
const MAX_STEPS = 34;

/** Which of the address's 32 nibbles stands at `index`. */
function nibbleAt(words: Uint32Array, base: number, index: number): number {
  return ((words[base + (index >>> 3)] ?? 0) >>> (28 - ((index & 7) << 2))) & 15;
}

/** The trie of one table, over the table's arrays. */
export class PrefixTrie {
  readonly #nodes: Int32Array;
  readonly #keys: Uint32Array;
  readonly #meta: Uint32Array;
  readonly #next: Int32Array;
  readonly #deadline: Float64Array;
  readonly #header: Int32Array;

  /** @param arrays - memory of the table */
  constructor(arrays: TableArrays) {
    this.#nodes = arrays.nodes;
    this.#keys = arrays.keys;
    this.#meta = arrays.meta;
    this.#next = arrays.next;
    this.#deadline = arrays.deadline;
    this.#header = arrays.header;
  }

  /**
   * Finds the longest entry that covers an address. Allocates nothing.
   *
   * @param clock - entries whose deadline is not after it do not count
   * @returns index of the entry, -1 when none covers the address
   */
  longest(family: Family, words: AddressWords, clock: TableClock): number {
    const nodes = this.#nodes;
    let best = -1;
    let node: number = family === 4 ? ROOT.IPV4 : ROOT.IPV6;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const base = node * NODE_WORDS;
      const listed = nodes[base + NODE.LIST] ?? 0;
      if (listed !== 0) best = this.#firstCovering(listed, words, clock, best);
      const child = nodes[base + nibbleAt(words, 0, nodes[base + NODE.DEPTH] ?? 0)] ?? 0;
      if (child === 0) return best;
      if (child < 0) return this.#counts(-1 - child, words, clock) ? -1 - child : best;
      node = child;
    }
    return best;
  }

  /**
   * Finds the entry with exactly this prefix.
   *
   * @param bits - length in the mapped form, 0 to 128
   * @returns index of the entry, -1 when there is none
   */
  exact(family: Family, words: AddressWords, bits: number): number {
    const nodes = this.#nodes;
    const target = bits >>> 2;
    let node: number = family === 4 ? ROOT.IPV4 : ROOT.IPV6;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const base = node * NODE_WORDS;
      const depth = nodes[base + NODE.DEPTH] ?? 0;
      if (depth >= target) return depth === target ? this.#listed(base, words, bits) : -1;
      const child = nodes[base + nibbleAt(words, 0, depth)] ?? 0;
      if (child <= 0) return child < 0 && this.#same(-1 - child, words, bits) ? -1 - child : -1;
      node = child;
    }
    return -1;
  }

  /** Hangs an entry in; its key and meta are set and no entry with the same prefix is there. */
  insert(entry: number): void {
    const nodes = this.#nodes;
    const target = this.#bits(entry) >>> 2;
    let node = this.#root(entry);
    for (;;) {
      const base = node * NODE_WORDS;
      const depth = nodes[base + NODE.DEPTH] ?? 0;
      if (depth === target) return this.#hang(base, -1 - entry, depth);
      const slot = base + nibbleAt(this.#keys, entry * 4, depth);
      const child = nodes[slot] ?? 0;
      if (child === 0) return this.#hang(base, -1 - entry, depth);
      const fork = this.#fork(entry, child, target);
      if (child < 0 || fork !== nodes[child * NODE_WORDS + NODE.DEPTH]) {
        nodes[slot] = this.#split(fork, child, -1 - entry);
        return;
      }
      node = child;
    }
  }

  /** Takes an entry out, and every node that has lost its purpose. */
  remove(entry: number): void {
    const nodes = this.#nodes;
    const target = this.#bits(entry) >>> 2;
    let parentSlot = -1;
    let base = this.#root(entry) * NODE_WORDS;
    while (nodes[base + NODE.DEPTH] !== target) {
      const slot = base + nibbleAt(this.#keys, entry * 4, nodes[base + NODE.DEPTH] ?? 0);
      const child = nodes[slot] ?? 0;
      if (child < 0) {
        nodes[slot] = 0;
        nodes[base + NODE.CHILDREN] = (nodes[base + NODE.CHILDREN] ?? 0) - 1;
        return this.#collapse(base, parentSlot);
      }
      parentSlot = slot;
      base = child * NODE_WORDS;
    }
    this.#unlist(base, entry);
    this.#collapse(base, parentSlot);
  }

  /** Visits every entry: IPv4 first, by address, shorter prefixes before longer ones. */
  walk(visit: (entry: number) => void): void {
    this.#walkNode(ROOT.IPV4 * NODE_WORDS, visit);
    this.#walkNode(ROOT.IPV6 * NODE_WORDS, visit);
  }

  #walkNode(base: number, visit: (entry: number) => void): void {
    const depth = this.#nodes[base + NODE.DEPTH] ?? 0;
    const listed: number[] = [];
    for (let at = this.#nodes[base + NODE.LIST] ?? 0; at !== 0; at = this.#next[at - 1] ?? 0)
      listed.push(at - 1);
    for (let nibble = 0; nibble < 16; nibble += 1) {
      // Entries that end in this nibble are zero behind it: they come before all that go on, the shortest
      // first.
      for (let at = listed.length - 1; at >= 0; at -= 1) {
        const entry = listed[at] ?? 0;
        if (nibbleAt(this.#keys, entry * 4, depth) === nibble) visit(entry);
      }
      const child = this.#nodes[base + nibble] ?? 0;
      if (child > 0) this.#walkNode(child * NODE_WORDS, visit);
      if (child < 0) visit(-1 - child);
    }
  }

  #root(entry: number): number {
    return ((this.#meta[entry] ?? 0) & META.IPV6) !== 0 ? ROOT.IPV6 : ROOT.IPV4;
  }

  #bits(entry: number): number {
    return (this.#meta[entry] ?? 0) & META.LENGTH;
  }

  /** True when the entry's prefix covers the address. */
  #covers(entry: number, words: AddressWords): boolean {
    const keys = this.#keys;
    let bits = this.#bits(entry);
    let at = entry * 4;
    for (let word = 0; word < 4; word += 1) {
      const difference = (keys[at] ?? 0) ^ (words[word] ?? 0);
      if (bits < 32) return bits === 0 || difference >>> (32 - bits) === 0;
      if (difference !== 0) return false;
      bits -= 32;
      at += 1;
    }
    return true;
  }

  /** True when the entry covers the address and is not past its deadline. */
  #counts(entry: number, words: AddressWords, clock: TableClock): boolean {
    const deadline = this.#deadline[entry] ?? 0;
    return (deadline === 0 || deadline > clock.now) && this.#covers(entry, words);
  }

  #firstCovering(listed: number, words: AddressWords, clock: TableClock, otherwise: number): number {
    let at = listed;
    for (let step = 0; at !== 0 && step < MAX_STEPS; step += 1) {
      if (this.#counts(at - 1, words, clock)) return at - 1;
      at = this.#next[at - 1] ?? 0;
    }
    return otherwise;
  }

  #same(entry: number, words: AddressWords, bits: number): boolean {
    return this.#bits(entry) === bits && this.#covers(entry, words);
  }

  #listed(base: number, words: AddressWords, bits: number): number {
    let at = this.#nodes[base + NODE.LIST] ?? 0;
    for (let step = 0; at !== 0 && step < MAX_STEPS; step += 1) {
      if (this.#same(at - 1, words, bits)) return at - 1;
      at = this.#next[at - 1] ?? 0;
    }
    return -1;
  }

  /** Some entry at or below a child reference: all of them agree in the nibbles above it. */
  #sample(child: number): number {
    let reference = child;
    while (reference > 0) {
      const base = reference * NODE_WORDS;
      const listed = this.#nodes[base + NODE.LIST] ?? 0;
      reference = listed !== 0 ? -listed : this.#onlyChild(base);
    }
    return -1 - reference;
  }

  /** The first child of a node. */
  #onlyChild(base: number): number {
    for (let at = base; at < base + 16; at += 1) {
      const child = this.#nodes[at] ?? 0;
      if (child !== 0) return child;
    }
    return 0;
  }

  /**
   * Nibble at which the entry and a child part: the first that differs, or the one where the shorter ends.
   */
  #fork(entry: number, child: number, target: number): number {
    const sample = this.#sample(child);
    const end = child < 0 ? this.#bits(sample) >>> 2 : (this.#nodes[child * NODE_WORDS + NODE.DEPTH] ?? 0);
    const limit = Math.min(target, end);
    for (let word = 0; word < 4; word += 1) {
      const difference = (this.#keys[entry * 4 + word] ?? 0) ^ (this.#keys[sample * 4 + word] ?? 0);
      if (difference !== 0) return Math.min(limit, word * 8 + (Math.clz32(difference) >>> 2));
    }
    return limit;
  }

  /** Makes a node at `depth` over two references. @returns its index */
  #split(depth: number, a: number, b: number): number {
    const header = this.#header;
    let node = header[HEADER.FREE_NODE] ?? 0;
    if (node !== 0) {
      header[HEADER.FREE_NODE] = this.#nodes[node * NODE_WORDS] ?? 0;
    } else {
      node = header[HEADER.FRESH_NODE] ?? 0;
      header[HEADER.FRESH_NODE] = node + 1;
    }
    const base = node * NODE_WORDS;
    this.#nodes.fill(0, base, base + NODE_WORDS);
    this.#nodes[base + NODE.DEPTH] = depth;
    this.#hang(base, a, depth);
    this.#hang(base, b, depth);
    return node;
  }

  /** Hangs a reference below a node: in its list when the entry ends there, else as a child. */
  #hang(base: number, reference: number, depth: number): void {
    const sample = this.#sample(reference);
    if (reference < 0 && this.#bits(sample) >>> 2 === depth) return this.#list(base, sample);
    this.#nodes[base + nibbleAt(this.#keys, sample * 4, depth)] = reference;
    this.#nodes[base + NODE.CHILDREN] = (this.#nodes[base + NODE.CHILDREN] ?? 0) + 1;
  }

  /** Puts an entry into a node's list, behind all that are longer. */
  #list(base: number, entry: number): void {
    const next = this.#next;
    const bits = this.#bits(entry);
    let before = -1;
    let at = this.#nodes[base + NODE.LIST] ?? 0;
    while (at !== 0 && this.#bits(at - 1) > bits) {
      before = at - 1;
      at = next[before] ?? 0;
    }
    next[entry] = at;
    if (before < 0) this.#nodes[base + NODE.LIST] = entry + 1;
    else next[before] = entry + 1;
  }

  #unlist(base: number, entry: number): void {
    const next = this.#next;
    let before = -1;
    let at = this.#nodes[base + NODE.LIST] ?? 0;
    while (at !== entry + 1) {
      before = at - 1;
      at = next[before] ?? 0;
    }
    if (before < 0) this.#nodes[base + NODE.LIST] = next[entry] ?? 0;
    else next[before] = next[entry] ?? 0;
  }

  /** Frees a node that has only one thing left below it, and lets that thing take its place. */
  #collapse(base: number, parentSlot: number): void {
    if (parentSlot < 0) return;
    const nodes = this.#nodes;
    const children = nodes[base + NODE.CHILDREN] ?? 0;
    const listed = nodes[base + NODE.LIST] ?? 0;
    if (children > 1) return;
    if (listed !== 0 && (children === 1 || this.#next[listed - 1] !== 0)) return;
    nodes[parentSlot] = listed !== 0 ? -listed : this.#onlyChild(base);
    nodes[base] = this.#header[HEADER.FREE_NODE] ?? 0;
    this.#header[HEADER.FREE_NODE] = base / NODE_WORDS;
  }
}
