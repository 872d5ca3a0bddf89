/** VNC: the version line of the remote framebuffer protocol (RFC 6143 section 7.1.1). */
import { CONFIDENCE, charCodes, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

const START = "RFB ";
const LINE_BYTES = 12;

/** See the head of this file. */
export const vnc: Recogniser = {
  protocol: "VNC",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: charCodes("R"),
  judge(evidence) {
    const { bytes } = evidence;
    if (!bytes.couldBe(START)) return NO_MATCH;
    if (bytes.length < LINE_BYTES) return LINE_BYTES;
    // "RFB xxx.yyy\n", digits padded with zeros.
    if (bytes.u8(7) !== 0x2e || bytes.u8(11) !== 0x0a) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN).version = bytes.text(START.length, LINE_BYTES - 1);
    return DONE;
  },
};
