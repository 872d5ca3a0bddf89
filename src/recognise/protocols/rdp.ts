/**
 * RDP: the X.224 connection request over TPKT (MS-RDPBCGR sections 2.2.1.1 and 2.2.1.2), which leads to TLS,
 * and the UDP transport's first packets (MS-RDPEUDP section 2.2.2).
 */
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

// TPKT (RFC 1006 section 6) and X.224 (ISO 8073) headers.
const TPKT_VERSION = 3;
const TPKT_LENGTH = 2;
const X224_LENGTH = 4;
const X224_CODE = 5;
const X224_CLASS = 10;
const X224_DATA = 11;
const CONNECTION_REQUEST = 0xe0;
const CONNECTION_CONFIRM = 0xd0;
const DATA = 0xf0;

/** Negotiation request and response, eight bytes each: type, flags, length 8, protocols. */
const NEGOTIATION_REQUEST = 1;
const NEGOTIATION_RESPONSE = 2;
const NEGOTIATION_FAILURE = 3;
const NEGOTIATION_BYTES = 8;
const LINE_FEED = 0x0a;
const COOKIES: readonly string[] = ["Cookie: mstshash=", "Cookie: msts=", "mstshash="];

// RDP-UDP header (MS-RDPEUDP section 2.2.2.1), and the SYN payload behind it.
const SOURCE_ACK = 0;
const UDP_FLAGS = 6;
const UPSTREAM_MTU = 12;
const DOWNSTREAM_MTU = 14;
const FLAG_SYN = 0x0001;
const FLAGS_KNOWN = 0x3fff;
const MTU_MIN = 1132;
const MTU_MAX = 1232;
const NO_ACK = 0xffffffff;

function learnRequest(evidence: Evidence, to: number): Answer {
  const { bytes } = evidence;
  const cookie = COOKIES.find((text) => bytes.has(text, X224_DATA));
  // Behind a cookie's line end or at once; correlation information may follow it.
  const lineEnd = bytes.indexOf(LINE_FEED, X224_DATA, to);
  const negotiationAt = cookie === undefined || lineEnd < 0 ? X224_DATA : lineEnd + 1;
  const negotiates = [negotiationAt, to - NEGOTIATION_BYTES].some(
    (at) =>
      at >= X224_DATA && bytes.u8(at) === NEGOTIATION_REQUEST && bytes.u16le(at + 2) === NEGOTIATION_BYTES,
  );
  if (cookie === undefined && !negotiates) {
    // Other users of X.224, such as S7 and MMS, send parameters with codes of 0xc0 and above.
    if (bytes.u8(X224_DATA) >= 0xc0 || to > X224_DATA) return NO_MATCH;
    evidence.match(CONFIDENCE.LIKELY);
    return OTHER_SIDE;
  }
  const facts = evidence.match(CONFIDENCE.CERTAIN);
  if (cookie !== undefined) {
    const end = bytes.indexOf(0x0d, X224_DATA + cookie.length, to);
    if (end > 0) facts.user = bytes.text(X224_DATA + cookie.length, end);
  }
  return to + 1;
}

function judgeConfirm(evidence: Evidence, to: number): Answer {
  const { bytes } = evidence;
  const kind = bytes.u8(X224_DATA);
  const negotiated = kind === NEGOTIATION_RESPONSE && bytes.u16le(X224_DATA + 2) === NEGOTIATION_BYTES;
  if (!negotiated && kind !== NEGOTIATION_FAILURE) {
    return evidence.matched ? OTHER_SIDE : NO_MATCH;
  }
  evidence.match(CONFIDENCE.CERTAIN);
  // selectedProtocol 0 is RDP's own security; 1 and up run inside TLS.
  if (negotiated && bytes.u32le(X224_DATA + 4) !== 0) return evidence.handOver("carries", to, 0);
  return OTHER_SIDE;
}

function judgeStream(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (bytes.u8(1) > 0) return NO_MATCH;
  if (bytes.length < X224_DATA) return X224_DATA;
  const length = bytes.u16(TPKT_LENGTH);
  const code = bytes.u8(X224_CODE) & 0xf0;
  if (length < X224_DATA || length > 1024) return NO_MATCH;
  if (code === DATA) return evidence.matched ? OTHER_SIDE : NO_MATCH;
  if (bytes.u8(X224_LENGTH) + X224_LENGTH + 1 !== length || bytes.u8(X224_CLASS) !== 0) return NO_MATCH;
  if (bytes.length < length) return length;
  if (code === CONNECTION_REQUEST) return learnRequest(evidence, length);
  return code === CONNECTION_CONFIRM ? judgeConfirm(evidence, length) : NO_MATCH;
}

function judgeDatagram(evidence: Evidence): Answer {
  const { bytes } = evidence;
  const flags = bytes.u16(UDP_FLAGS);
  const upstream = bytes.u16(UPSTREAM_MTU);
  const downstream = bytes.u16(DOWNSTREAM_MTU);
  if (bytes.u32(SOURCE_ACK) !== NO_ACK && !evidence.matched) return NO_MATCH;
  if ((flags & FLAG_SYN) === 0 || (flags & ~FLAGS_KNOWN) !== 0) return evidence.matched ? 1 : NO_MATCH;
  if (upstream < MTU_MIN || upstream > MTU_MAX || downstream < MTU_MIN || downstream > MTU_MAX)
    return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN);
  return DONE;
}

/** See the head of this file. */
export const rdp: Recogniser = {
  protocol: "RDP",
  transports: ["TCP", "UDP"],
  encrypted: true,
  firstBytes: [TPKT_VERSION, 0xff],
  judge(evidence) {
    return evidence.transport === "TCP" ? judgeStream(evidence) : judgeDatagram(evidence);
  },
};
