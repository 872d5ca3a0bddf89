/** MongoDB wire protocol: a message header, and the shape of the message behind it. */
import type { ByteWindow } from "../byte-window.ts";
import { CONFIDENCE, DONE, NO_MATCH, type Recogniser } from "../recogniser.ts";

// Message header, least significant byte first.
const LENGTH = 0;
const OPCODE = 12;
const HEADER_BYTES = 16;

// OP_REPLY: flags, cursor id, starting position, number of documents.
const REPLY_DOCUMENTS = 32;
const REPLY_BYTES = 36;

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_COMPRESSED = 2012;
const OP_MSG = 2013;
const OLD_OPCODES: readonly number[] = [2001, 2002, 2003, 2005, 2006, 2007, 2010, 2011];

/** "maxMessageSizeBytes", 48,000,000 by default. */
const MESSAGE_BYTES_MAX = 48_000_000;

/** Flag bits of OP_MSG that are assigned: checksum, more to come, exhaust allowed. */
const MSG_FLAGS = 0x10003;
/** Sections of OP_MSG: a document, or a sequence of them. */
const SECTION_MAX = 1;
/** Compressors: none, snappy, zlib, zstd. */
const COMPRESSOR_MAX = 3;

/** A reply counts its documents, and the first one fits into the message. */
function replyFits(bytes: ByteWindow): boolean {
  const rest = bytes.u32le(LENGTH) - REPLY_BYTES;
  const documents = bytes.u32le(REPLY_DOCUMENTS);
  if ((bytes.u32le(HEADER_BYTES) & ~0xf) !== 0 || documents > 100_000) return false;
  const first = bytes.u32le(REPLY_BYTES);
  return documents >= 1 && first >= 5 && first <= rest;
}

function bodyFits(bytes: ByteWindow, opcode: number): boolean {
  switch (opcode) {
    case OP_MSG: {
      const flags = bytes.u32le(HEADER_BYTES);
      return (flags & ~MSG_FLAGS) === 0 && bytes.u8(HEADER_BYTES + 4) <= SECTION_MAX;
    }
    case OP_QUERY: {
      const end = bytes.indexOf(0, HEADER_BYTES + 4, HEADER_BYTES + 4 + 128);
      return (
        end > HEADER_BYTES + 4 &&
        bytes.isText(HEADER_BYTES + 4, end) &&
        bytes.find(".", HEADER_BYTES + 4, end) > 0
      );
    }
    case OP_REPLY:
      return replyFits(bytes);
    case OP_COMPRESSED:
      return bytes.u32le(HEADER_BYTES) >= OP_REPLY && bytes.u8(HEADER_BYTES + 8) <= COMPRESSOR_MAX;
    default:
      return OLD_OPCODES.includes(opcode);
  }
}

/** See the head of this file. */
export const mongodb: Recogniser = {
  protocol: "MongoDB",
  transports: ["TCP"],
  encrypted: false,
  judge(evidence) {
    const { bytes } = evidence;
    if (bytes.length < HEADER_BYTES) return bytes.u8(3) > 2 ? NO_MATCH : HEADER_BYTES;
    const length = bytes.u32le(LENGTH);
    const opcode = bytes.u32le(OPCODE);
    if (length < HEADER_BYTES + 4 || length > MESSAGE_BYTES_MAX) return NO_MATCH;
    if (opcode !== OP_REPLY && (opcode < 2001 || opcode > OP_MSG)) return NO_MATCH;
    const enough = Math.min(length, HEADER_BYTES + 160);
    if (bytes.length < enough) return enough;
    if (!bodyFits(bytes, opcode)) return NO_MATCH;
    const sure = opcode !== OP_REPLY && !OLD_OPCODES.includes(opcode);
    evidence.match(sure || evidence.matched ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY);
    return DONE;
  },
};
