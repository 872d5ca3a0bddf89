/** NTP and SNTP versions 1 to 4 (RFC 5905), and the control and private modes (RFC 9327). */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Header (RFC 5905 section 7.3).
const STRATUM = 1;
const POLL = 2;
const PRECISION = 3;
const TRANSMIT_TIMESTAMP = 40;
const HEADER_BYTES = 48;

const MODE_MASK = 7;
const VERSION_SHIFT = 3;
const MODE_CLIENT = 3;
const MODE_SERVER = 4;
const MODE_CONTROL = 6;
const MODE_PRIVATE = 7;
const STRATUM_MAX = 16;
/** Largest poll exponent (RFC 5905 section 7.2), and smallest precision seen: 2^-32 s. */
const POLL_MAX = 17;
const PRECISION_MIN = -32;

/** Lengths of the authenticator: none, key id alone, with MD5, SHA-1 or SHA-256. */
const AUTHENTICATOR_BYTES: readonly number[] = [0, 4, 20, 24, 36, 52];

// Control message (RFC 9327 section 2): operation, sequence, status, association, offset, count.
const CONTROL_COUNT = 10;
const CONTROL_BYTES = 12;
/** Fixed part of a private message. */
const PRIVATE_BYTES = 8;
/** Registered port: the private mode has no structure of its own. */
const NTP_PORT = 123;

function isTimeMessage(bytes: ByteWindow, mode: number): boolean {
  const extra = bytes.length - HEADER_BYTES;
  // Extension fields are whole words behind the header (RFC 7822).
  if (extra < 0 || (!AUTHENTICATOR_BYTES.includes(extra) && extra % 4 !== 0)) return false;
  const stratum = bytes.u8(STRATUM);
  const poll = bytes.u8(POLL);
  const precision = (bytes.u8(PRECISION) << 24) >> 24;
  if (stratum > STRATUM_MAX || (poll > POLL_MAX && poll < 0xf8)) return false;
  if (precision > 16 || precision < PRECISION_MIN) return false;
  // A bare client request may leave everything but the first byte at zero; an answer has a time.
  return mode === MODE_CLIENT || stratum === 0 || bytes.u32(TRANSMIT_TIMESTAMP) !== 0;
}

function isControlMessage(bytes: ByteWindow): boolean {
  const count = bytes.u16(CONTROL_COUNT);
  return (
    count >= 0 &&
    CONTROL_BYTES + ((count + 3) & ~3) <= bytes.length + 3 &&
    CONTROL_BYTES + count <= bytes.length
  );
}

/** The modes for managing a server: the private one has no structure, so both want the registered port. */
function judgeManagement(evidence: Evidence, mode: number): Answer {
  const { bytes } = evidence;
  if (!evidence.hasPort(NTP_PORT) || bytes.length < PRIVATE_BYTES) return NO_MATCH;
  if (mode === MODE_CONTROL && !isControlMessage(bytes)) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN).kind = mode === MODE_CONTROL ? "control" : "private";
  return DONE;
}

/** See the head of this file. */
export const ntp: Recogniser = {
  protocol: "NTP",
  transports: ["UDP"],
  encrypted: false,
  judge(evidence) {
    const { bytes } = evidence;
    const first = bytes.u8(0);
    const mode = first & MODE_MASK;
    const version = (first >> VERSION_SHIFT) & 7;
    if (mode === 0 || version < 1 || version > 4) return NO_MATCH;
    if (mode === MODE_CONTROL || mode === MODE_PRIVATE) return judgeManagement(evidence, mode);
    if (!isTimeMessage(bytes, mode)) return NO_MATCH;
    const registered = evidence.hasPort(NTP_PORT);
    const usual = (mode === MODE_CLIENT || mode === MODE_SERVER) && version >= 3;
    if (!registered && (!usual || bytes.length !== HEADER_BYTES)) return NO_MATCH;
    const facts = evidence.match(registered ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
    facts.version = String(version);
    facts.kind = `mode ${mode}`;
    return registered ? DONE : 1;
  },
};
