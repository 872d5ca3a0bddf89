/**
 * Decides.
 *
 * Transactions come in, and what must be written, told to the packet filter and made known goes out. Several
 * transactions are decided one after the other, each all or nothing; one that is refused leaves the others as
 * they are. What is decided counts at once for the next decision, and is taken back as a whole when it cannot
 * be done.
 *
 * Between `prepare` and `settle` the store shows what is decided and not yet in force: who reads must wait.
 */
import { invariant, type LimitValues, type Milliseconds, SECOND } from "../base/index.ts";
import type { Agent } from "./access-profile.ts";
import { AnswerMemory, type AnswerName, type KeptAnswer } from "./answer-memory.ts";
import type { CommitAnswer, CommitOutcome, CommitRequest, PreparedCommit } from "./commit.ts";
import { type Entropy, IdSource, NumberSource } from "./identifier.ts";
import type { PacketFacts } from "./judgement.ts";
import { cutListOf } from "./cut-list.ts";
import type { DesiredState, Overrun } from "./backend.ts";
import type { Element } from "./element.ts";
import { findLimitHits, type LimitHit } from "./limit-hits.ts";
import type { Moment } from "./moment.ts";
import { Assignment, maySee } from "./operations.ts";
import type { Pinhole, PinholeGroup } from "./pinhole.ts";
import {
  deadlineToday,
  type JournalChanges,
  type JournalContents,
  type JournalHead,
  unpackPinhole,
} from "./record.ts";
import { PinholeRefusal } from "./refusal.ts";
import { type NatMode, PinholeRequest, type PinholeSpec } from "./specification.ts";
import { Tombstones } from "./tombstones.ts";
import { OpenTransactions } from "./open-transactions.ts";
import { Transaction } from "./transaction.ts";
import { type TranslationPlan, Translations } from "./translation.ts";
import { type PinholeFilter, type PinholePage, passes } from "./pinhole-list.ts";
import { UndoLog } from "./undo-log.ts";
import { type Cause, Workbench } from "./workbench.ts";

/** How long a transaction may stay open. */
const TRANSACTION_MS = 30 * SECOND;

/** Pinholes that end in one commit when their time is over: commits that wait have their turn in between. */
const EXPIRE_MAX = 1000;

/** Pinholes of a former run that are taken up in one go: about a millisecond. */
const LOADED_AT_ONCE = 128;

/** What a store is made with. */
export interface StoreOptions {
  readonly limits: LimitValues;
  /** Of the packet filter: see BackendAbilities. */
  readonly expansionMax: number;
  readonly entropy: Entropy;
  /** True: a stranger's pinhole looks as if it were not there. */
  readonly hideForeign?: boolean;
  /** Addresses and ports for translation, where the packet filter translates; absent: none is to be had. */
  readonly translation?: TranslationPlan;
}

/** All pinholes, and every decision about them. */
export class PinholeStore {
  readonly #options: StoreOptions;
  readonly #undo: UndoLog = new UndoLog();
  readonly #translations: Translations | undefined;
  readonly #bench: Workbench;
  readonly #answers: AnswerMemory;
  /** Answers that are forgotten here, and that the journal must forget. */
  #toForget: AnswerName[] = [];
  readonly #tombstones: Tombstones;
  readonly #ids: IdSource;
  readonly #transactionIds: IdSource;
  readonly #transactions: OpenTransactions;
  #numbers: NumberSource;
  #generation = 0;
  #isPrepared = false;

  constructor(options: StoreOptions) {
    const { entropy, limits } = options;
    this.#options = options;
    this.#ids = new IdSource("ph_", entropy);
    this.#transactionIds = new IdSource("tx_", entropy);
    this.#numbers = NumberSource.begin(entropy);
    this.#translations =
      options.translation === undefined
        ? undefined
        : new Translations(options.translation, this.#undo, entropy);
    this.#transactions = new OpenTransactions(limits.pinholeTransactions);
    const groupNumbers = NumberSource.begin(entropy);
    this.#bench = new Workbench(this.#undo, groupNumbers, this.#translations, options.expansionMax);
    this.#answers = new AnswerMemory(
      { count: limits.pinholeAnswers, bytes: limits.pinholeAnswerBytes },
      this.#undo,
    );
    this.#tombstones = new Tombstones(limits.pinholeTombstones);
  }

  /** Number of the rule set that was decided last. */
  get generation(): number {
    return this.#generation;
  }

  /** Ways to translate addresses; empty when none is to be had. */
  get natModes(): readonly NatMode[] {
    return this.#translations?.modes ?? [];
  }

  /** Living pinholes. */
  get size(): number {
    return this.#bench.population.size;
  }

