import assert from "node:assert/strict";
import { test } from "node:test";
import { FlowIndex, type IndexedRows } from "./flow-index.ts";

/** Rows whose key is a number; its hash is scrambled, or not when clusters are wanted. */
class NumberRows implements IndexedRows {
  readonly keys: number[] = [];
  wanted = 0;
  looks = 0;

  hashOf(slot: number): number {
    return hashOfKey(this.keys[slot] ?? 0);
  }

  matches(slot: number): boolean {
    this.looks += 1;
    return this.keys[slot] === this.wanted;
  }
}

function hashOfKey(key: number): number {
  const mixed = Math.imul(key ^ (key >>> 15), 0x2c1b3c6d);
  return Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39) ^ (mixed >>> 15);
}

function find(index: FlowIndex, rows: NumberRows, key: number): number {
  rows.wanted = key;
  return index.find(hashOfKey(key));
}

/** Reproducible numbers, 0 to `below - 1`. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("it agrees with a Map through growth, removal and reuse", () => {
  for (let seed = 1; seed <= 5; seed += 1) {
    const next = sequence(seed);
    const rows = new NumberRows();
    const index = new FlowIndex(rows);
    const model = new Map<number, number>();
    const free: number[] = [];
    for (let step = 0; step < 60_000; step += 1) {
      const key = next(20_000);
      assert.equal(find(index, rows, key), model.get(key) ?? -1);
      const slot = model.get(key);
      if (slot === undefined) {
        const made = free.pop() ?? rows.keys.length;
        rows.keys[made] = key;
        index.insert(hashOfKey(key), made);
        model.set(key, made);
      } else if (next(3) === 0) {
        index.remove(hashOfKey(key), slot);
        model.delete(key);
        free.push(slot);
      }
    }
    for (let key = 0; key < 20_000; key += 1) assert.equal(find(index, rows, key), model.get(key) ?? -1);
  }
});

test("it agrees with a Map when everything is removed in the middle of growth", () => {
  const rows = new NumberRows();
  const index = new FlowIndex(rows);
  const count = 640; // growth begins at 615 of 1024
  for (let key = 0; key < count; key += 1) {
    rows.keys[key] = key;
    index.insert(hashOfKey(key), key);
  }
  for (let key = 0; key < count; key += 2) index.remove(hashOfKey(key), key);
  for (let key = 0; key < count; key += 1) assert.equal(find(index, rows, key), key % 2 === 0 ? -1 : key);
});

test("keys that share a hash are told apart by their rows", () => {
  const rows = new NumberRows();
  const index = new FlowIndex(rows);
  const collide = { hashOf: () => 42, matches: (slot: number) => rows.matches(slot) };
  const colliding = new FlowIndex(collide);
  for (let key = 0; key < 50; key += 1) {
    rows.keys[key] = key;
    colliding.insert(42, key);
  }
  for (let key = 0; key < 50; key += 3) colliding.remove(42, key);
  for (let key = 0; key < 50; key += 1) {
    rows.wanted = key;
    assert.equal(colliding.find(42), key % 3 === 0 ? -1 : key);
  }
  assert.equal(find(index, rows, 1), -1);
});

test("no insertion moves more than a few clusters, however large the table", () => {
  const rows = new NumberRows();
  const index = new FlowIndex(rows);
  for (let key = 0; key < 300_000; key += 1) {
    rows.keys[key] = key;
    index.insert(hashOfKey(key), key);
  }
  assert.ok(index.longestMove < 300, `${index.longestMove} positions at once`);
  assert.ok(index.bytes <= 300_000 * 16);
});

test("a lookup looks at as many rows in a large table as in a small one", () => {
  const looksAt = (size: number): { hit: number; miss: number } => {
    const rows = new NumberRows();
    const index = new FlowIndex(rows);
    for (let key = 0; key < size; key += 1) {
      rows.keys[key] = key;
      index.insert(hashOfKey(key), key);
    }
    rows.looks = 0;
    for (let key = 0; key < size; key += 1) find(index, rows, key);
    const hit = rows.looks / size;
    rows.looks = 0;
    for (let key = size; key < 2 * size; key += 1) find(index, rows, key);
    return { hit, miss: rows.looks / size };
  };
  for (const size of [1000, 10_000, 100_000]) {
    const { hit, miss } = looksAt(size);
    assert.ok(hit < 1.1, `${hit} rows for a key that is there, of ${size}`);
    assert.ok(miss < 0.1, `${miss} rows for a stranger, of ${size}`);
  }
});
