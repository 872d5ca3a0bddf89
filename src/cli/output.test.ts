import assert from "node:assert/strict";
import { test } from "node:test";
import { alignTable } from "./output.ts";

test("columns are aligned, numbers to the right, whatever a row lacks", () => {
  assert.equal(
    alignTable([["name", "count"], ["a", "10"], ["longer"]], [1]),
    "name    count\na          10\nlonger\n",
  );
});

test("a table has as many rows as it has", () => {
  const rows = Array.from({ length: 300_000 }, (_, at) => [String(at), "x"]);
  assert.equal(alignTable(rows).length, 300_000 * "299999  x\n".length);
});