  /** Elements that the packet filter shall hold. */
  get elementCount(): number {
    return this.#bench.elements.size;
  }

  /** An instant before which nothing ends by itself; undefined when nothing ever does. */
  get nextDeadline(): Milliseconds | undefined {
    return this.#bench.population.nextDeadline;
  }

  /**
   * Opens a transaction.
   *
   * @throws {PinholeRefusal} `QUOTA_EXCEEDED` when the agent has too many open ones
   */
  begin(agent: Agent, moment: Moment): Transaction {
    this.#transactions.checkRoom(agent, moment);
    const transaction = this.stage(agent, moment);
    this.#transactions.add(transaction);
    return transaction;
  }

  /** A transaction that is committed at once and cannot be looked up. */
  stage(agent: Agent, moment: Moment): Transaction {
    const id = this.#transactionIds.next(moment.wall);
    const { population } = this.#bench;
    return new Transaction(
      { id, agent, deadline: moment.now + TRANSACTION_MS },
      () => ({
        id: this.#ids.next(moment.wall),
        number: this.#numbers.next((taken) => population.idByNumber(taken) !== undefined),
      }),
      this.#options.limits.pinholeOperations,
    );
  }

  /**
   * An open transaction of an agent.
   *
   * @throws {PinholeRefusal} `NO_SUCH_TRANSACTION`
   */
  transaction(agent: Agent, id: string, moment: Moment): Transaction {
    return this.#transactions.get(agent, id, moment);
  }

  /** Gives a transaction up. Nothing of it stays. */
  rollback(transaction: Transaction): void {
    this.#transactions.abandon(transaction);
  }

  /** Ends a transaction that is to be committed: nothing more is staged on it. */
  take(transaction: Transaction): void {
    this.#transactions.take(transaction);
  }

  /** Gives up the transactions whose time is over. */
  dropOverdue(moment: Moment): void {
    this.#transactions.dropOverdue(moment);
  }

