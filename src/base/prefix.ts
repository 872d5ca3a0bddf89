/**
 * Address prefixes ("networks"): parsing in all the forms that policies use, and matching without allocation.
 */
import {
  ADDRESS_WORDS,
  type AddressWords,
  type Family,
  familyBits,
  formatAddress,
  parseAddress,
} from "./address.ts";

/** Mask of one word when `bits` of the whole prefix fall before the word's end. */
function wordMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0;
}

/** Masks by their bits: there are few, and prefixes very many. */
const MASKS: Uint32Array[] = Array.from({ length: 129 }, (_, bits) =>
  Uint32Array.from({ length: ADDRESS_WORDS }, (__, at) => wordMask(bits - 32 * at)),
);

/** Length of the prefix that a netmask such as `255.255.255.0` stands for, `undefined` when it has holes. */
function netmaskLength(text: string): number | undefined {
  const mask = parseAddress(text);
  if (mask === undefined || mask.family !== 4) return undefined;
  const value = mask.words[3] ?? 0;
  const host = ~value >>> 0;
  if ((host & (host + 1)) !== 0) return undefined;
  return Math.clz32(host);
}

/** Fills up netaddr's shortened IPv4 forms: `10` and `10.1` before a slash mean `10.0.0.0` and `10.1.0.0`. */
function expandShortIpv4(text: string): string {
  if (!/^\d{1,3}(\.\d{1,3}){0,2}$/.test(text)) return text;
  return [...text.split("."), "0", "0", "0"].slice(0, 4).join(".");
}

function parseLength(text: string, family: Family): number | undefined {
  if (text.includes(".")) return family === 4 ? netmaskLength(text) : undefined;
  if (!/^\d{1,3}$/.test(text)) return undefined;
  const length = Number(text);
  return length <= familyBits(family) ? length : undefined;
}

/** A network: every address of one family that agrees with `words` in the first `length` bits. */
export class Prefix {
  readonly family: Family;
  /** Length of the prefix, 0 to 32 or 0 to 128 bits. */
  readonly length: number;
  /** The network's first address; host bits are zero. */
  readonly words: AddressWords;
  readonly #masks: Uint32Array;

  /**
   * @param family - address family
   * @param words - any address of the network
   * @param length - bits that count, 0 to 32 or 0 to 128
   */
  constructor(family: Family, words: AddressWords, length: number) {
    this.family = family;
    this.length = length;
    this.#masks = MASKS[family === 4 ? 96 + length : length] ?? new Uint32Array(ADDRESS_WORDS);
    this.words = new Uint32Array(ADDRESS_WORDS);
    for (let at = 0; at < ADDRESS_WORDS; at += 1) {
      this.words[at] = (words[at] ?? 0) & (this.#masks[at] ?? 0);
    }
  }

  /**
   * Reads `a.b.c.d`, `a.b.c.d/len`, `a.b.c.d/255.255.255.0`, `10/8`, and IPv6 addresses with or without a
   * length. Host bits are allowed and ignored; an address alone is a network of one.
   *
   * @returns the network, or `undefined` when the text is none
   */
  static parse(text: string): Prefix | undefined {
    const slash = text.indexOf("/");
    if (slash < 0) {
      const address = parseAddress(text);
      return address && new Prefix(address.family, address.words, familyBits(address.family));
    }
    const address = parseAddress(expandShortIpv4(text.slice(0, slash)));
    if (address === undefined) return undefined;
    const length = parseLength(text.slice(slash + 1), address.family);
    return length === undefined ? undefined : new Prefix(address.family, address.words, length);
  }

  /** True when an address of this family lies in the network. */
  contains(family: Family, words: AddressWords): boolean {
    if (family !== this.family) return false;
    // IPv4 addresses are kept in mapped form, so only their last word tells them apart.
    for (let at = family === 4 ? ADDRESS_WORDS - 1 : 0; at < ADDRESS_WORDS; at += 1) {
      if ((((words[at] ?? 0) ^ (this.words[at] ?? 0)) & (this.#masks[at] ?? 0)) !== 0) return false;
    }
    return true;
  }

  /** The network in `address/length` form. */
  toString(): string {
    return `${formatAddress(this.family, this.words)}/${this.length}`;
  }
}
