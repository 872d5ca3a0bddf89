/**
 * What the journal has not been told yet, as one change: of each pinhole and of each answer only the last
 * word counts, and of what came and went meanwhile the journal need not be told at all. So however long the
 * disk is full, this does not grow beyond the pinholes and answers that there are (limits `pinholes`,
 * `pinholeAnswers`) and those that the journal holds.
 */
import type { AnswerName, JournalChanges, KeptAnswer, PinholeRecord } from "../../pinhole/index.ts";
import type { JournalHoldings } from "./journal.ts";

function keyOf({ agent, key }: AnswerName): string {
  return `${agent}\0${key}`;
}

/** What the journal has not been told yet. */
export class JournalBacklog {
  readonly #journal: JournalHoldings;
  #head: JournalChanges["head"] | undefined;
  /** Texts of pinholes by their ids; undefined for those that are no more. */
  readonly #pinholes: Map<string, string | undefined> = new Map();
  /** By agent and key. */
  readonly #kept: Map<string, KeptAnswer> = new Map();
  readonly #forgotten: Map<string, AnswerName> = new Map();

  /** @param journal - what shall be told, when nothing is on its way to it */
  constructor(journal: JournalHoldings) {
    this.#journal = journal;
  }

  /** True when the journal knows everything. */
  get isEmpty(): boolean {
    return this.#head === undefined;
  }

  /** Whether there is a pinhole with this id behind all this; undefined when nothing here speaks of it. */
  hasPinhole(id: string): boolean | undefined {
    return this.#pinholes.has(id) ? this.#pinholes.get(id) !== undefined : undefined;
  }

  /** The same for an answer. */
  hasAnswer(answer: AnswerName): boolean | undefined {
    const name = keyOf(answer);
    if (this.#kept.has(name)) return true;
    return this.#forgotten.has(name) ? false : undefined;
  }

  /** Adds what comes after everything that is here. */
  add({ head, put, remove, keep, forget }: JournalChanges): void {
    this.#head = head;
    for (const id of remove) {
      if (this.#journal.hasPinhole(id)) this.#pinholes.set(id, undefined);
      else this.#pinholes.delete(id);
    }
    for (const { id, text } of put) this.#pinholes.set(id, text);
    for (const { agent, key } of forget) {
      const name = keyOf({ agent, key });
      this.#kept.delete(name);
      if (this.#journal.hasAnswer({ agent, key })) this.#forgotten.set(name, { agent, key });
    }
    for (const answer of keep) {
      const name = keyOf(answer);
      this.#forgotten.delete(name);
      this.#kept.set(name, answer);
    }
  }

  /** Texts of pinholes by their ids; undefined for those that are no more. */
  get pinholes(): ReadonlyMap<string, string | undefined> {
    return this.#pinholes;
  }

  /** Answers that are kept. */
  get kept(): Iterable<KeptAnswer> {
    return this.#kept.values();
  }

  /** Answers that are forgotten. */
  get forgotten(): Iterable<AnswerName> {
    return this.#forgotten.values();
  }

  /** All of it as one change; undefined when there is nothing. */
  get changes(): JournalChanges | undefined {
    if (this.#head === undefined) return undefined;
    const put: PinholeRecord[] = [];
    const remove: string[] = [];
    for (const [id, text] of this.#pinholes) {
      if (text === undefined) remove.push(id);
      else put.push({ id, text });
    }
    return {
      head: this.#head,
      put,
      remove,
      keep: [...this.#kept.values()],
      forget: [...this.#forgotten.values()],
    };
  }

  /** All of it is written. */
  clear(): void {
    this.#head = undefined;
    this.#pinholes.clear();
    this.#kept.clear();
    this.#forgotten.clear();
  }
}
