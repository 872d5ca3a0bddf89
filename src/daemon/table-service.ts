/** The address tables as the outside sees them: pf's verbs with pf's results. */
import { FirewallError, type Milliseconds, SECOND } from "../base/index.ts";
import type {
  TableChangeReport,
  TableChangeRequest,
  TableCreation,
  TableEntryReport,
  TableOutcome,
  TableReport,
  TableTestReport,
} from "../client/index.ts";
import {
  type AddressTable,
  EntryList,
  formatEntry,
  OUTCOME,
  type TableChange,
  type TableEntryView,
  type TableStatistics,
} from "../tables/index.ts";
import { monotonicNow } from "./monotonic-clock.ts";
import type { TableRegistry } from "./table-registry.ts";

const OUTCOME_NAMES: { readonly [Code in (typeof OUTCOME)[keyof typeof OUTCOME]]: TableOutcome } = {
  [OUTCOME.NONE]: "none",
  [OUTCOME.ADDED]: "added",
  [OUTCOME.DELETED]: "deleted",
  [OUTCOME.CHANGED]: "changed",
  [OUTCOME.CONFLICT]: "conflict",
  [OUTCOME.DUPLICATE]: "duplicate",
};

function outcomeNames(outcomes: Uint8Array): TableOutcome[] {
  return Array.from(outcomes, (code) => OUTCOME_NAMES[code as keyof typeof OUTCOME_NAMES]);
}

function reportChange(change: TableChange, verbose = false): TableChangeReport {
  const { added, deleted, changed, outcomes } = change;
  const conflicts = outcomes.reduce((sum, code) => sum + (code === OUTCOME.CONFLICT ? 1 : 0), 0);
  return {
    added,
    deleted,
    changed,
    conflicts,
    ...(verbose ? { outcomes: outcomeNames(outcomes) } : {}),
  };
}

function reportDeleted(deleted: number): TableChangeReport {
  return { added: 0, deleted, changed: 0, conflicts: 0 };
}

/** Whole seconds from one time to another. */
function secondsBetween(from: Milliseconds, to: Milliseconds): number {
  return Math.max(0, Math.floor((to - from) / SECOND));
}

function reportEntry(entry: TableEntryView, now: Milliseconds): TableEntryReport {
  const { deadline, statistics } = entry;
  const ends = deadline === undefined ? {} : { expiresInSeconds: Math.ceil((deadline - now) / SECOND) };
  return {
    address: formatEntry({ ...entry, negated: false }),
    negated: entry.negated,
    ageSeconds: secondsBetween(entry.since, now),
    ...ends,
    ...(statistics === undefined ? {} : { statistics }),
  };
}

type StatisticsOf = (table: AddressTable) => TableStatistics;

/** Who else has a part in the tables that rules name. */
export interface TableWatcher {
  /** Told of each change, and waited for. */
  changed?(table: AddressTable): Promise<void> | undefined;
  /**
   * Reads what is counted elsewhere, at once for all tables; what it returns adds it to a table's counters.
   */
  readStatistics?(): StatisticsOf;
  /** Told when the counters of a table begin anew. */
  zeroed?(table: AddressTable): void;
}

/** See above. */
export class TableService {
  readonly #registry: TableRegistry;
  readonly #watcher: TableWatcher;

  constructor(registry: TableRegistry, watcher: TableWatcher = {}) {
    this.#registry = registry;
    this.#watcher = watcher;
  }

  /** All tables by name. */
  list(): TableReport[] {
    const statisticsOf = this.#readStatistics();
    return this.#registry.list().map((table) => this.#report(table, statisticsOf));
  }

  /**
   * The entries of a table: IPv4 first, by address. Made as they are read: one that was deleted since the
   * list began is left out.
   *
   * @throws {FirewallError} `TABLE_UNKNOWN`
   */
  show(name: string): Iterable<TableEntryReport> {
    const table = this.#registry.get(name);
    const order = table.order();
    return (function* () {
      for (const number of order) {
        const now = monotonicNow();
        const entry = table.entry(number);
        if (entry !== undefined && (entry.deadline ?? Infinity) > now) yield reportEntry(entry, now);
      }
    })();
  }

  /**
   * Makes a table.
   *
   * @throws {FirewallError} `TABLE_EXISTS`, `TABLE_NAME`, `TABLE_LIMIT`, `TABLE_CAPACITY`
   */
  async create(creation: TableCreation): Promise<TableReport> {
    await this.#registry.settled;
    const table = this.#registry.create(creation);
    if (table === undefined)
      throw new FirewallError("TABLE_EXISTS", `there is a table ${creation.name} already`);
    return this.#report(table);
  }

