/** RTSP (RFC 2326, RFC 7826). */
import { LineCursor } from "../lines.ts";
import { readMessageHeader } from "../message-header.ts";
import { byteRange, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

const METHODS: readonly string[] = [
  "OPTIONS ",
  "DESCRIBE ",
  "ANNOUNCE ",
  "SETUP ",
  "PLAY ",
  "PAUSE ",
  "TEARDOWN ",
  "GET_PARAMETER ",
  "SET_PARAMETER ",
  "REDIRECT ",
  "RECORD ",
];
const VERSION = "RTSP/";
const REQUEST_LINE_BYTES_MAX = 4096;

/** See the head of this file. */
export const rtsp: Recogniser = {
  protocol: "RTSP",
  transports: ["TCP", "UDP"],
  encrypted: false,
  firstBytes: byteRange(0x41, 0x5a),
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.couldBe(VERSION)) {
      if (bytes.length < VERSION.length) return VERSION.length;
      evidence.match(CONFIDENCE.CERTAIN);
      return DONE;
    }
    const method = METHODS.find((text) => bytes.couldBe(text));
    if (method === undefined) return NO_MATCH;
    const cursor = evidence.state(() => new LineCursor());
    if (!evidence.matched) {
      if (!cursor.next(bytes)) return bytes.length < REQUEST_LINE_BYTES_MAX ? bytes.length + 1 : NO_MATCH;
      if (!bytes.has(VERSION, cursor.to - VERSION.length - 3)) return NO_MATCH;
      const facts = evidence.match(CONFIDENCE.CERTAIN);
      facts.kind = method.trim();
      facts.path = bytes.text(method.length, cursor.to - VERSION.length - 4);
    }
    return readMessageHeader(evidence, cursor);
  },
};
