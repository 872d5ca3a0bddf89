/**
 * What one agent wants done, all of it or nothing.
 *
 * Operations are checked as they come, as far as that is possible without looking at others; what they are
 * called is known at once. Nothing of them has an effect before the commit, and nothing stays of a
 * transaction that is rolled back, but that its numbers are not given to anybody else.
 */
import type { Milliseconds } from "../base/index.ts";
import { type Agent, checkRequest, checkRight } from "./access-profile.ts";
import { Fingerprint } from "./fingerprint.ts";
import { PinholeRefusal } from "./refusal.ts";
import { checkLifetime, PinholeRequest, type PinholeSpec } from "./specification.ts";

/** One operation, in words. Ids may be those of the store or the caller's own. */
export type Operation =
  | {
      readonly op: "open";
      readonly spec: PinholeSpec;
      /** A name of the caller's own. If a pinhole has it already and is the same, its lease is renewed. */
      readonly clientId?: string;
    }
  | { readonly op: "close"; readonly id: string; readonly revision?: number }
  | {
      readonly op: "renew";
      readonly id: string;
      /** Seconds from the commit on; null for ever. */
      readonly lifetime: number | null;
      readonly revision?: number;
    }
  | {
      readonly op: "enable";
      /** Of a reservation. */
      readonly id: string;
      readonly spec: PinholeSpec;
      readonly revision?: number;
    };

/** A checked operation. */
export type StagedOperation =
  | {
      readonly op: "open";
      readonly id: string;
      readonly number: number;
      readonly clientId: string | undefined;
      readonly request: PinholeRequest;
    }
  | { readonly op: "close"; readonly id: string; readonly revision: number | undefined }
  | {
      readonly op: "renew";
      readonly id: string;
      readonly seconds: number | null;
      readonly revision: number | undefined;
    }
  | {
      readonly op: "enable";
      readonly id: string;
      readonly request: PinholeRequest;
      readonly revision: number | undefined;
    };

/** What a pinhole is called, from the moment it is asked for. */
export interface PinholeRef {
  readonly id: string;
  /** In SIMCO. */
  readonly number: number;
}

/** Gives names to what is staged. */
export type Christening = () => PinholeRef;

const CLIENT_ID = /^[A-Za-z0-9_.:~-]{1,128}$/;

/** What an operation asks for, whatever ids were given. */
function identityOf(operation: StagedOperation): readonly string[] {
  const { op } = operation;
  switch (op) {
    case "open": {
      const { request, clientId = "" } = operation;
      return [op, request.identity, `${request.spec.lifetime}`, clientId];
    }
    case "close":
      return [op, operation.id, `${operation.revision}`];
    case "renew":
      return [op, operation.id, `${operation.seconds}`, `${operation.revision}`];
    case "enable": {
      const { id, request, revision } = operation;
      return [op, id, request.identity, `${request.spec.lifetime}`, `${revision}`];
    }
  }
}

/** An open transaction. */
export class Transaction {
  readonly id: string;
  readonly agent: Agent;
  /** Without a commit it is rolled back at this instant; monotonic. */
  readonly deadline: Milliseconds;
  readonly #christen: Christening;
  readonly #operationsMax: number;
  #operations: StagedOperation[] = [];
  #isOpen = true;

  /**
   * @param facts - id, agent, and when its time is over
   * @param christen - gives an id and a number to each pinhole
   * @param operationsMax - no more operations than this
   */
  constructor(
    facts: { readonly id: string; readonly agent: Agent; readonly deadline: Milliseconds },
    christen: Christening,
    operationsMax: number,
  ) {
    this.id = facts.id;
    this.agent = facts.agent;
    this.deadline = facts.deadline;
    this.#christen = christen;
    this.#operationsMax = operationsMax;
  }

  /** The operations in their order. */
  get operations(): readonly StagedOperation[] {
    return this.#operations;
  }

