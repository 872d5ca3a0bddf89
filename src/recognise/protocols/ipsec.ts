/**
 * IPsec in UDP: IKE (RFC 7296; version 1: RFC 2408), with the non-ESP marker on the NAT traversal port, and
 * ESP packets beside it (RFC 3948); and both in TCP (RFC 9329).
 */
import { sequenceDistance } from "../../base/index.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, charCodes, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// IKE header (RFC 7296 section 3.1).
const NEXT_PAYLOAD = 16;
const VERSION = 17;
const EXCHANGE = 18;
const FLAGS = 19;
const LENGTH = 24;
const HEADER_BYTES = 28;

const VERSION_1 = 0x10;
const VERSION_2 = 0x20;

/** "Non-ESP Marker: four zero bytes" (RFC 3948 section 2.2). */
const MARKER_BYTES = 4;

/** NAT traversal port: without it a run of ESP packets has no mark. */
const NAT_TRAVERSAL_PORT = 4500;
const NAT_KEEPALIVE = 0xff;

/** ESP header and the shortest trailer with a tag (RFC 4303 section 2). */
const ESP_SEQUENCE = 4;
const ESP_BYTES_MIN = 8 + 12;
/** Packets of one association may be lost or reordered, but not by more than this; a new one begins at 1. */
const SEQUENCE_STEP_MAX = 64;
/** Security parameters indexes up to 255 are reserved. */
const ESP_INDEX_MIN = 256;

/** Exchange types in use: ISAKMP 0 to 5, 32 to 33; IKEv2 34 to 44. */
function isExchange(version: number, exchange: number): boolean {
  if (version === VERSION_2) return exchange >= 34 && exchange <= 44;
  return exchange <= 6 || (exchange >= 32 && exchange <= 34) || exchange >= 240;
}

/** True when the first payload is one that the version knows (RFC 7296 section 3.2, RFC 2408 section 3.1). */
function isFirstPayload(version: number, payload: number): boolean {
  if (version === VERSION_2) return payload === 0 || (payload >= 33 && payload <= 54);
  return payload <= 21 || payload >= 128;
}

function judgeIke(evidence: Evidence, at: number): boolean {
  const { bytes } = evidence;
  const version = bytes.u8(at + VERSION);
  if (version !== VERSION_1 && version !== VERSION_2) return false;
  if (!isExchange(version, bytes.u8(at + EXCHANGE))) return false;
  if (!isFirstPayload(version, bytes.u8(at + NEXT_PAYLOAD)) || (bytes.u8(at + FLAGS) & 0xc0) !== 0)
    return false;
  const length = bytes.u32(at + LENGTH);
  if (length < HEADER_BYTES || at + length !== evidence.wireLength) return false;
  if (bytes.u32(at) === 0 && bytes.u32(at + 4) === 0) return false;
  evidence.match(CONFIDENCE.CERTAIN).kind = version === VERSION_1 ? "IKEv1" : "IKEv2";
  return true;
}

interface EspState {
  readonly index: [number, number];
  readonly sequence: [number, number];
  readonly run: [number, number];
}

const makeState = (): EspState => ({ index: [0, 0], sequence: [0, 0], run: [0, 0] });

function judgeEsp(evidence: Evidence): Answer {
  const { bytes, direction } = evidence;
  const index = bytes.u32(0);
  const sequence = bytes.u32(ESP_SEQUENCE);
  if (index < ESP_INDEX_MIN || bytes.length < ESP_BYTES_MIN || sequence === 0) return NO_MATCH;
  const state = evidence.state(makeState);
  const step = sequenceDistance(state.sequence[direction], sequence);
  const follows = state.index[direction] === index && step > 0 && step < SEQUENCE_STEP_MAX;
  state.run[direction] = follows ? state.run[direction] + 1 : 1;
  state.index[direction] = index;
  state.sequence[direction] = sequence;
  if (state.run[direction] >= 2 || sequence < SEQUENCE_STEP_MAX)
    evidence.match(CONFIDENCE.LIKELY).kind = "ESP";
  return 1;
}

/** See the head of this file. */
export const ipsec: Recogniser = {
  protocol: "IPsec",
  transports: ["UDP"],
  encrypted: true,
  judge(evidence) {
    const { bytes } = evidence;
    const marked = bytes.u32(0) === 0;
    if (bytes.length >= HEADER_BYTES && judgeIke(evidence, marked ? MARKER_BYTES : 0)) return DONE;
    if (!evidence.hasPort(NAT_TRAVERSAL_PORT) || marked) return evidence.matched ? 1 : NO_MATCH;
    if (bytes.length === 1 && bytes.u8(0) === NAT_KEEPALIVE) return 1;
    return judgeEsp(evidence);
  },
};

/** What the client sends first in TCP (RFC 9329 section 3). */
const STREAM_PREFIX = "IKETCP";

/** IPsec in TCP. */
export const ipsecStream: Recogniser = {
  protocol: "IPsec",
  transports: ["TCP"],
  encrypted: true,
  firstBytes: charCodes("I"),
  judge(evidence) {
    const { bytes } = evidence;
    if (!bytes.couldBe(STREAM_PREFIX)) return NO_MATCH;
    if (bytes.length < STREAM_PREFIX.length) return STREAM_PREFIX.length;
    evidence.match(CONFIDENCE.CERTAIN);
    evidence.isFromClient();
    return DONE;
  },
};
