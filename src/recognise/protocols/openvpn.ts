/**
 * OpenVPN over datagrams and streams: plain, with tls-auth and with tls-crypt ("OpenVPN network protocol", in
 * the sources' doc folder).
 *
 * A session begins with a reset of the client, answered by one of the server that names the client's session.
 * Plain and tls-auth resets show enough of their structure to be certain when both were seen. With tls-crypt
 * only the opcode and the session id are in the clear, and the result stays likely. A session met in its
 * middle is told by control packets that acknowledge each other, or by data packets whose ids count up. What
 * obfuscation (obfs, scramble, stunnel) wraps is not recognised.
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, byteRange, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Opcode in the high five bits, key id in the low three.
const OPCODE_SHIFT = 3;
const KEY_MASK = 7;
const RESET_CLIENT_V1 = 1;
const RESET_SERVER_V1 = 2;
const CONTROL_V1 = 4;
const ACK_V1 = 5;
const DATA_V1 = 6;
const RESET_CLIENT_V2 = 7;
const RESET_SERVER_V2 = 8;
const DATA_V2 = 9;
const RESET_CLIENT_V3 = 10;
const CONTROL_WRAPPED = 11;

const SESSION_ID = 1;
const SESSION_ID_BYTES = 8;
const AFTER_SESSION_ID = SESSION_ID + SESSION_ID_BYTES;

/** HMAC sizes of tls-auth: none, MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512. */
const HMAC_BYTES: readonly number[] = [0, 16, 20, 28, 32, 48, 64];
/** Packet id and time that tls-auth puts behind the HMAC. */
const REPLAY_BYTES = 8;
/** Packet ids of a new session are small; its time is a clock's, between 2001 and 2063. */
const PACKET_ID_MAX = 0xffff;
/** Packet ids of clients that offer early negotiation begin at 0x0f000001. */
const EARLY_PACKET_IDS = 0x0f00;
const TIME_MIN = 1_000_000_000;
const TIME_MAX = 2_950_000_000;
/** tls-crypt: packet id, time, and a tag of 32 bytes. */
const TLS_CRYPT_BYTES = REPLAY_BYTES + 32;

/** Acknowledgements that one packet carries. */
const ACKS_MAX = 8;

/** Resets are shorter than this in every mode. */
const RESET_BYTES_MAX = 1200;
/** Shortest control packet: opcode, session id, empty acknowledgement list, message id. */
const CONTROL_BYTES_MIN = 14;
/**
 * Bytes of a packet in which the other side's session id is looked for: all wrappings, all acknowledgements.
 */
const ECHO_BYTES = 120;
/** Control packets that kept their session ids, after which nothing else is thinkable. */
const CONTROL_RUN = 4;
/** Largest packet in a stream's length field. */
const PACKET_BYTES_MAX = 10_240;

// Data packet, version 2: opcode, 24 bits of the peer's id, packet id.
const DATA_PEER = 1;
const DATA_PACKET_ID = 4;
/** Opcode, peer id, packet id and a tag. */
const DATA_BYTES_MIN = 24;
/** Data packets of one peer whose ids follow each other that make it likely, and how far ids may skip. */
const DATA_RUN = 4;
const DATA_STEP_MAX = 16;

/** How the control packets are protected. */
type Wrapping = "plain" | "tls-auth" | "tls-crypt" | "";

interface OpenVpnState {
  /** First half of the session id of each direction, -1 while unknown; and the second half. */
  readonly high: [number, number];
  readonly low: [number, number];
  /** Control packets of each direction that kept their session id. */
  readonly packets: [number, number];
  wrapping: Wrapping;
  /** Data packets of each direction: peer, last packet id, and how many followed each other. */
  readonly peer: [number, number];
  readonly packetId: [number, number];
  readonly run: [number, number];
  /** Next packet in each direction of a stream. */
  readonly next: [number, number];
}

const makeState = (): OpenVpnState => ({
  high: [-1, -1],
  low: [-1, -1],
  packets: [0, 0],
  wrapping: "",
  peer: [-1, -1],
  packetId: [0, 0],
  run: [0, 0],
  next: [0, 0],
});

function isReset(opcode: number): boolean {
  return (
    opcode === RESET_CLIENT_V1 ||
    opcode === RESET_SERVER_V1 ||
    opcode === RESET_CLIENT_V2 ||
    opcode === RESET_SERVER_V2 ||
    opcode === RESET_CLIENT_V3
  );
}

