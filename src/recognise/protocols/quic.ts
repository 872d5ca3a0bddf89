/**
 * QUIC versions 1 and 2 (RFC 9000, RFC 9369), the drafts still seen, and Google's versions before them.
 *
 * Long headers carry the version, which is mark enough. The client's first packets are opened (RFC 9001
 * section 5.2) and the ClientHello in them is read, over as many packets as it takes.
 */
import { type ByteWindow, windowOver } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { CryptoStream, VarintCursor } from "../quic/crypto-stream.ts";
import { learnGoogleHello } from "../quic/google-hello.ts";
import { clientKeys, type InitialKeys, openInitial } from "../quic/initial.ts";
import { type QuicVersion, quicVersion, UNKNOWN_VERSION } from "../quic/version.ts";
import { type Answer, byteRange, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";
import { readClientHello } from "../tls/client-hello.ts";
import { learnClientHello } from "../tls/fingerprint.ts";
import { HANDSHAKE, HANDSHAKE_HEADER_BYTES } from "../tls/handshake.ts";

// Long header (RFC 9000 section 17.2).
const LONG_HEADER = 0x80;
const FIXED_BIT = 0x40;
const VERSION = 1;
const CONNECTION_ID_LENGTH = 5;
const TYPE_SHIFT = 4;
/** Fixed bit and packet type. */
const TYPE_BITS = 0x70;
const TYPE_MASK = 3;
/** "In QUIC version 1, this value MUST NOT exceed 20 bytes" (RFC 9000 section 17.2). */
const CONNECTION_ID_BYTES_MAX = 20;

// Google's public header up to Q043.
const PUBLIC_VERSION = 0x01;
const PUBLIC_CONNECTION_ID = 0x08;
const PUBLIC_RESERVED = 0xc0;
const PUBLIC_VERSION_AT = 9;
/** Packet number, hash and frame header stand between the connection id and a server's message. */
const SERVER_HELLO_SEARCH_BYTES = 48;

/** Shortest long-header packet: header with empty connection ids, a length and a sample. */
const LONG_PACKET_BYTES_MIN = 7;

/**
 * Smallest datagram, and destination connection id, that a client may begin with (RFC 9000 sections 14.1,
 * 7.2).
 */
const FIRST_DATAGRAM_BYTES_MIN = 1200;
const FIRST_ID_BYTES_MIN = 8;

interface QuicState {
  keys: InitialKeys | undefined;
  stream: CryptoStream | undefined;
}

const makeState = (): QuicState => ({ keys: undefined, stream: undefined });

/** Where the fields behind the connection ids are; moved from packet to packet. */
interface LongHeader {
  version: QuicVersion;
  connectionId: Uint8Array;
  /** Position just behind the source connection id. */
  after: number;
}

const unpacked = (length: number): number => (length === 0 ? 0 : length + 3);

function readLongHeader(bytes: ByteWindow, at: number, other?: QuicVersion): LongHeader | undefined {
  const version = quicVersion(bytes.u32(at + VERSION)) ?? other;
  if (version === undefined || bytes.length - at < LONG_PACKET_BYTES_MIN) return undefined;
  if (version.name === "Q046") {
    // Both lengths in one byte, each three less than the length, 0 for none.
    return { version, connectionId: new Uint8Array(0), after: at + CONNECTION_ID_LENGTH };
  }
  const lengthAt = at + CONNECTION_ID_LENGTH;
  if (version.packedLengths) {
    // Destination and source in four bits each, three less than the length, 0 for none.
    const lengths = bytes.u8(lengthAt);
    const idAt = lengthAt + 1;
    const length = unpacked(lengths >> 4);
    const after = idAt + length + unpacked(lengths & 0x0f);
    return { version, connectionId: bytes.copy(idAt, idAt + length), after };
  }
  const length = bytes.u8(lengthAt);
  const idAt = lengthAt + 1;
  const sourceLength = bytes.u8(idAt + length);
  if (length > CONNECTION_ID_BYTES_MAX || sourceLength > CONNECTION_ID_BYTES_MAX || sourceLength < 0)
    return undefined;
  return { version, connectionId: bytes.copy(idAt, idAt + length), after: idAt + length + 1 + sourceLength };
}

/** Opens one Initial packet with the keys at hand or those of its own connection id. */
function openPacket(
  evidence: Evidence,
  header: LongHeader,
  packet: Uint8Array,
  numberAt: number,
): Uint8Array | undefined {
  const { cryptography } = evidence;
  const state = evidence.state(makeState);
  if (state.keys !== undefined) {
    const frames = openInitial(cryptography, state.keys, packet, numberAt);
    if (frames !== undefined) return frames;
  }
  for (const salt of header.version.salts) {
    const keys = clientKeys(cryptography, header.version, salt, header.connectionId);
    const frames = openInitial(cryptography, keys, packet, numberAt);
    if (frames === undefined) continue;
    state.keys = keys;
    return frames;
  }
  return undefined;
}

function learnFrames(
  evidence: Evidence,
  state: QuicState,
  version: QuicVersion,
  frames: Uint8Array,
): boolean {
  const { facts, cryptography } = evidence;
  if (version.googleHandshake) {
    return learnGoogleHello(facts, windowOver(frames));
  }
  const stream = state.stream ?? new CryptoStream();
  state.stream = stream;
  stream.addFrames(frames);
  const { window } = stream;
  const length = window.u24(1);
  if (window.u8(0) !== HANDSHAKE.CLIENT_HELLO || length < 0) return false;
  if (HANDSHAKE_HEADER_BYTES + length > window.length) return false;
  const hello = readClientHello(window, HANDSHAKE_HEADER_BYTES, HANDSHAKE_HEADER_BYTES + length, false);
  if (hello !== undefined) learnClientHello(facts, hello, "q", cryptography);
  return true;
}

function judgeLong(evidence: Evidence): Answer {
  const { bytes } = evidence;
  let at = 0;
  while (at < bytes.length && (bytes.u8(at) & LONG_HEADER) !== 0) {
    const header = readLongHeader(bytes, at);
    if (header === undefined) return at === 0 && !evidence.matched ? judgePrivate(evidence) : 1;
    if (header.version.name === "negotiation") return judgeNegotiation(evidence, header.after);
    if ((bytes.u8(at) & FIXED_BIT) === 0 && !header.version.googleHandshake)
      return evidence.matched ? 1 : NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN).version ??= header.version.name;
    if (header.version.salts.length === 0) return learnGoogleHello(evidence.facts, bytes) ? DONE : 1;
    const next = judgePacket(evidence, header, at);
    if (next <= 0) return next === DONE ? DONE : 1;
    at = next;
  }
  return 1;
}

