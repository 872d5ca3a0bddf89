/** SMB 1, 2 and 3 over TCP, with or without a NetBIOS session (MS-SMB2 section 2.1, RFC 1002 section 4.3). */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

// Session packet: type, 24-bit length, then the message.
const MESSAGE = 4;
const SESSION_MESSAGE = 0x00;
const SESSION_REQUEST = 0x81;
const SESSION_REQUEST_BYTES = 68;
const SESSION_GRANTED = 0x82;

const MARK_BYTES = 4;
const MARK_MIN = 0xfc;
const MARKS: ReadonlyMap<string, string> = new Map([
  ["\xffSMB", "1"],
  ["\xfeSMB", "2"],
  ["\xfdSMB", "3"],
  ["\xfcSMB", "3"],
]);

// SMB 2 header and the answer to NEGOTIATE (MS-SMB2 sections 2.2.1.2 and 2.2.4).
const COMMAND = 12;
const FLAGS = 16;
const DIALECT = 68;
const NEGOTIATE = 0;
const FLAG_ANSWER = 1;
const NEGOTIATE_BYTES = 70;

// SMB 1 header (MS-CIFS section 2.2.3.1).
const OLD_COMMAND = 4;
const OLD_FLAGS = 9;
const OLD_HEADER_BYTES = 32;
const OLD_NEGOTIATE = 0x72;
const OLD_FLAG_ANSWER = 0x80;

/**
 * Answer to an offer in SMB 1: SMB 2 it is, which of its dialects is asked again (MS-SMB2 section 3.3.5.3.1).
 */
const ANY_DIALECT = 0x02ff;

/** The dialect that an answer chooses: 0x0311 is 3.1.1. */
function dialectName(code: number): string {
  const digits = [code >> 8, (code >> 4) & 15, code & 15];
  return (digits[2] === 0 ? digits.slice(0, 2) : digits).join(".");
}

/** What a message of SMB 2 tells; its mark was seen. The answer to a wildcard is in the next message. */
function judgeSmb2(evidence: Evidence, at: number, isSecond: boolean): Answer {
  const { bytes, facts } = evidence;
  if (bytes.length < at + NEGOTIATE_BYTES) return at + NEGOTIATE_BYTES;
  if (bytes.u16le(at + COMMAND) !== NEGOTIATE) return DONE;
  if ((bytes.u32le(at + FLAGS) & FLAG_ANSWER) === 0) return OTHER_SIDE;
  evidence.isFromServer();
  const dialect = bytes.u16le(at + DIALECT);
  if (dialect !== ANY_DIALECT) facts.version = dialectName(dialect);
  if (dialect !== ANY_DIALECT || isSecond) return DONE;
  return judgeSmb2(evidence, at + bytes.u24(at - MESSAGE + 1) + MESSAGE, true);
}

/** The same for SMB 1: a client that offers SMB 2 as well may be answered in it. */
function judgeSmb1(evidence: Evidence, at: number): Answer {
  const { bytes } = evidence;
  if (bytes.length < at + OLD_HEADER_BYTES) return at + OLD_HEADER_BYTES;
  if (bytes.u8(at + OLD_COMMAND) !== OLD_NEGOTIATE) return DONE;
  return (bytes.u8(at + OLD_FLAGS) & OLD_FLAG_ANSWER) === 0 ? OTHER_SIDE : DONE;
}

function isSessionRequest(bytes: ByteWindow): boolean {
  return bytes.u24(1) === SESSION_REQUEST_BYTES && bytes.u8(MESSAGE) === 0x20;
}

/** Where the first message begins, behind what opens a session; -1 for a packet that carries none. */
function messageStart(type: number): number {
  if (type === SESSION_REQUEST) return MESSAGE + SESSION_REQUEST_BYTES;
  if (type === SESSION_GRANTED) return MESSAGE;
  return type === SESSION_MESSAGE ? 0 : -1;
}

/** Judges the session packet at `at`. */
function judgeMessage(evidence: Evidence, at: number): Answer {
  const { bytes } = evidence;
  if (bytes.length > MESSAGE && at === 0 && bytes.u8(MESSAGE) < MARK_MIN) return NO_MATCH;
  if (bytes.length < at + MESSAGE + MARK_BYTES) return at + MESSAGE + MARK_BYTES;
  for (const [mark, version] of MARKS) {
    if (!bytes.has(mark, at + MESSAGE)) continue;
    evidence.match(CONFIDENCE.CERTAIN).version = version;
    if (version === "1") return judgeSmb1(evidence, at + MESSAGE);
    if (version === "2") return judgeSmb2(evidence, at + MESSAGE, false);
    evidence.setEncrypted(true);
    return DONE;
  }
  return NO_MATCH;
}

/** See the head of this file. */
export const smb: Recogniser = {
  protocol: "SMB",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [SESSION_MESSAGE, SESSION_REQUEST, SESSION_GRANTED],
  judge(evidence) {
    const { bytes } = evidence;
    const type = bytes.u8(0);
    if (type === SESSION_REQUEST && bytes.length < MESSAGE + 1) return MESSAGE + 1;
    // Two encoded names of 34 bytes; the first label's length is 32.
    if (type === SESSION_REQUEST && !isSessionRequest(bytes)) return NO_MATCH;
    if (type === SESSION_REQUEST) evidence.match(CONFIDENCE.LIKELY);
    if (type === SESSION_GRANTED && bytes.length >= MESSAGE && bytes.u24(1) !== 0) return NO_MATCH;
    const at = messageStart(type);
    if (at < 0) return OTHER_SIDE;
    return judgeMessage(evidence, at);
  },
};
