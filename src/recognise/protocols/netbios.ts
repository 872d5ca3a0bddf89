/** NetBIOS datagrams (RFC 1002 section 4.4): what carries browsing and, within it, SMB mail slots. */
import { CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Header: type, flags, id, source address and port, length, packet offset.
const FLAGS = 1;
const LENGTH = 10;
const HEADER_BYTES = 14;
const DIRECT_UNIQUE = 0x10;
const BROADCAST = 0x12;

/** See the head of this file. */
export const netbios: Recogniser = {
  protocol: "NetBIOS",
  transports: ["UDP"],
  encrypted: false,
  firstBytes: [DIRECT_UNIQUE, 0x11, BROADCAST],
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.length < HEADER_BYTES + 1 || bytes.u8(FLAGS) > 0x0f) return NO_MATCH;
    // An encoded name of 32 characters begins the user data.
    if (bytes.u16(LENGTH) + HEADER_BYTES > evidence.wireLength || bytes.u8(HEADER_BYTES) !== 0x20)
      return NO_MATCH;
    if (!bytes.isText(HEADER_BYTES + 1, HEADER_BYTES + 33)) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN);
    return DONE;
  },
};
