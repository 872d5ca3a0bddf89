/** Kafka: request header versions 0 to 2 (Kafka protocol guide). */
import { CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Size, key of the request, its version, correlation id, client id.
const SIZE = 0;
const API_KEY = 4;
const API_VERSION = 6;
const CORRELATION = 8;
const CLIENT_ID = 12;
const CLIENT_ID_TEXT = 14;
const SIZE_BYTES = 4;

/** Keys and versions assigned so far. */
const API_KEY_MAX = 92;
const API_VERSION_MAX = 20;
const REQUEST_BYTES_MAX = 104_857_600;
const CLIENT_ID_BYTES_MAX = 255;
/** Correlation ids count up from 0, or from a small number. */
const CORRELATION_MAX = 0x00ffffff;
const NULL_STRING = 0xffff;

/** See the head of this file. */
export const kafka: Recogniser = {
  protocol: "Kafka",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [0],
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.length < CLIENT_ID_TEXT) return CLIENT_ID_TEXT;
    const size = bytes.u32(SIZE);
    const client = bytes.u16(CLIENT_ID);
    if (size < CLIENT_ID_TEXT - SIZE_BYTES || size > REQUEST_BYTES_MAX) return NO_MATCH;
    if (bytes.u16(API_KEY) > API_KEY_MAX || bytes.u16(API_VERSION) > API_VERSION_MAX) return NO_MATCH;
    if (bytes.u32(CORRELATION) > CORRELATION_MAX) return NO_MATCH;
    if (client === NULL_STRING) return NO_MATCH;
    const end = CLIENT_ID_TEXT + client;
    if (client < 1 || client > CLIENT_ID_BYTES_MAX || end > SIZE_BYTES + size) return NO_MATCH;
    if (bytes.length < end) return end;
    if (!bytes.isText(CLIENT_ID_TEXT, end)) return NO_MATCH;
    const facts = evidence.match(CONFIDENCE.CERTAIN);
    facts.clientSoftware = bytes.text(CLIENT_ID_TEXT, end);
    facts.kind = `api ${bytes.u16(API_KEY)}`;
    return DONE;
  },
};
