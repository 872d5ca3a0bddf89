/** Syslog in datagrams and streams: RFC 5424, the older form of RFC 3164, and octet counting (RFC 6587). */
import type { ByteWindow } from "../byte-window.ts";
import { CONFIDENCE, charCodes, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

/** Facility 23 and severity 7 give the largest priority (RFC 5424 section 6.2.1). */
const PRIORITY_MAX = 191;

const MONTHS: readonly string[] = [
  "Jan ",
  "Feb ",
  "Mar ",
  "Apr ",
  "May ",
  "Jun ",
  "Jul ",
  "Aug ",
  "Sep ",
  "Oct ",
  "Nov ",
  "Dec ",
];

/** Bytes that a stream must show: count, priority, and the date or version behind it. */
const HEAD_BYTES = 20;

/** Bytes of the message that must be text where no date speaks for it. */
const TEXT_BYTES = 24;

/** Position just past `<priority>` at `from`, or -1. */
function priorityEnd(bytes: ByteWindow, from: number): number {
  if (bytes.u8(from) !== 0x3c) return -1;
  let value = 0;
  for (let position = from + 1; position <= from + 4; position += 1) {
    const code = bytes.u8(position);
    if (code === 0x3e) return position > from + 1 && value <= PRIORITY_MAX ? position + 1 : -1;
    if (code < 0x30 || code > 0x39) return -1;
    value = value * 10 + code - 0x30;
  }
  return -1;
}

/** Position behind a count of octets and a blank (RFC 6587 section 3.4.1), 0 when there is none. */
function countEnd(bytes: ByteWindow): number {
  for (let position = 0; position < 6; position += 1) {
    const code = bytes.u8(position);
    if (code === 0x20) return position > 0 ? position + 1 : 0;
    if (code < 0x30 || code > 0x39) return 0;
  }
  return 0;
}

/** See the head of this file. */
export const syslog: Recogniser = {
  protocol: "Syslog",
  transports: ["UDP", "TCP"],
  encrypted: false,
  firstBytes: charCodes("<123456789"),
  judge(evidence) {
    const { bytes } = evidence;
    const from = evidence.transport === "TCP" ? countEnd(bytes) : 0;
    const after = priorityEnd(bytes, from);
    const isOpen = evidence.transport === "TCP" && bytes.length < from + HEAD_BYTES;
    if (isOpen && bytes.isText(0, bytes.length)) return bytes.length + 1;
    if (after < 0) return NO_MATCH;
    // VERSION SP TIMESTAMP (RFC 5424 section 6), or a date (RFC 3164 section 4.1.2).
    const structured =
      bytes.has("1 ", after) && (bytes.has("- ", after + 2) || bytes.isText(after, after + 8));
    if (structured || MONTHS.some((month) => bytes.has(month, after))) {
      evidence.match(CONFIDENCE.CERTAIN);
      return DONE;
    }
    const enough = Math.min(after + TEXT_BYTES, bytes.length);
    if (enough - after < 8 || !bytes.isText(after, enough)) return NO_MATCH;
    evidence.match(CONFIDENCE.LIKELY);
    return 1;
  },
};
