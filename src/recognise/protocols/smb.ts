/** SMB 1, 2 and 3 over TCP, with or without a NetBIOS session (MS-SMB2 section 2.1, RFC 1002 section 4.3). */
import { CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Session packet: type, 24-bit length, then the message.
const MESSAGE = 4;
const SESSION_MESSAGE = 0x00;
const SESSION_REQUEST = 0x81;
const SESSION_REQUEST_BYTES = 68;

const MARKS: ReadonlyMap<string, string> = new Map([
  ["\xffSMB", "1"],
  ["\xfeSMB", "2"],
  ["\xfdSMB", "3"],
  ["\xfcSMB", "3"],
]);

/** See the head of this file. */
export const smb: Recogniser = {
  protocol: "SMB",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [SESSION_MESSAGE, SESSION_REQUEST],
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.u8(0) === SESSION_REQUEST) {
      if (bytes.length < MESSAGE + 1) return MESSAGE + 1;
      // Two encoded names of 34 bytes; the first label's length is 32.
      if (bytes.u24(1) !== SESSION_REQUEST_BYTES || bytes.u8(MESSAGE) !== 0x20) return NO_MATCH;
      evidence.match(CONFIDENCE.LIKELY);
      return MESSAGE + SESSION_REQUEST_BYTES + 8;
    }
    const at = evidence.matched && bytes.u8(0) !== SESSION_MESSAGE ? MESSAGE + SESSION_REQUEST_BYTES : 0;
    if (bytes.length < at + MESSAGE + 4) return bytes.length < MESSAGE + 1 || bytes.u8(MESSAGE) >= 0xfc ? MESSAGE + 4 : NO_MATCH;
    for (const [mark, version] of MARKS) {
      if (!bytes.has(mark, at + MESSAGE)) continue;
      evidence.match(CONFIDENCE.CERTAIN).version = version;
      if (version === "3") evidence.setEncrypted(true);
      return DONE;
    }
    return NO_MATCH;
  },
};
