/**
 * Common ground of the protocols in which a server greets and both sides speak in lines: SMTP, IMAP, POP3,
 * FTP. Each may turn into TLS by a command of its own; the watching for that is here, the words are in their
 * files.
 */
import type { ByteWindow } from "./byte-window.ts";
import type { Evidence } from "./evidence.ts";
import { type LineCursors, makeCursors } from "./lines.ts";
import {
  type Answer,
  CONFIDENCE,
  NO_MATCH,
  OTHER_SIDE,
  type Recogniser,
  type Transport,
} from "./recogniser.ts";

/** First byte of a TLS handshake record (RFC 8446 section 5.1): no line begins with it. */
const TLS_HANDSHAKE = 0x16;

const LINE_FEED = 0x0a;

/** Length of the longest beginning that a protocol of lines is told by: an IMAP tag and its command. */
const FIRST_WORD_BYTES = 32;

/** Longest line that is waited for, in bytes. */
const LINE_BYTES_MAX = 2048;

/** Lines of one direction after which nothing more is learnt. */
const LINES_MAX = 64;

/** What is remembered of a session. */
export interface LineSession {
  readonly cursors: LineCursors;
  /** Lines read in each direction. */
  readonly lines: [number, number];
  /** Just past the command that asks for TLS, -1 while there was none. */
  readonly upgradeAsked: [number, number];
  /** The tag or word that the answer to it must begin with. */
  upgradeTag: string;
  /** True once the server greeted. */
  greeted: boolean;
}

function makeSession(): LineSession {
  return { cursors: makeCursors(), lines: [0, 0], upgradeAsked: [-1, -1], upgradeTag: "", greeted: false };
}

/** True when so little is there that the first word may be incomplete. */
function isOpening(bytes: ByteWindow): boolean {
  return bytes.length < FIRST_WORD_BYTES && bytes.isText(0, bytes.length) && bytes.indexOf(LINE_FEED) < 0;
}

/** Answer of {@link LineRecogniser.line}: go on with the next one. */
export const NEXT_LINE = 1;

/** See the head of this file. */
export abstract class LineRecogniser implements Recogniser {
  abstract readonly protocol: string;
  abstract readonly firstBytes: readonly number[];
  readonly transports: readonly Transport[] = ["TCP"];
  readonly encrypted: boolean = false;

  /** True when a direction can begin so; asked before anything is remembered. */
  abstract starts(bytes: ByteWindow): boolean;

  /** Judges one line, [from, to) without its end. */
  abstract line(evidence: Evidence, session: LineSession, from: number, to: number): Answer;

  judge(evidence: Evidence): Answer {
    const { bytes } = evidence;
    if (evidence.peek() === undefined && !this.starts(bytes))
      return isOpening(bytes) ? bytes.length + 1 : NO_MATCH;
    return this.#readLines(evidence, evidence.state(makeSession));
  }

  #readLines(evidence: Evidence, session: LineSession): Answer {
    const { bytes, direction } = evidence;
    const cursor = session.cursors[direction];
    for (;;) {
      if (bytes.u8(cursor.after) === TLS_HANDSHAKE && session.lines[direction] > 0) {
        const other = direction === 0 ? 1 : 0;
        evidence.match(CONFIDENCE.LIKELY);
        return evidence.handOver("becomes", cursor.after, Math.max(session.cursors[other].after, 0));
      }
      if (!cursor.next(bytes)) break;
      session.lines[direction] += 1;
      const answer = this.line(evidence, session, cursor.from, cursor.to);
      if (answer !== NEXT_LINE) return answer;
      if (session.lines[direction] >= LINES_MAX) return OTHER_SIDE;
    }
    if (bytes.length - cursor.from > LINE_BYTES_MAX) return evidence.matched ? OTHER_SIDE : NO_MATCH;
    return bytes.length + 1;
  }

  /** Notes that the current line asks for TLS. */
  protected askUpgrade(evidence: Evidence, session: LineSession, tag: string): void {
    session.upgradeAsked[evidence.direction] = session.cursors[evidence.direction].after;
    session.upgradeTag = tag;
  }

  /** True when the other side has asked for TLS and waits for the answer. */
  protected isUpgradeAsked(evidence: Evidence, session: LineSession): boolean {
    return session.upgradeAsked[evidence.direction === 0 ? 1 : 0] >= 0;
  }

  /** The current line grants what the other side asked for: what follows is TLS. */
  protected grantUpgrade(evidence: Evidence, session: LineSession): Answer {
    const { direction } = evidence;
    const there = session.upgradeAsked[direction === 0 ? 1 : 0];
    evidence.match(CONFIDENCE.CERTAIN);
    return evidence.handOver("becomes", session.cursors[direction].after, Math.max(there, 0));
  }
}

/** The three digits at `from` as a number when a blank or "-" or the line's end follows, or -1. */
export function replyCode(bytes: ByteWindow, from: number, to: number): number {
  let code = 0;
  for (let position = from; position < from + 3; position += 1) {
    const digit = bytes.u8(position) - 0x30;
    if (position >= to || digit < 0 || digit > 9) return -1;
    code = code * 10 + digit;
  }
  const after = bytes.u8(from + 3);
  return from + 3 >= to || after === 0x20 || after === 0x2d ? code : -1;
}

/** True when the word at `from`, up to a blank or the line's end, is one of `words`, given in lower case. */
export function startsWithWord(
  bytes: ByteWindow,
  from: number,
  to: number,
  words: readonly string[],
): boolean {
  for (const word of words) {
    if (from + word.length > to || !bytes.hasNoCase(word, from)) continue;
    if (from + word.length === to || bytes.u8(from + word.length) === 0x20) return true;
  }
  return false;
}
