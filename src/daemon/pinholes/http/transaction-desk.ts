/**
 * Transactions over several requests: begin, stage, commit, roll back.
 *
 * Any of these may be sent again when its answer was lost. A commit can be answered again even after the
 * daemon was started anew: its answer is kept in the journal under the client's key, or the transaction's id.
 */
import {
  type Agent,
  type CommitAnswer,
  type Operation,
  PinholeRefusal,
  type Transaction,
} from "../../../pinhole/index.ts";
import type { PinholeService } from "../service.ts";

/** What an operation is called, from the moment it is staged. */
export interface StagedWords {
  readonly op: Operation["op"];
  readonly id: string;
  /** In SIMCO, when a pinhole is opened. */
  readonly pid?: number;
}

/** How a commit is asked for. */
export interface CommitWish {
  readonly key: string | undefined;
  readonly expectGeneration: number | undefined;
  /** As soon as it is written, or when it is in force. */
  readonly wait: "journal" | "force";
}

interface KeptStaging {
  readonly asked: string;
  readonly answer: readonly StagedWords[];
}

function wordsOf(operation: Operation, named: ReturnType<Transaction["stage"]>): StagedWords {
  if (named !== undefined) return { op: operation.op, id: named.id, pid: named.number };
  return { op: operation.op, id: operation.op === "open" ? "" : operation.id };
}

/** Keeps what belongs to open transactions, and no longer than they are open. */
export class TransactionDesk {
  readonly #service: PinholeService;
  /** By agent and key: the transaction that was begun with it. */
  readonly #begun: Map<string, Transaction> = new Map();
  readonly #staged: WeakMap<Transaction, Map<string, KeptStaging>> = new WeakMap();
  /** Commits on their way, by transaction. */
  readonly #committing: Map<string, Promise<CommitAnswer>> = new Map();

  constructor(service: PinholeService) {
    this.#service = service;
  }

  /** Begins a transaction; with the same key, the same one as long as it is open. */
  begin(agent: Agent, key: string | undefined): Transaction {
    if (key === undefined) return this.#service.begin(agent);
    const name = `${agent.name}\0${key}`;
    const known = this.#begun.get(name);
    if (known?.isOpen === true && known.deadline > this.#service.moment.now) return known;
    for (const [other, { isOpen }] of this.#begun) if (!isOpen) this.#begun.delete(other);
    const transaction = this.#service.begin(agent);
    this.#begun.set(name, transaction);
    return transaction;
  }

  /** @throws {PinholeRefusal} `NO_SUCH_TRANSACTION` */
  find(agent: Agent, id: string): Transaction {
    return this.#service.transaction(agent, id);
  }

  /**
   * Adds operations.
   *
   * @throws {PinholeRefusal} when one can never be; those before it are staged
   */
  stage(transaction: Transaction, operations: readonly Operation[], key?: string): readonly StagedWords[] {
    const kept = this.#keptFor(transaction);
    const asked = JSON.stringify(operations);
    const before = key === undefined ? undefined : kept.get(key);
    if (before !== undefined && before.asked !== asked) {
      throw new PinholeRefusal("KEY_REUSED", "This idempotency key came with other operations before.");
    }
    if (before !== undefined) return before.answer;
    const answer = operations.map((operation) => wordsOf(operation, transaction.stage(operation)));
    if (key !== undefined) kept.set(key, { asked, answer });
    return answer;
  }

  /**
   * Puts a transaction into force, or answers again what became of it.
   *
   * @throws {PinholeRefusal} `NO_SUCH_TRANSACTION`; `KEY_REUSED` when the key came with another commit
   */
  async commit(agent: Agent, id: string, wish: CommitWish): Promise<CommitAnswer> {
    const { key = id, expectGeneration, wait } = wish;
    const name = `${agent.name}\0${id}`;
    const running = this.#committing.get(name);
    if (running !== undefined) {
      const answer = await running;
      // Who waits for more than the first one did goes on below, where what is on its way is waited for.
      if (answer.isInForce !== false || wait === "journal") return answer;
    }
    let transaction: Transaction;
    try {
      transaction = this.#service.transaction(agent, id);
    } catch (error) {
      const known = await this.#service.read((store) => store.answer(agent, id, key));
      if (known === undefined) throw error;
      return known;
    }
    const commit = this.#service.commit(transaction, {
      idempotencyKey: key,
      ...(key === id ? {} : { askedAs: id }),
      ...(expectGeneration === undefined ? {} : { expectGeneration }),
      ...(wait === "journal" ? { wait } : {}),
    });
    this.#committing.set(name, commit);
    try {
      return await commit;
    } finally {
      this.#committing.delete(name);
    }
  }

  /** Gives a transaction up. */
  rollback(agent: Agent, id: string): void {
    this.#service.rollback(this.#service.transaction(agent, id));
  }

  #keptFor(transaction: Transaction): Map<string, KeptStaging> {
    const kept = this.#staged.get(transaction) ?? new Map<string, KeptStaging>();
    this.#staged.set(transaction, kept);
    return kept;
  }
}
