/**
 * HTTP/1.0 and HTTP/1.1 (RFC 9112): requests and answers, and what they turn into: WebSocket (RFC 6455),
 * HTTP/2 by upgrade (RFC 7540 section 3.2), and whatever a CONNECT tunnel carries (RFC 9110 section 9.3.6).
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { authorityHost, headerValue, type LineCursors, makeCursors } from "../lines.ts";
import { type Answer, byteRange, CONFIDENCE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

const SPACE = 0x20;

/** Longest request line that is waited for, in bytes ("at minimum, 8000 octets", RFC 9112 section 3). */
const REQUEST_LINE_BYTES_MAX = 16_384;

/** Longest method name there is (WebDAV's and Microsoft's are the long ones). */
const METHOD_BYTES_MAX = 24;

/** Bytes of a line without a version that must be text. */
const PATH_START_BYTES = 16;

/** Switching Protocols (RFC 9110 section 15.2.2). */
const STATUS_SWITCHING = 101;

interface HttpState {
  readonly cursors: LineCursors;
  /** Whether each direction's first line was read. */
  readonly started: [boolean, boolean];
  /** Whether each direction's header is complete. */
  readonly complete: [boolean, boolean];
  upgrade: string;
}

const makeState = (): HttpState => ({
  cursors: makeCursors(),
  started: [false, false],
  complete: [false, false],
  upgrade: "",
});

/** Length of the method at the start: letters, "-" and "_" up to a blank. 0: not one; -1: cut off. */
function methodLength(window: ByteWindow): number {
  for (let position = 0; position <= METHOD_BYTES_MAX; position += 1) {
    const code = window.u8(position);
    if (code < 0) return -1;
    if (code === SPACE) return position >= 3 ? position : 0;
    const upper = code >= 0x41 && code <= 0x5a;
    if (!upper && code !== 0x2d && code !== 0x5f) return 0;
  }
  return 0;
}

/** True when the line ends in the name of an HTTP/1 version. */
function endsInVersion(window: ByteWindow, to: number): boolean {
  return window.has(" HTTP/1.", to - 9) || window.has(" HTTP/0.", to - 9);
}

/** Methods seen in the wild; for these the version at the end of the line need not have come yet. */
const METHODS: ReadonlySet<string> = new Set([
  "GET",
  "POST",
  "HEAD",
  "PUT",
  "DELETE",
  "OPTIONS",
  "CONNECT",
  "TRACE",
  "PATCH",
  "PROPFIND",
  "PROPPATCH",
  "MKCOL",
  "REPORT",
]);

function judgeRequest(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const length = methodLength(bytes);
  if (length === 0) return NO_MATCH;
  if (length < 0) return bytes.length + 1;
  const state = evidence.state(makeState);
  const cursor = state.cursors[evidence.direction];
  if (!cursor.next(bytes)) return judgeOpenLine(evidence, length);
  if (!endsInVersion(bytes, cursor.to)) return judgeVersionless(evidence, length, cursor.to);
  const facts = evidence.match(CONFIDENCE.CERTAIN);
  evidence.isFromClient();
  state.started[evidence.direction] = true;
  facts.kind = bytes.text(0, length);
  facts.path = bytes.text(length + 1, cursor.to - 9);
  facts.version = bytes.text(cursor.to - 3, cursor.to);
  learnTarget(evidence, facts.path);
  return readHeader(evidence, state);
}

/** A request line whose end has not come. */
function judgeOpenLine(evidence: Evidence, length: number): Answer {
  const { bytes } = evidence;
  const target = bytes.u8(length + 1);
  const plausible = target === 0x2f || bytes.has("http://", length + 1) || bytes.has("* ", length + 1);
  if (plausible && METHODS.has(bytes.text(0, length))) evidence.match(CONFIDENCE.LIKELY);
  return bytes.length < REQUEST_LINE_BYTES_MAX ? bytes.length + 1 : NO_MATCH;
}

/** A whole line without a version: HTTP/0.9 and broken clients, if method and path begin as HTTP's do. */
function judgeVersionless(evidence: Evidence, length: number, to: number): Answer {
  const { bytes } = evidence;
  const path = bytes.u8(length + 1) === 0x2f;
  if (!path || !METHODS.has(bytes.text(0, length)) || !bytes.isText(0, Math.min(to, PATH_START_BYTES)))
    return NO_MATCH;
  if (bytes.has("RTSP/", to - 8) || bytes.has("SIP/", to - 7)) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY).kind = bytes.text(0, length);
  return OTHER_SIDE;
}

