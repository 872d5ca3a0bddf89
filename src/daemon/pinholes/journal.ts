/**
 * What survives a crash: every living pinhole, the numbers that were given, the answers under idempotency
 * keys.
 *
 * A commit is written before the packet filter hears of it and long before its owner does. So after a crash
 * the journal may know a commit that nobody was told of, and never the other way round.
 */
import type {
  AnswerName,
  JournalChanges,
  JournalContents,
  JournalHead,
  KeptAnswer,
} from "../../pinhole/index.ts";

/** What a journal can be asked about what it holds. */
export interface JournalHoldings {
  /** True when it says something about the pinhole with this id. */
  hasPinhole(id: string): boolean;
  hasAnswer(name: AnswerName): boolean;
}

/** A journal of pinholes. Asked what it holds, it says what the last write that succeeded has left. */
export interface PinholeJournal extends JournalHoldings {
  /** What a former run left. */
  load(): JournalContents;
  /**
   * Writes changes, all or none. When it returns they are on the disk.
   *
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE`
   */
  append(changes: JournalChanges): Promise<void>;
  close(): Promise<void>;
}

function nameOf({ agent, key }: AnswerName): string {
  return `${agent}\0${key}`;
}

/** A journal that a crash takes with it: for trials. */
export class MemoryJournal implements PinholeJournal {
  #head: JournalHead | undefined;
  readonly #pinholes: Map<string, string> = new Map();
  readonly #answers: Map<string, KeptAnswer> = new Map();

  load(): JournalContents {
    return { head: this.#head, pinholes: [...this.#pinholes.values()], answers: [...this.#answers.values()] };
  }

  hasPinhole(id: string): boolean {
    return this.#pinholes.has(id);
  }

  hasAnswer(name: AnswerName): boolean {
    return this.#answers.has(nameOf(name));
  }

  append({ head, put, remove, keep, forget }: JournalChanges): Promise<void> {
    this.#head = { ...head, bootId: "" };
    for (const id of remove) this.#pinholes.delete(id);
    for (const { id, text } of put) this.#pinholes.set(id, text);
    for (const answer of forget) this.#answers.delete(nameOf(answer));
    for (const answer of keep) this.#answers.set(nameOf(answer), answer);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
