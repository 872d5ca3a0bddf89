/**
 * STUN and TURN (RFC 8489, RFC 8656), classic STUN (RFC 3489), over datagrams and streams.
 *
 * STUN seldom comes alone: the checks of ICE share their ports with DTLS and RTP (RFC 7983), so a flow that
 * begins with STUN is handed over to what follows.
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Header (RFC 8489 section 5).
const LENGTH = 2;
const COOKIE = 4;
const HEADER_BYTES = 20;
const MAGIC_COOKIE = 0x2112a442;

// Attributes (RFC 8489 section 14).
const ATTRIBUTE_HEADER_BYTES = 4;
const SOFTWARE = 0x8022;
const REALM = 0x0014;

/** Methods by number (IANA STUN Methods); the second is RFC 3489's. */
const METHODS: readonly (string | undefined)[] = [
  undefined,
  "binding",
  "shared-secret",
  "allocate",
  "refresh",
  undefined,
  "send",
  "data",
  "create-permission",
  "channel-bind",
  "connect",
  "connection-bind",
  "connection-attempt",
];
const GOOGLE_METHOD = 0x80;

/** Bytes of the length in front of a message on an ICE-TCP stream (RFC 4571 section 2). */
const FRAME_LENGTH_BYTES = 2;

/** The method number, whose bits stand around those of the class (RFC 8489 section 5). */
function methodOf(type: number): number {
  return (type & 0x000f) | ((type & 0x00e0) >> 1) | ((type & 0x3e00) >> 2);
}

/** True when the attributes fill the message exactly. */
function attributesFit(bytes: ByteWindow, from: number, to: number): boolean {
  let position = from;
  while (position < to) {
    const length = bytes.u16(position + 2);
    if (length < 0) return false;
    position += ATTRIBUTE_HEADER_BYTES + ((length + 3) & ~3);
  }
  return position === to;
}

function learnAttributes(evidence: Evidence, from: number, to: number): void {
  const { bytes, facts } = evidence;
  let position = from;
  while (position + ATTRIBUTE_HEADER_BYTES <= to) {
    const type = bytes.u16(position);
    const length = bytes.u16(position + 2);
    const valueAt = position + ATTRIBUTE_HEADER_BYTES;
    if (length < 0 || valueAt + length > to) return;
    if (type === SOFTWARE) facts.clientSoftware ??= bytes.text(valueAt, valueAt + length);
    if (type === REALM) facts.serverName ??= bytes.text(valueAt, valueAt + length);
    position = valueAt + ((length + 3) & ~3);
  }
}

/** Judges the message at `at`; `to` is where the datagram or frame ends. */
function judgeMessage(evidence: Evidence, at: number, to: number): boolean {
  const { bytes } = evidence;
  const type = bytes.u16(at);
  const length = bytes.u16(at + LENGTH);
  if (type < 0 || (type & 0xc000) !== 0 || methodOf(type) === 0) return false;
  if (length < 0 || at + HEADER_BYTES + length > to) return false;
  if (bytes.u32(at + COOKIE) !== MAGIC_COOKIE) return judgeClassic(evidence, at, to);
  if (length % 4 !== 0) return false;
  const method = methodOf(type);
  evidence.match(CONFIDENCE.CERTAIN).kind ??= METHODS[method] ?? `method ${method}`;
  learnAttributes(evidence, at + HEADER_BYTES, at + HEADER_BYTES + length);
  return true;
}

/**
 * Classic STUN has no cookie (RFC 3489): its attributes must show its structure. A bare binding request is 20
 * bytes of nearly anything.
 */
function judgeClassic(evidence: Evidence, at: number, to: number): boolean {
  const { bytes } = evidence;
  const type = bytes.u16(at);
  const method = methodOf(type);
  const length = bytes.u16(at + LENGTH);
  if (method >= METHODS.length && method !== GOOGLE_METHOD) return false;
  if (at + HEADER_BYTES + length !== to || !attributesFit(bytes, at + HEADER_BYTES, to)) return false;
  if (length === 0 && (type !== 1 || evidence.transport === "TCP")) return false;
  evidence.match(length === 0 ? CONFIDENCE.LIKELY : CONFIDENCE.CERTAIN);
  return true;
}

function judgeStream(evidence: Evidence): Answer {
  const { bytes } = evidence;
  // Either the message itself, or a length first (RFC 4571).
  const frame = bytes.u16(0);
  const framed = bytes.u32(FRAME_LENGTH_BYTES + COOKIE) === MAGIC_COOKIE;
  const at = framed ? FRAME_LENGTH_BYTES : 0;
  if (bytes.length < FRAME_LENGTH_BYTES + HEADER_BYTES) {
    return frame >= 0x4000 ? NO_MATCH : FRAME_LENGTH_BYTES + HEADER_BYTES;
  }
  if (!framed && bytes.u32(COOKIE) !== MAGIC_COOKIE) return NO_MATCH;
  const end = at + HEADER_BYTES + bytes.u16(at + LENGTH);
  if (bytes.length < end) return end;
  if (!judgeMessage(evidence, at, end)) return NO_MATCH;
  return evidence.handOver("becomes", end, 0);
}

/** See the head of this file. */
export const stun: Recogniser = {
  protocol: "STUN",
  transports: ["UDP", "TCP"],
  encrypted: false,
  firstBytes: [0, 1, 2, 3],
  judge(evidence) {
    const { bytes } = evidence;
    if (evidence.transport === "TCP") return judgeStream(evidence);
    if (bytes.length < HEADER_BYTES || !judgeMessage(evidence, 0, bytes.length))
      return evidence.matched ? 1 : NO_MATCH;
    return evidence.candidate?.confidence === CONFIDENCE.CERTAIN ? evidence.handOver("becomes", 0, 0) : 1;
  },
};
