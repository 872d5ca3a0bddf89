/** Exchanges of protocols for tests: who says what, and what a recogniser must make of it. */

/** One run of bytes in one direction: 0 from the client, 1 from the server. */
export type Turn = readonly [direction: 0 | 1, bytes: Uint8Array];

/** An exchange and what it is. */
export interface ProtocolSample {
  readonly name: string;
  readonly transport: "TCP" | "UDP";
  /** Port of the server. Most samples use one that says nothing. */
  readonly port?: number;
  readonly turns: readonly Turn[];
  readonly protocol: string;
  readonly encrypted?: boolean;
  readonly confidence?: "likely" | "certain";
  /** Facts that must be among those learnt. */
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly layers?: readonly string[];
}

/** Bytes of text, one byte a character. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length }, (_, index) => text.charCodeAt(index));
}

/** Bytes of hexadecimal digits; blanks and line ends are ignored. */
export function hex(digits: string): Uint8Array {
  const pairs = digits.replace(/\s+/g, "").match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

/** Parts put together: bytes, text, or single byte values. */
export function bytes(...parts: readonly (Uint8Array | string | number)[]): Uint8Array {
  const arrays = parts.map((part) => {
    if (typeof part === "number") return Uint8Array.of(part);
    return typeof part === "string" ? ascii(part) : part;
  });
  const joined = new Uint8Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}

/** A number in network order. */
export function big(value: number, width: number): Uint8Array {
  const array = new Uint8Array(width);
  for (let index = width - 1, rest = value; index >= 0; index -= 1) {
    array[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return array;
}

/** A number, least significant byte first. */
export function little(value: number, width: number): Uint8Array {
  return big(value, width).reverse();
}

/** Bytes behind their own length of `width` bytes in network order. */
export function counted(width: number, ...parts: readonly (Uint8Array | string | number)[]): Uint8Array {
  const body = bytes(...parts);
  return bytes(big(body.length, width), body);
}

/** An element of BER: tag, length, contents. */
export function ber(tag: number, ...parts: readonly (Uint8Array | string | number)[]): Uint8Array {
  const body = bytes(...parts);
  if (body.length < 0x80) return bytes(tag, body.length, body);
  return bytes(tag, 0x82, big(body.length, 2), body);
}

/** `length` bytes that look random and are the same in every run. */
export function noise(length: number, seed: number = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 24;
  });
}
