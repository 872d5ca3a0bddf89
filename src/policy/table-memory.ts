/**
 * The memory of a policy's address tables: made once, shared by all workers, kept from one policy to the
 * next while a table's size and counters stay the same.
 */
import { AddressTable, EntryList } from "../tables/index.ts";
import type { TableDeclaration } from "./table-declaration.ts";

/** Shape of a table: what its memory depends on. */
export type TableShape = Pick<TableDeclaration, "name" | "capacity" | "counters">;

/** Key of a table's memory; no rule's key is like it, those end in a number sign and a number. */
export function tableMemoryKey({ name, capacity, counters }: TableShape): string {
  return `table/${name}/${capacity}${counters ? "/counters" : ""}`;
}

/** Makes a table with the entries that the policy itself names. */
export function createTable(declaration: TableDeclaration): AddressTable {
  const table = AddressTable.create(declaration);
  table.add(EntryList.of(declaration.addresses), 0);
  return table;
}

/** The table in memory that was made for it. */
export function attachTable(
  { name, capacity, counters }: TableShape,
  buffer: SharedArrayBuffer,
): AddressTable {
  return new AddressTable({ name, capacity, counters, buffer });
}
