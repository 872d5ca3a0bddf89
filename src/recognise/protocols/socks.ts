/** SOCKS 4, 4a and 5 (RFC 1928); what the proxy connects to is looked into. */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

const VERSION_4 = 4;
const VERSION_5 = 5;
const CONNECT = 1;
const BIND = 2;
const ASSOCIATE = 3;

// SOCKS 4 request: version, command, port, address, user id, and a name for 4a.
const V4_USER = 8;
const V4_REPLY_BYTES = 8;
const V4_GRANTED = 90;
const USER_BYTES_MAX = 255;

/** SOCKS 5 methods: none, GSSAPI, password, and a private range (RFC 1928 section 3). */
const METHOD_PASSWORD = 2;
const METHOD_COMMON_MAX = 9;
const METHOD_PRIVATE = 0x80;
const METHOD_REFUSED = 0xff;
/** Methods that a client offers at once. */
const METHODS_MAX = 16;
/** Version of the password exchange (RFC 1929). */
const PASSWORD_VERSION = 1;

/** Address types and their lengths; a name has one more byte for its own. */
const ADDRESS_IPV4 = 1;
const ADDRESS_NAME = 3;
const ADDRESS_IPV6 = 4;

interface SocksState {
  /** Where the client's request ends, 0 while it has not come. */
  requestEnd: number;
  /** True when the client was asked for a password, which moves everything behind it. */
  password: boolean;
}

const makeState = (): SocksState => ({ requestEnd: 0, password: false });

/** Length of the request or reply of SOCKS 5 at `at`, -1 when broken, 0 when cut off. */
function messageLength(evidence: Evidence, at: number): number {
  const { bytes } = evidence;
  switch (bytes.u8(at + 3)) {
    case -1:
      return 0;
    case ADDRESS_IPV4:
      return 10;
    case ADDRESS_IPV6:
      return 22;
    case ADDRESS_NAME:
      return bytes.u8(at + 4) < 0 ? 0 : 7 + bytes.u8(at + 4);
    default:
      return -1;
  }
}

/** Position behind the greeting and, where one was asked for, the password; -1 while it has not all come. */
function requestStart(evidence: Evidence, state: SocksState): number {
  const { bytes } = evidence;
  const at = 2 + bytes.u8(1);
  if (bytes.u8(at) !== PASSWORD_VERSION || !state.password) return at;
  // Version 1, user name, password, each with a length (RFC 1929 section 2).
  const passwordAt = at + 2 + bytes.u8(at + 1);
  const passwordBytes = bytes.u8(passwordAt);
  if (bytes.u8(at + 1) < 0 || passwordBytes < 0) return -1;
  evidence.facts.user = bytes.text(at + 2, passwordAt);
  return passwordAt + 1 + passwordBytes;
}

/** True when the greeting offers methods that exist. */
function isGreeting(bytes: ByteWindow, methods: number): boolean {
  if (methods === 0 || methods > METHODS_MAX) return false;
  for (let index = 2; index < 2 + methods; index += 1) {
    if (bytes.u8(index) > METHOD_COMMON_MAX && bytes.u8(index) < METHOD_PRIVATE) return false;
  }
  return true;
}

function judgeClient5(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const methods = bytes.u8(1);
  if (methods < 0) return 2;
  if (!isGreeting(bytes, methods)) return NO_MATCH;
  if (bytes.length < 2 + methods) return 2 + methods;
  if (bytes.length === 2 + methods && !evidence.matched) evidence.match(CONFIDENCE.LIKELY).version = "5";
  const at = requestStart(evidence, evidence.state(makeState));
  if (at < 0) return bytes.length + 1;
  return bytes.length < at + 4 ? at + 4 : judgeRequest5(evidence, at);
}

