/** memcached: the text protocol, the binary protocol, and the frame of its datagrams (doc/protocol.txt). */
import type { ByteWindow } from "../byte-window.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

/** Commands and answers with the blank or line end that follows them. */
const WORDS: readonly string[] = [
  "get ",
  "gets ",
  "set ",
  "add ",
  "replace ",
  "append ",
  "prepend ",
  "cas ",
  "delete ",
  "incr ",
  "decr ",
  "touch ",
  "gat ",
  "stats\r\n",
  "stats ",
  "version\r\n",
  "flush_all",
  "verbosity ",
  "mg ",
  "ms ",
  "VALUE ",
  "STORED\r\n",
  "STAT ",
  "NOT_STORED\r\n",
  "NOT_FOUND\r\n",
  "VERSION ",
  "END\r\n",
  "DELETED\r\n",
];

const LINE_FEED = 0x0a;
const LINE_BYTES_MAX = 512;

// Binary header: magic, opcode, key length, extras length, data type, status, body length.
const OPCODE = 1;
const KEY_LENGTH = 2;
const EXTRAS_LENGTH = 4;
const DATA_TYPE = 5;
const BODY_LENGTH = 8;
const BINARY_BYTES = 24;
const REQUEST = 0x80;
const RESPONSE = 0x81;
const STATUS = 6;
const KEY_BYTES_MAX = 250;
const BODY_BYTES_MAX = 0x100000;

/** Extras of a request by its opcode (memcached's BinaryProtocolRevamped): what is not here is not in use. */
const REQUEST_EXTRAS: ReadonlyMap<number, number> = new Map([
  ...[0x00, 0x04, 0x07, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x14, 0x17, 0x19, 0x1a, 0x20].map(
    (opcode) => [opcode, 0] as const,
  ),
  ...[0x21, 0x22].map((opcode) => [opcode, 0] as const),
  ...[0x01, 0x02, 0x03, 0x11, 0x12, 0x13].map((opcode) => [opcode, 8] as const),
  ...[0x05, 0x06, 0x15, 0x16].map((opcode) => [opcode, 20] as const),
  ...[0x08, 0x18, 0x1c, 0x1d, 0x1e].map((opcode) => [opcode, 4] as const),
]);
/** Extras of an answer: none, or the flags of a value. */
const RESPONSE_EXTRAS: readonly number[] = [0, 4];
/** "Temporary failure", the highest status. */
const STATUS_MAX = 0x86;

/** Datagram frame: request id, sequence number, number of datagrams, reserved. */
const FRAME_BYTES = 8;

function judgeBinary(bytes: ByteWindow): boolean {
  const key = bytes.u16(KEY_LENGTH);
  const extras = bytes.u8(EXTRAS_LENGTH);
  const wanted = REQUEST_EXTRAS.get(bytes.u8(OPCODE));
  if (wanted === undefined || key > KEY_BYTES_MAX || bytes.u8(DATA_TYPE) !== 0) return false;
  const request = bytes.u8(0) === REQUEST;
  // A flush may go without its time.
  if (request ? extras !== wanted && extras !== 0 : !RESPONSE_EXTRAS.includes(extras)) return false;
  if (!request && bytes.u16(STATUS) > STATUS_MAX) return false;
  const body = bytes.u32(BODY_LENGTH);
  return body >= key + extras && body <= BODY_BYTES_MAX;
}

function textAt(bytes: ByteWindow, at: number): Answer {
  const word = WORDS.find((text) => bytes.has(text, at));
  if (word === undefined) return NO_MATCH;
  const end = bytes.indexOf(LINE_FEED, at, at + LINE_BYTES_MAX);
  if (end < 0) return bytes.length < at + LINE_BYTES_MAX ? bytes.length + 1 : NO_MATCH;
  return bytes.u8(end - 1) === 0x0d && bytes.isText(at, end) ? DONE : NO_MATCH;
}

/** See the head of this file. */
export const memcached: Recogniser = {
  protocol: "memcached",
  transports: ["TCP", "UDP"],
  encrypted: false,
  judge(evidence) {
    const { bytes } = evidence;
    if (evidence.transport === "UDP") {
      if (bytes.u16(2) !== 0 || bytes.u16(6) !== 0 || bytes.u16(4) < 1 || textAt(bytes, FRAME_BYTES) !== DONE)
        return NO_MATCH;
      evidence.match(CONFIDENCE.CERTAIN);
      return DONE;
    }
    const first = bytes.u8(0);
    if (first === REQUEST || first === RESPONSE) {
      if (bytes.length < BINARY_BYTES) return BINARY_BYTES;
      if (!judgeBinary(bytes)) return NO_MATCH;
      evidence.match(evidence.matched ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
      return DONE;
    }
    if (first < 0x41 || first > 0x7a) return NO_MATCH;
    if (bytes.length < 4 && WORDS.some((word) => bytes.couldBe(word))) return 4;
    const answer = textAt(bytes, 0);
    if (answer === DONE) evidence.match(CONFIDENCE.CERTAIN);
    return answer;
  },
};
