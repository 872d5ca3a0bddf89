/**
 * Carries commits out: several at once while that works, each alone when it does not.
 *
 * When the packet filter refuses some of them, halves are tried until it is known which are to blame; the
 * others stand. When the journal cannot be written nothing is promised, and what protects is done all the
 * same.
 */
import type { FirewallError } from "../../base/index.ts";
import {
  type CommitOutcome,
  type CommitRequest,
  type Moment,
  PinholeRefusal,
  type PinholeStore,
  type RefusalCode,
} from "../../pinhole/index.ts";
import type { Enforcer, Writing } from "./enforcer.ts";

/** Failures of the packet filter and the journal as refusals of what was asked for. */
const REFUSED_AS: Readonly<Record<string, RefusalCode>> = {
  BACKEND_REFUSED: "BACKEND_REFUSED",
  BACKEND_DRIFTED: "BACKEND_UNAVAILABLE",
  BACKEND_UNAVAILABLE: "BACKEND_UNAVAILABLE",
  JOURNAL_UNAVAILABLE: "JOURNAL_UNAVAILABLE",
};

function refusalOf(failed: FirewallError): PinholeRefusal {
  const code = REFUSED_AS[failed.code] ?? "BACKEND_REFUSED";
  return new PinholeRefusal(code, failed.message, { cause: failed });
}

/**
 * True when connections may have to end because of a commit: something closes, is blocked, or is translated.
 */
export function mayEnd({ transaction }: CommitRequest): boolean {
  return transaction.operations.some((operation) => {
    if (operation.op !== "open") return operation.op !== "renew";
    return operation.request.kind === "block" || operation.request.spec.nat !== undefined;
  });
}

/** Closes and blocks make things safer: they go at once, and also when the journal cannot be written. */
export function isProtective({ transaction }: CommitRequest): boolean {
  return transaction.operations.every(
    (operation) =>
      operation.op === "close" || (operation.op === "open" && operation.request.kind === "block"),
  );
}

/** Answers those who do not wait for the packet filter. */
function tellWritten(requests: readonly CommitRequest[], outcomes: readonly CommitOutcome[]): void {
  for (const [index, { written }] of requests.entries()) {
    const outcome = outcomes[index];
    if (outcome !== undefined && !(outcome instanceof PinholeRefusal)) written?.(outcome);
  }
}

/** Carries commits out. */
export class CommitCarrier {
  readonly #store: PinholeStore;
  readonly #enforcer: Enforcer;
  readonly #moment: () => Moment;

  constructor(store: PinholeStore, enforcer: Enforcer, moment: () => Moment) {
    this.#store = store;
    this.#enforcer = enforcer;
    this.#moment = moment;
  }

  /**
   * Carries commits out.
   *
   * @returns what became of each, in their order
   */
  async carry(requests: readonly CommitRequest[]): Promise<CommitOutcome[]> {
    const outcomes = await this.#carry(requests, "first");
    // What was refused is off the disk before anybody is told.
    await this.#enforcer.writeRest();
    return outcomes;
  }

  async #carry(requests: readonly CommitRequest[], writing: Writing): Promise<CommitOutcome[]> {
    const prepared = this.#store.prepare(requests, this.#moment());
    let isWritten = false;
    const failed = await this.#enforcer.enforce(prepared, writing, () => {
      isWritten = true;
      tellWritten(requests, prepared.outcomes);
    });
    if (failed === undefined) return [...prepared.outcomes];
    if (failed.code === "JOURNAL_UNAVAILABLE" && requests.some(isProtective)) {
      return this.#carryUnwritten(requests, failed);
    }
    if (failed.code !== "BACKEND_REFUSED" || requests.length === 1) {
      return prepared.outcomes.map((outcome) =>
        outcome instanceof PinholeRefusal ? outcome : refusalOf(failed),
      );
    }
    if (isWritten) return this.#carryWritten(requests, prepared.outcomes);
    return this.#carryHalves(requests, writing);
  }

  async #carryHalves(requests: readonly CommitRequest[], writing: Writing): Promise<CommitOutcome[]> {
    const middle = requests.length >> 1;
    return [
      ...(await this.#carry(requests.slice(0, middle), writing)),
      ...(await this.#carry(requests.slice(middle), writing)),
    ];
  }

  /**
   * Carries out what stands of commits that were written together. They stay on the disk until that is known
   * and written in their place: who was told that his commit survives a crash relies on it. What was not
   * written with them is not among them, and is decided once more behind them.
   */
  async #carryWritten(
    requests: readonly CommitRequest[],
    decided: readonly CommitOutcome[],
  ): Promise<CommitOutcome[]> {
    const isRefused = (index: number): boolean => decided[index] instanceof PinholeRefusal;
    const written = requests.filter((_request, index) => !isRefused(index));
    const others = requests.filter((_request, index) => isRefused(index));
    const carried = await this.#carryHalves(written, "later");
    await this.#enforcer.writeRest();
    const rest = others.length === 0 ? [] : await this.#carry(others, "first");
    const outcomes = [...decided];
    for (const index of decided.keys()) {
      const outcome = (isRefused(index) ? rest : carried).shift();
      if (outcome !== undefined) outcomes[index] = outcome;
    }
    return outcomes;
  }

  async #carryUnwritten(requests: readonly CommitRequest[], failed: FirewallError): Promise<CommitOutcome[]> {
    const outcomes: CommitOutcome[] = [];
    for (const request of requests) {
      if (!isProtective(request)) outcomes.push(refusalOf(failed));
      else outcomes.push(...(await this.#carry([request], "if-possible")));
    }
    return outcomes;
  }
}
