/**
 * A list of table entries in packed form, read from the texts in which people keep them.
 *
 * A million entries take 20 MB here; as objects they would take some hundred. An entry is an address or a
 * network, with a `!` in front when addresses it covers are *not* in the table.
 */
import {
  ADDRESS_WORDS,
  type AddressWords,
  type Family,
  FirewallError,
  familyBits,
  formatAddress,
  MAPPED_WORD,
  Prefix,
} from "../base/index.ts";
import { META } from "./memory.ts";

/** One entry for people and programs. */
export interface TableEntry {
  readonly family: Family;
  /** First address of the network; host bits are zero. */
  readonly words: AddressWords;
  /** Length of the prefix, 0 to 32 or 0 to 128 bits. */
  readonly length: number;
  /** True when addresses covered by this entry, and by no longer one, are not in the table. */
  readonly negated: boolean;
}

/** A line that is no entry. */
export interface EntryProblem {
  /** Counted from 1. */
  readonly line: number;
  readonly text: string;
  readonly message: string;
}

const FIRST_CAPACITY = 64;

const SPACE = 32;
const TAB = 9;
const RETURN = 13;
const HASH = 35;
const BANG = 33;
const DOT = 46;
const SLASH = 47;
const DIGIT_0 = 48;

/** A growing list of entries. */
export class EntryList {
  #length = 0;
  #words = new Uint32Array(FIRST_CAPACITY * ADDRESS_WORDS);
  #meta = new Uint32Array(FIRST_CAPACITY);

  /** How many entries there are. */
  get length(): number {
    return this.#length;
  }

  /**
   * Reads entries one by one from strings such as `10.0.0.0/8` or `!2001:db8::1`.
   *
   * @throws {FirewallError} `TABLE_ENTRY` naming the first string that is none
   */
  static of(texts: Iterable<string>): EntryList {
    const list = new EntryList();
    for (const text of texts) {
      if (list.pushText(text)) continue;
      throw new FirewallError(
        "TABLE_ENTRY",
        `${JSON.stringify(text)} is no address, network or negated one`,
        {
          details: { text },
        },
      );
    }
    return list;
  }

