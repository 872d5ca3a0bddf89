/**
 * The journal on disk: a log in front of a database.
 *
 * A commit waits for one thing, its record in the log. The database has what the log said before: when the
 * log has become long it goes on in another part, and what the parts before it said is *folded* into the
 * database beside commits, of each pinhole and each answer only the last word. Then those parts are
 * forgotten.
 *
 * ```
 * append ─► record in the log, synced ─► answered
 *                │ the log is long
 *                ▼
 *           another part; the former ones ─► database, some changes at a time ─► forgotten
 * ```
 *
 * Whatever is folded by half when a crash comes is in the log still: reading takes the database, and over it
 * all parts that are not forgotten, in their order.
 */
import { setImmediate as turn } from "node:timers/promises";
import { FirewallError } from "../../base/index.ts";
import type {
  AnswerName,
  JournalChanges,
  JournalContents,
  JournalHead,
  KeptAnswer,
} from "../../pinhole/index.ts";
import { type DurableChange, DurableLog, DurableStore } from "../../system/index.ts";
import type { JournalHoldings, PinholeJournal } from "./journal.ts";
import { JournalBacklog } from "./journal-backlog.ts";
import { decodeChanges, encodeChanges } from "./journal-record.ts";

const HEAD = "head";
const PINHOLE = "pinhole";
const ANSWER = "answer";
/** Number of the last part of the log that is folded. */
const FOLDED = "folded";

/** The log is folded when it is so long, in bytes: that of a hundred thousand pinholes is shorter. */
const FOLD_BYTES = 67_108_864;

/** Changes that the database takes at once: about a millisecond of the event loop. */
const FOLDED_AT_ONCE = 256;

function answerKey({ agent, key }: AnswerName): readonly [string, string, string] {
  return [ANSWER, agent, key];
}

/** What a journal is made with besides its folder. */
export interface DiskJournalOptions {
  /** The log is folded when it is so long, in bytes; 64 MiB when absent. */
  readonly foldBytes?: number;
}

/** A journal on disk. */
export class DiskJournal implements PinholeJournal {
  readonly #store: DurableStore;
  readonly #log: DurableLog;
  readonly #bootId: string;
  readonly #foldBytes: number;
  /** What the log says and the database does not. */
  #unfolded: JournalBacklog;
  /** What is on its way to the database. */
  #folded: JournalBacklog | undefined;
  #head: JournalHead | undefined;
  #folding: Promise<void> | undefined;
  /** Length of the log at which it is folded, in bytes. */
  #foldAt: number;
  /** No pinhole in the database has an id behind this one. */
  #lastStored = "";

