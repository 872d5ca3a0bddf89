/**
 * Several firewalls addressed at once: a network has more than one border, and a flow may cross any of them.
 *
 * Each firewall decides for itself. What one of them refuses is taken back at the others if the caller wants
 * that; between the two moments some may have it in force and others not, which is all that can be promised
 * without a common memory.
 */
import { randomUUID } from "node:crypto";
import type { FirewallError } from "../base/index.ts";
import type { CommitAnswer, Operation } from "../pinhole/index.ts";
import type { PinholeStatus } from "./pinhole-api.ts";
import type { PinholeClient } from "./pinhole-client.ts";
import { PinholeTransaction } from "./pinhole-transaction.ts";

/** What became of a commit at one firewall. */
export type FleetResult =
  | { readonly name: string; readonly answer: CommitAnswer }
  /** It was refused, or the firewall could not be reached; then nobody knows whether it took effect. */
  | { readonly name: string; readonly error: FirewallError };

/** What became of a commit at all firewalls. */
export interface FleetOutcome {
  /** True when all of them have it in force. */
  readonly isComplete: boolean;
  /** One for each firewall. */
  readonly results: readonly FleetResult[];
  /** Names of firewalls at which what was opened is closed again. */
  readonly takenBack: readonly string[];
}

/** How one firewall fares. */
export type FleetStatus =
  | { readonly name: string; readonly status: PinholeStatus }
  | { readonly name: string; readonly error: FirewallError };

/** How a fleet commits. */
export interface FleetOptions {
  /** Whether what was opened is closed again where another firewall failed; true when absent. */
  readonly takesBack?: boolean;
}

/** Several firewalls, by name. */
export class PinholeFleet {
  readonly #members: ReadonlyMap<string, PinholeClient>;

  /** @param members - the firewalls by name */
  constructor(members: Readonly<Record<string, PinholeClient>>) {
    this.#members = new Map(Object.entries(members));
  }

  /**
   * Does the same at every firewall, at the same time. Never throws for one of them: look at the results.
   *
   * @param operations - those that open should carry an id of one's own, which is then the same everywhere
   */
  async apply(operations: readonly Operation[], options: FleetOptions = {}): Promise<FleetOutcome> {
    const idempotencyKey = randomUUID();
    const results = await Promise.all(
      [...this.#members].map(async ([name, client]): Promise<FleetResult> => {
        try {
          return { name, answer: await client.apply(operations, { idempotencyKey }) };
        } catch (error) {
          return { name, error: error as FirewallError };
        }
      }),
    );
    const isComplete = results.every((result) => "answer" in result);
    const takenBack = isComplete || options.takesBack === false ? [] : await this.#takeBack(results);
    return { isComplete, results, takenBack };
  }

  /** Begins a transaction; its commit goes to every firewall, and tells what became of it at each. */
  begin(options: FleetOptions = {}): PinholeTransaction<FleetOutcome> {
    return new PinholeTransaction((operations) => this.apply(operations, options));
  }

  /** How each firewall fares. */
  getStatus(): Promise<FleetStatus[]> {
    return Promise.all(
      [...this.#members].map(async ([name, client]): Promise<FleetStatus> => {
        try {
          return { name, status: await client.getStatus() };
        } catch (error) {
          return { name, error: error as FirewallError };
        }
      }),
    );
  }

  async #takeBack(results: readonly FleetResult[]): Promise<string[]> {
    const takenBack: string[] = [];
    for (const result of results) {
      const client = this.#members.get(result.name);
      if (!("answer" in result) || client === undefined) continue;
      const opened = result.answer.results.filter(({ op, isNew }) => op === "open" && isNew);
      if (opened.length === 0) continue;
      try {
        await client.apply(opened.map(({ id }) => ({ op: "close", id })));
        takenBack.push(result.name);
      } catch {
        // Its name is missing from the list; leases end what could not be closed.
      }
    }
    return takenBack;
  }
}
