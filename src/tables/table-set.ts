/** The tables of one firewall by their names, bounded in number. */
import { FirewallError, LIMITS } from "../base/index.ts";
import { AddressTable, type TableOptions } from "./address-table.ts";

/** Names as pf allows them: what can stand between `<` and `>`. */
export const TABLE_NAME: RegExp = /^[A-Za-z_][A-Za-z0-9_.-]{0,30}$/;

/** What a table name is, for messages. */
export const TABLE_NAME_WORDS =
  '1 to 31 letters, digits, "_", "." or "-", not starting with a digit, "." or "-"';

/** Named address tables. */
export class TableSet {
  readonly #tables = new Map<string, AddressTable>();
  #limit: number;

  /** @param limit - most tables, the limit `tables` */
  constructor(limit: number = LIMITS.tables.default) {
    this.#limit = limit;
  }

  /** Most tables, the limit `tables`. One below the number of tables refuses further ones only. */
  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
  }

  /** How many tables there are. */
  get size(): number {
    return this.#tables.size;
  }

  /**
   * Makes a table unless one of that name is there.
   *
   * @returns the table, and whether it was made
   * @throws {FirewallError} `TABLE_NAME` for a bad name, `TABLE_LIMIT` when there are too many
   */
  create(options: TableOptions): { readonly table: AddressTable; readonly created: boolean } {
    const known = this.#tables.get(options.name);
    if (known) return { table: known, created: false };
    if (!TABLE_NAME.test(options.name)) {
      throw new FirewallError(
        "TABLE_NAME",
        `${JSON.stringify(options.name)} is no table name: ${TABLE_NAME_WORDS}`,
        { details: { table: options.name } },
      );
    }
    if (this.#tables.size >= this.#limit) {
      throw new FirewallError(
        "TABLE_LIMIT",
        `There are ${this.#tables.size} tables already (limit "tables")`,
        {
          details: { limit: this.#limit },
        },
      );
    }
    const table = AddressTable.create(options);
    this.#tables.set(options.name, table);
    return { table, created: true };
  }

  /** Takes in a table that was made elsewhere, in place of one of the same name. */
  adopt(table: AddressTable): void {
    this.#tables.set(table.name, table);
  }

  /** The table of that name. @throws {FirewallError} `TABLE_UNKNOWN` when there is none */
  get(name: string): AddressTable {
    const table = this.#tables.get(name);
    if (table) return table;
    const known = [...this.#tables.keys()].sort();
    throw new FirewallError(
      "TABLE_UNKNOWN",
      `No table ${JSON.stringify(name)}; there ${known.length === 0 ? "is none" : `are ${known.join(", ")}`}`,
      { details: { table: name, known } },
    );
  }

  /** True when there is a table of that name. */
  has(name: string): boolean {
    return this.#tables.has(name);
  }

  /** Forgets a table; threads that are attached keep their view of it. @returns whether it was there */
  delete(name: string): boolean {
    return this.#tables.delete(name);
  }

  /** The tables in the order of their names. */
  list(): AddressTable[] {
    return [...this.#tables.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
