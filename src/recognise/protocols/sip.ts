/** SIP over datagrams and streams (RFC 3261). */
import type { Evidence } from "../evidence.ts";
import { headerValue, LineCursor } from "../lines.ts";
import { type Answer, byteRange, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

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

function learnHeaders(evidence: Evidence, cursor: LineCursor): void {
  const { bytes, facts } = evidence;
  while (cursor.next(bytes) && cursor.to > cursor.from) {
    const agent = headerValue(bytes, cursor.from, cursor.to, "user-agent:");
    if (agent !== undefined) facts.clientSoftware = agent;
    const server = headerValue(bytes, cursor.from, cursor.to, "server:");
    if (server !== undefined) facts.serverSoftware = server;
  }
}

function judgeResponse(evidence: Evidence): Answer {
  const { bytes } = evidence;
  // SIP-Version SP Status-Code SP Reason-Phrase (RFC 3261 section 7.2).
  if (bytes.length < VERSION.length + 4) return evidence.transport === "UDP" ? NO_MATCH : VERSION.length + 4;
  if (!bytes.has(`${VERSION} `)) return NO_MATCH;
  const status = Number(bytes.text(VERSION.length + 1, VERSION.length + 4));
  const facts = evidence.match(CONFIDENCE.CERTAIN);
  if (status >= 100 && status < 700) facts.status = status;
  const cursor = new LineCursor();
  if (cursor.next(bytes)) learnHeaders(evidence, cursor);
  return DONE;
}

function judgeRequest(evidence: Evidence, method: string): Answer {
  const { bytes } = evidence;
  const uriAt = method.length;
  const scheme = SCHEMES.some((text) => bytes.hasNoCase(text, uriAt));
  const cursor = new LineCursor();
  if (!cursor.next(bytes)) {
    if (evidence.transport === "TCP")
      return bytes.length < START_LINE_BYTES_MAX ? 2 * bytes.length : NO_MATCH;
    if (!scheme) return NO_MATCH;
    evidence.match(CONFIDENCE.LIKELY).kind = method.trim();
    return 1;
  }
  const version = bytes.has(` ${VERSION}`, cursor.to - VERSION.length - 1);
  if (!version && !scheme) return NO_MATCH;
  const facts = evidence.match(version ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
  facts.kind = method.trim();
  const uri = bytes.text(uriAt, cursor.to - VERSION.length - 1);
  const user = /^sips?:([^@;]+)@/.exec(uri)?.[1];
  if (user !== undefined) facts.user = user;
  learnHeaders(evidence, cursor);
  return version ? DONE : 1;
}

/** See the head of this file. */
export const sip: Recogniser = {
  protocol: "SIP",
  transports: ["UDP", "TCP"],
  encrypted: false,
  firstBytes: byteRange(0x41, 0x5a),
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.couldBe(VERSION)) return judgeResponse(evidence);
    for (const method of METHODS) {
      if (bytes.has(method)) return judgeRequest(evidence, method);
      if (evidence.transport === "TCP" && bytes.couldBe(method)) return method.length;
    }
    return NO_MATCH;
  },
};
