/**
 * Answers that were given under an idempotency key.
 *
 * Who did not hear an answer asks again with the same key, and is told the same without anything happening
 * twice. A key belongs to one agent and to one list of operations.
 *
 * Nearly every commit has a key, and nearly none is asked for again: so answers are kept as texts, which cost
 * the garbage collector next to nothing.
 */
import { HOUR, type Milliseconds } from "../base/index.ts";
import type { CommitAnswer, OperationAnswer } from "./commit.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { UndoLog } from "./undo-log.ts";

/** How long answers are kept. */
const KEPT_MS = 24 * HOUR;

/** Longest key, in characters. */
const KEY_MAX = 255;

/** An answer as it is kept, in memory and in the journal. */
export interface KeptAnswer {
  readonly agent: string;
  readonly key: string;
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

/** Keeps answers, the oldest first to go. */
export class AnswerMemory {
  readonly #capacity: number;
  readonly #undo: UndoLog;
  /** Texts by agent and key. */
  readonly #kept: Map<string, string> = new Map();

  /**
   * @param capacity - answers that are kept at most
   * @param undo - where every change is noted
   */
  constructor(capacity: number, undo: UndoLog) {
    this.#capacity = capacity;
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

  /** The answer under a key, whatever was asked for. */
  recall(agent: string, key: string): CommitAnswer | undefined {
    const text = this.#kept.get(nameOf(agent, key));
    return text === undefined ? undefined : answerOf(rowOf(text));
  }

  /**
   * Keeps an answer.
   *
   * @param asked - by whom, under which key, and what
   */
  keep(
    asked: { readonly agent: string; readonly key: string; readonly fingerprint: string },
    { generation, appliedAt, results }: CommitAnswer,
    wall: Milliseconds,
  ): KeptAnswer {
    const { agent, key, fingerprint } = asked;
    const name = nameOf(agent, key);
    const row: AnswerRow = [wall + KEPT_MS, fingerprint, generation, appliedAt, results.map(resultRow)];
    const text = JSON.stringify(row);
    this.#kept.set(name, text);
    this.#undo.note(() => this.#kept.delete(name));
    return { agent, key, text };
  }

  /** Takes an answer of a former run. */
  restore({ agent, key, text }: KeptAnswer): void {
    this.#kept.set(nameOf(agent, key), text);
  }

  /**
   * Forgets what is too old or too much.
   *
   * @returns what is forgotten
   */
  forget(wall: Milliseconds): KeptAnswer[] {
    const forgotten: KeptAnswer[] = [];
    for (const [name, text] of this.#kept) {
      // A text begins with the instant until which it is kept.
      if (Number.parseFloat(text.slice(1)) > wall && this.#kept.size <= this.#capacity) break;
      this.#kept.delete(name);
      const [agent = "", ...key] = name.split("\0");
      forgotten.push({ agent, key: key.join("\0"), text });
    }
    return forgotten;
  }
}
