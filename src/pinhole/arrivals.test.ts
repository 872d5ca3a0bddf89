import assert from "node:assert/strict";
import { test } from "node:test";
import { Arrivals } from "./arrivals.ts";

test("names leave in the order in which they came, but for the newest when it is taken back", () => {
  const arrivals = new Arrivals();
  const expected: string[] = [];
  for (let step = 0; step < 10_000; step += 1) {
    arrivals.add(`${step}`);
    expected.push(`${step}`);
    if (step % 7 === 0) {
      arrivals.dropNewest();
      expected.pop();
    }
    if (step % 3 > 0 || step > 5000) {
      arrivals.dropOldest();
      expected.shift();
    }
    assert.equal(arrivals.oldest, expected[0]);
  }
});

test("nothing is left of names that are gone", () => {
  const arrivals = new Arrivals();
  arrivals.dropNewest();
  assert.equal(arrivals.oldest, undefined);
  arrivals.add("a");
  arrivals.dropOldest();
  arrivals.dropNewest();
  assert.equal(arrivals.oldest, undefined);
  arrivals.add("b");
  assert.equal(arrivals.oldest, "b");
});
