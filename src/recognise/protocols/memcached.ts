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
const OPCODE_MAX = 0x48;
const KEY_BYTES_MAX = 250;

/** Datagram frame: request id, sequence number, number of datagrams, reserved. */
const FRAME_BYTES = 8;

function judgeBinary(bytes: ByteWindow): boolean {
  const key = bytes.u16(KEY_LENGTH);
  const extras = bytes.u8(EXTRAS_LENGTH);
  if (bytes.u8(OPCODE) > OPCODE_MAX || key > KEY_BYTES_MAX || extras > 20 || bytes.u8(DATA_TYPE) !== 0)
    return false;
  const body = bytes.u32(BODY_LENGTH);
  return body >= key + extras && body <= 0x100000 && bytes.length <= BINARY_BYTES + body;
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
