/**
 * Address tables as a policy declares them in `settings.tables`.
 *
 * A declaration names what is in the table when it is made: addresses in the policy itself, and those of a
 * file, which the caller reads. Commands change a table afterwards; a declaration marked `const` forbids it.
 */
import { LIMITS, type LimitValues } from "../base/index.ts";
import { EntryList, TABLE_NAME, TABLE_NAME_WORDS } from "../tables/index.ts";
import {
  type Argument,
  type ArgumentValues,
  flag,
  integer,
  type JsonSchema,
  listOf,
  optional,
  type Reading,
  reportWrongType,
  text,
  type ValueType,
  withDefault,
} from "./argument.ts";
import { objectOf } from "./argument-set.ts";
import type { JsonMember, JsonValue } from "./document.ts";
import type { ProblemPlace } from "./problem.ts";
import { didYouMean } from "./suggestion.ts";

/** Longest path of a file, in UTF-16 units. */
const PATH_MAX = 4096;

/** An address table that a policy declares. */
export interface TableDeclaration {
  readonly name: string;
  /** Entries in the policy file itself, such as `10.0.0.0/8` or `!10.1.0.0/16`. */
  readonly addresses: readonly string[];
  /** File with more entries, as the policy writes it: relative to the policy. */
  readonly file: string | undefined;
  /** Whether each entry counts its packets. */
  readonly counters: boolean;
  /** Most entries. */
  readonly capacity: number;
  /** Whether commands are kept from changing it. */
  readonly const: boolean;
  /** Where the policy declares it. */
  readonly place: ProblemPlace;
}

/** An entry of a table, as text; what it means is read when the table is filled. */
const tableEntry: ValueType<string> = {
  words: "an address or a network, with ! in front for what is not in the table",
  schema: { type: "string", examples: ["192.0.2.0/24", "!192.0.2.7", "2001:db8::/32"] },
  read(value, reading) {
    const { scalar } = value;
    if (typeof scalar !== "string") return reportWrongType(value, tableEntry.words, reading);
    if (new EntryList().pushText(scalar)) return scalar;
    const message = `${JSON.stringify(scalar.slice(0, 60))} is no entry: expected ${tableEntry.words}`;
    reading.problems.error(value, "table-entry", message);
    return undefined;
  },
};

const TABLE_ARGUMENTS = {
  addresses: withDefault(
    listOf(tableEntry, { max: LIMITS.tableEntries.max }),
    [],
    "Entries: addresses and networks, `!` in front of those that are not in the table.",
  ),
  file: optional(text(PATH_MAX), "File with more entries, one a line, relative to the policy file."),
  counters: withDefault(flag, false, "Whether each entry counts the packets that it decided about."),
  capacity: optional(
    integer({ min: 1, max: LIMITS.tableEntries.max }, "entries"),
    "Most entries; `limits.tableEntries` when absent, and never more than that.",
  ),
  const: withDefault(flag, false, "Whether commands are kept from changing the table."),
};

const declarationType = objectOf(TABLE_ARGUMENTS, "member of a table");

/** A declaration as it was read; what limits make of it is not known yet. */
export interface TableDraft {
  readonly name: string;
  readonly values: ArgumentValues<typeof TABLE_ARGUMENTS>;
  /** Where the policy declares it, and where it says how large it may become. */
  readonly member: JsonMember;
  readonly place: ProblemPlace;
}

function readDraft(member: JsonMember, reading: Reading): TableDraft | undefined {
  const { name, value } = member;
  if (!TABLE_NAME.test(name)) {
    const message = `${JSON.stringify(name.slice(0, 60))} is no table name: ${TABLE_NAME_WORDS}`;
    reading.problems.error(member, "invalid-argument", message);
    return undefined;
  }
  const values = declarationType.read(value, reading);
  return values && { name, values, member, place: reading.problems.placeOf(member) };
}

const tablesSchema: JsonSchema = {
  type: "object",
  propertyNames: { pattern: TABLE_NAME.source },
  additionalProperties: declarationType.schema,
};

const tables: ValueType<readonly TableDraft[]> = {
  words: "an object of address tables by name",
  schema: tablesSchema,
  read(value: JsonValue, reading: Reading) {
    if (value.kind !== "object") return reportWrongType(value, tables.words, reading);
    const drafts = value.members.map((member) => readDraft(member, reading));
    return drafts.every((draft) => draft !== undefined) ? drafts : undefined;
  },
};

/** The setting. */
export const tablesArgument: Argument<readonly TableDraft[] | undefined> = optional(
  tables,
  "Address tables by name, for TableRule; see Address tables.",
);

/** Checks declarations against the limits of the same file. */
export function checkTables(drafts: readonly TableDraft[], limits: LimitValues, reading: Reading): void {
  const beyond = drafts[limits.tables];
  if (beyond !== undefined) {
    const message = `${drafts.length} tables are declared; limits.tables allows ${limits.tables}`;
    reading.problems.error(beyond.member, "out-of-range", message);
  }
  for (const { name, values, member } of drafts) {
    const { addresses, capacity = limits.tableEntries } = values;
    const asks = capacity > limits.tableEntries;
    if (!asks && addresses.length <= capacity) continue;
    const message = asks
      ? `table ${name} asks for ${capacity} entries; limits.tableEntries allows ${limits.tableEntries}`
      : `table ${name} has ${addresses.length} addresses and a capacity of ${capacity}`;
    reading.problems.error(member, "out-of-range", message);
  }
}

/** Declarations of which only the names count: of a file whose settings are wrong, for the rest of it. */
export function namedTables(value: JsonValue | undefined): TableDeclaration[] {
  return (value?.members ?? []).map(({ name, path }) => ({
    name,
    addresses: [],
    file: undefined,
    counters: false,
    capacity: 1,
    const: false,
    place: { path, line: 1, column: 1 },
  }));
}

/** Declarations with the limits filled in. */
export function declareTables(drafts: readonly TableDraft[], limits: LimitValues): TableDeclaration[] {
  return drafts.map(({ name, values, place }) => {
    const { addresses, file, counters } = values;
    const capacity = values.capacity ?? limits.tableEntries;
    return { name, addresses, file, counters, capacity, const: values.const, place };
  });
}

/** Name of a declared table. */
export const tableName: ValueType<string> = {
  words: "the name of a table that settings.tables declares",
  schema: { type: "string", pattern: TABLE_NAME.source },
  read(value, reading) {
    const { scalar } = value;
    if (typeof scalar !== "string") return reportWrongType(value, tableName.words, reading);
    const { tables: declared } = reading;
    if (declared.includes(scalar)) return scalar;
    const hint =
      didYouMean(scalar, declared) ||
      ` ${declared.length === 0 ? "settings.tables declares none" : `There are ${declared.join(", ")}`}`;
    reading.problems.error(value, "unknown-table", `there is no table ${JSON.stringify(scalar)}.${hint}`);
    return undefined;
  },
};