/** True when a packet id of a new session stands at `position`. */
function isPacketId(bytes: ByteWindow, position: number): boolean {
  const id = bytes.u32(position);
  return id >>> 16 === EARLY_PACKET_IDS || (id >= 1 && id <= PACKET_ID_MAX);
}

/** True when a packet id and a time that tls-crypt counts from stand at `position`. */
function isReplayStamp(bytes: ByteWindow, position: number): boolean {
  const seconds = bytes.u32(position + 4);
  return isPacketId(bytes, position) && seconds >= TIME_MIN && seconds <= TIME_MAX;
}

/**
 * How the reset [at, to) is protected: the wrapping under which its message id is 0 and nothing follows it;
 * "" when none fits.
 */
function resetWrapping(bytes: ByteWindow, at: number, to: number): Wrapping {
  for (const hmac of HMAC_BYTES) {
    const stampAt = at + AFTER_SESSION_ID + hmac;
    // The time may be anything: routers without a clock begin in 1970.
    if (hmac > 0 && !isPacketId(bytes, stampAt)) continue;
    const acksAt = stampAt + (hmac > 0 ? REPLAY_BYTES : 0);
    const acks = bytes.u8(acksAt);
    const messageAt = acksAt + 1 + 4 * acks + (acks > 0 ? SESSION_ID_BYTES : 0);
    if (acks < 0 || acks > ACKS_MAX || bytes.u32(messageAt) !== 0) continue;
    if (messageAt + 4 === to) return hmac === 0 ? "plain" : "tls-auth";
  }
  const opcode = bytes.u8(at) >> OPCODE_SHIFT;
  const first = opcode === RESET_CLIENT_V1 || opcode === RESET_SERVER_V1;
  const room = to - at >= AFTER_SESSION_ID + TLS_CRYPT_BYTES;
  return !first && room && isReplayStamp(bytes, at + AFTER_SESSION_ID) ? "tls-crypt" : "";
}

/** True when the packet repeats the other side's session id behind its own head. */
function echoesSession(evidence: Evidence, state: OpenVpnState, at: number, to: number): boolean {
  const { bytes, direction } = evidence;
  const other = direction === 0 ? 1 : 0;
  if (state.high[other] < 0) return false;
  const last = Math.min(to, at + ECHO_BYTES) - SESSION_ID_BYTES;
  for (let position = at + AFTER_SESSION_ID; position <= last; position += 1) {
    if (bytes.u32(position) === state.high[other] && bytes.u32(position + 4) === state.low[other])
      return true;
  }
  return false;
}

/** True when the head of the packet [at, to) is that of a control packet that may stand here. */
function isControl(evidence: Evidence, at: number, to: number): boolean {
  const { bytes } = evidence;
  const opcode = bytes.u8(at) >> OPCODE_SHIFT;
  if (to - at < CONTROL_BYTES_MIN) return false;
  if (isReset(opcode)) return (bytes.u8(at) & KEY_MASK) === 0 && to - at <= RESET_BYTES_MAX;
  if (opcode !== CONTROL_V1 && opcode !== ACK_V1 && opcode !== CONTROL_WRAPPED) return false;
  return true;
}

/** Judges a data packet; false when it does not continue a session. */
function judgeData(evidence: Evidence, at: number, to: number): boolean {
  const { bytes, direction } = evidence;
  if (evidence.matched) return true;
  if (bytes.u8(at) >> OPCODE_SHIFT !== DATA_V2 || to - at < DATA_BYTES_MIN) return false;
  const state = evidence.state(makeState);
  const peer = bytes.u24(at + DATA_PEER);
  const packetId = bytes.u32(at + DATA_PACKET_ID);
  const step = packetId - state.packetId[direction];
  const follows = state.peer[direction] === peer && step > 0 && step <= DATA_STEP_MAX;
  state.run[direction] = follows ? state.run[direction] + 1 : 1;
  state.peer[direction] = peer;
  state.packetId[direction] = packetId;
  if (state.run[direction] >= DATA_RUN) evidence.match(CONFIDENCE.LIKELY);
  return true;
}

