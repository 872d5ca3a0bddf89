/** AMQP 0-9-1 and 1.0: the protocol header, and frames inside a session. */
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

const HEADER = "AMQP";
const HEADER_BYTES = 8;

// Frame (AMQP 0-9-1 section 4.2.3): type, channel, size, payload, end mark.
const FRAME_SIZE = 3;
const FRAME_HEADER_BYTES = 7;
const FRAME_TYPE_MAX = 3;
const HEARTBEAT = 8;
const FRAME_END = 0xce;
const FRAME_BYTES_MAX = 131_072;

function judgeFrame(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const size = bytes.u32(FRAME_SIZE);
  if (size < 0) return FRAME_HEADER_BYTES;
  if (size > FRAME_BYTES_MAX || (bytes.u8(0) === HEARTBEAT && size !== 0)) return NO_MATCH;
  if (bytes.u8(0) === 1 && (size < 4 || bytes.u16(FRAME_HEADER_BYTES) > 100)) return NO_MATCH;
  const endAt = FRAME_HEADER_BYTES + size;
  if (bytes.length <= endAt) return endAt + 1;
  if (bytes.u8(endAt) !== FRAME_END) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN);
  return DONE;
}

/** See the head of this file. */
export const amqp: Recogniser = {
  protocol: "AMQP",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [0x41, 1, 2, FRAME_TYPE_MAX, HEARTBEAT],
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.u8(0) !== 0x41) return judgeFrame(evidence);
    if (!bytes.couldBe(HEADER)) return NO_MATCH;
    if (bytes.length < HEADER_BYTES) return HEADER_BYTES;
    const major = bytes.u8(5);
    if (bytes.u8(4) > 3 || major > 9) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN).version = major === 1 ? "1.0" : `0-${bytes.u8(6)}-${bytes.u8(7)}`;
    return DONE;
  },
};
