/** SMTP (RFC 5321) and LMTP (RFC 2033), with STARTTLS (RFC 3207). */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import {
  LineRecogniser,
  type LineSession,
  NEXT_LINE,
  replyCode,
  startsWithWord,
} from "../line-recogniser.ts";
import { type Answer, CONFIDENCE, charCodes, NO_MATCH, OTHER_SIDE } from "../recogniser.ts";

const HELLO = ["ehlo", "helo", "lhlo"] as const;
const OPENING = [
  ...HELLO,
  "mail",
  "rcpt",
  "data",
  "rset",
  "noop",
  "quit",
  "auth",
  "vrfy",
  "expn",
  "help",
] as const;

/** Service ready; service not available; transaction failed (RFC 5321 section 4.2.3). */
const GREETINGS: readonly number[] = [220, 421, 554];
const READY = 220;
const COMPLETED = 250;

/** Extensions that the answer to EHLO lists (IANA SMTP Service Extensions), enough to tell one by. */
const EXTENSIONS = [
  "pipelining",
  "size",
  "8bitmime",
  "starttls",
  "enhancedstatuscodes",
  "dsn",
  "smtputf8",
] as const;

class Smtp extends LineRecogniser {
  readonly protocol = "SMTP";
  readonly firstBytes: readonly number[] = charCodes("245EHLMRehlmr");

  override starts(bytes: ByteWindow): boolean {
    if (HELLO.some((word) => bytes.hasNoCase(word)) || bytes.hasNoCase("mail from:")) return true;
    if (bytes.hasNoCase("rcpt to:")) return true;
    return GREETINGS.some((code) => bytes.couldBe(String(code)));
  }

  override line(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const command = replyCode(evidence.bytes, from, to) < 0;
    return command ? this.#command(evidence, session, from, to) : this.#reply(evidence, session, from, to);
  }

  #reply(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes } = evidence;
    const code = replyCode(bytes, from, to);
    if (this.isUpgradeAsked(evidence, session) && code === READY) return this.grantUpgrade(evidence, session);
    if (session.greeted && code === COMPLETED && startsWithWord(bytes, from + 4, to, EXTENSIONS))
      evidence.match(CONFIDENCE.CERTAIN);
    if (session.greeted || session.lines[evidence.direction] > 1) return NEXT_LINE;
    if (!GREETINGS.includes(code)) return evidence.matched ? NEXT_LINE : NO_MATCH;
    session.greeted = true;
    if (evidence.candidate !== undefined) evidence.isFromServer();
    if (bytes.find("ftp", from, to) >= 0) return evidence.matched ? NEXT_LINE : NO_MATCH;
    if (bytes.find("smtp", from, to) >= 0) evidence.match(CONFIDENCE.CERTAIN);
    if (evidence.matched) learnGreeting(evidence, from, to);
    return NEXT_LINE;
  }

  #command(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes, direction } = evidence;
    if (startsWithWord(bytes, from, to, HELLO)) {
      evidence.match(CONFIDENCE.CERTAIN).kind ??= bytes.text(from, from + 4).toUpperCase();
      return NEXT_LINE;
    }
    if (bytes.hasNoCase("mail from:", from) || bytes.hasNoCase("rcpt to:", from))
      evidence.match(CONFIDENCE.CERTAIN);
    if (startsWithWord(bytes, from, to, ["starttls"])) {
      this.askUpgrade(evidence, session, "220");
      return NEXT_LINE;
    }
    if (startsWithWord(bytes, from, to, ["data", "bdat"]) && evidence.matched) return OTHER_SIDE;
    if (session.lines[direction] === 1 && !startsWithWord(bytes, from, to, OPENING)) {
      return evidence.matched ? OTHER_SIDE : NO_MATCH;
    }
    return NEXT_LINE;
  }
}

/** The greeting names the server: `220 mail.example.org ESMTP ...` (RFC 5321 section 4.2). */
function learnGreeting(evidence: Evidence, from: number, to: number): void {
  const { bytes, facts } = evidence;
  const text = bytes.text(from + 4, to);
  const name = /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+/.exec(text)?.[0];
  if (name !== undefined) facts.serverName = name.toLowerCase();
  facts.serverSoftware = text;
}

/** See the head of this file. */
export const smtp: LineRecogniser = new Smtp();
