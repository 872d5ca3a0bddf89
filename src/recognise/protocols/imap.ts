/** IMAP4 (RFC 9051, RFC 3501), with STARTTLS (RFC 9051 section 6.2.1). */
import type { ByteWindow } from "../byte-window.ts";
import type { Evidence } from "../evidence.ts";
import { LineRecogniser, type LineSession, NEXT_LINE, startsWithWord } from "../line-recogniser.ts";
import { type Answer, byteRange, CONFIDENCE, charCodes, NO_MATCH } from "../recogniser.ts";

const COMMANDS = [
  "capability",
  "login",
  "starttls",
  "authenticate",
  "id",
  "noop",
  "logout",
  "select",
  "examine",
  "namespace",
  "list",
  "lsub",
  "status",
  "idle",
  "fetch",
  "uid",
  "enable",
  "xlist",
  "close",
  "search",
] as const;

/** Longest tag that a client puts before a command. */
const TAG_BYTES_MAX = 16;
const SPACE = 0x20;

/** Length of the tag at `from`, followed by a blank, or 0. */
function tagLength(bytes: ByteWindow, from: number): number {
  for (let length = 0; length <= TAG_BYTES_MAX; length += 1) {
    const code = bytes.u8(from + length);
    if (code === SPACE) return length;
    const digit = code >= 0x30 && code <= 0x39;
    const letter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
    if (!digit && !letter && code !== 0x2e) return 0;
  }
  return 0;
}

class Imap extends LineRecogniser {
  readonly protocol = "IMAP";
  readonly firstBytes: readonly number[] = [
    ...charCodes("*"),
    ...byteRange(0x30, 0x39),
    ...byteRange(0x41, 0x5a),
    ...byteRange(0x61, 0x7a),
  ];

  override starts(bytes: ByteWindow): boolean {
    if (bytes.u8(0) === 0x2a)
      return bytes.couldBe("* OK") || bytes.couldBe("* PREAUTH") || bytes.couldBe("* BYE");
    const tag = tagLength(bytes, 0);
    return tag > 0 && COMMANDS.some((word) => bytes.hasNoCase(word, tag + 1));
  }

  override line(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes } = evidence;
    if (bytes.has("* ", from)) return this.#untagged(evidence, session, from, to);
    const tag = tagLength(bytes, from);
    if (tag === 0 || from + tag >= to) return this.#stranger(evidence, session);
    const word = from + tag + 1;
    if (bytes.hasNoCase("ok", word) || bytes.hasNoCase("no ", word) || bytes.hasNoCase("bad ", word)) {
      if (!this.isUpgradeAsked(evidence, session) || !bytes.hasNoCase("ok", word)) return NEXT_LINE;
      return bytes.has(session.upgradeTag, from) ? this.grantUpgrade(evidence, session) : NEXT_LINE;
    }
    if (!startsWithWord(bytes, word, to, COMMANDS)) return this.#stranger(evidence, session);
    evidence.match(
      session.greeted || session.lines[evidence.direction] > 1 ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY,
    );
    if (bytes.hasNoCase("starttls", word)) this.askUpgrade(evidence, session, bytes.text(from, word));
    return NEXT_LINE;
  }

  #stranger(evidence: Evidence, session: LineSession): Answer {
    return evidence.matched || session.lines[evidence.direction] > 1 ? NEXT_LINE : NO_MATCH;
  }

  #untagged(evidence: Evidence, session: LineSession, from: number, to: number): Answer {
    const { bytes } = evidence;
    if (session.greeted) return NEXT_LINE;
    session.greeted = true;
    const sure =
      evidence.matched || bytes.find("imap", from, to) >= 0 || bytes.find("[capability", from, to) >= 0;
    evidence.match(sure ? CONFIDENCE.CERTAIN : CONFIDENCE.LIKELY).serverSoftware = bytes.text(from + 2, to);
    return NEXT_LINE;
  }
}

/** See the head of this file. */
export const imap: LineRecogniser = new Imap();
