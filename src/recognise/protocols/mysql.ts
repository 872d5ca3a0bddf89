/**
 * MySQL and MariaDB: the server's greeting (MySQL Internals, "Protocol::Handshake"), the client's answer
 * where the greeting was not seen ("Protocol::HandshakeResponse"), and the upgrade to TLS.
 */
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

// Packet header: 24-bit length, least significant byte first, and a sequence number.
const SEQUENCE = 3;
const PAYLOAD = 4;

const PROTOCOL_10 = 0x0a;
const PROTOCOL_9 = 0x09;
const ERROR = 0xff;
const VERSION_BYTES_MAX = 64;

/** Thread id, eight bytes of scramble and a filler follow the version. */
const AFTER_VERSION_BYTES = 4 + 8 + 1;
const GREETING_BYTES_MAX = 1024;

// The client's answer: capabilities, largest packet, character set, zeros (some of which MariaDB uses).
const LOGIN_PACKET_MAX = PAYLOAD + 4;
const LOGIN_ZEROS = PAYLOAD + 9;
const LOGIN_ZERO_BYTES = 19;
const LOGIN_BYTES_MAX = 8192;

/** Client's request for TLS: a handshake response cut off behind the character set. */
const SSL_REQUEST_BYTES = 32;
const CLIENT_SSL = 0x0800;
const CLIENT_PROTOCOL_41 = 0x0200;

/** Error codes that a server sends instead of a greeting: 1000 and up. */
const ERROR_CODE_MIN = 1000;
const ERROR_CODE_MAX = 4999;

function judgeGreeting(evidence: Evidence, length: number): Answer {
  const { bytes } = evidence;
  const versionEnd = bytes.indexOf(0, PAYLOAD + 1, PAYLOAD + 1 + VERSION_BYTES_MAX);
  if (versionEnd < 0) return NO_MATCH;
  const version = bytes.text(PAYLOAD + 1, versionEnd);
  if (!/^[0-9]+\.[0-9]+[ -~]*$/.test(version) || versionEnd + AFTER_VERSION_BYTES > PAYLOAD + length)
    return NO_MATCH;
  if (bytes.u8(versionEnd + AFTER_VERSION_BYTES) !== 0) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN).serverSoftware = version;
  evidence.isFromServer();
  return OTHER_SIDE;
}

function judgeError(evidence: Evidence, length: number): Answer {
  const { bytes } = evidence;
  const code = bytes.u16le(PAYLOAD + 1);
  if (code < ERROR_CODE_MIN || code > ERROR_CODE_MAX) return NO_MATCH;
  if (!bytes.isText(PAYLOAD + 3, PAYLOAD + length)) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY);
  return OTHER_SIDE;
}

/** True when a client's answer stands here: its zeros are what no other protocol has. */
function isLogin(evidence: Evidence, length: number): boolean {
  const { bytes } = evidence;
  if (bytes.u8(SEQUENCE) !== 1 || length < SSL_REQUEST_BYTES || length > LOGIN_BYTES_MAX) return false;
  if ((bytes.u16le(PAYLOAD) & CLIENT_PROTOCOL_41) === 0 || bytes.u32le(LOGIN_PACKET_MAX) === 0) return false;
  for (let position = LOGIN_ZEROS; position < LOGIN_ZEROS + LOGIN_ZERO_BYTES; position += 1) {
    if (bytes.u8(position) !== 0) return false;
  }
  return true;
}

function judgeClient(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (bytes.length < PAYLOAD + 4) return PAYLOAD + 4;
  const whole = PAYLOAD + Math.min(bytes.u24le(0), LOGIN_BYTES_MAX);
  if (bytes.length < whole) return whole;
  const flags = bytes.u16le(PAYLOAD);
  const asksTls = bytes.u24le(0) === SSL_REQUEST_BYTES && (flags & CLIENT_SSL) !== 0;
  if (asksTls && bytes.u8(SEQUENCE) === 1)
    return evidence.handOver("carries", PAYLOAD + SSL_REQUEST_BYTES, 0);
  const from = PAYLOAD + SSL_REQUEST_BYTES;
  const end = bytes.indexOf(0, from, from + VERSION_BYTES_MAX);
  if ((flags & CLIENT_PROTOCOL_41) !== 0 && end > from) evidence.facts.user = bytes.text(from, end);
  return OTHER_SIDE;
}

/** The server's first packet: a greeting, or an error instead of one. */
function judgeServer(evidence: Evidence, length: number, kind: number): Answer {
  const { bytes } = evidence;
  if (bytes.u8(SEQUENCE) > 1 || length < 10 || length > GREETING_BYTES_MAX) return NO_MATCH;
  if (kind !== PROTOCOL_10 && kind !== PROTOCOL_9 && kind !== ERROR) return NO_MATCH;
  if (kind !== ERROR && bytes.u8(SEQUENCE) !== 0) return NO_MATCH;
  if (bytes.length < PAYLOAD + length) return PAYLOAD + length;
  return kind === ERROR ? judgeError(evidence, length) : judgeGreeting(evidence, length);
}

/** A client's answer to a greeting that was not seen. */
function judgeLogin(evidence: Evidence, length: number): Answer {
  const whole = PAYLOAD + SSL_REQUEST_BYTES;
  if (evidence.bytes.length < whole) return whole;
  if (!isLogin(evidence, length)) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN);
  evidence.isFromClient();
  return judgeClient(evidence);
}

/** See the head of this file. */
export const mysql: Recogniser = {
  protocol: "MySQL",
  transports: ["TCP"],
  encrypted: false,
  judge(evidence) {
    const { bytes } = evidence;
    if (evidence.matched) {
      return evidence.candidate?.server === evidence.direction ? OTHER_SIDE : judgeClient(evidence);
    }
    if (bytes.length < PAYLOAD + 1) return bytes.u8(2) > 0 ? NO_MATCH : PAYLOAD + 1;
    const length = bytes.u24le(0);
    const kind = bytes.u8(PAYLOAD);
    if (bytes.u8(SEQUENCE) === 1 && kind !== ERROR && length >= SSL_REQUEST_BYTES)
      return judgeLogin(evidence, length);
    return judgeServer(evidence, length, kind);
  },
};
