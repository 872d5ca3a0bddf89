/** Transactions that can be looked up: until they are committed, given up, or their time is over. */
import type { Agent } from "./access-profile.ts";
import type { Moment } from "./moment.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { Transaction } from "./transaction.ts";

/** Transactions that can be looked up. */
export class OpenTransactions {
  /** The most one owner may have. */
  readonly #max: number;
  /** By their ids, in the order in which their time is over. */
  readonly #open: Map<string, Transaction> = new Map();

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Makes sure that an agent may open one more.
   *
   * @throws {PinholeRefusal} `QUOTA_EXCEEDED`
   */
  checkRoom(agent: Agent, moment: Moment): void {
    this.dropOverdue(moment);
    const open = [...this.#open.values()].filter((one) => one.agent.name === agent.name).length;
    if (open < this.#max) return;
    const message = `You have ${open} open transactions. Commit some, or roll them back.`;
    throw new PinholeRefusal("QUOTA_EXCEEDED", message);
  }

  add(transaction: Transaction): void {
    this.#open.set(transaction.id, transaction);
  }

  /**
   * An open transaction of an agent.
   *
   * @throws {PinholeRefusal} `NO_SUCH_TRANSACTION`
   */
  get(agent: Agent, id: string, moment: Moment): Transaction {
    this.dropOverdue(moment);
    const found = this.#open.get(id);
    if (found !== undefined && found.agent.name === agent.name) return found;
    throw new PinholeRefusal("NO_SUCH_TRANSACTION", `There is no open transaction ${id}.`);
  }

  /** Ends one that is to be committed: nothing more is staged on it. */
  take(transaction: Transaction): void {
    transaction.finish();
    this.#open.delete(transaction.id);
  }

  /** Gives one up. Nothing of it stays. */
  abandon(transaction: Transaction): void {
    transaction.abandon();
    this.#open.delete(transaction.id);
  }

  /** Gives up those whose time is over. */
  dropOverdue({ now }: Moment): void {
    for (const transaction of this.#open.values()) {
      if (transaction.deadline > now) return;
      this.abandon(transaction);
    }
  }
}
