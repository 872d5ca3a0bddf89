/**
 * What a table amounts to without negation and overlap: ranges of addresses, in order and apart from each
 * other. This is the form that sets in the kernel can hold.
 */
import { ADDRESS_WORDS, type AddressWords, type Family } from "../base/index.ts";
import type { EntryList } from "./entry-list.ts";

/** Addresses from `first` to `last`, both included. */
export interface AddressRange {
  readonly family: Family;
  readonly first: AddressWords;
  readonly last: AddressWords;
}

/** An entry that covers the place where the sweep stands. */
interface OpenEntry {
  readonly last: bigint;
  readonly negated: boolean;
}

const WORD_BITS = 32n;
const WORD_MASK = 0xffffffffn;

function toNumber(words: AddressWords): bigint {
  return words.reduce((number, word) => (number << WORD_BITS) | BigInt(word), 0n);
}

function toWords(number: bigint): AddressWords {
  const words = new Uint32Array(ADDRESS_WORDS);
  let rest = number;
  for (let at = ADDRESS_WORDS - 1; at >= 0; at -= 1) {
    words[at] = Number(rest & WORD_MASK);
    rest >>= WORD_BITS;
  }
  return words;
}

/** Goes from address to address and closes ranges where the longest covering entry changes its sign. */
class Sweep {
  readonly ranges: AddressRange[] = [];
  readonly #family: Family;
  readonly #open: OpenEntry[] = [];
  /** First address that has not been dealt with. */
  #at = 0n;
  /** Where the range under way began, -1 when none is. */
  #start = -1n;

  constructor(family: Family) {
    this.#family = family;
  }

  /** Takes in the next entry, in order of address and then of length. */
  enter(first: bigint, entry: OpenEntry): void {
    this.#leave(first);
    this.#moveTo(first);
    this.#open.push(entry);
  }

  /** Deals with all that is left. */
  end(): void {
    this.#leave(undefined);
    this.#close();
  }

  /** Leaves the entries that end in front of an address. */
  #leave(before: bigint | undefined): void {
    for (let top = this.#open.at(-1); top !== undefined; top = this.#open.at(-1)) {
      if (before !== undefined && top.last >= before) return;
      this.#moveTo(top.last + 1n);
      this.#open.pop();
    }
  }

  /** Moves on to an address; what lies in between is covered as the innermost entry says. */
  #moveTo(address: bigint): void {
    if (address <= this.#at) return;
    const top = this.#open.at(-1);
    if (top === undefined || top.negated) this.#close();
    else if (this.#start < 0n) this.#start = this.#at;
    this.#at = address;
  }

  #close(): void {
    if (this.#start >= 0n) {
      const last = toWords(this.#at - 1n);
      this.ranges.push({ family: this.#family, first: toWords(this.#start), last });
    }
    this.#start = -1n;
  }
}

/**
 * The addresses that are in a table with these entries, as ranges.
 *
 * @param list - entries in the order of {@link AddressTable.list}
 * @returns IPv4 first, by address; no two ranges touch
 */
export function coveredRanges(list: EntryList): AddressRange[] {
  const sweeps = { 4: new Sweep(4), 6: new Sweep(6) };
  for (const { family, words, length, negated } of list) {
    const first = toNumber(words);
    const hostBits = BigInt((family === 4 ? 32 : 128) - length);
    sweeps[family].enter(first, { last: first | ((1n << hostBits) - 1n), negated });
  }
  sweeps[4].end();
  sweeps[6].end();
  return [...sweeps[4].ranges, ...sweeps[6].ranges];
}
