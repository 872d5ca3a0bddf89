/** UTF-8 (RFC 3629), for names and comments in capture files. */

const CONTINUATION_BITS = 6;
const CONTINUATION_MASK = 0x3f;
const REPLACEMENT = 0xfffd;
const CODE_POINT_MAX = 0x10ffff;

/** Number of continuation bytes behind a first byte; -1 when it is none. */
function continuations(first: number): number {
  if (first < 0x80) return 0;
  if (first >= 0xc2 && first < 0xe0) return 1;
  if (first >= 0xe0 && first < 0xf0) return 2;
  return first >= 0xf0 && first < 0xf5 ? 3 : -1;
}

/**
 * Smallest value of a sequence with so many continuation bytes; a smaller one has a shorter form (RFC 3629
 * section 3).
 */
const SMALLEST: readonly number[] = [0, 0x80, 0x800, 0x10000];
const INVALID = -1;

function isSurrogate(value: number): boolean {
  return value >= 0xd800 && value < 0xe000;
}

/** Value of a sequence of bytes; -1 when they are none. */
function decodeSequence(bytes: DataView, at: number, count: number): number {
  let value = bytes.getUint8(at);
  if (count > 0) value &= CONTINUATION_MASK >>> count;
  for (let index = 1; index <= count; index += 1) {
    const octet = bytes.getUint8(at + index);
    if (octet >>> CONTINUATION_BITS !== 2) return INVALID;
    value = (value << CONTINUATION_BITS) | (octet & CONTINUATION_MASK);
  }
  const scalar = value <= CODE_POINT_MAX && !isSurrogate(value);
  return scalar && value >= (SMALLEST[count] ?? 0) ? value : INVALID;
}

/**
 * Reads UTF-8; each byte that belongs to none becomes the replacement character U+FFFD.
 *
 * @param bytes - buffer
 * @param at - offset of the first byte
 * @param end - offset just past the last byte
 */
export function decodeUtf8(bytes: DataView, at: number, end: number): string {
  let text = "";
  let offset = at;
  while (offset < end) {
    const count = continuations(bytes.getUint8(offset));
    const whole = count >= 0 && offset + count < end;
    const value = whole ? decodeSequence(bytes, offset, count) : INVALID;
    text += String.fromCodePoint(value === INVALID ? REPLACEMENT : value);
    offset += value === INVALID ? 1 : count + 1;
  }
  return text;
}

function pushCodePoint(out: number[], value: number): void {
  if (value < 0x80) {
    out.push(value);
  } else if (value < 0x800) {
    out.push(0xc0 | (value >>> 6), 0x80 | (value & CONTINUATION_MASK));
  } else if (value < 0x10000) {
    out.push(
      0xe0 | (value >>> 12),
      0x80 | ((value >>> 6) & CONTINUATION_MASK),
      0x80 | (value & CONTINUATION_MASK),
    );
  } else {
    out.push(0xf0 | (value >>> 18), 0x80 | ((value >>> 12) & CONTINUATION_MASK));
    out.push(0x80 | ((value >>> 6) & CONTINUATION_MASK), 0x80 | (value & CONTINUATION_MASK));
  }
}

/** Writes text as UTF-8; half a surrogate pair becomes the replacement character U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  const out: number[] = [];
  for (const character of text) {
    const value = character.codePointAt(0) ?? REPLACEMENT;
    pushCodePoint(out, isSurrogate(value) ? REPLACEMENT : value);
  }
  return Uint8Array.from(out);
}
