/**
 * WireGuard (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", section 5.4): a type byte, three
 * zero bytes, and lengths without freedom.
 */
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

const RESERVED = 1;
const SENDER = 4;
const RESPONSE_RECEIVER = 8;
const DATA_COUNTER_LOW = 8;
const DATA_COUNTER_HIGH = 12;

/** A session is rekeyed long before its counter reaches this (section 6.1). */
const DATA_COUNTER_MAX = 0x7fffffff;

const INITIATION = 1;
const RESPONSE = 2;
const COOKIE = 3;
const DATA = 4;

/** Type, and indices or counter: all that is read. */
const HEADER_BYTES = 16;
const INITIATION_BYTES = 148;
const RESPONSE_BYTES = 92;
const COOKIE_BYTES = 64;
/** Header and tag of an empty packet, the keep-alive; payloads are padded to 16 bytes. */
const DATA_BYTES_MIN = 32;
const PADDING_BYTES = 16;

/** Packets of data in a row with one receiver index and small rising counters that make it likely. */
const DATA_RUN = 3;

interface WireGuardState {
  initiator: number;
  receiver: [number, number];
  run: [number, number];
}

const makeState = (): WireGuardState => ({ initiator: -1, receiver: [-1, -1], run: [0, 0] });

/** Data of one receiver index with small counters, packet after packet. */
function judgeData(evidence: Evidence): Answer {
  const { bytes, direction, wireLength } = evidence;
  if (wireLength < DATA_BYTES_MIN || wireLength % PADDING_BYTES !== 0) return evidence.matched ? 1 : NO_MATCH;
  if (bytes.u32le(DATA_COUNTER_HIGH) !== 0 || bytes.u32le(DATA_COUNTER_LOW) > DATA_COUNTER_MAX)
    return NO_MATCH;
  const state = evidence.state(makeState);
  const receiver = bytes.u32le(SENDER);
  state.run[direction] = state.receiver[direction] === receiver ? state.run[direction] + 1 : 1;
  state.receiver[direction] = receiver;
  if (state.run[direction] >= DATA_RUN) evidence.match(CONFIDENCE.LIKELY);
  return 1;
}

/** See the head of this file. */
export const wireguard: Recogniser = {
  protocol: "WireGuard",
  transports: ["UDP"],
  encrypted: true,
  firstBytes: [INITIATION, RESPONSE, COOKIE, DATA],
  judge(evidence): Answer {
    // How long the messages are is known also where the copy was cut short.
    const { bytes, wireLength: length } = evidence;
    if (bytes.length < HEADER_BYTES || bytes.u24(RESERVED) !== 0) return evidence.matched ? 1 : NO_MATCH;
    const type = bytes.u8(0);
    if (type === INITIATION && length === INITIATION_BYTES) {
      evidence.match(CONFIDENCE.CERTAIN);
      evidence.state(makeState).initiator = bytes.u32le(SENDER);
      return 1;
    }
    if (type === RESPONSE && length === RESPONSE_BYTES) {
      const known = evidence.peek<WireGuardState>()?.initiator;
      evidence.match(known === bytes.u32le(RESPONSE_RECEIVER) ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
      return evidence.candidate?.confidence === CONFIDENCE.CERTAIN ? DONE : 1;
    }
    if (type === COOKIE && length === COOKIE_BYTES) {
      evidence.match(CONFIDENCE.LIKELY);
      return 1;
    }
    if (type === DATA) return judgeData(evidence);
    return evidence.matched ? 1 : NO_MATCH;
  },
};
