/**
 * A TableRule as the kernel judges it.
 *
 * What is surely in the table is judged, about what userspace alone knows the packet goes up, and what is
 * left is not in the table (see table-set.ts). The table counts look-ups, and packets by direction and by
 * what became of them: the kernel counts the same, in *tallies*, named counters that outlive a plan. So only
 * a rule after which the verdict is known stands in the kernel, and only of a table whose entries do not
 * count. Look-ups of a packet that goes up behind the rule are made, and counted, in both.
 */
import type { Family, HookName } from "../../base/index.ts";
import type { PolicyRule } from "../../policy/index.ts";
import type { LineAction } from "./kernel-plan.ts";
import type { KernelTest, Match, Piece } from "./kernel-test.ts";
import type { TableList } from "./table-set.ts";

/** What a table counts. */
export const TABLE_TALLIES = [
  "match",
  "no-match",
  "in-block",
  "in-pass",
  "in-xpass",
  "out-block",
  "out-pass",
  "out-xpass",
] as const;

/** One of {@link TABLE_TALLIES}. */
export type TableTally = (typeof TABLE_TALLIES)[number];

/**
 * Name of the counter of a table. The table comes last: its name may be any, even with what is counted in it.
 */
export function tallyName(table: string, tally: TableTally): string {
  return `tally-${tally}-${table}`;
}

/** The counters of a table, to stand in a table block. */
export function tallyTexts(table: string): string[] {
  return TABLE_TALLIES.map((tally) => `\tcounter ${tallyName(table, tally)} {\n\t}`);
}

/** Packets that count and go on with the next rule. */
export interface Passing {
  readonly match: Match;
  /** Names of counters. */
  readonly tallies: readonly string[];
}

/**
 * A part of a rule with a table. The parts are asked in their order, and each ends the way of its packets.
 */
export interface TablePiece extends Piece {
  readonly tallies: readonly string[];
}

/** The rule in the kernel. */
export interface TableLines {
  readonly pieces: readonly TablePiece[];
  /** Behind the last piece. */
  readonly passing: readonly Passing[];
}

type Side = "source" | "destination";

const SIDES: Readonly<Record<string, readonly Side[]>> = {
  source: ["source"],
  destination: ["destination"],
  either: ["source", "destination"],
};

const FAMILIES: readonly Family[] = [4, 6];

/** Why a rule with a table cannot stand in the kernel; `undefined` when it can. */
export function tableObstacle(
  row: PolicyRule,
  action: LineAction | undefined,
  counters: boolean,
): string | undefined {
  if (counters) return "each entry of its table counts its packets";
  const isVerdict = action !== undefined && ["accept", "drop", "reject"].includes(action.kind);
  return isVerdict && !row.shadow ? undefined : "its table counts what becomes of a packet in the end";
}

function directionTally(hook: HookName, action: LineAction, isInverted: boolean): TableTally {
  const direction = hook === "OUTPUT" ? "out" : "in";
  if (action.kind !== "accept") return `${direction}-block`;
  return isInverted ? `${direction}-xpass` : `${direction}-pass`;
}

/**
 * The lines of a rule with a table.
 *
 * @param action - accept, drop or reject
 */
export function tableLines(row: PolicyRule, hook: HookName, action: LineAction): TableLines {
  const table = String(row.values["table"]);
  const sides = SIDES[String(row.values["address"])] ?? [];
  const names = (...tallies: readonly TableTally[]): string[] =>
    tallies.map((tally) => tallyName(table, tally));
  const end = directionTally(hook, action, row.not);
  const test = (family: Family, side: Side, list: TableList, negated = false): KernelTest => ({
    field: "table",
    table,
    side,
    family,
    list,
    negated,
  });
  const decided: TablePiece[] = [];
  const asked: TablePiece[] = [];
  const inside: Passing[] = [];
  const outside: Match[] = [];
  for (const family of FAMILIES) {
    const before: KernelTest[] = [];
    for (const side of sides) {
      const tallies = names(...before.map((): TableTally => "no-match"), "match");
      const isIn = test(family, side, "in");
      const ask: TablePiece = { match: [test(family, side, "ask")], sure: false, tallies: [] };
      decided.push({ match: [isIn], sure: true, tallies: [...tallies, ...names(end)] }, ask);
      asked.push(ask);
      inside.push({ match: [...before, isIn], tallies });
      before.push(test(family, side, "in", true));
    }
    outside.push(before);
  }
  const missed = names(...sides.map((): TableTally => "no-match"));
  if (!row.not) return { pieces: decided, passing: [{ match: [], tallies: missed }] };
  const pieces = outside.map((match) => ({ match, sure: true, tallies: [...missed, ...names(end)] }));
  return { pieces: [...asked, ...pieces], passing: inside };
}
