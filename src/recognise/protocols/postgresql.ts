/**
 * PostgreSQL: the client's start-up packet and requests for encryption (PostgreSQL manual, section 55.7); the
 * server's first message and a simple query where the start-up was not seen.
 */
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

// Messages behind the start-up: type byte, length without it, contents.
const MESSAGE_LENGTH = 1;
const MESSAGE = 5;
const AUTHENTICATION = 0x52; // "R"
const QUERY = 0x51; // "Q"
/** Request codes of authentication: ok, and the methods up to SASL's last step. */
const AUTHENTICATION_MAX = 12;
const AUTHENTICATION_BYTES_MIN = 8;
const AUTHENTICATION_BYTES_MAX = 2048;
const QUERY_BYTES_MAX = 16_384;

// Consent, then a TLS record that holds a ServerHello (RFC 8446 sections 4 and 5.1).
const CONSENT_BYTES = 7;
const TLS_HANDSHAKE = 22;
const TLS_MAJOR = 3;
const TLS_SERVER_HELLO = 2;

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

/** The server's first message: what it wants for authentication. */
function judgeAuthentication(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (bytes.length < MESSAGE + 4) return bytes.u16(MESSAGE_LENGTH) > 0 ? NO_MATCH : MESSAGE + 4;
  const length = bytes.u32(MESSAGE_LENGTH);
  const method = bytes.u32(MESSAGE);
  if (length < AUTHENTICATION_BYTES_MIN || length > AUTHENTICATION_BYTES_MAX) return NO_MATCH;
  if (method > AUTHENTICATION_MAX || (method === 0 && length !== AUTHENTICATION_BYTES_MIN)) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN);
  evidence.isFromServer();
  return OTHER_SIDE;
}

/** The server's consent to encryption, and its first record of TLS, where the request was not seen. */
function judgeConsent(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (bytes.length < CONSENT_BYTES) return CONSENT_BYTES;
  if (bytes.u8(1) !== TLS_HANDSHAKE || bytes.u8(2) !== TLS_MAJOR || bytes.u8(6) !== TLS_SERVER_HELLO)
    return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY);
  return evidence.handOver("carries", 1, 0);
}

/** A query in a session whose start was not seen: text up to the zero that its length says. */
function judgeQuery(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const length = bytes.u32(MESSAGE_LENGTH);
  if (!evidence.midStream || length > QUERY_BYTES_MAX) return NO_MATCH;
  if (bytes.length < MESSAGE) return MESSAGE;
  const end = MESSAGE_LENGTH + length;
  if (length < MESSAGE || bytes.length < end) return length < MESSAGE ? NO_MATCH : end;
  if (bytes.u8(end - 1) !== 0 || !bytes.isText(MESSAGE, end - 1)) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY);
  evidence.isFromClient();
  return OTHER_SIDE;
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

/** The client's first packet. */
function judgeStart(evidence: Evidence): Answer {
  const { bytes } = evidence;
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
}

/** See the head of this file. */
export const postgresql: Recogniser = {
  protocol: "PostgreSQL",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [0, AUTHENTICATION, QUERY, ACCEPTED],
  judge(evidence) {
    const { bytes } = evidence;
    if (evidence.matched && !evidence.fromOpener) return judgeReply(evidence);
    if (evidence.matched && bytes.u8(0) !== 0) return OTHER_SIDE;
    if (bytes.u8(0) === AUTHENTICATION) return judgeAuthentication(evidence);
    if (bytes.u8(0) === ACCEPTED) return judgeConsent(evidence);
    if (bytes.u8(0) === QUERY) return judgeQuery(evidence);
    return judgeStart(evidence);
  },
};
