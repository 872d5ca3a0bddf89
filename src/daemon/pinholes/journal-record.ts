/**
 * Changes of the journal as one text, for its log.
 *
 * A line for each thing that changes; none of them holds a line break or a tab, for all that anybody could
 * choose is JSON:
 *
 * | line | meaning |
 * |---|---|
 * | `{…}` | the head, first |
 * | `-ID` | a pinhole is no more |
 * | `+ID` tab TEXT | a pinhole says TEXT |
 * | `!["AGENT","KEY"]` | an answer is forgotten |
 * | `=["AGENT","KEY"]` tab TEXT | an answer is kept |
 */
import type {
  AnswerName,
  JournalChanges,
  JournalHead,
  KeptAnswer,
  PinholeRecord,
} from "../../pinhole/index.ts";

const LINE_BREAK = 0x0a;
const TAB = "\t";

/** Changes with a head that names the start of the machine. */
export interface WholeChanges extends JournalChanges {
  readonly head: JournalHead;
}

function nameOf({ agent, key }: AnswerName): string {
  return JSON.stringify([agent, key]);
}

function answerOf(name: string): AnswerName {
  const [agent = "", key = ""] = JSON.parse(name) as readonly string[];
  return { agent, key };
}

/** Changes as one text. */
export function encodeChanges({ head, put, remove, keep, forget }: WholeChanges): string {
  let text = `${JSON.stringify(head)}\n`;
  for (const id of remove) text += `-${id}\n`;
  for (const one of put) text += `+${one.id}\t${one.text}\n`;
  for (const name of forget) text += `!${nameOf(name)}\n`;
  for (const answer of keep) text += `=${nameOf(answer)}\t${answer.text}\n`;
  return text;
}

/**
 * Changes from what {@link encodeChanges} wrote; each text stands for itself and keeps no other in memory.
 */
export function decodeChanges(bytes: Buffer): WholeChanges {
  const put: PinholeRecord[] = [];
  const remove: string[] = [];
  const keep: KeptAnswer[] = [];
  const forget: AnswerName[] = [];
  const headEnd = bytes.indexOf(LINE_BREAK);
  const head = JSON.parse(bytes.toString("utf8", 0, headEnd)) as JournalHead;
  for (let at = headEnd + 1; at < bytes.length; ) {
    const end = bytes.indexOf(LINE_BREAK, at);
    const kind = String.fromCharCode(bytes[at] ?? 0);
    // Only such a line has a tab, which is looked for nowhere else: it might be far away.
    const nameEnd = kind === "+" || kind === "=" ? bytes.indexOf(TAB, at) : end;
    const name = bytes.toString("utf8", at + 1, nameEnd);
    const text = bytes.toString("utf8", nameEnd + 1, end);
    at = end + 1;
    if (kind === "-") remove.push(name);
    else if (kind === "+") put.push({ id: name, text });
    else if (kind === "!") forget.push(answerOf(name));
    else keep.push({ ...answerOf(name), text });
  }
  return { head, put, remove, keep, forget };
}
