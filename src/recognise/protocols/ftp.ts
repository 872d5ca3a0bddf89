/** FTP's control connection (RFC 959), with AUTH TLS (RFC 4217). */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import {
  LineRecogniser,
  type LineSession,
  NEXT_LINE,
  replyCode,
  startsWithWord,
} from "../line-recogniser.ts";
import { type Answer, CONFIDENCE, charCodes, NO_MATCH } from "../recogniser.ts";

/** Commands that a client may begin with. */
const OPENING = ["user", "auth", "feat", "syst", "opts", "host", "clnt", "quit", "noop", "acct"] as const;
/** Commands no other line protocol has; each with its usual argument. */
const UNMISTAKABLE = [
  "epsv",
  "pasv",
  "epsv all",
  "type a",
  "type i",
  "mdtm",
  "stor",
  "retr",
  "mkd",
  "xpwd",
  "pwd",
  "cwd",
] as const;

/** Service ready soon; ready for new user; not available (RFC 959 section 4.2.2). */
const GREETINGS: readonly number[] = [120, 220, 421, 500, 530];
/** User name okay, need password; logged in. */
const AFTER_USER: readonly number[] = [331, 230, 530, 332];
/** Need password; entering passive mode, extended too: replies that no other protocol of lines has. */
const UNMISTAKABLE_REPLIES: readonly number[] = [331, 227, 229];
/** "Server accepts the security mechanism" (RFC 2228 section 3). */
const AUTH_ACCEPTED = 234;

class Ftp extends LineRecogniser {
  readonly protocol = "FTP";
  readonly firstBytes: readonly number[] = charCodes("12345UAFSOHCPETuafsohcpet");

  override starts(bytes: ByteWindow): boolean {
    const end = Math.min(bytes.length, 16);
    if (startsWithWord(bytes, 0, end, OPENING) || startsWithWord(bytes, 0, end, UNMISTAKABLE)) return true;
    if (OPENING.some((word) => bytes.hasNoCase(word))) return true;
    return [...GREETINGS, 331, 230].some((code) => bytes.couldBe(String(code)));
  }

  override line(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const command = replyCode(evidence.bytes, from, to) < 0;
    return command ? this.#command(evidence, session, from, to) : this.#reply(evidence, session, from, to);
  }

  #reply(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes } = evidence;
    const code = replyCode(bytes, from, to);
    if (this.isUpgradeAsked(evidence, session) && code === AUTH_ACCEPTED)
      return this.grantUpgrade(evidence, session);
    if (session.upgradeTag === "USER" && AFTER_USER.includes(code)) evidence.match(CONFIDENCE.CERTAIN);
    if (session.greeted && UNMISTAKABLE_REPLIES.includes(code)) evidence.match(CONFIDENCE.CERTAIN);
    if (session.lines[evidence.direction] > 1 || session.greeted) return NEXT_LINE;
    session.greeted = true;
    if (!GREETINGS.includes(code) && !AFTER_USER.includes(code))
      return evidence.matched ? NEXT_LINE : NO_MATCH;
    if (bytes.find("smtp", from, to) >= 0) return NO_MATCH;
    if (bytes.find("ftp", from, to) >= 0) evidence.match(CONFIDENCE.CERTAIN);
    if (evidence.matched) evidence.facts.serverSoftware = bytes.text(from + 4, to);
    return NEXT_LINE;
  }

  #command(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes } = evidence;
    if (startsWithWord(bytes, from, to, UNMISTAKABLE) && bytes.isText(from, to))
      evidence.match(CONFIDENCE.CERTAIN);
    else if (startsWithWord(bytes, from, to, ["user"])) {
      session.upgradeTag = "USER";
      if (session.greeted) evidence.match(CONFIDENCE.CERTAIN).user = bytes.text(from + 5, to);
    } else if (bytes.hasNoCase("auth tls", from) || bytes.hasNoCase("auth ssl", from)) {
      if (session.greeted) evidence.match(CONFIDENCE.CERTAIN);
      this.askUpgrade(evidence, session, "234");
    } else if (session.lines[evidence.direction] === 1 && !startsWithWord(bytes, from, to, OPENING)) {
      // A greeting may run over several lines; only those of a client must be commands.
      return evidence.matched || session.greeted ? NEXT_LINE : NO_MATCH;
    }
    return NEXT_LINE;
  }
}

/** See the head of this file. */
export const ftp: LineRecogniser = new Ftp();
