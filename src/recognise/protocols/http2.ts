/**
 * HTTP/2 with prior knowledge: the connection preface and the first request behind it (RFC 9113 section 3.3).
 */
import type { Evidence } from "../evidence.ts";
import { HeaderTable } from "../hpack/header-table.ts";
import { authorityHost } from "../lines.ts";
import { type Answer, CONFIDENCE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Frame header (RFC 9113 section 4.1).
const FRAME_TYPE = 3;
const FRAME_FLAGS = 4;
const FRAME_STREAM = 5;
const FRAME_HEADER_BYTES = 9;
const FRAME_BYTES_MAX = 16_384;

const HEADERS = 0x1;
const SETTINGS = 0x4;
const FLAG_PADDED = 0x8;
const FLAG_PRIORITY = 0x20;
const PRIORITY_BYTES = 5;
const SETTING_BYTES = 6;

interface Http2State {
  next: number;
  readonly headers: HeaderTable;
}

const makeState = (): Http2State => ({ next: PREFACE.length, headers: new HeaderTable() });

function learnHeaders(evidence: Evidence, state: Http2State, at: number, to: number): void {
  const { bytes, facts } = evidence;
  const flags = bytes.u8(at + FRAME_FLAGS);
  let from = at + FRAME_HEADER_BYTES;
  let end = to;
  if ((flags & FLAG_PADDED) !== 0) {
    end -= bytes.u8(from);
    from += 1;
  }
  if ((flags & FLAG_PRIORITY) !== 0) from += PRIORITY_BYTES;
  for (const { name, value } of state.headers.decode(bytes, from, end)) {
    if (name === ":authority" || (name === "host" && facts.serverName === undefined))
      facts.serverName = authorityHost(value);
    if (name === ":method") facts.kind = value;
    if (name === ":path") facts.path = value;
    if (name === "user-agent") facts.clientSoftware = value;
  }
}

/** Reads the client's frames up to the first request. */
function readFrames(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const state = evidence.state(makeState);
  for (;;) {
    const at = state.next;
    const length = bytes.u24(at);
    if (bytes.length < at + FRAME_HEADER_BYTES) return at + FRAME_HEADER_BYTES;
    if (length > FRAME_BYTES_MAX) return OTHER_SIDE;
    const to = at + FRAME_HEADER_BYTES + length;
    if (bytes.length < to) return to;
    if (bytes.u8(at + FRAME_TYPE) === HEADERS) {
      learnHeaders(evidence, state, at, to);
      return OTHER_SIDE;
    }
    state.next = to;
  }
}

/** A server begins with a SETTINGS frame on stream 0 (RFC 9113 section 3.4). */
function judgeServer(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (bytes.length < FRAME_HEADER_BYTES + SETTING_BYTES) return FRAME_HEADER_BYTES + SETTING_BYTES;
  const length = bytes.u24(0);
  if (bytes.u8(FRAME_TYPE) !== SETTINGS || bytes.u8(FRAME_FLAGS) !== 0 || bytes.u32(FRAME_STREAM) !== 0)
    return NO_MATCH;
  if (length === 0 || length % SETTING_BYTES !== 0 || length > 96) return NO_MATCH;
  // Identifiers 1 to 6 and a few registered later.
  if (bytes.u16(FRAME_HEADER_BYTES) < 1 || bytes.u16(FRAME_HEADER_BYTES) > 9) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY);
  return OTHER_SIDE;
}

/** See the head of this file. */
export const http2: Recogniser = {
  protocol: "HTTP2",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [0x50, 0x00],
  judge(evidence) {
    const { bytes } = evidence;
    if (!bytes.couldBe(PREFACE)) {
      if (evidence.matched) return OTHER_SIDE;
      return bytes.u8(0) === 0 ? judgeServer(evidence) : NO_MATCH;
    }
    if (bytes.length < PREFACE.length) return PREFACE.length;
    evidence.match(CONFIDENCE.CERTAIN);
    return readFrames(evidence);
  },
};
