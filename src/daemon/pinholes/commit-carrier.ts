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
import type { Enforcer } from "./enforcer.ts";

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
  carry(requests: readonly CommitRequest[]): Promise<CommitOutcome[]> {
    return this.#carry(requests, true);
  }

  async #carry(requests: readonly CommitRequest[], mustBeWritten: boolean): Promise<CommitOutcome[]> {
    const prepared = this.#store.prepare(requests, this.#moment());
    const failed = await this.#enforcer.enforce(prepared, mustBeWritten, () =>
      tellWritten(requests, prepared.outcomes),
    );
    if (failed === undefined) return [...prepared.outcomes];
    if (failed.code === "JOURNAL_UNAVAILABLE" && requests.some(isProtective)) {
      return this.#carryUnwritten(requests, failed);
    }
    if (failed.code !== "BACKEND_REFUSED" || requests.length === 1) {
      return prepared.outcomes.map((outcome) =>
        outcome instanceof PinholeRefusal ? outcome : refusalOf(failed),
      );
    }
    const middle = requests.length >> 1;
    return [
      ...(await this.#carry(requests.slice(0, middle), mustBeWritten)),
      ...(await this.#carry(requests.slice(middle), mustBeWritten)),
    ];
  }

  async #carryUnwritten(requests: readonly CommitRequest[], failed: FirewallError): Promise<CommitOutcome[]> {
    const outcomes: CommitOutcome[] = [];
    for (const request of requests) {
      if (!isProtective(request)) outcomes.push(refusalOf(failed));
      else outcomes.push(...(await this.#carry([request], false)));
    }
    return outcomes;
  }
}
