import assert from "node:assert/strict";
import { test } from "node:test";
import { TABLE_TALLIES, tallyName } from "./table-lines.ts";

test("no two tables share a counter, whatever their names", () => {
  const parts = ["a", ...TABLE_TALLIES, "no", "in", "out"];
  const tables = new Set(parts.flatMap((one) => [one, ...parts.map((other) => `${one}-${other}`)]));
  const names = [...tables].flatMap((table) => TABLE_TALLIES.map((tally) => tallyName(table, tally)));
  assert.equal(new Set(names).size, tables.size * TABLE_TALLIES.length);
});
