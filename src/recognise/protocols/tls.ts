/**
 * TLS 1.0 to 1.3 and SSL 3 over streams (RFC 8446, RFC 5246, RFC 6101), and the SSL 2 compatible ClientHello
 * (RFC 5246 appendix E.2).
 *
 * A direction that begins with a hello is certain. One that begins inside a session is told by the chain of
 * record headers: one header is five bytes with little freedom, two that point at each other leave no doubt.
 */
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";
import { certificateNames } from "../tls/certificate.ts";
import { readClientHello } from "../tls/client-hello.ts";
import { learnClientHello, learnServerHello } from "../tls/fingerprint.ts";
import {
  CONTENT,
  HANDSHAKE,
  HANDSHAKE_HEADER_BYTES,
  HandshakeReader,
  isRecordHeader,
  type MessageSink,
  RECORD_HEADER_BYTES,
} from "../tls/handshake.ts";
import { readServerHello } from "../tls/server-hello.ts";

// Fields of an SSL 2 ClientHello (RFC 5246 appendix E.2), behind the two bytes of its length.
const SSL2_TYPE = 2;
const SSL2_VERSION = 3;
const SSL2_CIPHER_BYTES = 5;
const SSL2_SESSION_BYTES = 7;
const SSL2_CHALLENGE_BYTES = 9;
const SSL2_HEADER_BYTES = 11;

/** Set in the first byte of an SSL 2 record without padding; the message is short, so the rest is 0 to 1. */
const SSL2_RECORD = 0x80;

/** Bytes that decide about a first record: its header and the message type. */
const FIRST_LOOK_BYTES = RECORD_HEADER_BYTES + 1;

/** Longest plain alert or change-cipher-spec record that is taken for one at the start of a direction. */
const ALERT_BYTES = 2;
const CHANGE_CIPHER_SPEC_BYTES = 1;

interface TlsState {
  readonly readers: [HandshakeReader | undefined, HandshakeReader | undefined];
}

const makeState = (): TlsState => ({ readers: [undefined, undefined] });

/** Handshake types that a direction can begin with when its beginning was seen or resumed. */
function isHandshakeType(type: number): boolean {
  return type <= 24 && type !== 7 && type !== 9 && type !== 10;
}

/** What to do with the messages of one direction: learn from hellos and certificates, stop behind them. */
function learningSink(evidence: Evidence): MessageSink {
  const { facts, cryptography } = evidence;
  return (type, window, from, to) => {
    if (type === HANDSHAKE.CLIENT_HELLO) {
      const hello = readClientHello(window, from, to, false);
      if (hello !== undefined) learnClientHello(facts, hello, "t", cryptography);
      return false;
    }
    if (type === HANDSHAKE.SERVER_HELLO) {
      const hello = readServerHello(window, from, to);
      if (hello !== undefined) learnServerHello(facts, hello, cryptography);
      return true;
    }
    if (type !== HANDSHAKE.CERTIFICATE) return type !== HANDSHAKE.SERVER_HELLO_DONE;
    // certificate_list<0..2^24-1> of ASN.1Cert<1..2^24-1>; the server's own comes first (RFC 5246 section
    // 7.4.2).
    const names = certificateNames(window, from + 6);
    if (names.length > 0) facts.certificateNames = names;
    return false;
  };
}

function learnHandshake(evidence: Evidence): Answer {
  const { readers } = evidence.state(makeState);
  const reader = readers[evidence.direction] ?? new HandshakeReader();
  readers[evidence.direction] = reader;
  const need = reader.read(evidence.bytes, learningSink(evidence));
  return need > 0 ? need : OTHER_SIDE;
}

