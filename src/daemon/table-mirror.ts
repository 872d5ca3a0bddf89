/**
 * The address tables of the policy in force as the kernel has them.
 *
 * The table in shared memory is the truth; the kernel is told of each change before the change is answered.
 * Where it cannot be told, it judges no packet any more by the plan that asks the table. What it counts is
 * added to what the workers count.
 */
import { type KernelRules, type TableContents, tallyName } from "../backend/index.ts";
import { FirewallError, type Milliseconds } from "../base/index.ts";
import type { AddressTable, TableEntryView, TableStatistics, Traffic } from "../tables/index.ts";
import type { Log } from "./log.ts";
import { monotonicNow } from "./monotonic-clock.ts";

type Counted = ReadonlyMap<string, Traffic>;

/** How often what has ended by itself is taken out of the kernel's sets, in milliseconds. */
const CLEANING_MS: Milliseconds = 30_000;

/** What it means when the kernel does not know our table. */
const OUT = "the kernel does not take our rules, packets may pass unjudged; start the firewall anew";

/** What is in a table, for the kernel. */
export function tableContents(table: AddressTable): TableContents {
  return { name: table.name, size: table.size, entries: entriesOf(table), clock: monotonicNow };
}

/** One after the other: as objects, all of a large table would take hundreds of bytes each at once. */
function* entriesOf(table: AddressTable): Iterable<TableEntryView> {
  for (const number of table.order()) {
    const entry = table.entry(number);
    if (entry !== undefined) yield entry;
  }
}

/** See above. */
export class TableMirror {
  readonly #rules: KernelRules;
  readonly #log: Log;
  /** What the kernel had counted when the counters of a table began. */
  readonly #begun = new Map<string, Counted>();

  /** Names of tables from which entries have gone by themselves. */
  readonly #stale = new Set<string>();
  #cleanedAt: Milliseconds = 0;
  /** True since the kernel took nothing of us any more: that is told once. */
  #isOut = false;

  constructor(rules: KernelRules, log: Log) {
    this.#rules = rules;
    this.#log = log;
  }

  /**
   * Told from time to time which tables entries have left by themselves. What has ended does no harm in the
   * kernel: userspace is asked about it in vain. So it is cleared away now and then.
   *
   * @param all - the tables as they are
   */
  expired(tables: readonly AddressTable[], all: readonly AddressTable[]): void {
    for (const { name } of tables) this.#stale.add(name);
    const now = monotonicNow();
    if (this.#stale.size === 0 || now - this.#cleanedAt < CLEANING_MS) return;
    this.#cleanedAt = now;
    this.tell(all.filter(({ name }) => this.#stale.has(name)));
    this.#stale.clear();
  }

  /** Tells the kernel what is in tables that have changed. */
  tell(tables: readonly AddressTable[]): void {
    const asked = tables.filter(({ name }) => this.#rules.tables.includes(name));
    if (asked.length === 0) return;
    try {
      this.#rules.changeTables(asked.map(tableContents));
      this.#isOut = false;
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
      if (this.#isOut) return;
      this.#log.warning(`the kernel judges no packet by itself any more: ${error.message}`);
      this.#askUserspace();
    }
  }

  /** Takes the plan back. That fails when somebody has removed our table; then nothing judges packets. */
  #askUserspace(): void {
    try {
      this.#rules.rollbackPlan();
      this.#rules.commitPlan();
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
      this.#isOut = true;
      this.#log.critical(`${OUT}: ${error.message}`);
    }
  }

  /**
   * Reads the kernel's counters. @returns what gives the counters of a table, those of the kernel included
   *
   * @throws {FirewallError} `KERNEL_RULES_MISSING` when somebody has removed our table
   */
  readStatistics(): (table: AddressTable) => TableStatistics {
    const counted = this.#readTallies();
    return (table) => this.#statistics(table, counted);
  }

  #statistics({ name, statistics }: AddressTable, counted: Counted): TableStatistics {
    const begun = this.#begun.get(name);
    const both = ({ packets, bytes }: Traffic, tally: Parameters<typeof tallyName>[1]): Traffic => {
      const key = tallyName(name, tally);
      const { packets: more = 0, bytes: moreBytes = 0 } = counted.get(key) ?? {};
      const { packets: less = 0, bytes: lessBytes = 0 } = begun?.get(key) ?? {};
      return { packets: packets + more - less, bytes: bytes + moreBytes - lessBytes };
    };
    const side = (direction: "in" | "out"): TableStatistics["in"] => ({
      block: both(statistics[direction].block, `${direction}-block`),
      pass: both(statistics[direction].pass, `${direction}-pass`),
      xpass: both(statistics[direction].xpass, `${direction}-xpass`),
    });
    const lookups = (packets: number, tally: "match" | "no-match"): number =>
      both({ packets, bytes: 0 }, tally).packets;
    return {
      in: side("in"),
      out: side("out"),
      match: lookups(statistics.match, "match"),
      noMatch: lookups(statistics.noMatch, "no-match"),
    };
  }

  /** Counts a table from here on. */
  zero(name: string): void {
    this.#begun.set(name, this.#readTallies());
  }

  #readTallies(): Counted {
    try {
      return this.#rules.readTallies();
    } catch (cause) {
      if (!(cause instanceof FirewallError)) throw cause;
      throw new FirewallError(
        "KERNEL_RULES_MISSING",
        `What the kernel counted cannot be read: ${OUT}: ${cause.message}`,
        { cause },
      );
    }
  }
}