  /** False after the commit or the rollback. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Names what is asked for, whatever ids were given: equal for the same operations. */
  get fingerprint(): string {
    const fingerprint = new Fingerprint();
    for (const operation of this.#operations) fingerprint.add(...identityOf(operation));
    return fingerprint.text;
  }

  /**
   * Asks for a pinhole.
   *
   * @param clientId - a name of the caller's own
   * @throws {PinholeRefusal} when it can never be; the transaction is as before
   */
  open(spec: PinholeSpec, clientId?: string): PinholeRef {
    const request = PinholeRequest.check(spec);
    checkRequest(request, this.agent);
    if (clientId !== undefined && (!CLIENT_ID.test(clientId) || clientId.startsWith("ph_"))) {
      const message =
        "An id of one's own has 1 to 128 letters, digits and _.:~- and does not begin with ph_.";
      throw new PinholeRefusal("SPEC_MALFORMED", message, { field: "clientId" });
    }
    const ref = this.#christen();
    this.#add({ op: "open", id: ref.id, number: ref.number, clientId, request });
    return ref;
  }

  /** Asks for the end of a pinhole. */
  close(id: string, revision?: number): void {
    this.#add({ op: "close", id, revision });
  }

  /**
   * Asks for another lease.
   *
   * @param seconds - counted from the commit on; null for ever
   * @throws {PinholeRefusal} `LIFETIME_ZERO`, `SPEC_MALFORMED`, `TRANSACTION_FORBIDDEN`
   */
  renew(id: string, seconds: number | null, revision?: number): void {
    checkRight(this.agent, "renew");
    checkLifetime(seconds);
    this.#add({ op: "renew", id, seconds, revision });
  }

  /**
   * Asks that a reservation becomes a permit.
   *
   * @throws {PinholeRefusal} when it can never be
   */
  enable(id: string, spec: PinholeSpec, revision?: number): void {
    const request = PinholeRequest.check(spec);
    if (request.kind !== "permit") {
      const message = "A reservation is enabled with a specification of kind permit.";
      throw new PinholeRefusal("SPEC_INCONSISTENT", message, { field: "kind" });
    }
    checkRequest(request, this.agent);
    this.#add({ op: "enable", id, request, revision });
  }

  /**
   * Asks for one operation in words.
   *
   * @returns the name of a pinhole that is opened; undefined for all other operations
   * @throws {PinholeRefusal} with the index of the operation
   */
  stage(operation: Operation): PinholeRef | undefined {
    try {
      return this.#stage(operation);
    } catch (error) {
      throw error instanceof PinholeRefusal ? error.at(this.#operations.length) : error;
    }
  }

  /** No more operations: it is committed. */
  finish(): void {
    this.#isOpen = false;
  }

  /** Gives it up, and lets go of its operations; without effect when it is over already. */
  abandon(): void {
    if (this.#isOpen) this.#operations = [];
    this.#isOpen = false;
  }

  #stage(operation: Operation): PinholeRef | undefined {
    switch (operation.op) {
      case "open":
        return this.open(operation.spec, operation.clientId);
      case "close":
        this.close(operation.id, operation.revision);
        return undefined;
      case "renew":
        this.renew(operation.id, operation.lifetime, operation.revision);
        return undefined;
      case "enable":
        this.enable(operation.id, operation.spec, operation.revision);
        return undefined;
      default:
        throw new PinholeRefusal("SPEC_MALFORMED", "op must be one of open, close, renew, enable.", {
          field: "op",
        });
    }
  }

  #add(operation: StagedOperation): void {
    if (!this.#isOpen) {
      throw new PinholeRefusal("NO_SUCH_TRANSACTION", "This transaction is over. Begin another.");
    }
    if (this.#operations.length >= this.#operationsMax) {
      const message = `A transaction has at most ${this.#operationsMax} operations.`;
      throw new PinholeRefusal("QUOTA_EXCEEDED", message);
    }
    this.#operations.push(operation);
  }
}