/** Reads one packet. Answers where the next one begins, {@link DONE}, or -1 when there is none. */
function judgePacket(evidence: Evidence, header: LongHeader, at: number): number {
  const { bytes } = evidence;
  const { version } = header;
  const type = (bytes.u8(at) >> TYPE_SHIFT) & TYPE_MASK;
  const initial = type === version.initialType;
  const cursor = new VarintCursor(bytes, header.after);
  if (initial) {
    const tokenBytes = cursor.next();
    cursor.position += tokenBytes;
  }
  const length = cursor.next();
  const end = cursor.position + length;
  if (cursor.failed || length === 0 || end > bytes.length) return -1;
  if (!initial) return end;
  const state = evidence.state(makeState);
  const frames = openPacket(evidence, header, bytes.view(at, end), cursor.position - at);
  if (frames !== undefined) evidence.isFromClient();
  if (frames !== undefined && learnFrames(evidence, state, version, frames)) return DONE;
  return end;
}

/**
 * A version nobody knows: if the datagram has the size that a client's first must have (RFC 9000 section
 * 14.1) and opens with the keys of a known version, it is QUIC.
 */
function judgePrivate(evidence: Evidence): Answer {
  const { bytes } = evidence;
  if (bytes.length < FIRST_DATAGRAM_BYTES_MIN || (bytes.u8(0) & TYPE_BITS) !== FIXED_BIT) return NO_MATCH;
  const header = readLongHeader(bytes, 0, UNKNOWN_VERSION);
  if (header === undefined || header.connectionId.length < FIRST_ID_BYTES_MIN) return NO_MATCH;
  const number = bytes.u32(VERSION);
  const next = judgePacket(evidence, header, 0);
  if (evidence.peek<QuicState>()?.keys === undefined) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN).version = `0x${number.toString(16).padStart(8, "0")}`;
  return next === DONE ? DONE : 1;
}

function judgeNegotiation(evidence: Evidence, listAt: number): Answer {
  const { bytes } = evidence;
  const rest = bytes.length - listAt;
  if (rest < 4 || rest % 4 !== 0) return evidence.matched ? 1 : NO_MATCH;
  for (let position = listAt; position < bytes.length; position += 4) {
    const version = bytes.u32(position);
    if (version === 0 || quicVersion(version) === undefined) continue;
    evidence.match(CONFIDENCE.CERTAIN);
    return 1;
  }
  return evidence.matched ? 1 : NO_MATCH;
}

function judgePublic(evidence: Evidence, flags: number): Answer {
  const { bytes } = evidence;
  if ((flags & PUBLIC_RESERVED) !== 0 || (flags & PUBLIC_CONNECTION_ID) === 0) return NO_MATCH;
  if ((flags & PUBLIC_VERSION) === 0) return judgeServerHello(evidence);
  const version = quicVersion(bytes.u32(PUBLIC_VERSION_AT));
  if (version === undefined || !version.googleHandshake) return NO_MATCH;
  evidence.match(CONFIDENCE.CERTAIN).version ??= version.name;
  return learnGoogleHello(evidence.facts, bytes) ? DONE : 1;
}

/** A server's packet has no version, but its handshake message a tag. */
function judgeServerHello(evidence: Evidence): Answer {
  const { bytes } = evidence;
  for (let position = PUBLIC_VERSION_AT; position < SERVER_HELLO_SEARCH_BYTES; position += 1) {
    if (!bytes.has("REJ\0", position) && !bytes.has("SHLO", position)) continue;
    evidence.match(CONFIDENCE.CERTAIN);
    evidence.isFromServer();
    return 1;
  }
  return NO_MATCH;
}

/** See the head of this file. */
export const quic: Recogniser = {
  protocol: "QUIC",
  transports: ["UDP"],
  encrypted: true,
  firstBytes: [...byteRange(0x08, 0x3f), ...byteRange(0x80, 0xff)],
  judge(evidence) {
    const first = evidence.bytes.u8(0);
    if ((first & LONG_HEADER) !== 0) return judgeLong(evidence);
    if (evidence.matched) return 1;
    return judgePublic(evidence, first);
  },
};
