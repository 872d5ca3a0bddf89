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
const FORMAT = "format";

/** What this code writes, also where nothing says so. Who changes what a reader must know of it counts up. */
const FORMAT_VERSION = 1;

/** The log is folded when it is so long, in bytes: that of a hundred thousand pinholes is shorter. */
const FOLD_BYTES = 67_108_864;

/** Changes that the database takes at once: about a millisecond of the event loop. */
const FOLDED_AT_ONCE = 256;

function checkFormat(store: DurableStore, folder: string): void {
  const [found] = store.read(FORMAT);
  const version = found === undefined ? FORMAT_VERSION : found[1];
  if (version === FORMAT_VERSION) return;
  const message =
    `A newer Postern wrote the journal in ${folder} (format ${String(version)}, and this one reads ` +
    `${FORMAT_VERSION}): go back to that version, or choose another folder.`;
  throw new FirewallError("JOURNAL_FORMAT", message);
}

function answerKey({ agent, key }: AnswerName): readonly [string, string, string] {
  return [ANSWER, agent, key];
}

function takeSome(changes: Generator<DurableChange>): DurableChange[] {
  const some: DurableChange[] = [];
  while (some.length < FOLDED_AT_ONCE) {
    const { done, value } = changes.next();
    if (done === true) break;
    some.push(value);
  }
  return some;
}

/** What a journal is made with besides its folder. */
export interface DiskJournalOptions {
  /** The log is folded when it is so long, in bytes; 64 MiB when absent. */
  readonly foldBytes?: number;
  /** Longest log, in bytes, while the database does not take what it says; 1 GiB when absent. */
  readonly logMaxBytes?: number;
  /** True: a damaged log is read as far as it is whole. */
  readonly isSalvage?: boolean;
  /** Told what a log that was read has lost. */
  readonly notice?: (text: string) => void;
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
   * @throws {FirewallError} `JOURNAL_UNAVAILABLE`; `JOURNAL_FORMAT` when a newer Postern wrote it;
   *   `JOURNAL_DAMAGED`
   */
  constructor(folder: string, bootId: string, options: DiskJournalOptions = {}) {
    const { foldBytes = FOLD_BYTES, logMaxBytes, isSalvage = false, notice = () => undefined } = options;
    this.#store = DurableStore.open(folder);
    checkFormat(this.#store, folder);
    this.#bootId = bootId;
    this.#foldBytes = foldBytes;
    this.#foldAt = foldBytes;
    this.#unfolded = new JournalBacklog(this.#stored);
    const [head] = this.#store.read(HEAD);
    this.#head = head?.[1] as JournalHead | undefined;
    [this.#lastStored = ""] = this.#store.lastName(PINHOLE) ?? [];
    const [folded] = this.#store.read(FOLDED);
    this.#log = DurableLog.open(folder, (folded?.[1] as number | undefined) ?? 0, logMaxBytes);
    for (const record of this.#log.read(notice, isSalvage)) {
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
    this.#foldWhenLong();
    const head = { ...changes.head, bootId: this.#bootId };
    await this.#log.append(encodeChanges({ ...changes, head }));
    this.#head = head;
    this.#unfolded.add(changes);
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

  /** A long log goes on in another part when that is ready, and what the parts before it say is folded. */
  #foldWhenLong(): void {
    const isLong = this.#log.bytes >= this.#foldAt || this.#log.isFull;
    if (!isLong || this.#folding !== undefined) return;
    if (this.#log.canTurn) this.#fold(this.#log.turn());
    else this.#work(() => this.#log.prepareTurn());
  }

  /** Everything up to a part of the log goes to the database. */
  #fold(last: number): void {
    const folded = this.#unfolded;
    const changes = this.#changesFor(folded, last);
    this.#folded = folded;
    this.#unfolded = new JournalBacklog(this.#stored);
    this.#work(async () => {
      try {
        for (let some = takeSome(changes); some.length > 0; some = takeSome(changes)) {
          await turn();
          await this.#store.write(some);
        }
        this.#folded = undefined;
        this.#foldAt = this.#foldBytes;
        await this.#log.forget(last);
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

  /**
   * A backlog as changes of the database, made as they are written: there may be very many. What is folded
   * counts when all of it is there.
   */
  *#changesFor({ pinholes, forgotten, kept }: JournalBacklog, last: number): Generator<DurableChange> {
    const head = this.#head;
    for (const [id, text] of pinholes) {
      if (text !== undefined && id > this.#lastStored) this.#lastStored = id;
      yield { key: [PINHOLE, id], value: text };
    }
    for (const name of forgotten) yield { key: answerKey(name), value: undefined };
    for (const answer of kept) yield { key: answerKey(answer), value: answer };
    yield { key: [FORMAT], value: FORMAT_VERSION };
    yield { key: [HEAD], value: head };
    yield { key: [FOLDED], value: last };
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