  /**
   * Decides commits in their order.
   *
   * @returns what was decided; it must be settled or taken back before anything else is prepared
   */
  prepare(requests: readonly CommitRequest[], moment: Moment): PreparedCommit {
    const before = this.#open();
    for (const name of this.#answers.forget(moment.wall)) this.#toForget.push(name);
    const kept: KeptAnswer[] = [];
    const outcomes = requests.map((request) => this.#decide(request, moment, kept));
    return this.#prepared({ outcomes, before, moment, kept });
  }

  /**
   * Some of the pinholes whose time is over, to be ended. Each is told once, unless
   * {@link PinholeStore.remind} puts it back.
   */
  takeDue({ now }: Moment): Pinhole[] {
    return this.#bench.population.takeDue(now, EXPIRE_MAX);
  }

  /** Puts back what was taken out as due and could not be ended. */
  remind(pinholes: readonly Pick<Pinhole, "id" | "deadline">[]): void {
    this.#bench.population.remind(pinholes);
  }

  /** Ends living pinholes whose time is over, or that the packet filter will not have, whoever owns them. */
  end(pinholes: readonly Pinhole[], ending: "expire" | "fail", moment: Moment): PreparedCommit {
    const before = this.#open();
    this.#generation += 1;
    const cause = { moment, generation: this.#generation, origin: "" };
    for (const pinhole of pinholes) this.#bench.end(pinhole, ending, cause);
    return this.#prepared({ outcomes: [], before, moment, kept: [] });
  }

  /** The answer to a transaction that is over. @throws {PinholeRefusal} `KEY_REUSED` for another's key */
  answer(agent: Agent, id: string, key: string): CommitAnswer | undefined {
    return this.#answers.recall(agent.name, key, id);
  }

  /** A pinhole, living or ended a while ago; undefined when there is none that the agent may see. */
  find(agent: Agent, id: string): Pinhole | undefined {
    const { population } = this.#bench;
    const found = population.get(id) ?? population.byClientId(agent.name, id);
    if (found === undefined) return this.#findEnded(agent, id);
    return maySee(agent, found.owner) ? found : undefined;
  }

  /** A living pinhole by its number in SIMCO, whoever owns it. */
  byNumber(number: number): Pinhole | undefined {
    return this.#bench.population.byNumber(number);
  }

  /** True: a stranger's pinhole looks as if it were not there. */
  get hidesForeign(): boolean {
    return this.#options.hideForeign ?? false;
  }

  /** True when a block stands against what a specification asks for. */
  isBlocked(spec: PinholeSpec): boolean {
    const { protocol, internal, external } = PinholeRequest.check(spec);
    return this.#bench.population.meeting("block", { protocol, near: internal, far: external }).length > 0;
  }

  /**
   * One page of the living pinholes that an agent may see, in the order in which they were made.
   *
   * @param cursor - where the page before ended; empty for the first
   * @param count - pinholes on a page, at most
   * @param looked - pinholes that are looked at for a page, at most: the page may then be short, or empty,
   *   and still not be the last
   */
  list(
    agent: Agent,
    filter: PinholeFilter,
    cursor: string,
    { count, looked }: { readonly count: number; readonly looked?: number },
  ): PinholePage {
    const pinholes: Pinhole[] = [];
    let left = looked ?? Number.POSITIVE_INFINITY;
    let last = cursor;
    for (const pinhole of this.#bench.population.after(cursor)) {
      if (left === 0) return { pinholes, cursor: last };
      left -= 1;
      const isWanted = maySee(agent, pinhole.owner) && passes(pinhole, filter);
      if (isWanted && pinholes.length === count) return { pinholes, cursor: last };
      if (isWanted) pinholes.push(pinhole);
      last = pinhole.id;
    }
    return { pinholes, cursor: undefined };
  }

  /** All living pinholes, in no order. */
  all(): Iterable<Pinhole> {
    return this.#bench.population.all();
  }

  /** What carries a pinhole out; empty for a reservation. */
  elementsOf(pinhole: Pinhole): Element[] {
    return this.#bench.elementsOf(pinhole);
  }

  /** How many living pinholes an owner has. */
  countOf(owner: string): number {
    return this.#bench.population.countOf(owner);
  }

  /**
   * A group by its id; a name of one's own means one's own group. Undefined when the agent may not see it.
   */
  findGroup(agent: Agent, id: string): PinholeGroup | undefined {
    const group = this.#bench.groups.find(agent.name, id);
    return group !== undefined && maySee(agent, group.owner) ? group : undefined;
  }

  /** A group by its number in SIMCO, whoever owns it. */
  groupByNumber(number: number): PinholeGroup | undefined {
    return this.#bench.groups.byNumber(number);
  }

  /** The groups that an agent may see. */
  groups(agent: Agent): PinholeGroup[] {
    return [...this.#bench.groups.all()].filter((group) => maySee(agent, group.owner));
  }

  /** True when a packet is permitted, and no block stands against it. */
  permits(packet: PacketFacts): boolean {
    const { population } = this.#bench;
    return population.isConcerned("permit", packet) && !population.isConcerned("block", packet);
  }

  /** Whose limits refused packets: every pinhole that permits them and has such a limit, up to a bound. */
  limitHits(overruns: readonly Overrun[]): LimitHit[] {
    return findLimitHits(overruns, this.#bench);
  }

  /** True when some pinhole has limits. */
  get hasLimits(): boolean {
    return !this.#bench.limits.isEmpty;
  }

  /**
   * What shall be in force.
   *
   * @param without - numbers of pinholes that shall not count
   */
  desired(now: Milliseconds, without?: ReadonlySet<number>): DesiredState {
    return {
      now,
      generation: this.#generation,
      elements: this.#bench.standing(without),
      limits: this.#bench.limits.standing(),
    };
  }

  /**
   * Takes up what a former run left. The store must be empty.
   *
   * @param bootId - names the start of the machine
   * @param pause - lets other work have its turn, now and then
   * @returns what the journal must say instead: it forgets pinholes whose time was over meanwhile, and
   *   learns the deadlines of this start of the machine; undefined when it is right as it is
   */
  async load(
    contents: JournalContents,
    moment: Moment,
    bootId: string,
    pause: () => Promise<unknown> = () => Promise.resolve(),
  ): Promise<JournalChanges | undefined> {
    invariant(this.size === 0, "a store is loaded once, before anything else");
    const { head } = contents;
    if (head === undefined) return undefined;
    this.#generation = head.generation;
    this.#numbers = new NumberSource(head.nextNumber);
    this.#bench.groups.follow(head.nextGroupNumber);
    const isSameBoot = head.bootId === bootId;
    const changed: string[] = [];
    for (const text of contents.pinholes) {
      if (this.size % LOADED_AT_ONCE === 0) await pause();
      const written = unpackPinhole(text);
      const deadline = deadlineToday(written, moment, isSameBoot);
      const isOver = deadline <= moment.now;
      if (isOver || !isSameBoot) changed.push(written.id);
      if (isOver) continue;
      this.#revive(isSameBoot ? written : { ...written, deadline }, isSameBoot ? text : undefined);
    }
    this.#answers.restore(contents.answers);
    this.#bench.settle();
    this.#undo.settle();
    if (isSameBoot && changed.length === 0) return undefined;
    return { head: this.journalHead, ...this.#bench.records(changed), keep: [], forget: [] };
  }

  #findEnded(agent: Agent, id: string): Pinhole | undefined {
    const found = this.#tombstones.get(id) ?? this.#tombstones.byClientId(agent.name, id);
    return found !== undefined && maySee(agent, found.owner) ? found : undefined;
  }

  #revive(pinhole: Pinhole, text?: string): void {
    this.#ids.follow(pinhole.id);
    this.#bench.revive(pinhole, text);
    this.#undo.settle();
  }

  #open(): number {
    invariant(!this.#isPrepared, "what is prepared is settled or taken back first");
    this.#isPrepared = true;
    return this.#generation;
  }

  #decide(request: CommitRequest, moment: Moment, kept: KeptAnswer[]): CommitOutcome {
    const mark = this.#undo.length;
    const generation = this.#generation;
    try {
      const answer = this.#carryOut(request, moment, kept);
      if (request.decided !== undefined) request.decided(this.#bench.left(answer.results.at(-1)?.id ?? ""));
      return answer;
    } catch (error) {
      this.#undo.takeBack(mark);
      this.#generation = generation;
      if (error instanceof PinholeRefusal) return error;
      throw error;
    }
  }

  #carryOut({ transaction, options }: CommitRequest, moment: Moment, kept: KeptAnswer[]): CommitAnswer {
    const { agent } = transaction;
    const { idempotencyKey: key, askedAs, expectGeneration } = options;
    const fingerprint = key === undefined ? "" : transaction.fingerprint;
    const known = key === undefined ? undefined : this.#answers.find(agent.name, key, fingerprint);
    if (known !== undefined) return known;
    if (expectGeneration !== undefined && expectGeneration !== this.#generation) {
      const message = `Generation ${this.#generation} is in force, not ${expectGeneration}. Read again.`;
      throw new PinholeRefusal("GENERATION_MISMATCH", message);
    }
    if (transaction.operations.length > 0) this.#generation += 1;
    const cause = { moment, generation: this.#generation, origin: options.origin ?? "" };
    const answer: CommitAnswer = {
      generation: this.#generation,
      appliedAt: moment.wall,
      results: this.#results(transaction, cause),
    };
    if (key !== undefined) {
      const asked = { agent: agent.name, key, fingerprint, askedAs };
      kept.push(this.#answers.keep(asked, answer, moment.wall));
    }
    return answer;
  }

  #results(transaction: Transaction, cause: Cause): CommitAnswer["results"] {
    const { agent } = transaction;
    const house = {
      room: this.#options.limits,
      hideForeign: this.hidesForeign,
      findEnded: (id: string) => this.#findEnded(agent, id),
    };
    const assignment = new Assignment(this.#bench, agent, cause, house);
    return transaction.operations.map((operation, index) => {
      try {
        return assignment.carryOut(operation);
      } catch (error) {
        throw error instanceof PinholeRefusal ? error.at(index) : error;
      }
    });
  }

  #prepared(batch: {
    readonly outcomes: readonly CommitOutcome[];
    readonly before: number;
    readonly moment: Moment;
    readonly kept: readonly KeptAnswer[];
  }): PreparedCommit {
    const { outcomes, before, moment, kept } = batch;
    const elements = this.#bench.elements.changes();
    const { put, remove } = elements;
    const limits = this.#bench.limits.changes();
    const generation = this.#generation;
    const events = [...this.#bench.news];
    const ended = [...this.#bench.ended];
    const changed = [...this.#bench.changed];
    return {
      outcomes,
      hasEffect: generation !== before,
      plan: {
        generation,
        now: moment.now,
        put,
        remove,
        putLimits: limits.put,
        removeLimits: limits.remove,
      },
      journal: {
        head: this.journalHead,
        ...this.#bench.records(changed),
        keep: kept,
        forget: [...this.#toForget],
      },
      events,
      cut: cutListOf(elements),
      settle: () => {
        this.#close();
        this.#toForget = [];
        this.#tombstones.add(ended);
        this.#tombstones.forget(moment.wall);
      },
      takeBack: () => {
        this.#undo.takeBack();
        this.#generation = before;
        this.#close();
        return { head: this.journalHead, ...this.#bench.records(changed), keep: [], forget: kept };
      },
    };
  }

  #close(): void {
    invariant(this.#isPrepared, "what is prepared is settled or taken back once");
    this.#isPrepared = false;
    this.#undo.settle();
    this.#bench.settle();
  }

  /** What the head of the journal says. */
  get journalHead(): Omit<JournalHead, "bootId"> {
    const nextNumber = this.#numbers.upcoming;
    return { generation: this.#generation, nextNumber, nextGroupNumber: this.#bench.groups.upcoming };
  }
}
