/**
 * WebSocket inside a session whose upgrade was not seen (RFC 6455 section 5.2): frames that follow each
 * other, or one that fills the segment with readable text.
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

const FINAL = 0x80;
const OPCODE_MASK = 0x0f;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PONG = 10;
const MASKED = 0x80;
const LENGTH_MASK = 0x7f;
const LENGTH_16 = 126;
const MASK_BYTES = 4;
/** Characters that must be readable. */
const TEXT_BYTES = 64;

interface Frame {
  readonly opcode: number;
  readonly payloadAt: number;
  readonly end: number;
  /** Where the masking key stands, -1 for none. */
  readonly maskAt: number;
}

/**
 * True for a frame that is whole by itself and of a known kind: the reserved bits are 0 without extensions.
 */
function isOpening(first: number): boolean {
  const opcode = first & OPCODE_MASK;
  return (
    (first & 0xf0) === FINAL && (opcode === TEXT || opcode === BINARY || (opcode >= CLOSE && opcode <= PONG))
  );
}

/** The frame at `at`, `undefined` when there is none or its length is of the 64-bit form. */
function readFrame(bytes: ByteWindow, at: number): Frame | undefined {
  const second = bytes.u8(at + 1);
  if (second < 0 || !isOpening(bytes.u8(at))) return undefined;
  const opcode = bytes.u8(at) & OPCODE_MASK;
  const short = second & LENGTH_MASK;
  if (short > LENGTH_16 || (opcode >= CLOSE && short >= LENGTH_16)) return undefined;
  const extended = short === LENGTH_16;
  const length = extended ? bytes.u16(at + 2) : short;
  if (length < 0 || (extended && length < LENGTH_16)) return undefined;
  const afterLength = at + 2 + (extended ? 2 : 0);
  const masked = (second & MASKED) !== 0;
  const payloadAt = masked ? afterLength + MASK_BYTES : afterLength;
  return { opcode, payloadAt, end: payloadAt + length, maskAt: masked ? afterLength : -1 };
}

/** True when the payload, its mask taken off, begins as text does. */
function isReadable(bytes: ByteWindow, frame: Frame): boolean {
  const to = Math.min(frame.end, frame.payloadAt + TEXT_BYTES);
  if (to - frame.payloadAt < 4 || bytes.u8(to - 1) < 0) return false;
  for (let position = frame.payloadAt; position < to; position += 1) {
    const key = frame.maskAt < 0 ? 0 : bytes.u8(frame.maskAt + ((position - frame.payloadAt) & 3));
    const code = bytes.u8(position) ^ key;
    if (code < 0x20 && code !== 9 && code !== 10 && code !== 13) return false;
    if (code === 0x7f) return false;
  }
  return true;
}

function conclude(evidence: Evidence): Answer {
  evidence.match(evidence.matched ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
  return OTHER_SIDE;
}

/** See the head of this file. */
export const websocket: Recogniser = {
  protocol: "WebSocket",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [FINAL | TEXT, FINAL | BINARY],
  judge(evidence) {
    const { bytes } = evidence;
    if (!evidence.midStream) return NO_MATCH;
    const first = readFrame(bytes, 0);
    if (first === undefined) return NO_MATCH;
    if (bytes.length < first.end) return first.end;
    if (first.opcode === TEXT && isReadable(bytes, first)) return conclude(evidence);
    const second = readFrame(bytes, first.end);
    if (second === undefined || second.maskAt < 0 !== first.maskAt < 0) return NO_MATCH;
    return bytes.length < second.end ? second.end : conclude(evidence);
  },
};
