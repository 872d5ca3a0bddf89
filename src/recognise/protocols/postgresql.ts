/** PostgreSQL: the client's start-up packet and requests for encryption (PostgreSQL manual, section 55.7). */
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

// Start-up packets have no type byte: length, code.
const CODE = 4;
const PARAMETERS = 8;

const PROTOCOL_3 = 0x0003;
const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
const CANCEL_REQUEST = 80_877_102;
const REQUEST_BYTES = 8;
const CANCEL_BYTES = 16;
const STARTUP_BYTES_MAX = 10_000;

const ACCEPTED = 0x53; // "S"

interface PostgresState {
  asked: boolean;
}

function learnParameters(evidence: Evidence, to: number): boolean {
  const { bytes } = evidence;
  let position = PARAMETERS;
  let known = false;
  while (position < to - 1) {
    const nameEnd = bytes.indexOf(0, position, to);
    const valueEnd = bytes.indexOf(0, nameEnd + 1, to);
    if (nameEnd < 0 || valueEnd < 0 || !bytes.isText(position, nameEnd)) return false;
    const name = bytes.text(position, nameEnd);
    if (name === "user" || name === "database") known = true;
    if (name === "user" && known) evidence.facts.user = bytes.text(nameEnd + 1, valueEnd);
    position = valueEnd + 1;
  }
  return known;
}

function judgeReply(evidence: Evidence): Answer {
  // "The server responds with a single byte containing S or N" (section 55.2.9).
  if (evidence.peek<PostgresState>()?.asked !== true) return OTHER_SIDE;
  if (evidence.bytes.u8(0) !== ACCEPTED) return OTHER_SIDE;
  return evidence.handOver("carries", 1, REQUEST_BYTES);
}

/** A request for encryption, or to cancel; `undefined` when it is neither. */
function judgeRequest(evidence: Evidence, length: number, code: number): Answer | undefined {
  if (length === REQUEST_BYTES && (code === SSL_REQUEST || code === GSS_REQUEST)) {
    evidence.match(CONFIDENCE.CERTAIN);
    evidence.state<PostgresState>(() => ({ asked: true }));
    return evidence.bytes.length === REQUEST_BYTES ? REQUEST_BYTES + 1 : OTHER_SIDE;
  }
  if (length !== CANCEL_BYTES || code !== CANCEL_REQUEST) return undefined;
  evidence.match(CONFIDENCE.CERTAIN).kind = "cancel";
  return DONE;
}

/** See the head of this file. */
export const postgresql: Recogniser = {
  protocol: "PostgreSQL",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [0],
  judge(evidence) {
    const { bytes } = evidence;
    if (evidence.matched && evidence.direction === 1) return judgeReply(evidence);
    if (bytes.length < PARAMETERS) return bytes.u16(0) > 0 ? NO_MATCH : PARAMETERS;
    const length = bytes.u32(0);
    const code = bytes.u32(CODE);
    const request = judgeRequest(evidence, length, code);
    if (request !== undefined) return request;
    const minor = code & 0xffff;
    if (code >>> 16 !== PROTOCOL_3 || minor > 2 || length > STARTUP_BYTES_MAX || length < 16) return NO_MATCH;
    if (bytes.length < length) return length;
    if (!learnParameters(evidence, length)) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN);
    return DONE;
  },
};
