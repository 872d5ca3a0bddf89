/**
 * Which address tables a running firewall has, and what becomes of them when the policy changes.
 *
 * A table is *declared* by the policy in force, or was *made* by a command. The main thread owns all of them;
 * workers look addresses up in the same memory. A change of policy goes in two steps, so that a policy that
 * is refused after all leaves no trace:
 *
 * - *prepare* reads files, and makes and fills the tables that are new. A table whose declaration and file
 *   are what they were keeps its memory, and with it what commands have changed, deadlines and counters. One
 *   that gets another size takes its entries along.
 * - *commit*, once the workers judge by the new policy, sets those tables whose declared entries have
 *   changed, and forgets those that are no longer declared.
 */
import { invariant, type LimitValues, type Milliseconds, SECOND } from "../base/index.ts";
import {
  allocateMemory,
  type Policy,
  type Problem,
  type RuleMemory,
  type TableDeclaration,
  tableMemoryKey,
} from "../policy/index.ts";
import { type AddressTable, type TableOptions, TableSet } from "../tables/index.ts";
import { monotonicNow } from "./monotonic-clock.ts";
import { PolicyInvalidError } from "./policy-file.ts";
import { type DeclaredContents, readTables } from "./table-files.ts";

/** What a policy says of one of its tables. */
export interface DeclaredTable {
  readonly declaration: TableDeclaration;
  /** Rules that name it. */
  readonly uses: number;
  readonly fingerprint: string;
}

/** Tables of a policy that is not in force yet. Ends with one call of either function. */
export interface PreparedTables {
  /** Memory for the rules of the policy, tables included. */
  readonly memory: RuleMemory;
  /** The policy is in force. */
  commit(): void;
  /** It will not be. */
  rollback(): void;
}

/** How often entries past their deadline are removed. Look-ups pass over them in any case. */
const EXPIRY_MS: Milliseconds = SECOND;

function fullTable(policy: Policy, { name, capacity, place }: TableDeclaration, size: number): Problem {
  const message = `table ${name} has ${size} entries and would hold ${capacity}; raise its capacity`;
  return { severity: "error", code: "table-full", message, file: policy.file, ...place };
}

/** See above. */
export class TableRegistry {
  readonly #set: TableSet;
  readonly #declared = new Map<string, DeclaredTable>();
  /** When the counters of each table began. */
  readonly #countedSince = new Map<string, Milliseconds>();
  readonly #timer: NodeJS.Timeout;
  #entriesLimit: number;
  #settled: Promise<void> = Promise.resolve();

  /** @param limits - `tables` and `tableEntries` count */
  constructor(limits: LimitValues) {
    this.#set = new TableSet(limits.tables);
    this.#entriesLimit = limits.tableEntries;
    this.#timer = setInterval(() => this.#expire(), EXPIRY_MS).unref();
  }

  /** Most tables: the limit `tables`. */
  get tablesLimit(): number {
    return this.#set.limit;
  }

  set tablesLimit(limit: number) {
    this.#set.limit = limit;
  }

  /** Entries of a table that is made without saying how many: the limit `tableEntries`. */
  get entriesLimit(): number {
    return this.#entriesLimit;
  }

  set entriesLimit(limit: number) {
    this.#entriesLimit = limit;
  }

  /** Told every second of the tables from which entries have gone by themselves, none perhaps. */
  onExpiry: (expired: readonly AddressTable[], all: readonly AddressTable[]) => void = () => undefined;

  /** Resolves when no change of policy is under way; tables are changed only then. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  /** All tables by name. */
  list(): AddressTable[] {
    return this.#set.list();
  }

  /** The table of that name. @throws {FirewallError} `TABLE_UNKNOWN` */
  get(name: string): AddressTable {
    return this.#set.get(name);
  }

  /** What the policy in force says of a table; `undefined` when a command made it. */
  declarationOf(name: string): DeclaredTable | undefined {
    return this.#declared.get(name);
  }

  /** When the counters of a table began, in milliseconds. */
  countedSince(name: string): Milliseconds {
    return this.#countedSince.get(name) ?? 0;
  }

  /** Sets the counters of a table and of its entries to zero. */
  clearStatistics(table: AddressTable): void {
    const now = monotonicNow();
    table.clearStatistics(now);
    this.#countedSince.set(table.name, now);
  }

