/**
 * DNS over UDP and TCP (RFC 1035), and its relatives on the same format: mDNS (RFC 6762) and LLMNR (RFC
 * 4795), which their registered ports set apart, and NetBIOS names (RFC 1002), which their encoding does.
 *
 * The header has few free bits; what makes it certain is that the first question reads to its end as a name,
 * a type and a class.
 */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { type Answer, CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Header (RFC 1035 section 4.1.1).
const FLAGS = 2;
const QUESTIONS = 4;
const ANSWERS = 6;
const AUTHORITIES = 8;
const ADDITIONALS = 10;
const HEADER_BYTES = 12;

const RESPONSE = 0x8000;
const OPCODE_SHIFT = 11;

/** Records that a message of real life has at most in one section. */
const RECORDS_MAX = 512;
const QUESTIONS_MAX = 64;

/** Octets of a label and of a name (RFC 1035 section 2.3.4). */
const LABEL_BYTES_MAX = 63;
const NAME_BYTES_MAX = 255;
const POINTER = 0xc0;

/** Top bit of a class: unicast answer wanted, or cache flush (RFC 6762 sections 5.4, 10.2). */
const CLASS_TOP_BIT = 0x8000;

/** Registered ports of the relatives; see the head of this file. */
const MDNS_PORT = 5353;
const LLMNR_PORT = 5355;
const DNS_PORT = 53;
const NETBIOS_PORT = 137;

/**
 * Length of a first-level encoded NetBIOS name, and its record types NB and NBSTAT (RFC 1002 sections 4.1,
 * 4.2).
 */
const NETBIOS_LABEL_BYTES = 32;
const NETBIOS_TYPES: readonly number[] = [0x20, 0x21];

/** Bytes of the length before a message over TCP (RFC 1035 section 4.2.2). */
const TCP_LENGTH_BYTES = 2;

/** Position just past the name at `from`, or -1 when it is none. */
function nameEnd(window: ByteWindow, from: number): number {
  let position = from;
  while (position - from <= NAME_BYTES_MAX) {
    const length = window.u8(position);
    if (length === 0) return position + 1;
    if (length >= POINTER) return window.u8(position + 1) < 0 ? -1 : position + 2;
    if (length < 0 || length > LABEL_BYTES_MAX) return -1;
    position += 1 + length;
  }
  return -1;
}

function nameText(window: ByteWindow, from: number, to: number): string {
  const labels: string[] = [];
  for (let position = from; position < to - 1; ) {
    const length = window.u8(position);
    if (length >= POINTER || length <= 0) break;
    labels.push(window.name(position + 1, position + 1 + length));
    position += 1 + length;
  }
  return labels.join(".");
}

/** The sixteen characters that a NetBIOS name spells in thirty-two, `undefined` when it is none. */
function netbiosName(window: ByteWindow, from: number): string | undefined {
  if (window.u8(from) !== NETBIOS_LABEL_BYTES) return undefined;
  let name = "";
  for (let position = from + 1; position < from + 1 + NETBIOS_LABEL_BYTES; position += 2) {
    const high = window.u8(position) - 0x41;
    const low = window.u8(position + 1) - 0x41;
    if (high < 0 || high > 15 || low < 0 || low > 15) return undefined;
    name += String.fromCharCode(high * 16 + low);
  }
  return name.slice(0, 15).trimEnd().toLowerCase();
}

/** True when the header's bits and counts are such as a message has. */
function isHeader(window: ByteWindow, at: number): boolean {
  const flags = window.u16(at + FLAGS);
  const questions = window.u16(at + QUESTIONS);
  const answers = window.u16(at + ANSWERS);
  const authorities = window.u16(at + AUTHORITIES);
  const additionals = window.u16(at + ADDITIONALS);
  if (additionals < 0) return false;
  // Opcodes up to 6 are assigned; 3 and beyond 6 are not, NetBIOS uses up to 8.
  const opcode = (flags >> OPCODE_SHIFT) & 15;
  if (opcode > 8 || opcode === 3) return false;
  if (questions > QUESTIONS_MAX || answers > RECORDS_MAX || authorities > RECORDS_MAX) return false;
  return additionals <= RECORDS_MAX && questions + answers + authorities + additionals > 0;
}

function isClass(value: number): boolean {
  const plain = value & ~CLASS_TOP_BIT;
  return value >= 0 && ((plain >= 1 && plain <= 4) || plain === 254 || plain === 255);
}

/** Name of the relative that these ports stand for. */
function familyMember(evidence: Evidence): string {
  if (evidence.hasPort(MDNS_PORT)) return "mDNS";
  return evidence.hasPort(LLMNR_PORT) ? "LLMNR" : "DNS";
}

/** The question counts that was answered first; until then, the one asked last. */
function learnQuestion(evidence: Evidence, from: number, to: number): void {
  const { bytes, facts } = evidence;
  const name = nameText(bytes, from, to);
  if (name !== "") facts.serverName = name;
  facts.kind = `question type ${bytes.u16(to)}`;
}

/** True on the ports of DNS and its relatives, where damaged messages and bare ones are believed. */
function isRegistered(evidence: Evidence): boolean {
  return evidence.hasPort(DNS_PORT) || evidence.hasPort(MDNS_PORT) || evidence.hasPort(LLMNR_PORT);
}

/** Judges the message at `at`, `to` just past it. */
function judgeMessage(evidence: Evidence, at: number, to: number): Answer {
  const { bytes } = evidence;
  const from = at + HEADER_BYTES;
  const end = isHeader(bytes, at) ? nameEnd(bytes, from) : -1;
  if (end < 0 || end + 4 > to || !isClass(bytes.u16(end + 2))) return judgeBroken(evidence, at);
  const netbios = netbiosName(bytes, from);
  if (evidence.hasPort(NETBIOS_PORT) && netbios === undefined) return judgeBroken(evidence, at);
  if (netbios !== undefined && NETBIOS_TYPES.includes(bytes.u16(end))) {
    evidence.match(CONFIDENCE.CERTAIN, "NetBIOS").serverName = netbios;
    return DONE;
  }
  // An empty name is the root: a question for it is rare enough to want a second sign.
  const root = end === from + 1 && !isRegistered(evidence);
  evidence.match(root ? CONFIDENCE.LIKELY : CONFIDENCE.CERTAIN, familyMember(evidence));
  if (bytes.u16(at + QUESTIONS) > 0 || bytes.u16(at + ANSWERS) > 0) learnQuestion(evidence, from, end);
  if ((bytes.u16(at + FLAGS) & RESPONSE) === 0) return evidence.transport === "UDP" ? 1 : DONE;
  evidence.isFromServer();
  return DONE;
}

/**
 * A message that is damaged, cut off or nonsense in places. On a registered port it is taken for what the
 * port says when one coherent sign is left: a sound header, a single question, or a name that reads to its
 * end.
 */
function judgeBroken(evidence: Evidence, at: number): Answer {
  const { bytes } = evidence;
  if (evidence.matched) return 1;
  const netbios = evidence.hasPort(NETBIOS_PORT);
  if ((!isRegistered(evidence) && !netbios) || bytes.length < at + HEADER_BYTES) return NO_MATCH;
  const end = nameEnd(bytes, at + HEADER_BYTES);
  const question = end > at + HEADER_BYTES + 1 && isClass(bytes.u16(end + 2));
  if (!question && bytes.u16(at + QUESTIONS) !== 1 && !isHeader(bytes, at)) return NO_MATCH;
  evidence.match(CONFIDENCE.LIKELY, netbios ? "NetBIOS" : familyMember(evidence));
  return 1;
}

/** See the head of this file. */
export const dns: Recogniser = {
  protocol: "DNS",
  transports: ["UDP", "TCP"],
  encrypted: false,
  judge(evidence) {
    const { bytes } = evidence;
    if (evidence.transport === "UDP") {
      if (bytes.length < HEADER_BYTES) return NO_MATCH;
      return judgeMessage(evidence, 0, bytes.length);
    }
    const length = bytes.u16(0);
    if (length >= 0 && length < HEADER_BYTES) return NO_MATCH;
    if (bytes.length < TCP_LENGTH_BYTES + HEADER_BYTES) return TCP_LENGTH_BYTES + HEADER_BYTES;
    if (!isHeader(bytes, TCP_LENGTH_BYTES)) return NO_MATCH;
    if (bytes.u16(TCP_LENGTH_BYTES + QUESTIONS) !== 1) return NO_MATCH;
    const whole = TCP_LENGTH_BYTES + length;
    if (bytes.length < whole) return whole;
    return judgeMessage(evidence, TCP_LENGTH_BYTES, whole);
  },
};