  /**
   * Removes a table that a command made.
   *
   * @returns how many entries it had
   * @throws {FirewallError} `TABLE_UNKNOWN`, `TABLE_DECLARED`
   */
  async remove(name: string): Promise<TableChangeReport> {
    await this.#registry.settled;
    const { size } = this.#registry.get(name);
    if (this.#registry.declarationOf(name) !== undefined) {
      const advice = "take it out of the policy and reload, or clear it";
      throw new FirewallError("TABLE_DECLARED", `the policy declares table ${name}: ${advice}`);
    }
    this.#registry.remove(name);
    return reportDeleted(size);
  }

  /**
   * Adds entries. One that is there takes the lifetime when one is given.
   *
   * @throws {FirewallError} `TABLE_UNKNOWN`, `TABLE_CONST`, `TABLE_ENTRY`, `TABLE_FULL`
   */
  async add(name: string, request: TableChangeRequest): Promise<TableChangeReport> {
    const { addresses, lifetimeSeconds, verbose } = request;
    const table = await this.#changeable(name);
    const lifetime = lifetimeSeconds === undefined ? undefined : lifetimeSeconds * SECOND;
    const change = table.add(EntryList.of(addresses), monotonicNow(), lifetime);
    return this.#told(name, reportChange(change, verbose));
  }

  /** Deletes entries: those with this prefix and this sign. @throws {FirewallError} as for `add` */
  async delete(name: string, { addresses, verbose }: TableChangeRequest): Promise<TableChangeReport> {
    const table = await this.#changeable(name);
    return this.#told(name, reportChange(table.delete(EntryList.of(addresses)), verbose));
  }

  /** Makes the table hold exactly these entries. @throws {FirewallError} as for `add` */
  async set(name: string, { addresses, verbose }: TableChangeRequest): Promise<TableChangeReport> {
    const table = await this.#changeable(name);
    return this.#told(name, reportChange(table.set(EntryList.of(addresses), monotonicNow()), verbose));
  }

  /** Deletes all entries. @throws {FirewallError} `TABLE_UNKNOWN`, `TABLE_CONST` */
  async clear(name: string): Promise<TableChangeReport> {
    return this.#told(name, reportDeleted((await this.#changeable(name)).clear()));
  }

  /**
   * Deletes the entries whose counters were not cleared for some time.
   *
   * @throws {FirewallError} `TABLE_UNKNOWN`, `TABLE_CONST`
   */
  async expire(name: string, ageSeconds: number): Promise<TableChangeReport> {
    const table = await this.#changeable(name);
    return this.#told(name, reportDeleted(table.expireOlder(ageSeconds * SECOND, monotonicNow())));
  }

  /**
   * Says for each address whether it is in the table, and which entry decides; counts nothing.
   *
   * @throws {FirewallError} `TABLE_UNKNOWN`, `TABLE_ENTRY`
   */
  test(name: string, addresses: readonly string[]): TableTestReport[] {
    const table = this.#registry.get(name);
    const clock = { now: monotonicNow() };
    return [...EntryList.of(addresses)].map(({ family, words }, at) => {
      const found = table.find(family, words, clock);
      const entry = found < 0 ? undefined : table.entry(found);
      const matches = entry !== undefined && !entry.negated;
      const decides = entry === undefined ? {} : { entry: formatEntry(entry) };
      return { address: addresses[at] ?? "", matches, ...decides };
    });
  }

  /** Sets the counters of a table and of its entries to zero. @throws {FirewallError} `TABLE_UNKNOWN` */
  async zero(name: string): Promise<TableReport> {
    await this.#registry.settled;
    const table = this.#registry.get(name);
    this.#registry.clearStatistics(table);
    this.#watcher.zeroed?.(table);
    return this.#report(table);
  }

  /** Tells of a change, if rules ask the table. */
  async #told(name: string, report: TableChangeReport): Promise<TableChangeReport> {
    if ((this.#registry.declarationOf(name)?.uses ?? 0) > 0) {
      await this.#watcher.changed?.(this.#registry.get(name));
    }
    return report;
  }

  async #changeable(name: string): Promise<AddressTable> {
    await this.#registry.settled;
    const table = this.#registry.get(name);
    if (this.#registry.declarationOf(name)?.declaration.const === true) {
      throw new FirewallError("TABLE_CONST", `the policy declares table ${name} as const: change it there`);
    }
    return table;
  }

  #readStatistics(): StatisticsOf {
    return this.#watcher.readStatistics?.() ?? (({ statistics }) => statistics);
  }

  #report(table: AddressTable, statisticsOf = this.#readStatistics()): TableReport {
    const { name, size, capacity, memory } = table;
    const statistics = statisticsOf(table);
    const declared = this.#registry.declarationOf(name);
    return {
      name,
      entries: size,
      capacity,
      declared: declared !== undefined,
      const: declared?.declaration.const ?? false,
      counters: memory.counters,
      uses: declared?.uses ?? 0,
      ageSeconds: secondsBetween(this.#registry.countedSince(name), monotonicNow()),
      statistics,
    };
  }
}
