/** POP3 (RFC 1939), with STLS (RFC 2595). */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { LineRecogniser, type LineSession, NEXT_LINE, startsWithWord } from "../line-recogniser.ts";
import { type Answer, CONFIDENCE, charCodes, NO_MATCH } from "../recogniser.ts";

const COMMANDS = [
  "user",
  "pass",
  "capa",
  "auth",
  "apop",
  "stls",
  "stat",
  "list",
  "retr",
  "uidl",
  "quit",
  "noop",
  "dele",
  "top",
] as const;

/** Commands that no other protocol of lines has. */
const UNMISTAKABLE = ["capa", "stls", "uidl", "apop", "dele"] as const;

class Pop3 extends LineRecogniser {
  readonly protocol = "POP3";
  readonly firstBytes: readonly number[] = charCodes("+-UPCASLRQNDTupcaslrqndt");

  override starts(bytes: ByteWindow): boolean {
    if (bytes.couldBe("+OK") || bytes.couldBe("-ERR")) return true;
    return (
      startsWithWord(bytes, 0, Math.min(bytes.length, 6), COMMANDS) ||
      COMMANDS.some((word) => bytes.hasNoCase(word))
    );
  }

  override line(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes } = evidence;
    if (bytes.has("+OK", from) || bytes.has("-ERR", from)) return this.#reply(evidence, session, from, to);
    if (session.lines[evidence.direction] > 1) return this.#command(evidence, session, from, to);
    if (!startsWithWord(bytes, from, to, COMMANDS)) return evidence.matched ? NEXT_LINE : NO_MATCH;
    return this.#command(evidence, session, from, to);
  }

  #reply(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes } = evidence;
    if (this.isUpgradeAsked(evidence, session) && bytes.has("+OK", from))
      return this.grantUpgrade(evidence, session);
    if (session.upgradeTag !== "") evidence.match(CONFIDENCE.CERTAIN);
    if (session.greeted) return NEXT_LINE;
    session.greeted = true;
    if (bytes.find("pop", from, to) >= 0)
      evidence.match(CONFIDENCE.CERTAIN).serverSoftware = bytes.text(from + 4, to);
    else if (to - from > 8 && bytes.has("+OK ", from)) evidence.match(CONFIDENCE.LIKELY);
    return NEXT_LINE;
  }

  #command(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes } = evidence;
    if (!startsWithWord(bytes, from, to, COMMANDS)) return NEXT_LINE;
    if (session.greeted) evidence.match(CONFIDENCE.CERTAIN);
    else if (startsWithWord(bytes, from, to, UNMISTAKABLE)) evidence.match(CONFIDENCE.LIKELY);
    session.upgradeTag = "+OK";
    if (bytes.hasNoCase("user ", from) && evidence.matched) evidence.facts.user = bytes.text(from + 5, to);
    if (startsWithWord(bytes, from, to, ["stls"])) this.askUpgrade(evidence, session, "+OK");
    return NEXT_LINE;
  }
}

/** See the head of this file. */
export const pop3: LineRecogniser = new Pop3();
