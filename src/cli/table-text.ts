/** Address tables and their entries as rows for people. */
import { SECOND } from "../base/index.ts";
import type { TableEntryReport, TableReport } from "../client/index.ts";
import type { Traffic } from "../tables/index.ts";
import { spanText } from "../view/index.ts";
import { alignTable } from "./output.ts";

/** Packets and bytes. */
function trafficText({ packets, bytes }: Traffic): string {
  return `${packets}/${bytes}`;
}

function listRow(table: TableReport): string[] {
  const { statistics } = table;
  const sides = [statistics.in, statistics.out];
  const packets = (kind: "block" | "pass" | "xpass"): string =>
    String(sides.reduce((sum, side) => sum + side[kind].packets, 0));
  const notes = [
    table.declared ? "" : "by command",
    table.const ? "const" : "",
    table.counters ? "counters" : "",
  ];
  return [
    table.name,
    String(table.entries),
    String(table.capacity),
    String(table.uses),
    String(statistics.match),
    String(statistics.noMatch),
    packets("block"),
    packets("pass"),
    packets("xpass"),
    notes.filter((note) => note !== "").join(", "),
  ];
}

/** Columns of numbers. */
const LIST_NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8];
const LIST_HEAD = [
  "table",
  "entries",
  "capacity",
  "rules",
  "match",
  "no match",
  "blocked",
  "passed",
  "xpassed",
];

/** Tables with the sums of their counters, aligned. */
export function tablesText(tables: readonly TableReport[]): string {
  return alignTable([LIST_HEAD, ...tables.map(listRow)], LIST_NUMBERS);
}

/** An entry as the file of a table has it. */
export function entryText({ address, negated }: TableEntryReport): string {
  return `${negated ? "!" : ""}${address}`;
}

const ENTRY_HEAD = ["entry", "age", "ends in", "in blocked", "in passed", "out blocked", "out passed"];

function entryRow(entry: TableEntryReport): string[] {
  const { ageSeconds, expiresInSeconds, statistics } = entry;
  const ends = expiresInSeconds === undefined ? "-" : spanText(expiresInSeconds * SECOND);
  const counters =
    statistics === undefined
      ? []
      : [statistics.in.block, statistics.in.pass, statistics.out.block, statistics.out.pass];
  return [entryText(entry), spanText(ageSeconds * SECOND), ends, ...counters.map(trafficText)];
}

/** Entries with age, time left and packets/bytes, aligned. */
export function entriesText(entries: readonly TableEntryReport[]): string {
  const rows = entries.map(entryRow);
  return alignTable([ENTRY_HEAD.slice(0, rows[0]?.length), ...rows], [1, 2, 3, 4, 5, 6]);
}
