/**
 * BitTorrent: the peer handshake (BEP 3), the distributed hash table (BEP 5), uTP (BEP 29) and UDP trackers
 * (BEP 15). The handshake that is obfuscated by "message stream encryption" has no mark and is not
 * recognised.
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

const HANDSHAKE = "\x13BitTorrent protocol";

/** Beginnings of the hash table's messages: dictionaries with the keys "a", "e", "r" or "q" first. */
const DHT_STARTS: readonly string[] = ["d1:ad", "d1:rd", "d1:el", "d2:ip6:", "d1:q"];
const DHT_MARKS: readonly string[] = ["1:y1:q", "1:y1:r", "1:y1:e"];
const DHT_SEARCH_BYTES = 1500;

/** Local service discovery (BEP 14). */
const LOCAL_SEARCH = "BT-SEARCH * HTTP/1.1\r\n";

/** "protocol_id 0x41727101980, magic constant", action connect (BEP 15). */
const TRACKER_ID_HIGH = 0x417;
const TRACKER_ID_LOW = 0x27101980;
const TRACKER_CONNECT_BYTES = 16;

// uTP header (BEP 29).
const UTP_EXTENSION = 1;
const UTP_CONNECTION = 2;
const UTP_TIMESTAMP = 4;
const UTP_WINDOW = 12;
const UTP_SEQUENCE = 16;
const UTP_HEADER_BYTES = 20;
const UTP_VERSION = 1;
const UTP_TYPE_MAX = 4;
const UTP_SYN = 4;
const UTP_STATE = 2;
const UTP_EXTENSION_MAX = 3;
/** A selective acknowledgement is the longest extension in use. */
const UTP_EXTENSION_BYTES_MAX = 16;
/** Receive windows stay below 16 MiB. */
const UTP_WINDOW_MAX = 0x1000000;
/** Packets of one connection that make it likely, or certain when both sides sent. */
const UTP_RUN = 3;

interface UtpState {
  readonly connection: number;
  packets: number;
  /** Bit set of the directions seen. */
  directions: number;
  /** True once a packet came that carries no payload by its type: SYN or STATE. */
  bare: boolean;
}

function judgeDht(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (!DHT_STARTS.some((start) => bytes.has(start))) return NO_MATCH;
  const last = bytes.u8(bytes.length - 1);
  const id = bytes.has("2:id20:", 5) || bytes.has("d1:rd2:id20:") || bytes.has("d1:ad2:id20:");
  const whole = last === 0x65 && DHT_MARKS.some((mark) => bytes.find(mark, 0, DHT_SEARCH_BYTES) > 0);
  if (!id && !whole) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN).kind = "DHT";
  return DONE;
}

/** True when a uTP header of a known type stands at the start, its fields in their ranges. */
function isUtpHeader(bytes: ByteWindow): boolean {
  const first = bytes.u8(0);
  const type = first >> 4;
  if ((first & 15) !== UTP_VERSION || type > UTP_TYPE_MAX || bytes.length < UTP_HEADER_BYTES) return false;
  if (bytes.u8(UTP_EXTENSION) > UTP_EXTENSION_MAX || bytes.u32(UTP_WINDOW) > UTP_WINDOW_MAX) return false;
  if (bytes.u16(UTP_CONNECTION) === 0 || bytes.u32(UTP_TIMESTAMP) === 0) return false;
  return type !== UTP_SYN || (bytes.u16(UTP_SEQUENCE) === 1 && isBare(bytes));
}

/** True when a packet carries no payload beside its extensions. */
function isBare(bytes: ByteWindow): boolean {
  return bytes.length <= UTP_HEADER_BYTES + UTP_EXTENSION_BYTES_MAX;
}

function judgeUtp(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (!isUtpHeader(bytes)) return evidence.matched ? 1 : NO_MATCH;
  const type = bytes.u8(0) >> 4;
  const connection = bytes.u16(UTP_CONNECTION);
  const state = evidence.state<UtpState>(() => ({ connection, packets: 0, directions: 0, bare: false }));
  // The receiver of a SYN uses the id that follows the sender's.
  if (Math.abs(connection - state.connection) > 1) return evidence.matched ? 1 : NO_MATCH;
  state.packets += 1;
  state.directions |= 1 << evidence.direction;
  if (type === UTP_SYN || (type === UTP_STATE && isBare(bytes))) state.bare = true;
  const peer = bytes.has(HANDSHAKE, UTP_HEADER_BYTES);
  const sure = peer || (state.packets >= UTP_RUN && state.directions === 3 && state.bare);
  if (sure) evidence.match(CONFIDENCE.CERTAIN).kind = "uTP";
  else if (type === UTP_SYN || (state.packets >= UTP_RUN && state.bare)) {
    evidence.match(CONFIDENCE.LIKELY).kind = "uTP";
  }
  return sure ? DONE : 1;
}

/** See the head of this file. */
export const bittorrent: Recogniser = {
  protocol: "BitTorrent",
  transports: ["TCP", "UDP"],
  encrypted: false,
  firstBytes: [0x13, 0x42, 0x64, 0x01, 0x11, 0x21, 0x31, 0x41, 0x00],
  judge(evidence) {
    const { bytes } = evidence;
    if (evidence.transport === "TCP") {
      if (!bytes.couldBe(HANDSHAKE)) return NO_MATCH;
      if (bytes.length < HANDSHAKE.length) return HANDSHAKE.length;
      evidence.match(CONFIDENCE.CERTAIN).kind = "peer";
      return DONE;
    }
    if (bytes.u8(0) === 0x64) return judgeDht(evidence);
    if (bytes.has(LOCAL_SEARCH)) {
      evidence.match(CONFIDENCE.CERTAIN).kind = "local search";
      return DONE;
    }
    if (bytes.u32(0) === TRACKER_ID_HIGH && bytes.u32(4) === TRACKER_ID_LOW) {
      if (bytes.length < TRACKER_CONNECT_BYTES) return NO_MATCH;
      evidence.match(CONFIDENCE.CERTAIN).kind = "tracker";
      return DONE;
    }
    if (bytes.has(HANDSHAKE)) {
      evidence.match(CONFIDENCE.CERTAIN).kind = "peer";
      return DONE;
    }
    return judgeUtp(evidence);
  },
};
