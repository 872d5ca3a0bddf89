/** Kerberos version 5 over datagrams and streams (RFC 4120). */
import { BER, BerElement } from "../ber.ts";
import { CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

/** Application tags of the messages (RFC 4120 section 5.10). */
const MESSAGES: ReadonlyMap<number, string> = new Map([
  [0x6a, "AS-REQ"],
  [0x6b, "AS-REP"],
  [0x6c, "TGS-REQ"],
  [0x6d, "TGS-REP"],
  [0x6e, "AP-REQ"],
  [0x6f, "AP-REP"],
  [0x74, "SAFE"],
  [0x75, "PRIV"],
  [0x76, "CRED"],
  [0x7e, "ERROR"],
]);

/** Bytes of the length in front of a message on a stream (RFC 4120 section 7.2.2). */
const RECORD_BYTES = 4;
const MESSAGE_BYTES_MAX = 1_048_576;
/** Context tags of the first field, which holds the version: [0] in replies, [1] in requests. */
const FIELD_0 = 0xa0;
const FIELD_1 = 0xa1;
const VERSION = 5;

/** Bytes that hold the heads of message, sequence, field and version. */
const HEAD_BYTES = 20;

/** See the head of this file. */
export const kerberos: Recogniser = {
  protocol: "Kerberos",
  transports: ["UDP", "TCP"],
  encrypted: false,
  firstBytes: [0, ...MESSAGES.keys()],
  judge(evidence) {
    const { bytes } = evidence;
    const stream = evidence.transport === "TCP";
    const at = stream ? RECORD_BYTES : 0;
    const size = stream ? bytes.u32(0) : evidence.wireLength;
    if (stream && bytes.length < RECORD_BYTES + HEAD_BYTES) {
      return size > MESSAGE_BYTES_MAX ? NO_MATCH : RECORD_BYTES + HEAD_BYTES;
    }
    const name = MESSAGES.get(bytes.u8(at));
    if (name === undefined || size > MESSAGE_BYTES_MAX) return NO_MATCH;
    const element = new BerElement();
    if (!element.read(bytes, at) || element.to - at > size) return NO_MATCH;
    if (!element.is(bytes, element.from, BER.SEQUENCE) || !element.read(bytes, element.from)) return NO_MATCH;
    if (element.tag !== FIELD_0 && element.tag !== FIELD_1) return NO_MATCH;
    if (!element.is(bytes, element.from, BER.INTEGER) || bytes.u8(element.from) !== VERSION) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN).kind = name;
    return DONE;
  },
};
