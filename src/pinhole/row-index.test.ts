import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashNumber, RowIndex } from "./row-index.ts";

/** Adds and takes away by chance; a number that is there leaves, another one comes. */
function agreesWithAMap(hashOf: (key: number) => number, keys: readonly number[]): void {
  const known = new Map<number, number>();
  const columns: number[] = [];
  const index = new RowIndex<number>(hashOf, (row, key) => columns[row] === key);
  for (const key of keys) {
    const row = known.get(key);
    if (row === undefined) {
      known.set(key, columns.length);
      index.add(key, columns.length);
      columns.push(key);
    } else {
      known.delete(key);
      index.delete(key, row);
    }
  }
  assert.equal(index.size, known.size);
  for (const key of keys) assert.equal(index.find(key), known.get(key));
}

const keys = fc.array(fc.nat(300), { maxLength: 600 });

test("rows are found by their keys as by a map, whatever came and went", () => {
  fc.assert(fc.property(keys, (list) => agreesWithAMap(hashNumber, list)));
});

test("rows are found also when all hashes collide, or lie side by side at the end of the table", () => {
  fc.assert(fc.property(keys, (list) => agreesWithAMap(() => 63, list)));
  fc.assert(fc.property(keys, (list) => agreesWithAMap((key) => 60 + (key % 8), list)));
});

test("numbers that count up are spread: none is looked for at more than a few places", () => {
  let asked = 0;
  const index = new RowIndex<number>(hashNumber, (row, key) => {
    asked += 1;
    return row === key;
  });
  for (let key = 0; key < 10_000; key += 1) index.add(key, key);
  for (let key = 0; key < 10_000; key += 1) assert.equal(index.find(key), key);
  assert.ok(asked <= 11_000, `${asked} comparisons for 10,000 look-ups`);
});
