/**
 * Answers that were given under an idempotency key.
 *
 * Who did not hear an answer asks again with the same key, and is told the same without anything happening
 * twice. A key belongs to one agent and to one list of operations.
 */
import { HOUR, type Milliseconds } from "../base/index.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { CommitAnswer } from "./commit.ts";
import type { UndoLog } from "./undo-log.ts";

/** How long answers are kept. */
const KEPT_MS = 24 * HOUR;

/** Longest key, in characters. */
const KEY_MAX = 255;

/** An answer as it is kept. */
export interface KeptAnswer {
  readonly agent: string;
  readonly key: string;
  readonly fingerprint: string;
  readonly answer: CommitAnswer;
  /** Until when, Unix time. */
  readonly until: Milliseconds;
}

function nameOf(agent: string, key: string): string {
  return `${agent}\0${key}`;
}

/** Keeps answers, the oldest first to go. */
export class AnswerMemory {
  readonly #capacity: number;
  readonly #undo: UndoLog;
  readonly #kept: Map<string, KeptAnswer> = new Map();

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
    const kept = this.#kept.get(nameOf(agent, key));
    if (kept === undefined || kept.fingerprint === fingerprint) return kept?.answer;
    throw new PinholeRefusal("KEY_REUSED", "This idempotency key came with other operations before.");
  }

  /** The answer under a key, whatever was asked for. */
  recall(agent: string, key: string): CommitAnswer | undefined {
    return this.#kept.get(nameOf(agent, key))?.answer;
  }

  /** Keeps an answer. */
  keep(kept: Omit<KeptAnswer, "until">, wall: Milliseconds): KeptAnswer {
    const name = nameOf(kept.agent, kept.key);
    const entry = { ...kept, until: wall + KEPT_MS };
    this.#kept.set(name, entry);
    this.#undo.note(() => this.#kept.delete(name));
    return entry;
  }

  /** Takes an answer of a former run. */
  restore(kept: KeptAnswer): void {
    this.#kept.set(nameOf(kept.agent, kept.key), kept);
  }

  /**
   * Forgets what is too old or too much.
   *
   * @returns what is forgotten
   */
  forget(wall: Milliseconds): KeptAnswer[] {
    const forgotten: KeptAnswer[] = [];
    for (const [name, kept] of this.#kept) {
      if (kept.until > wall && this.#kept.size <= this.#capacity) break;
      this.#kept.delete(name);
      forgotten.push(kept);
    }
    return forgotten;
  }
}
