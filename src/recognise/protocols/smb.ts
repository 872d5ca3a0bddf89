/** SMB 1, 2 and 3 over TCP, with or without a NetBIOS session (MS-SMB2 section 2.1, RFC 1002 section 4.3). */
import type { ByteWindow } from "../byte-window.ts";
import { CONFIDENCE, DONE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

// Session packet: type, 24-bit length, then the message.
const MESSAGE = 4;
const SESSION_MESSAGE = 0x00;
const SESSION_REQUEST = 0x81;
const SESSION_REQUEST_BYTES = 68;

const MARK_BYTES = 4;
const MARK_MIN = 0xfc;
const MARKS: ReadonlyMap<string, string> = new Map([
  ["\xffSMB", "1"],
  ["\xfeSMB", "2"],
  ["\xfdSMB", "3"],
  ["\xfcSMB", "3"],
]);

function isSessionRequest(bytes: ByteWindow): boolean {
  return bytes.u24(1) === SESSION_REQUEST_BYTES && bytes.u8(MESSAGE) === 0x20;
}

/** See the head of this file. */
export const smb: Recogniser = {
  protocol: "SMB",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [SESSION_MESSAGE, SESSION_REQUEST],
  judge(evidence) {
    const { bytes } = evidence;
    const type = bytes.u8(0);
    if (type === SESSION_REQUEST && bytes.length < MESSAGE + 1) return MESSAGE + 1;
    // Two encoded names of 34 bytes; the first label's length is 32.
    if (type === SESSION_REQUEST && !isSessionRequest(bytes)) return NO_MATCH;
    if (type === SESSION_REQUEST) evidence.match(CONFIDENCE.LIKELY);
    else if (type !== SESSION_MESSAGE) return OTHER_SIDE;
    const at = type === SESSION_REQUEST ? MESSAGE + SESSION_REQUEST_BYTES : 0;
    if (bytes.length > MESSAGE && at === 0 && bytes.u8(MESSAGE) < MARK_MIN) return NO_MATCH;
    if (bytes.length < at + MESSAGE + MARK_BYTES) return at + MESSAGE + MARK_BYTES;
    for (const [mark, version] of MARKS) {
      if (!bytes.has(mark, at + MESSAGE)) continue;
      evidence.match(CONFIDENCE.CERTAIN).version = version;
      if (version === "3") evidence.setEncrypted(true);
      return DONE;
    }
    return NO_MATCH;
  },
};
