/**
 * The Huffman code of HPACK (RFC 7541 appendix B). It is canonical: codes of one length count upwards in the
 * order of their symbols, so the lengths alone define it.
 */

import { charCodes } from "../recogniser.ts";

/** Symbols by the length of their code: text stands for its characters, numbers for themselves. */
const SYMBOLS: readonly (readonly [bits: number, text: string, codes: readonly number[]])[] = [
  [5, "012aceiost", []],
  [6, " %-./3456789=A_bdfghlmnpru", []],
  [7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", []],
  [8, "&*,;XZ", []],
  [10, '!"()?', []],
  [11, "'+|", []],
  [12, "#>", []],
  [13, "\0$@[]~", []],
  [14, "^}", []],
  [15, "<`{", []],
  [19, "\\", [195, 208]],
  [20, "", [128, 130, 131, 162, 184, 194, 224, 226]],
  [21, "", [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]],
  [
    22,
    "",
    [
      129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190,
      196, 198, 228, 232, 233,
    ],
  ],
  [
    23,
    "\x01",
    [
      135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180,
      182, 183, 188, 191, 197, 231, 239,
    ],
  ],
  [24, "\t", [142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]],
  [25, "", [199, 207, 234, 235]],
  [26, "", [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]],
  [27, "", [203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254]],
  [
    28,
    "\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f",
    [220, 249],
  ],
  [30, "\n\r\x16", [256]],
];

/** The end-of-string symbol; it must not be sent (RFC 7541 section 5.2). */
const END_OF_STRING = 256;

interface Group {
  readonly bits: number;
  /** First code of this length. */
  readonly first: number;
  readonly symbols: readonly number[];
}

function buildGroups(): readonly Group[] {
  const groups: Group[] = [];
  let code = 0;
  let length = 0;
  for (const [bits, text, codes] of SYMBOLS) {
    code *= 2 ** (bits - length);
    length = bits;
    const symbols = [...charCodes(text), ...codes].sort((a, b) => a - b);
    groups.push({ bits, first: code, symbols });
    code += symbols.length;
  }
  return groups;
}

const GROUPS = buildGroups();

/**
 * Decodes a Huffman-coded string.
 *
 * @param octets - the coded bytes
 * @returns the text, one character a byte; `undefined` when it holds the end-of-string symbol
 */
export function decodeHuffman(octets: Uint8Array): string | undefined {
  let text = "";
  let code = 0;
  let bits = 0;
  let group = 0;
  for (let index = 0; index < octets.length * 8; index += 1) {
    code = code * 2 + (((octets[index >> 3] ?? 0) >> (7 - (index & 7))) & 1);
    bits += 1;
    while ((GROUPS[group]?.bits ?? 99) < bits) group += 1;
    const candidate = GROUPS[group];
    if (candidate === undefined) return undefined;
    if (candidate.bits !== bits) continue;
    const symbol = candidate.symbols[code - candidate.first];
    if (symbol === undefined) continue;
    if (symbol === END_OF_STRING) return undefined;
    text += String.fromCharCode(symbol);
    code = 0;
    bits = 0;
    group = 0;
  }
  return text;
}
