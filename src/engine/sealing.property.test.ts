/** An engine that sees no packet of sealed flows comes to the same verdicts as one that sees them all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareSeals } from "../testing/seal-comparison.ts";

test("seals change no verdict", () => {
  const { spared } = compareSeals({ policies: 150, rules: 4, packets: 60 });
  assert.ok(spared > 100, `${spared} packets were spared`);
});

test("seals under pressure change no verdict", () => {
  const { early } = compareSeals({ policies: 300, rules: 4, packets: 60, isPressed: true });
  assert.ok(early > 0, `${early} flows were sealed early`);
});
