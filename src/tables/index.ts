export {
  AddressTable,
  ATOMIC_CHANGES,
  OUTCOME,
  type TableChange,
  type TableEntryView,
  type TableOptions,
} from "./address-table.ts";
export type { EntryStatistics, TableStatistics, Traffic } from "./counters.ts";
export { EntryList, type EntryProblem, formatEntry, type TableEntry } from "./entry-list.ts";
export type { TableClock } from "./prefix-trie.ts";
export { type TableMemory, tableBytes } from "./memory.ts";
export { TABLE_NAME, TABLE_NAME_WORDS, TableSet } from "./table-set.ts";
