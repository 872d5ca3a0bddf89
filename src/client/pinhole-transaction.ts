/**
 * A transaction on the client's side: gathers operations, and sends all of them with the commit.
 *
 * Pinholes have a name at once, chosen here by chance or by the caller; with it they can be closed in the
 * same transaction, or years later. Nothing is sent before the commit, so a client that dies leaves nothing
 * open.
 */
import { randomUUID } from "node:crypto";
import { FirewallError } from "../base/index.ts";
import type { Operation } from "../pinhole/index.ts";
import { type PinholeWish, specOf } from "./pinhole-api.ts";

/** How a transaction shall be committed. */
export interface CommitWish {
  /** Refuse unless this generation is in force. */
  readonly expectGeneration?: number;
  /** Answer as soon as it is written; absent: when it is in force. */
  readonly wait?: "journal";
}

/** Sends what was gathered. */
type Send<Outcome> = (
  operations: readonly Operation[],
  options: CommitWish & { readonly idempotencyKey: string },
) => Promise<Outcome>;

/** A transaction. Made by `PinholeClient.begin` and `PinholeFleet.begin`. */
export class PinholeTransaction<Outcome> {
  readonly #send: Send<Outcome>;
  readonly #idempotencyKey: string = randomUUID();
  #operations: Operation[] = [];
  #isOpen = true;

  /** @param send - sends what was gathered */
  constructor(send: Send<Outcome>) {
    this.#send = send;
  }

  /** How many operations it has. */
  get size(): number {
    return this.#operations.length;
  }

  /**
   * Asks for a pinhole.
   *
   * @param id - a name for it; when a living pinhole of ours has it already, and is the same, its lease is
   *   renewed
   * @returns the name
   */
  open(wish: PinholeWish, id?: string): string {
    return this.#make({ op: "open", spec: specOf("permit", wish), clientId: id ?? newId() });
  }

  /** Asks for a place that a pinhole will have. @returns its name, as for `open` */
  reserve(wish: PinholeWish, id?: string): string {
    return this.#make({ op: "open", spec: specOf("reserve", wish), clientId: id ?? newId() });
  }

  /** Asks that packets be stopped, whoever permits them. @returns its name, as for `open` */
  block(wish: PinholeWish, id?: string): string {
    return this.#make({ op: "open", spec: specOf("block", wish), clientId: id ?? newId() });
  }

  /** Asks that a reservation becomes a pinhole. */
  enable(id: string, wish: PinholeWish): void {
    this.#add({ op: "enable", id, spec: specOf("permit", wish) });
  }

  /** Asks for the end of a pinhole. */
  close(id: string): void {
    this.#add({ op: "close", id });
  }

  /** Asks for another lease, in seconds from the commit on; null for ever. */
  renew(id: string, lifetime: number | null): void {
    this.#add({ op: "renew", id, lifetime });
  }

  /**
   * Puts all of it into force, or nothing. May be called again when it failed for want of a connection.
   *
   * @returns when the kernel has confirmed it, or as `wait` says; of a fleet, what became of it at each
   *   firewall
   * @throws {PinholeError} with the index of the operation that is refused
   * @throws {FirewallError} `CONTROL_SOCKET` when the daemon cannot be reached
   */
  async commit(options: CommitWish = {}): Promise<Outcome> {
    this.#check();
    const answer = await this.#send(this.#operations, {
      ...options,
      idempotencyKey: this.#idempotencyKey,
    });
    this.#isOpen = false;
    return answer;
  }

  /** Gives it up. */
  rollback(): void {
    this.#isOpen = false;
    this.#operations = [];
  }

  #make(operation: Extract<Operation, { op: "open" }> & { readonly clientId: string }): string {
    this.#add(operation);
    return operation.clientId;
  }

  #add(operation: Operation): void {
    this.#check();
    this.#operations.push(operation);
  }

  #check(): void {
    if (this.#isOpen) return;
    throw new FirewallError("NO_SUCH_TRANSACTION", "This transaction is over. Begin another.");
  }
}

function newId(): string {
  return randomUUID();
}
