/**
 * Which prefix lengths can match an address at all, told from its first bits.
 *
 * Groups of a lookup that differ only by the length of a prefix are many, and most of them have nothing near
 * a packet's address. The filter is a row of words, found by the address's first bits, whose bits say which
 * lengths have a network there. It may say yes too often, never no too often.
 */
import type { AddressWords, Family } from "../base/index.ts";

/** Bits of the first part of an IPv4 address; of IPv6 it is the first word. */
const FIRST_BITS = 16;
/** Networks that are shorter would be entered at too many places: they are entered everywhere. */
const SHORTEST = 8;
/** Lengths that are told apart; all others share the last bit. */
const LENGTHS_MAX = 31;
const FEWEST_WORDS = 256;
const MOST_WORDS = 65_536;

/** A network that a rule asks for. */
export interface FilteredNetwork {
  readonly family: Family;
  readonly words: ArrayLike<number>;
  readonly length: number;
}

/** The first bits of an address. */
function firstPart(family: number, words: ArrayLike<number>): number {
  return family === 4 ? (words[3] as number) >>> FIRST_BITS : (words[0] as number);
}

/** A filter for source addresses, or one for destinations. */
export class AddressFilter {
  readonly #words: Int32Array;
  readonly #shift: number;
  readonly #lengths = new Map<number, number>();

  /** @param networks - how many will be entered */
  constructor(networks: number) {
    let size = FEWEST_WORDS;
    while (size < 8 * networks && size < MOST_WORDS) size *= 2;
    this.#words = new Int32Array(size);
    this.#shift = 32 - Math.log2(size);
  }

  /**
   * Enters a network.
   *
   * @returns the bit that {@link AddressFilter.bitsOf} has for addresses of it
   */
  enter({ family, words, length }: FilteredNetwork): number {
    const kind = length * 2 + (family === 4 ? 0 : 1);
    const number = this.#lengths.get(kind) ?? Math.min(this.#lengths.size, LENGTHS_MAX);
    this.#lengths.set(kind, number);
    const bit = 1 << number;
    const isShort = length < (family === 4 ? SHORTEST : 32);
    const first = firstPart(family, words);
    const copies = family === 4 && length < FIRST_BITS ? 2 ** (FIRST_BITS - length) : 1;
    if (isShort) this.#words.set(this.#words.map((bits) => bits | bit));
    else for (let copy = 0; copy < copies; copy += 1) this.#set(this.#place(first + copy), bit);
    return bit;
  }

  /** The bits of the networks in which the address may lie. */
  bitsOf(family: number, words: AddressWords): number {
    return this.#words[this.#place(firstPart(family, words))] as number;
  }

  #set(at: number, bit: number): void {
    this.#words[at] = (this.#words[at] ?? 0) | bit;
  }

  #place(first: number): number {
    return Math.imul(first | 0, 0x9e3779b1) >>> this.#shift;
  }
}