function judgeHandshake(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const type = bytes.u8(RECORD_HEADER_BYTES);
  const length = bytes.u24(RECORD_HEADER_BYTES + 1);
  const recordLength = bytes.u16(RECORD_HEADER_BYTES - 2);
  if (type === HANDSHAKE.CLIENT_HELLO || type === HANDSHAKE.SERVER_HELLO) {
    if (length < 0) return RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES;
    // A hello holds at least a version and a random number, and no more than its peer would take.
    if (length < 34 || length > 65_535) return NO_MATCH;
    if (bytes.u8(RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES) > 3) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN);
    if (type === HANDSHAKE.CLIENT_HELLO) evidence.isFromClient();
    else evidence.isFromServer();
    return learnHandshake(evidence);
  }
  if (evidence.matched) return learnHandshake(evidence);
  if (isHandshakeType(type) && length + HANDSHAKE_HEADER_BYTES <= recordLength) {
    evidence.match(CONFIDENCE.LIKELY);
    return learnHandshake(evidence);
  }
  return judgeChain(evidence);
}

/** Follows the record headers: the second one that fits makes it certain. */
function judgeChain(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const length = bytes.u16(RECORD_HEADER_BYTES - 2);
  const next = RECORD_HEADER_BYTES + length;
  if (bytes.length < next) return next;
  if (bytes.length < next + RECORD_HEADER_BYTES) {
    if (!isRecordHeader(bytes, next)) return NO_MATCH;
    evidence.match(CONFIDENCE.LIKELY);
    return next + RECORD_HEADER_BYTES;
  }
  if (!isRecordHeader(bytes, next)) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN);
  return OTHER_SIDE;
}

function judgeShortRecord(evidence: Evidence, type: number): Answer {
  const { bytes } = evidence;
  const length = bytes.u16(RECORD_HEADER_BYTES - 2);
  const first = bytes.u8(RECORD_HEADER_BYTES);
  if (type === CONTENT.ALERT && length === ALERT_BYTES) {
    // AlertLevel is warning(1) or fatal(2) (RFC 8446 section 6).
    if (first !== 1 && first !== 2) return NO_MATCH;
    evidence.match(CONFIDENCE.LIKELY);
  } else if (type === CONTENT.CHANGE_CIPHER_SPEC) {
    if (length !== CHANGE_CIPHER_SPEC_BYTES || first !== 1) return NO_MATCH;
    evidence.match(CONFIDENCE.LIKELY);
  }
  return judgeChain(evidence);
}

function judgeSsl2(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (bytes.length < SSL2_HEADER_BYTES) return bytes.u8(SSL2_TYPE) > 1 ? NO_MATCH : SSL2_HEADER_BYTES;
  const version = bytes.u16(SSL2_VERSION);
  const record = bytes.u16(0) & 0x7fff;
  const ciphers = bytes.u16(SSL2_CIPHER_BYTES);
  const session = bytes.u16(SSL2_SESSION_BYTES);
  const challenge = bytes.u16(SSL2_CHALLENGE_BYTES);
  if (bytes.u8(SSL2_TYPE) !== HANDSHAKE.CLIENT_HELLO) return NO_MATCH;
  if (version !== 0x0002 && (version < 0x0300 || version > 0x0303)) return NO_MATCH;
  if (ciphers === 0 || ciphers % 3 !== 0 || (session !== 0 && session !== 16)) return NO_MATCH;
  if (challenge < 16 || challenge > 32) return NO_MATCH;
  if (record !== SSL2_HEADER_BYTES - 2 + ciphers + session + challenge) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN).tlsVersions = [version];
  return OTHER_SIDE;
}

/** See the head of this file. */
export const tls: Recogniser = {
  protocol: "TLS",
  transports: ["TCP"],
  encrypted: true,
  firstBytes: [
    CONTENT.CHANGE_CIPHER_SPEC,
    CONTENT.ALERT,
    CONTENT.HANDSHAKE,
    CONTENT.APPLICATION_DATA,
    SSL2_RECORD,
  ],
  judge(evidence) {
    const { bytes } = evidence;
    const type = bytes.u8(0);
    if (type === SSL2_RECORD) return judgeSsl2(evidence);
    if (!isRecordHeader(bytes, 0)) return evidence.matched ? OTHER_SIDE : NO_MATCH;
    if (bytes.length < FIRST_LOOK_BYTES) return FIRST_LOOK_BYTES;
    if (type === CONTENT.HANDSHAKE) return judgeHandshake(evidence);
    if (evidence.matched) {
      evidence.match(CONFIDENCE.CERTAIN);
      return OTHER_SIDE;
    }
    return judgeShortRecord(evidence, type);
  },
};
