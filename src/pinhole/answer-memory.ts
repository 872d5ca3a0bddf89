/**
 * Answers that were given under an idempotency key.
 *
 * Who did not hear an answer asks again with the same key, and is told the same without anything happening
 * twice. A key belongs to one agent and to one list of operations.
 *
 * Nearly every commit has a key, and nearly none is asked for again: so answers are kept as texts, which cost
 * the garbage collector next to nothing.
 */
import { HOUR, invariant, type Milliseconds } from "../base/index.ts";
import { Arrivals } from "./arrivals.ts";
import type { CommitAnswer, OperationAnswer } from "./commit.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { UndoLog } from "./undo-log.ts";

/** How long answers are kept. */
const KEPT_MS = 24 * HOUR;

/** Longest key, in characters. */
const KEY_MAX = 255;

/** Names an answer. */
export interface AnswerName {
  readonly agent: string;
  readonly key: string;
}

/** An answer as it is kept, in memory and in the journal. */
export interface KeptAnswer extends AnswerName {
  /** A row in JSON. */
  readonly text: string;
}

/** What became of one operation. */
type ResultRow = readonly [
  op: OperationAnswer["op"],
  id: string,
  pid: number,
  gid: number,
  /** Null for the one that is named after its number. */
  group: string | null,
  state: OperationAnswer["state"],
  revision: number,
  granted: number | null,
  isNew: boolean,
  leases?: Pick<OperationAnswer, "outside" | "inside">,
];

/** What became of a commit. */
type AnswerRow = readonly [
  /** Unix time. */
  until: Milliseconds,
  fingerprint: string,
  generation: number,
  appliedAt: Milliseconds,
  results: readonly ResultRow[],
  /** The transaction's id where it was open over several requests; absent where that is the key. */
  askedAs?: string,
];

function resultRow(result: OperationAnswer): ResultRow {
  const { op, id, pid, gid, group, state, revision, granted, isNew, outside, inside } = result;
  const name = group === `gr_${gid}` ? null : group;
  if (outside === undefined) return [op, id, pid, gid, name, state, revision, granted, isNew];
  const leases = inside === undefined ? { outside } : { outside, inside };
  return [op, id, pid, gid, name, state, revision, granted, isNew, leases];
}

function resultOf([op, id, pid, gid, name, ...rest]: ResultRow): OperationAnswer {
  const [state, revision, granted, isNew, leases] = rest;
  return { op, id, pid, gid, group: name ?? `gr_${gid}`, state, revision, granted, isNew, ...leases };
}

function answerOf([, , generation, appliedAt, results]: AnswerRow): CommitAnswer {
  return { generation, appliedAt, results: results.map(resultOf) };
}

function rowOf(text: string): AnswerRow {
  return JSON.parse(text) as AnswerRow;
}

function nameOf(agent: string, key: string): string {
  return `${agent}\0${key}`;
}

/** Unix time until which a text is kept: it begins with that. */
function untilIn(text: string): Milliseconds {
  return Number.parseFloat(text.slice(1));
}

/** Keeps answers, the oldest first to go. */
export class AnswerMemory {
  readonly #room: { readonly count: number; readonly bytes: number };
  readonly #undo: UndoLog;
  /** Texts by agent and key. */
  readonly #kept: Map<string, string> = new Map();
  /** Their names, the oldest first. */
  readonly #order: Arrivals = new Arrivals();
  /** Their length, names and all. */
  #bytes = 0;

  /**
   * @param room - how many answers are kept at most, and how long they are together; what is kept since the
   *   last {@link AnswerMemory.forget} comes on top
   * @param undo - where every change is noted
   */
  constructor(room: { readonly count: number; readonly bytes: number }, undo: UndoLog) {
    this.#room = room;
    this.#undo = undo;
  }

  /**
   * The answer that was given under a key.
   *
   * @returns undefined when the key is fresh
   * @throws {PinholeRefusal} `KEY_REUSED` when it was given for other operations, `SPEC_MALFORMED` for what
   *   is no key
   */
  find(agent: string, key: string, fingerprint: string): CommitAnswer | undefined {
    if (key.length === 0 || key.length > KEY_MAX) {
      throw new PinholeRefusal("SPEC_MALFORMED", `An idempotency key has 1 to ${KEY_MAX} characters.`);
    }
    const text = this.#kept.get(nameOf(agent, key));
    if (text === undefined) return undefined;
    const row = rowOf(text);
    const [, given] = row;
    if (given === fingerprint) return answerOf(row);
    throw new PinholeRefusal("KEY_REUSED", "This idempotency key came with other operations before.");
  }

  /**
   * The answer that was given to a transaction whose operations nobody knows any more.
   *
   * @param askedAs - the transaction's id
   * @returns undefined when the key is fresh
   * @throws {PinholeRefusal} `KEY_REUSED` when another commit was answered under the key
   */
  recall(agent: string, key: string, askedAs: string): CommitAnswer | undefined {
    const text = this.#kept.get(nameOf(agent, key));
    if (text === undefined) return undefined;
    const row = rowOf(text);
    const [, , , , , answered = key] = row;
    if (answered === askedAs) return answerOf(row);
    throw new PinholeRefusal("KEY_REUSED", "This idempotency key came with another commit before.");
  }

  /**
   * Keeps an answer.
   *
   * @param asked - by whom, under which key, and what
   */
  keep(
    asked: AnswerName & { readonly fingerprint: string; readonly askedAs?: string | undefined },
    { generation, appliedAt, results }: CommitAnswer,
    wall: Milliseconds,
  ): KeptAnswer {
    const { agent, key, fingerprint, askedAs } = asked;
    const name = nameOf(agent, key);
    const row: AnswerRow = [wall + KEPT_MS, fingerprint, generation, appliedAt, results.map(resultRow)];
    const text = JSON.stringify(askedAs === undefined ? row : [...row, askedAs]);
    this.#set(name, text);
    this.#undo.note(() => {
      this.#order.dropNewest();
      this.#delete(name, text);
    });
    return { agent, key, text };
  }

  /** Takes the answers of a former run, in whatever order they come. */
  restore(answers: Iterable<KeptAnswer>): void {
    const oldestFirst = [...answers].sort((a, b) => untilIn(a.text) - untilIn(b.text));
    for (const { agent, key, text } of oldestFirst) this.#set(nameOf(agent, key), text);
  }

  /**
   * Forgets what is too old or too much.
   *
   * @returns what is forgotten
   */
  forget(wall: Milliseconds): AnswerName[] {
    const forgotten: AnswerName[] = [];
    const { count, bytes } = this.#room;
    for (let name = this.#order.oldest; name !== undefined; name = this.#order.oldest) {
      const text = this.#kept.get(name);
      invariant(text !== undefined, "an answer is kept until it is forgotten");
      const isTooMuch = this.#kept.size > count || this.#bytes > bytes;
      if (untilIn(text) > wall && !isTooMuch) break;
      this.#order.dropOldest();
      this.#delete(name, text);
      const [agent = "", ...key] = name.split("\0");
      forgotten.push({ agent, key: key.join("\0") });
    }
    return forgotten;
  }

  #set(name: string, text: string): void {
    this.#kept.set(name, text);
    this.#order.add(name);
    this.#bytes += name.length + text.length;
  }

  #delete(name: string, text: string): void {
    this.#kept.delete(name);
    this.#bytes -= name.length + text.length;
  }
}
