/** SIP over datagrams and streams (RFC 3261). */
import type { Evidence } from "../evidence.ts";
import { type LineCursors, makeCursors } from "../lines.ts";
import { readMessageHeader } from "../message-header.ts";
import { type Answer, byteRange, CONFIDENCE, NO_MATCH, type Recogniser } from "../recogniser.ts";

const METHODS: readonly string[] = [
  "INVITE ",
  "REGISTER ",
  "OPTIONS ",
  "ACK ",
  "BYE ",
  "CANCEL ",
  "SUBSCRIBE ",
  "NOTIFY ",
  "INFO ",
  "PRACK ",
  "UPDATE ",
  "MESSAGE ",
  "REFER ",
  "PUBLISH ",
  "SERVICE ",
  "BENOTIFY ",
  "NEGOTIATE ",
  "QAUTH ",
  "SPRACK ",
];
const SCHEMES: readonly string[] = ["sip:", "sips:", "tel:", "urn:"];
const VERSION = "SIP/2.0";

/** Start lines are short; one that has not ended by here is none. */
const START_LINE_BYTES_MAX = 4096;

/** What is remembered of one direction of a stream, or of a datagram. */
interface SipState {
  readonly cursors: LineCursors;
  /** Whether each direction's start line was read. */
  readonly started: [boolean, boolean];
}

const makeState = (): SipState => ({ cursors: makeCursors(), started: [false, false] });

/** Reads a start line [from, to): of an answer (RFC 3261 section 7.2) or a request (section 7.1). */
function readStartLine(evidence: Evidence, to: number): boolean {
  const { bytes } = evidence;
  if (bytes.has(`${VERSION} `)) {
    const status = Number(bytes.text(VERSION.length + 1, VERSION.length + 4));
    const facts = evidence.match(CONFIDENCE.CERTAIN);
    if (status >= 100 && status < 700) facts.status = status;
    return true;
  }
  const method = METHODS.find((text) => bytes.has(text));
  if (method === undefined) return false;
  const uriAt = method.length;
  const version = bytes.has(` ${VERSION}`, to - VERSION.length - 1);
  if (!version && !SCHEMES.some((text) => bytes.hasNoCase(text, uriAt))) return false;
  const facts = evidence.match(version ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
  facts.kind = method.trim();
  const user = /^sips?:([^@;]+)@/.exec(bytes.text(uriAt, to - VERSION.length - 1))?.[1];
  if (user !== undefined) facts.user = user;
  return true;
}

/** A start line whose end has not come: a datagram was cut short, a stream goes on. */
function judgeOpenLine(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (evidence.transport === "TCP") return bytes.length < START_LINE_BYTES_MAX ? bytes.length + 1 : NO_MATCH;
  const method = METHODS.find((text) => bytes.has(text));
  if (method === undefined || !SCHEMES.some((text) => bytes.hasNoCase(text, method.length))) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY).kind = method.trim();
  return 1;
}

/** See the head of this file. */
export const sip: Recogniser = {
  protocol: "SIP",
  transports: ["UDP", "TCP"],
  encrypted: false,
  firstBytes: byteRange(0x41, 0x5a),
  judge(evidence) {
    const { bytes, direction } = evidence;
    if (!bytes.couldBe(VERSION) && !METHODS.some((method) => bytes.couldBe(method))) return NO_MATCH;
    const stream = evidence.transport === "TCP";
    const state = stream ? evidence.state(makeState) : makeState();
    const cursor = state.cursors[direction];
    if (!state.started[direction]) {
      if (!cursor.next(bytes)) return judgeOpenLine(evidence);
      if (!readStartLine(evidence, cursor.to)) return NO_MATCH;
      state.started[direction] = true;
    }
    if (!stream && evidence.candidate?.confidence !== CONFIDENCE.CERTAIN) return 1;
    return readMessageHeader(evidence, cursor);
  },
};
