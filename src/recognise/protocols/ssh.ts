/**
 * SSH: identification line and algorithm lists (RFC 4253), fingerprinted as HASSH and HASSHServer
 * (Salesforce, 2018).
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, charCodes, NO_MATCH, OTHER_SIDE, type Recogniser } from "../recogniser.ts";

/** "The maximum length of the string is 255 characters, including the Carriage Return and Line Feed." */
const BANNER_BYTES_MAX = 255;

/** Bytes of text lines that a server may send before its identification (RFC 4253 section 4.2). */
const PREAMBLE_BYTES_MAX = 2048;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

// Binary packet (RFC 4253 section 6).
const PACKET_LENGTH_BYTES = 4;
const PADDING_LENGTH_BYTES = 1;
const PACKET_BYTES_MAX = 35_000;

/** Message number of SSH_MSG_KEXINIT (RFC 4253 section 12). */
const KEXINIT = 20;
const COOKIE_BYTES = 16;

// Order of the name-lists in KEXINIT (RFC 4253 section 7.1).
const KEX = 0;
const ENCRYPTION_TO_SERVER = 2;
const MAC_TO_SERVER = 4;
const COMPRESSION_TO_SERVER = 6;
const NAME_LISTS = 8;

/** The name-lists of a KEXINIT, `undefined` when they run over its end. */
function readNameLists(window: ByteWindow, from: number, to: number): string[] | undefined {
  const lists: string[] = [];
  let position = from;
  for (let index = 0; index < NAME_LISTS; index += 1) {
    const length = window.u32(position);
    if (length < 0 || position + 4 + length > to) return undefined;
    lists.push(window.text(position + 4, position + 4 + length));
    position += 4 + length;
  }
  return lists;
}

/** Lists that the fingerprint of one side is made of, joined with semicolons. */
function hasshText(lists: readonly string[], fromServer: boolean): string {
  const side = fromServer ? 1 : 0;
  const wanted = [KEX, ENCRYPTION_TO_SERVER + side, MAC_TO_SERVER + side, COMPRESSION_TO_SERVER + side];
  return wanted.map((index) => lists[index] ?? "").join(";");
}

/**
 * Whose offer it is, where the list tells: the markers for extensions (RFC 8308 section 2.1) and for strict
 * key exchange (OpenSSH's PROTOCOL file) have a name for each side. `undefined` when it has none.
 */
function isServerOffer(kex: string): boolean | undefined {
  const side = /(?:^|,)(?:ext-info-|kex-strict-)([cs])/.exec(kex)?.[1];
  return side === undefined ? undefined : side === "s";
}

function learnKeyExchange(evidence: Evidence, packetAt: number): Answer {
  const { bytes, facts, cryptography } = evidence;
  const length = bytes.u32(packetAt);
  if (length < 0) return packetAt + PACKET_LENGTH_BYTES;
  if (length < 2 || length > PACKET_BYTES_MAX) return OTHER_SIDE;
  const packetEnd = packetAt + PACKET_LENGTH_BYTES + length;
  if (bytes.length < packetEnd) return packetEnd;
  const messageAt = packetAt + PACKET_LENGTH_BYTES + PADDING_LENGTH_BYTES;
  if (bytes.u8(messageAt) !== KEXINIT) return OTHER_SIDE;
  const lists = readNameLists(bytes, messageAt + 1 + COOKIE_BYTES, packetEnd);
  if (lists === undefined) return OTHER_SIDE;
  const fromServer = isServerOffer(lists[KEX] ?? "") ?? !evidence.fromOpener;
  const hash = cryptography.md5(hasshText(lists, fromServer));
  if (fromServer) facts.hasshServer = hash;
  else facts.hasshClient = hash;
  return OTHER_SIDE;
}

function learnBanner(evidence: Evidence, from: number, to: number): void {
  const { bytes, facts } = evidence;
  const line = bytes.text(from, bytes.u8(to - 1) === CARRIAGE_RETURN ? to - 1 : to);
  const version = /^SSH-([^-]*)-(.*)$/.exec(line);
  if (version?.[1] !== undefined) facts.version = version[1];
  if (!evidence.fromOpener) facts.serverSoftware = line;
  else facts.clientSoftware = line;
}

/** Start of the line that is the identification, a need, or {@link NO_MATCH}; `at` is the answer's field. */
function findBanner(bytes: ByteWindow, fromServer: boolean): number {
  let position = 0;
  while (!bytes.has("SSH-", position)) {
    if (bytes.couldBe("SSH-", position)) return -1 - position;
    const lineEnd = fromServer ? bytes.indexOf(LINE_FEED, position, PREAMBLE_BYTES_MAX) : -1;
    if (lineEnd < 0 && fromServer && bytes.length < PREAMBLE_BYTES_MAX) return -1 - position;
    if (lineEnd < 0) return Number.NEGATIVE_INFINITY;
    position = lineEnd + 1;
  }
  return position;
}

/** See the head of this file. */
export const ssh: Recogniser = {
  protocol: "SSH",
  transports: ["TCP"],
  encrypted: true,
  firstBytes: charCodes("S"),
  judge(evidence) {
    const { bytes } = evidence;
    const from = findBanner(bytes, evidence.matched);
    if (from === Number.NEGATIVE_INFINITY) return evidence.matched ? OTHER_SIDE : NO_MATCH;
    if (from < 0) return bytes.length + 1;
    const major = bytes.u8(from + 4);
    if (major < 0) return bytes.length + 1;
    if (major !== 0x31 && major !== 0x32) return NO_MATCH;
    const end = bytes.indexOf(LINE_FEED, from, from + BANNER_BYTES_MAX);
    if (end < 0 && bytes.length >= from + BANNER_BYTES_MAX) return evidence.matched ? OTHER_SIDE : NO_MATCH;
    evidence.match(CONFIDENCE.CERTAIN);
    if (end < 0) return bytes.length + 1;
    learnBanner(evidence, from, end);
    return learnKeyExchange(evidence, end + 1);
  },
};
