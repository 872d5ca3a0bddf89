/** rsync's own protocol: the line with which both ends of a daemon's connection begin (rsyncd(5)). */
import { CONFIDENCE, charCodes, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

const START = "@RSYNCD: ";
const LINE_BYTES_MAX = 128;
const LINE_FEED = 0x0a;

/** See the head of this file. */
export const rsync: Recogniser = {
  protocol: "rsync",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: charCodes("@"),
  judge(evidence) {
    const { bytes } = evidence;
    if (!bytes.couldBe(START)) return NO_MATCH;
    const end = bytes.indexOf(LINE_FEED, 0, LINE_BYTES_MAX);
    if (end < 0) return bytes.length < LINE_BYTES_MAX ? bytes.length + 1 : NO_MATCH;
    // "@RSYNCD: 31.0 sha512 sha256 md5": the version, then the digests that the server knows.
    const [version = ""] = bytes.text(START.length, end).split(" ");
    if (!/^\d+(\.\d+)?$/.test(version)) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN).version = version;
    return DONE;
  },
};
