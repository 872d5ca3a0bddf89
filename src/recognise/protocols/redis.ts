/** Redis: commands as arrays of bulk strings ("Redis serialization protocol specification"). */
import type { ByteWindow } from "../byte-window.ts";
import { CONFIDENCE, charCodes, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

/** Elements and bytes of a command's name that are believed. */
const ELEMENTS_MAX = 1_048_576;
const COMMAND_BYTES_MAX = 32;

/** Longest line of a length. */
const NUMBER_BYTES_MAX = 8;

const LINE_FEED = 0x0a;

interface Line {
  value: number;
  after: number;
}

/**
 * The number in the line `<sign><digits>\r\n` at `from`; `value` -1 when it is none, -2 when it is cut off.
 */
function readNumber(bytes: ByteWindow, from: number, sign: number): Line {
  if (bytes.u8(from) !== sign) return { value: bytes.length <= from ? -2 : -1, after: 0 };
  let value = 0;
  for (let position = from + 1; position <= from + 1 + NUMBER_BYTES_MAX; position += 1) {
    const code = bytes.u8(position);
    if (code < 0) return { value: -2, after: 0 };
    if (code === 0x0d) {
      const next = bytes.u8(position + 1);
      if (next < 0) return { value: -2, after: 0 };
      const whole = next === LINE_FEED && position > from + 1;
      return { value: whole ? value : -1, after: position + 2 };
    }
    if (code < 0x30 || code > 0x39) return { value: -1, after: 0 };
    value = value * 10 + code - 0x30;
  }
  return { value: -1, after: 0 };
}

/** See the head of this file. */
export const redis: Recogniser = {
  protocol: "Redis",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: charCodes("*"),
  judge(evidence) {
    const { bytes } = evidence;
    const elements = readNumber(bytes, 0, 0x2a);
    if (elements.value === -2) return bytes.length + 1;
    if (elements.value < 1 || elements.value > ELEMENTS_MAX) return NO_MATCH;
    const name = readNumber(bytes, elements.after, 0x24);
    if (name.value === -2) return bytes.length + 1;
    if (name.value < 0) return NO_MATCH;
    if (name.value < 1 || name.value > COMMAND_BYTES_MAX) {
      evidence.match(CONFIDENCE.LIKELY);
      return DONE;
    }
    const end = name.after + name.value;
    if (bytes.length < end + 2) return end + 2;
    if (!bytes.has("\r\n", end) || !bytes.isText(name.after, end)) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN).kind = bytes.text(name.after, end).toUpperCase();
    return DONE;
  },
};
