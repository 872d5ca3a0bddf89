/** The comparison of sealing.property.test.ts at length: 100,000 packets and more. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareSeals } from "../testing/seal-comparison.ts";

test("seals change no verdict, at length", () => {
  const { spared } = compareSeals({ policies: 1200, rules: 5, packets: 100 });
  assert.ok(spared > 1500, `${spared} packets were spared`);
});

test("seals under pressure change no verdict, at length", () => {
  const { early } = compareSeals({ policies: 1200, rules: 5, packets: 100, isPressed: true });
  assert.ok(early > 10, `${early} flows were sealed early`);
});
