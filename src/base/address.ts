/**
 * IPv4 and IPv6 addresses as four 32-bit words in network order.
 *
 * One form serves both families, so that tables, hashes and prefixes need no second copy of their code: an
 * IPv4 address is kept as its IPv4-mapped IPv6 address `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2), its value
 * in the last word. The family travels beside the words; a packet that really carries a mapped address is
 * IPv6 by its family and never equal to the IPv4 packet.
 */

/** Address family, by the version number of its IP header. */
export type Family = 4 | 6;

/** Words in an address. */
export const ADDRESS_WORDS = 4;

/** Third word of an IPv4-mapped address. */
export const MAPPED_WORD = 0xffff;

/** Four 32-bit words, most significant first. */
export type AddressWords = Uint32Array;

/** An address that stands on its own: family and words. */
export interface Address {
  readonly family: Family;
  readonly words: AddressWords;
}

/** Number of significant bits: 32 or 128. */
export function familyBits(family: Family): number {
  return family === 4 ? 32 : 128;
}

/**
 * Reads one IPv4 address in dotted-quad form. Leading zeros are refused, because some programs read them as
 * octal.
 *
 * @returns the value, or `undefined` when the text is no such address
 */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part)) return undefined;
    const octet = Number(part);
    if (octet > 255) return undefined;
    value = value * 256 + octet;
  }
  return value;
}

/** The groups of one side of a `::`, or `undefined` when one of them is not a group. */
function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (part.includes(".")) {
      const value = index === parts.length - 1 ? parseIpv4(part) : undefined;
      if (value === undefined) return undefined;
      groups.push(Math.floor(value / 0x10000), value % 0x10000);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** Eight 16-bit groups of an IPv6 address in any of the forms of RFC 4291 section 2.2. */
function parseIpv6(text: string): number[] | undefined {
  const sides = text.split("::");
  if (sides.length > 2) return undefined;
  const head = parseGroups(sides[0] ?? "");
  if (head === undefined) return undefined;
  if (sides.length === 1) return head.length === 8 ? head : undefined;
  const tail = parseGroups(sides[1] ?? "");
  if (tail === undefined || head.length + tail.length > 7) return undefined;
  const gap = new Array<number>(8 - head.length - tail.length).fill(0);
  return [...head, ...gap, ...tail];
}

/** Words of the IPv4 address with this 32-bit value. */
export function ipv4Words(value: number): AddressWords {
  return Uint32Array.of(0, 0, MAPPED_WORD, value);
}

/**
 * Reads an IPv4 or IPv6 address. Zones (`%eth0`) and brackets are not part of an address.
 *
 * @returns the address, or `undefined` when the text is none
 */
export function parseAddress(text: string): Address | undefined {
  if (!text.includes(":")) {
    const value = parseIpv4(text);
    return value === undefined ? undefined : { family: 4, words: ipv4Words(value) };
  }
  const groups = parseIpv6(text);
  if (groups === undefined) return undefined;
  const words = new Uint32Array(ADDRESS_WORDS);
  for (let at = 0; at < ADDRESS_WORDS; at += 1) {
    words[at] = (((groups[2 * at] ?? 0) << 16) | (groups[2 * at + 1] ?? 0)) >>> 0;
  }
  return { family: 6, words };
}

function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** Start and length of the run of zero groups that `::` stands for: the first longest run of two or more. */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 1 };
  let start = 0;
  for (let at = 0; at <= groups.length; at += 1) {
    if (groups[at] === 0) continue;
    if (at - start > best.length) best = { start, length: at - start };
    start = at + 1;
  }
  return best;
}

/**
 * Writes an address: dotted quad for IPv4, the canonical form of RFC 5952 for IPv6.
 *
 * @param family - which of the two the words hold
 * @param words - four words, most significant first
 */
export function formatAddress(family: Family, words: AddressWords): string {
  if (family === 4) return formatIpv4(words[3] ?? 0);
  const groups: number[] = [];
  for (const word of words) groups.push(word >>> 16, word & 0xffff);
  const zeros = longestZeroRun(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  if (zeros.start < 0) return text(groups);
  return `${text(groups.slice(0, zeros.start))}::${text(groups.slice(zeros.start + zeros.length))}`;
}

/**
 * Writes an address with a port, IPv6 in brackets (RFC 3986 section 3.2.2).
 *
 * @param port - 0 to 65535
 */
export function formatEndpoint(family: Family, words: AddressWords, port: number): string {
  const address = formatAddress(family, words);
  return family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}

/** True when both hold the same four words. */
export function sameWords(a: AddressWords, b: AddressWords): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}