  /**
   * @param folder - where it is; made if need be
   * @param bootId - names the start of the machine
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE`
   */
  constructor(folder: string, bootId: string, { foldBytes = FOLD_BYTES }: DiskJournalOptions = {}) {
    this.#store = DurableStore.open(folder);
    this.#bootId = bootId;
    this.#foldBytes = foldBytes;
    this.#foldAt = foldBytes;
    this.#unfolded = new JournalBacklog(this.#stored);
    const [head] = this.#store.read(HEAD);
    this.#head = head?.[1] as JournalHead | undefined;
    [this.#lastStored = ""] = this.#store.lastName(PINHOLE) ?? [];
    const [folded] = this.#store.read(FOLDED);
    this.#log = DurableLog.open(folder, (folded?.[1] as number | undefined) ?? 0);
    for (const record of this.#log.read()) {
      const changes = decodeChanges(record);
      this.#head = changes.head;
      this.#unfolded.add(changes);
    }
  }

  load(): JournalContents {
    return { head: this.#head, pinholes: this.#pinholes(), answers: this.#answers() };
  }

  hasPinhole(id: string): boolean {
    return this.#unfolded.hasPinhole(id) ?? this.#stored.hasPinhole(id);
  }

  hasAnswer(name: AnswerName): boolean {
    return this.#unfolded.hasAnswer(name) ?? this.#stored.hasAnswer(name);
  }

  async append(changes: JournalChanges): Promise<void> {
    if (this.#log.canTurn) this.#fold(this.#log.turn());
    const head = { ...changes.head, bootId: this.#bootId };
    await this.#log.append(encodeChanges({ ...changes, head }));
    this.#head = head;
    this.#unfolded.add(changes);
    if (this.#log.bytes >= this.#foldAt) this.#prepareFolding();
  }

  async close(): Promise<void> {
    await this.#folding;
    this.#log.close();
    await this.#store.close();
  }

  /** What the database says, or will say. */
  readonly #stored: JournalHoldings = {
    hasPinhole: (id) =>
      this.#folded?.hasPinhole(id) ?? (id <= this.#lastStored && this.#store.has([PINHOLE, id])),
    hasAnswer: (name) => this.#folded?.hasAnswer(name) ?? this.#store.has(answerKey(name)),
  };

  /** In the order of their ids, which is that in which they were made. */
  *#pinholes(): Generator<string> {
    const { put = [] } = this.#unfolded.changes ?? {};
    const fresh = [...put].sort((a, b) => (a.id < b.id ? -1 : 1));
    let at = 0;
    for (const [[id = ""], text] of this.#store.read(PINHOLE)) {
      for (let next = fresh[at]; next !== undefined && next.id <= id; next = fresh[at]) {
        yield next.text;
        at += 1;
      }
      if (this.#unfolded.hasPinhole(id) === undefined) yield text as string;
    }
    for (const { text } of fresh.slice(at)) yield text;
  }

  *#answers(): Generator<KeptAnswer> {
    for (const [, value] of this.#store.read(ANSWER)) {
      const answer = value as KeptAnswer;
      if (this.#unfolded.hasAnswer(answer) === undefined) yield answer;
    }
    yield* this.#unfolded.changes?.keep ?? [];
  }

  /** The next record goes to another part of the log. */
  #prepareFolding(): void {
    if (this.#folding !== undefined || this.#log.canTurn) return;
    this.#work(() => this.#log.prepareTurn());
  }

  /** Everything up to a part of the log goes to the database. */
  #fold(last: number): void {
    const folded = this.#unfolded;
    const changes = this.#changesFor(folded, last);
    this.#folded = folded;
    this.#unfolded = new JournalBacklog(this.#stored);
    this.#work(async () => {
      try {
        for (let at = 0; at < changes.length; at += FOLDED_AT_ONCE) {
          await turn();
          await this.#store.write(changes.slice(at, at + FOLDED_AT_ONCE));
        }
        this.#folded = undefined;
        this.#foldAt = this.#foldBytes;
        this.#log.forget(last);
      } catch (error) {
        // It is told to the database together with what came since.
        const since = this.#unfolded.changes;
        this.#folded = undefined;
        this.#unfolded = folded;
        if (since !== undefined) folded.add(since);
        throw error;
      }
    });
  }

  /** A backlog as changes of the database. What is folded counts when all of it is there. */
  #changesFor({ changes }: JournalBacklog, last: number): DurableChange[] {
    const written: DurableChange[] = [];
    const { put = [], remove = [], keep = [], forget = [] } = changes ?? {};
    for (const id of remove) written.push({ key: [PINHOLE, id], value: undefined });
    for (const { id, text } of put) {
      written.push({ key: [PINHOLE, id], value: text });
      if (id > this.#lastStored) this.#lastStored = id;
    }
    for (const name of forget) written.push({ key: answerKey(name), value: undefined });
    for (const answer of keep) written.push({ key: answerKey(answer), value: answer });
    written.push({ key: [HEAD], value: this.#head }, { key: [FOLDED], value: last });
    return written;
  }

  /** Does something beside commits. When it fails nothing is lost, and it is tried again later. */
  #work(work: () => Promise<void>): void {
    this.#folding = work()
      .catch((error: unknown) => {
        if (!(error instanceof FirewallError)) throw error;
        this.#foldAt = this.#log.bytes + this.#foldBytes;
      })
      .finally(() => {
        this.#folding = undefined;
      });
  }
}