  /**
   * Reads a file's text: one entry a line, blank lines and everything behind a `#` ignored.
   *
   * @returns the entries, and every line that is none
   */
  static parse(text: string): { readonly list: EntryList; readonly problems: readonly EntryProblem[] } {
    const list = new EntryList();
    const problems: EntryProblem[] = [];
    let line = 0;
    for (let start = 0; start <= text.length; line += 1) {
      let end = text.indexOf("\n", start);
      if (end < 0) end = text.length;
      if (!list.#pushLine(text, start, end)) problems.push(problemOf(text.slice(start, end), line + 1));
      start = end + 1;
    }
    return { list, problems };
  }

  /** Reads one entry and adds it at the end. @returns false when the text is none, with nothing added */
  pushText(text: string): boolean {
    return this.#pushText(text, 0, text.length);
  }

  /** Adds one entry at the end; host bits are cleared. @param length - 0 to 32 or 0 to 128 bits */
  push(family: Family, words: AddressWords, length: number, negated = false): void {
    const bits = family === 4 ? 96 + length : length;
    this.pushPacked(words, bits | (family === 6 ? META.IPV6 : 0) | (negated ? META.NEGATED : 0));
  }

  /** Adds one entry at the end. @param meta - length in the mapped form and flags, see META */
  pushPacked(words: AddressWords, meta: number): void {
    this.#grow();
    const at = this.#length * ADDRESS_WORDS;
    for (let word = 0; word < ADDRESS_WORDS; word += 1) {
      const kept = (meta & META.LENGTH) - 32 * word;
      const mask = kept >= 32 ? 0xffffffff : kept <= 0 ? 0 : 0xffffffff << (32 - kept);
      this.#words[at + word] = (words[word] ?? 0) & mask;
    }
    this.#meta[this.#length] = meta & (META.LENGTH | META.IPV6 | META.NEGATED);
    this.#length += 1;
  }

  /** Adds all entries of another list at the end. */
  append(other: EntryList): void {
    const words = new Uint32Array(ADDRESS_WORDS);
    for (let index = 0; index < other.length; index += 1) {
      other.read(index, words);
      this.pushPacked(words, other.meta(index));
    }
  }

  /** Copies the address of entry `index` into `words`. */
  read(index: number, words: AddressWords): void {
    const at = index * ADDRESS_WORDS;
    for (let word = 0; word < ADDRESS_WORDS; word += 1) words[word] = this.#words[at + word] ?? 0;
  }

  /** Length in the mapped form, 0 to 128, and flags of entry `index`: see META. */
  meta(index: number): number {
    return this.#meta[index] ?? 0;
  }

  /**
   * For each entry the index of the first one with the same prefix, whatever its sign; its own when it is the
   * first.
   */
  firstOccurrences(): Uint32Array {
    const slots = new Uint32Array(2 ** Math.ceil(Math.log2(this.#length * 2 + 2)));
    const firsts = new Uint32Array(this.#length);
    for (let index = 0; index < this.#length; index += 1) {
      let slot = this.#hash(index) & (slots.length - 1);
      while (slots[slot] !== 0 && !this.#samePrefix((slots[slot] ?? 0) - 1, index)) {
        slot = (slot + 1) & (slots.length - 1);
      }
      if (slots[slot] === 0) slots[slot] = index + 1;
      firsts[index] = (slots[slot] ?? 0) - 1;
    }
    return firsts;
  }

  /** The entries as objects. */
  *[Symbol.iterator](): IterableIterator<TableEntry> {
    for (let index = 0; index < this.#length; index += 1) {
      const words = new Uint32Array(ADDRESS_WORDS);
      this.read(index, words);
      yield entryOf(this.meta(index), words);
    }
  }

  #samePrefix(a: number, b: number): boolean {
    if ((((this.#meta[a] ?? 0) ^ (this.#meta[b] ?? 0)) & ~META.NEGATED) !== 0) return false;
    for (let word = 0; word < ADDRESS_WORDS; word += 1) {
      if (this.#words[a * ADDRESS_WORDS + word] !== this.#words[b * ADDRESS_WORDS + word]) return false;
    }
    return true;
  }

  #hash(index: number): number {
    let hash = (this.#meta[index] ?? 0) & ~META.NEGATED;
    for (let word = 0; word < ADDRESS_WORDS; word += 1) {
      hash = Math.imul(hash ^ (this.#words[index * ADDRESS_WORDS + word] ?? 0), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  #grow(): void {
    if (this.#length < this.#meta.length) return;
    const words = new Uint32Array(this.#words.length * 2);
    const meta = new Uint32Array(this.#meta.length * 2);
    words.set(this.#words);
    meta.set(this.#meta);
    this.#words = words;
    this.#meta = meta;
  }

  /** Reads one line; true when it holds an entry or nothing. */
  #pushLine(text: string, start: number, end: number): boolean {
    let last = start;
    while (last < end && text.charCodeAt(last) !== HASH) last += 1;
    while (last > start && isBlank(text.charCodeAt(last - 1))) last -= 1;
    let first = start;
    while (first < last && isBlank(text.charCodeAt(first))) first += 1;
    return first === last || this.#pushText(text, first, last);
  }

  #pushText(text: string, start: number, end: number): boolean {
    const negated = text.charCodeAt(start) === BANG;
    let first = negated ? start + 1 : start;
    while (negated && isBlank(text.charCodeAt(first))) first += 1;
    if (scanIpv4(text, first, end)) {
      this.push(4, scanned, scannedLength, negated);
      return true;
    }
    const prefix = Prefix.parse(text.slice(first, end));
    if (prefix) this.push(prefix.family, prefix.words, prefix.length, negated);
    return prefix !== undefined;
  }
}

/** The entry that a meta word and an address describe. */
export function entryOf(meta: number, words: AddressWords): TableEntry {
  const bits = meta & META.LENGTH;
  const family = (meta & META.IPV6) !== 0 ? 6 : 4;
  return { family, words, length: family === 4 ? bits - 96 : bits, negated: (meta & META.NEGATED) !== 0 };
}

/** Writes an entry as pf does: `!` for a negated one, no length for a single address. */
export function formatEntry(entry: TableEntry): string {
  const address = formatAddress(entry.family, entry.words);
  const length = entry.length === familyBits(entry.family) ? "" : `/${entry.length}`;
  return `${entry.negated ? "!" : ""}${address}${length}`;
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB || code === RETURN;
}

function problemOf(text: string, line: number): EntryProblem {
  const entry = text.replace(/#.*/, "").trim();
  return { line, text: entry, message: `line ${line}: ${JSON.stringify(entry)} is no address or network` };
}

// The scanner's result. A file of a million IPv4 addresses is read without an object per line: 0.3 s against
// 1.4 s through Prefix.parse (Node 20.20, two shared cores).
const scanned: AddressWords = Uint32Array.of(0, 0, MAPPED_WORD, 0);
let scannedLength = 32;

/** Reads `a.b.c.d` or `a.b.c.d/len` into the scanner's result; false for anything else. */
function scanIpv4(text: string, start: number, end: number): boolean {
  let value = 0;
  let at = start;
  for (let part = 0; part < 4; part += 1) {
    const first = at;
    let octet = 0;
    for (let digit = text.charCodeAt(at) - DIGIT_0; at < end && digit >= 0 && digit <= 9; ) {
      octet = octet * 10 + digit;
      at += 1;
      digit = text.charCodeAt(at) - DIGIT_0;
    }
    if (!isPlainNumber(text, first, at) || octet > 255) return false;
    value = value * 256 + octet;
    if (part < 3 && (at >= end || text.charCodeAt(at++) !== DOT)) return false;
  }
  scanned[3] = value;
  scannedLength = at === end ? 32 : scanLength(text, at, end);
  return scannedLength >= 0;
}

/** One to three digits without a leading zero. */
function isPlainNumber(text: string, first: number, end: number): boolean {
  const digits = end - first;
  return digits === 1 || (digits > 1 && digits <= 3 && text.charCodeAt(first) !== DIGIT_0);
}

/** The number behind a slash, 0 to 32; -1 when the rest is no such thing. */
function scanLength(text: string, start: number, end: number): number {
  if (text.charCodeAt(start) !== SLASH || end - start > 3 || end - start < 2) return -1;
  let length = 0;
  for (let at = start + 1; at < end; at += 1) {
    const digit = text.charCodeAt(at) - DIGIT_0;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length <= 32 ? length : -1;
}