  /**
   * Makes a table that no policy declares.
   *
   * @returns the table; `undefined` when there is one of that name
   * @throws {FirewallError} `TABLE_NAME`, `TABLE_LIMIT`, `TABLE_CAPACITY`
   */
  create(options: TableOptions): AddressTable | undefined {
    const { table, created } = this.#set.create({ capacity: this.#entriesLimit, ...options });
    if (!created) return undefined;
    this.clearStatistics(table);
    return table;
  }

  /** Forgets a table that no policy declares. */
  remove(name: string): void {
    invariant(!this.#declared.has(name), "a declared table stays");
    this.#set.delete(name);
    this.#countedSince.delete(name);
  }

  /**
   * Prepares the tables of a policy.
   *
   * @param previous - memory of the policy in force
   * @throws {PolicyInvalidError} when a file cannot be read or entries do not fit; nothing is changed then
   */
  prepare(policy: Policy, previous: RuleMemory = {}): PreparedTables {
    const { contents, problems } = readTables(policy);
    const all = [...problems, ...this.#tooSmall(policy, contents)];
    if (all.length > 0) throw new PolicyInvalidError(policy.file, all);
    const memory = allocateMemory(policy, { ...previous, ...this.#memory() });
    const tables = policy.attachTables(memory);
    for (const [at, table] of tables.entries()) this.#fill(table, contents[at]);
    let release: () => void = () => undefined;
    this.#settled = new Promise((resolve) => {
      release = resolve;
    });
    const commit = (): void => {
      try {
        this.#commit(policy, tables, contents);
      } finally {
        release();
      }
    };
    return { memory, commit, rollback: release };
  }

  /** Ends the removal of entries past their deadline. */
  close(): void {
    clearInterval(this.#timer);
  }

  #memory(): RuleMemory {
    return Object.fromEntries(
      this.#set.list().map(({ memory }) => [tableMemoryKey(memory), memory.buffer] as const),
    );
  }

  #known(name: string): AddressTable | undefined {
    return this.#set.has(name) ? this.#set.get(name) : undefined;
  }

  /**
   * True when commands decide what is in the table, because its declaration says nothing else than before.
   */
  #keepsEntries({ declaration, fingerprint, list }: DeclaredContents): boolean {
    const before = this.#declared.get(declaration.name);
    return before === undefined ? list.length === 0 : before.fingerprint === fingerprint;
  }

  #tooSmall(policy: Policy, contents: readonly DeclaredContents[]): Problem[] {
    return contents.flatMap((each) => {
      const size = this.#known(each.declaration.name)?.size ?? 0;
      const fits = !this.#keepsEntries(each) || size <= each.declaration.capacity;
      return fits ? [] : [fullTable(policy, each.declaration, size)];
    });
  }

  /** Fills a table that nobody looks into yet. */
  #fill(table: AddressTable, contents: DeclaredContents | undefined): void {
    const old = this.#known(table.name);
    if (contents === undefined || old?.memory.buffer === table.memory.buffer) return;
    const now = monotonicNow();
    table.clear();
    if (old !== undefined && this.#keepsEntries(contents)) table.takeOver(old, now);
    else table.set(contents.list, now);
    table.clearStatistics(now);
  }

  #commit(policy: Policy, tables: readonly AddressTable[], contents: readonly DeclaredContents[]): void {
    for (const [at, table] of tables.entries()) {
      const each = contents[at];
      const old = this.#known(table.name);
      if (old?.memory.buffer !== table.memory.buffer) this.#countedSince.set(table.name, monotonicNow());
      else if (each !== undefined && !this.#keepsEntries(each)) table.set(each.list, monotonicNow());
      this.#set.adopt(table);
    }
    const names = new Set(tables.map(({ name }) => name));
    for (const name of this.#declared.keys()) {
      if (names.has(name)) continue;
      this.#declared.delete(name);
      this.remove(name);
    }
    for (const { declaration, fingerprint } of contents) {
      const { name } = declaration;
      this.#declared.set(name, { declaration, fingerprint, uses: policy.tableUses(name) });
    }
    this.#set.limit = policy.settings.limits.tables;
    this.#entriesLimit = policy.settings.limits.tableEntries;
  }

  #expire(): void {
    const now = monotonicNow();
    const all = this.#set.list();
    const expired = all.filter((table) => table.expire(now) > 0);
    this.onExpiry(expired, all);
  }
}
