/** MQTT 3.1 to 5 (OASIS MQTT 3.1.1 and 5.0). */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

const TYPE_SHIFT = 4;
const CONNECT = 0x10;
const CONNACK = 0x20;
const PUBLISH = 3;
const SUBSCRIBE = 0x82;
const PINGREQ = 0xc0;
const PINGRESP = 0xd0;

/** Octets of the remaining length (MQTT 3.1.1 section 2.2.3). */
const LENGTH_OCTETS_MAX = 4;
/** Flags and return code. */
const CONNACK_BYTES = 2;
const CONNACK_CODE_MAX = 5;
/** Reason codes of version 5 that refuse (MQTT 5.0 section 3.2.2.2). */
const REASON_REFUSED = 0x80;
const REASON_MAX = 0x9f;
/** Flags, reason and a length of properties in one octet. */
const CONNACK_5_HEAD_BYTES = 3;
const PROPERTIES_MAX = 0x7f;
const TOPIC_BYTES_MAX = 1024;

/** Position behind the remaining length, and its value in `value`; -1 when broken, -2 when cut off. */
function remainingLength(bytes: ByteWindow): { at: number; value: number } {
  let value = 0;
  for (let index = 0; index < LENGTH_OCTETS_MAX; index += 1) {
    const octet = bytes.u8(1 + index);
    if (octet < 0) return { at: -2, value: 0 };
    value += (octet & 0x7f) * 128 ** index;
    if (octet < 0x80) return { at: 2 + index, value };
  }
  return { at: -1, value: 0 };
}

function judgeConnect(evidence: Evidence, at: number): Answer {
  const { bytes } = evidence;
  if (bytes.length < at + 7) return at + 7;
  if (bytes.has("\0\x04MQTT", at)) {
    const level = bytes.u8(at + 6);
    if (level < 3 || level > 5) return NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN).version = level === 5 ? "5" : "3.1.1";
    return DONE;
  }
  if (!bytes.couldBe("\0\x06MQIsdp", at)) return NO_MATCH;
  if (bytes.length < at + 8) return at + 8;
  evidence.match(CONFIDENCE.CERTAIN).version = "3.1";
  return DONE;
}

function judgePublish(evidence: Evidence, at: number, length: number): Answer {
  const { bytes } = evidence;
  const topic = bytes.u16(at);
  if (topic < 1 || topic > TOPIC_BYTES_MAX || topic + 2 > length) return NO_MATCH;
  if (bytes.length < at + 2 + topic) return at + 2 + topic;
  if (!bytes.isText(at + 2, at + 2 + topic) || (topic < 3 && length < 8)) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY);
  return DONE;
}

/** CONNACK of version 5: flags, reason, properties that fill the packet (MQTT 5.0 section 3.2). */
function judgeConnack5(evidence: Evidence, at: number, length: number): Answer {
  const { bytes } = evidence;
  if (bytes.length < at + CONNACK_5_HEAD_BYTES) return at + CONNACK_5_HEAD_BYTES;
  const reason = bytes.u8(at + 1);
  const known = reason === 0 || (reason >= REASON_REFUSED && reason <= REASON_MAX);
  if (bytes.u8(at) > 1 || !known || bytes.u8(at + 2) !== length - CONNACK_5_HEAD_BYTES) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY);
  return DONE;
}

function judgeConnack(evidence: Evidence, at: number, length: number): Answer {
  const { bytes } = evidence;
  if (length > CONNACK_5_HEAD_BYTES + PROPERTIES_MAX) return NO_MATCH;
  if (length >= CONNACK_5_HEAD_BYTES) return judgeConnack5(evidence, at, length);
  if (length !== CONNACK_BYTES) return NO_MATCH;
  if (bytes.length < at + CONNACK_BYTES) return at + CONNACK_BYTES;
  if (bytes.u8(at) > 1 || bytes.u8(at + 1) > CONNACK_CODE_MAX) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY);
  return DONE;
}

/** See the head of this file. */
export const mqtt: Recogniser = {
  protocol: "MQTT",
  transports: ["TCP"],
  encrypted: false,
  firstBytes: [
    CONNECT,
    CONNACK,
    0x30,
    0x31,
    0x32,
    0x33,
    0x34,
    0x35,
    0x3a,
    0x3b,
    0x3c,
    0x3d,
    SUBSCRIBE,
    PINGREQ,
    PINGRESP,
  ],
  judge(evidence) {
    const { bytes } = evidence;
    const first = bytes.u8(0);
    const { at, value } = remainingLength(bytes);
    if (at === -2) return bytes.length + 1;
    if (at === -1) return NO_MATCH;
    if (first === CONNECT) return value < 10 ? NO_MATCH : judgeConnect(evidence, at);
    if (evidence.matched) return DONE;
    if (first >> TYPE_SHIFT === PUBLISH) return judgePublish(evidence, at, value);
    if (first === CONNACK) return judgeConnack(evidence, at, value);
    if (first === SUBSCRIBE) return value < 6 ? NO_MATCH : judgePublish(evidence, at + 2, value - 2);
    // A ping is two bytes of nothing: worth something only between other signs.
    return NO_MATCH;
  },
};
