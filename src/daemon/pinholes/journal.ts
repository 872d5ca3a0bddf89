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
import { type DurableChange, DurableStore } from "../../system/index.ts";

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

const HEAD = "head";
const PINHOLE = "pinhole";
const ANSWER = "answer";

function answerKey({ agent, key }: AnswerName): readonly [string, string, string] {
  return [ANSWER, agent, key];
}

/** A journal on disk. */
export class DiskJournal implements PinholeJournal {
  readonly #store: DurableStore;
  readonly #bootId: string;

  /**
   * @param folder - where it is; made if need be
   * @param bootId - names the start of the machine
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE`
   */
  constructor(folder: string, bootId: string) {
    this.#store = DurableStore.open(folder);
    this.#bootId = bootId;
  }

  load(): JournalContents {
    const [head] = [...this.#store.read(HEAD)];
    return {
      head: head as JournalHead | undefined,
      pinholes: this.#store.read(PINHOLE) as Iterable<string>,
      answers: this.#store.read(ANSWER) as Iterable<KeptAnswer>,
    };
  }

  hasPinhole(id: string): boolean {
    return this.#store.has([PINHOLE, id]);
  }

  hasAnswer(name: AnswerName): boolean {
    return this.#store.has(answerKey(name));
  }

  append(changes: JournalChanges): Promise<void> {
    const { head, put, remove, keep, forget } = changes;
    const written: DurableChange[] = [{ key: [HEAD], value: { ...head, bootId: this.#bootId } }];
    for (const id of remove) written.push({ key: [PINHOLE, id], value: undefined });
    for (const { id, text } of put) written.push({ key: [PINHOLE, id], value: text });
    for (const answer of forget) written.push({ key: answerKey(answer), value: undefined });
    for (const answer of keep) written.push({ key: answerKey(answer), value: answer });
    return this.#store.write(written);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
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
    return this.#answers.has(answerKey(name).join("\0"));
  }

  append({ head, put, remove, keep, forget }: JournalChanges): Promise<void> {
    this.#head = { ...head, bootId: "" };
    for (const id of remove) this.#pinholes.delete(id);
    for (const { id, text } of put) this.#pinholes.set(id, text);
    for (const answer of forget) this.#answers.delete(answerKey(answer).join("\0"));
    for (const answer of keep) this.#answers.set(answerKey(answer).join("\0"), answer);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
