/** docs/STATE-TABLE.md says of the comparison and of filters what is true. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { StateFilter } from "#view";
import { DISAGREEMENTS, ODD_DISAGREEMENTS } from "./disagreements.ts";

const PAGE = readFileSync(new URL("../../../docs/STATE-TABLE.md", import.meta.url), "utf8");

/** First cells of the table behind a heading. */
function firstCells(heading: string): string[] {
  const section = PAGE.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) => row.replaceAll("\\|", "").split(" | ")[0] ?? "");
}

test("every disagreement with the kernel is explained to users, in the words of the list", () => {
  const all = [...DISAGREEMENTS, ...ODD_DISAGREEMENTS];
  assert.deepEqual(
    firstCells("Beside the kernel's tracker"),
    all.map(({ name }) => `| \`${name}\``),
  );
  for (const { name, reason } of all) assert.ok(PAGE.includes(`| \`${name}\` | ${reason} |`), name);
});

test("every filter of the manual is understood", () => {
  const filters = firstCells("Filters").flatMap((cell) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text),
  );
  assert.ok(filters.length > 20);
  for (const filter of filters) StateFilter.parse(filter ?? "");
});
