/**
 * Limits under pf's names: what they are, how much of them is taken, and those changed that can be changed
 * while packets flow. The others belong to memory that was reserved when the policy was loaded.
 */
import { FirewallError, LIMITS, type LimitName, type LimitValues } from "../base/index.ts";
import type { LimitReport } from "../client/index.ts";
import { PF_LIMITS, pfLimit } from "../view/index.ts";
import type { TableRegistry } from "./table-registry.ts";
import type { WorkerPool } from "./worker-pool.ts";

type PfLimitSetting = (typeof PF_LIMITS)[keyof typeof PF_LIMITS];

/** What each of pf's limits counts here, and when a change takes effect. */
const KINDS: { readonly [Setting in PfLimitSetting]: Pick<LimitReport, "unit" | "changes"> } = {
  flows: { unit: "flows per worker", changes: "start" },
  limitSources: { unit: "sources per rule", changes: "reload" },
  tables: { unit: "tables", changes: "now" },
  tableEntries: { unit: "entries of a table made from now on", changes: "now" },
};

const ADVICE = {
  start: "start the firewall anew",
  reload: "reload it",
} as const;

/** What the service works with. */
export interface LimitServiceParts {
  readonly pool: WorkerPool;
  readonly tables: TableRegistry;
  /** Limits of the policy in force. */
  readonly limits: () => LimitValues;
}

/** See above. */
export class LimitService {
  readonly #parts: LimitServiceParts;

  /** @param parts - where limits are kept and things are counted */
  constructor(parts: LimitServiceParts) {
    this.#parts = parts;
  }

  /** All limits that pf knows. */
  async list(): Promise<LimitReport[]> {
    const { pool, tables, limits } = this.#parts;
    const workers = await pool.callAll("status", null);
    const figures: { readonly [Setting in PfLimitSetting]: Pick<LimitReport, "value" | "used"> } = {
      flows: {
        value: Math.max(0, ...workers.map(({ capacity }) => capacity)),
        used: Math.max(0, ...workers.map(({ flows }) => flows)),
      },
      limitSources: { value: limits().limitSources },
      tables: { value: tables.tablesLimit, used: tables.list().length },
      tableEntries: {
        value: tables.entriesLimit,
        used: Math.max(0, ...tables.list().map(({ size }) => size)),
      },
    };
    return Object.entries(PF_LIMITS).map(([name, setting]) => ({
      name,
      setting,
      ...figures[setting],
      ...KINDS[setting],
    }));
  }

  /**
   * Changes limits.
   *
   * @param values - by pf's names
   * @returns all limits
   * @throws {FirewallError} `LIMIT_UNKNOWN`, `LIMIT_FIXED`, `LIMIT_INVALID`, `LIMIT_IN_USE`; nothing is
   *   changed then
   */
  async set(values: Readonly<Record<string, number>>): Promise<LimitReport[]> {
    const { tables } = this.#parts;
    await tables.settled;
    const wanted = Object.entries(values).map(([name, value]) => [this.#check(name, value), value] as const);
    for (const [setting, value] of wanted) {
      if (setting === "tables") tables.tablesLimit = value;
      else tables.entriesLimit = value;
    }
    return this.list();
  }

  #check(name: string, value: number): LimitName {
    const setting = pfLimit(name) as PfLimitSetting;
    const { changes } = KINDS[setting];
    if (changes !== "now") {
      const advice = `set settings.limits.${setting} in the policy and ${ADVICE[changes]}`;
      throw new FirewallError("LIMIT_FIXED", `limit ${name} cannot be changed meanwhile: ${advice}`);
    }
    const { min, max } = LIMITS[setting];
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new FirewallError(
        "LIMIT_INVALID",
        `limit ${name} is a whole number from ${min} to ${max}, not ${value}`,
      );
    }
    const count = this.#parts.tables.list().length;
    if (setting === "tables" && value < count) {
      throw new FirewallError("LIMIT_IN_USE", `there are ${count} tables already: remove some first`);
    }
    return setting;
  }
}