function judgeRequest5(evidence: Evidence, at: number): Answer {
  const { bytes } = evidence;
  const command = bytes.u8(at + 1);
  const sound =
    bytes.u8(at) === VERSION_5 && command >= CONNECT && command <= ASSOCIATE && bytes.u8(at + 2) === 0;
  const length = messageLength(evidence, at);
  if (!sound || length < 0) return evidence.matched ? OTHER_SIDE : NO_MATCH;
  if (length === 0 || bytes.length < at + length) return at + Math.max(length, 5);
  const facts = evidence.match(CONFIDENCE.CERTAIN);
  facts.version = "5";
  if (bytes.u8(at + 3) === ADDRESS_NAME) facts.serverName = bytes.name(at + 5, at + length - 2);
  evidence.state(makeState).requestEnd = at + length;
  return OTHER_SIDE;
}

function judgeServer5(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const method = bytes.u8(1);
  if (method < 0) return 2;
  if (method > METHOD_COMMON_MAX && method < METHOD_PRIVATE) return NO_MATCH;
  if (!evidence.matched && bytes.length === 2 && method <= METHOD_PASSWORD) return 3;
  if (evidence.matched) evidence.match(CONFIDENCE.CERTAIN);
  const state = evidence.state(makeState);
  if (method === METHOD_REFUSED) return DONE;
  state.password = method === METHOD_PASSWORD;
  const at = state.password ? 4 : 2;
  const length = messageLength(evidence, at);
  if (length === 0 || bytes.length < at + length) return at + Math.max(length, 5);
  if (length < 0 || bytes.u8(at) !== VERSION_5 || bytes.u8(at + 1) !== 0 || state.requestEnd === 0)
    return OTHER_SIDE;
  return evidence.handOver("carries", at + length, state.requestEnd);
}

function judgeClient4(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const command = bytes.u8(1);
  if (command >= 0 && command !== CONNECT && command !== BIND) return NO_MATCH;
  if (bytes.length <= V4_USER) return V4_USER + 1;
  const userEnd = bytes.indexOf(0, V4_USER, V4_USER + USER_BYTES_MAX);
  if (userEnd < 0) return bytes.length < V4_USER + USER_BYTES_MAX ? bytes.length + 1 : NO_MATCH;
  if (!bytes.isText(V4_USER, userEnd)) return NO_MATCH;
  // "0.0.0.x, with nonzero x": a name follows (SOCKS 4A).
  const named = bytes.u24(4) === 0 && bytes.u8(7) !== 0;
  let end = userEnd + 1;
  if (named) {
    const nameEnd = bytes.indexOf(0, end, end + USER_BYTES_MAX);
    if (nameEnd < 0) return bytes.length < end + USER_BYTES_MAX ? bytes.length + 1 : NO_MATCH;
    if (!bytes.isText(end, nameEnd)) return NO_MATCH;
    evidence.facts.serverName = bytes.name(end, nameEnd);
    end = nameEnd + 1;
  }
  if (bytes.length !== end && !evidence.matched) return NO_MATCH;
  evidence.match(named ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY).version = "4";
  evidence.state(makeState).requestEnd = end;
  return OTHER_SIDE;
}

function judgeServer4(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (!evidence.matched) return NO_MATCH;
  if (bytes.length < V4_REPLY_BYTES) return V4_REPLY_BYTES;
  const code = bytes.u8(1);
  if (code < V4_GRANTED || code > V4_GRANTED + 3) return OTHER_SIDE;
  evidence.match(CONFIDENCE.CERTAIN);
  if (code !== V4_GRANTED) return DONE;
  return evidence.handOver("carries", V4_REPLY_BYTES, evidence.state(makeState).requestEnd);
}

/** See the head of this file. */
export const socks: Recogniser = {
  protocol: "SOCKS",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [0, VERSION_4, VERSION_5],
  judge(evidence) {
    const { bytes, fromOpener } = evidence;
    const first = bytes.u8(0);
    if (first === VERSION_5) return fromOpener ? judgeClient5(evidence) : judgeServer5(evidence);
    if (first === VERSION_4 && fromOpener) return judgeClient4(evidence);
    return first === 0 && !fromOpener ? judgeServer4(evidence) : NO_MATCH;
  },
};