/** Judges the packet [at, to). False when it is none of OpenVPN's. */
function judgePacket(evidence: Evidence, at: number, to: number): boolean {
  const { bytes, direction } = evidence;
  const opcode = bytes.u8(at) >> OPCODE_SHIFT;
  if (opcode === DATA_V1 || opcode === DATA_V2) return judgeData(evidence, at, to);
  if (!isControl(evidence, at, to)) return false;
  const high = bytes.u32(at + SESSION_ID);
  const low = bytes.u32(at + SESSION_ID + 4);
  if (high === 0 && low === 0) return false;
  const wrapping = isReset(opcode) ? resetWrapping(bytes, at, to) : "";
  if (isReset(opcode) && wrapping === "") return false;
  const state = evidence.state(makeState);
  if (state.wrapping === "") state.wrapping = wrapping;
  const same = state.high[direction] === high && state.low[direction] === low;
  state.packets[direction] = same ? state.packets[direction] + 1 : 1;
  state.high[direction] = high;
  state.low[direction] = low;
  conclude(evidence, state, at, to);
  return true;
}

/**
 * True when the packet acknowledges the other side's, with its session id where the list of acknowledgements
 * ends, plain or behind tls-auth: the mark of a session whose resets were not seen.
 */
function acknowledgesSession(evidence: Evidence, state: OpenVpnState, at: number): boolean {
  const { bytes, direction } = evidence;
  const other = direction === 0 ? 1 : 0;
  if (state.high[other] < 0 || state.high[other] === state.high[direction]) return false;
  for (const hmac of HMAC_BYTES) {
    const acksAt = at + AFTER_SESSION_ID + hmac + (hmac > 0 ? REPLAY_BYTES : 0);
    const acks = bytes.u8(acksAt);
    const idAt = acksAt + 1 + 4 * acks;
    if (acks < 1 || acks > ACKS_MAX) continue;
    if (bytes.u32(idAt) === state.high[other] && bytes.u32(idAt + 4) === state.low[other]) return true;
  }
  return false;
}

function conclude(evidence: Evidence, state: OpenVpnState, at: number, to: number): void {
  if (state.wrapping === "") {
    if (acknowledgesSession(evidence, state, at)) evidence.match(CONFIDENCE.CERTAIN);
    return;
  }
  const kept = state.packets[0] + state.packets[1];
  const both = state.high[0] >= 0 && state.high[1] >= 0;
  const wrapped = state.wrapping === "tls-crypt";
  if (echoesSession(evidence, state, at, to) || kept >= CONTROL_RUN) {
    evidence.match(CONFIDENCE.CERTAIN).kind = state.wrapping;
  } else if (kept >= 2 ? wrapped || both : !wrapped) {
    evidence.match(CONFIDENCE.LIKELY).kind = state.wrapping;
  }
}

/** True when a stream can begin so: a length and a reset. */
function isStreamStart(bytes: ByteWindow): boolean {
  const length = bytes.u16(0);
  if (length < CONTROL_BYTES_MIN || length > RESET_BYTES_MAX) return false;
  return bytes.length < 3 || (isReset(bytes.u8(2) >> OPCODE_SHIFT) && (bytes.u8(2) & KEY_MASK) === 0);
}

function judgeStream(evidence: Evidence): Answer {
  const { bytes, direction } = evidence;
  if (evidence.candidate === undefined) {
    if (bytes.length < 2) return 2;
    if (!isStreamStart(bytes)) return NO_MATCH;
  }
  const state = evidence.state(makeState);
  const stranger = evidence.matched ? DONE : NO_MATCH;
  for (;;) {
    const at = state.next[direction];
    const length = bytes.u16(at);
    if (length < 0) return at + 2;
    if (length === 0 || length > PACKET_BYTES_MAX) return stranger;
    const to = at + 2 + length;
    if (bytes.length < to) return to;
    if (!judgePacket(evidence, at + 2, to)) return stranger;
    state.next[direction] = to;
    if (evidence.candidate?.confidence === CONFIDENCE.CERTAIN) return DONE;
  }
}

/** See the head of this file. */
export const openvpn: Recogniser = {
  protocol: "OpenVPN",
  transports: ["UDP", "TCP"],
  encrypted: true,
  // The high byte of a stream packet's length; and opcodes in datagrams, 1, 2 and 4 to 11 with any key.
  firstBytes: [0, 1, 2, 3, 4, 0x08, 0x10, ...byteRange(CONTROL_V1 << OPCODE_SHIFT, 0x5f)],
  judge(evidence) {
    if (evidence.transport === "TCP") return judgeStream(evidence);
    const { bytes } = evidence;
    if (!judgePacket(evidence, 0, bytes.length)) return evidence.matched ? 1 : NO_MATCH;
    return evidence.candidate?.confidence === CONFIDENCE.CERTAIN ? DONE : 1;
  },
};