/** The host of an absolute target or of CONNECT's authority (RFC 9112 section 3.2). */
function learnTarget(evidence: Evidence, target: string): void {
  const absolute = /^[a-z]+:\/\/([^/?#]*)/i.exec(target);
  const authority = absolute?.[1] ?? (evidence.facts.kind === "CONNECT" ? target : "");
  if (authority !== "") evidence.facts.serverName ??= authorityHost(authority);
}

function judgeResponse(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (!bytes.couldBe("HTTP/1.") && !bytes.couldBe("HTTP/0.")) return NO_MATCH;
  // HTTP-version SP status-code: twelve bytes in all (RFC 9112 section 4).
  if (bytes.length < 12) return 12;
  if (bytes.u8(8) !== SPACE) return NO_MATCH;
  const state = evidence.state(makeState);
  const facts = evidence.match(CONFIDENCE.CERTAIN);
  evidence.isFromServer();
  const status = Number(bytes.text(9, 12));
  if (status >= 100 && status < 1000) facts.status = status;
  state.started[evidence.direction] = true;
  if (!state.cursors[evidence.direction].next(bytes)) return bytes.length + 1;
  return readHeader(evidence, state);
}

/** First letters of the header names that are read. */
const INITIAL = { c: 0x63, h: 0x68, s: 0x73, u: 0x75 } as const;

function learnHeaderLine(evidence: Evidence, state: HttpState, from: number, to: number): void {
  const { bytes, facts } = evidence;
  switch (bytes.u8(from) | 0x20) {
    case INITIAL.h: {
      const host = headerValue(bytes, from, to, "host:");
      if (host !== undefined && host !== "") facts.serverName = authorityHost(host);
      break;
    }
    case INITIAL.u: {
      const agent = headerValue(bytes, from, to, "user-agent:");
      if (agent !== undefined) facts.clientSoftware = agent;
      state.upgrade = headerValue(bytes, from, to, "upgrade:")?.toLowerCase() ?? state.upgrade;
      break;
    }
    case INITIAL.s: {
      const server = headerValue(bytes, from, to, "server:");
      if (server !== undefined) facts.serverSoftware = server;
      break;
    }
    case INITIAL.c: {
      const type = facts.status === undefined ? undefined : headerValue(bytes, from, to, "content-type:");
      if (type !== undefined) facts.contentType = type;
      break;
    }
    default:
  }
}

function readHeader(evidence: Evidence, state: HttpState): Answer {
  const { bytes, direction } = evidence;
  const cursor = state.cursors[direction];
  while (cursor.next(bytes)) {
    if (cursor.to === cursor.from) {
      state.complete[direction] = true;
      return headerComplete(evidence, state);
    }
    learnHeaderLine(evidence, state, cursor.from, cursor.to);
  }
  return bytes.length + 1;
}

function headerComplete(evidence: Evidence, state: HttpState): Answer {
  const { facts, direction } = evidence;
  const here = state.cursors[direction].after;
  const there = state.cursors[direction === 0 ? 1 : 0].after;
  if (facts.status === STATUS_SWITCHING) {
    if (state.upgrade === "websocket") {
      evidence.match(CONFIDENCE.CERTAIN, "WebSocket");
      return OTHER_SIDE;
    }
    return evidence.handOver("becomes", here, there);
  }
  if (facts.kind === "CONNECT" && facts.status === 200) return evidence.handOver("carries", here, there);
  return OTHER_SIDE;
}

/** See the head of this file. */
export const http: Recogniser = {
  protocol: "HTTP",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: byteRange(0x41, 0x5a),
  judge(evidence) {
    const state = evidence.peek<HttpState>();
    if (state?.complete[evidence.direction] === true) return OTHER_SIDE;
    if (state?.started[evidence.direction] === true) return readHeader(evidence, state);
    if (evidence.bytes.u8(0) === 0x48 && evidence.bytes.couldBe("HTTP/")) return judgeResponse(evidence);
    const answer = judgeRequest(evidence);
    return answer === NO_MATCH && evidence.matched ? OTHER_SIDE : answer;
  },
};
