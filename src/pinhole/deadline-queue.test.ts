import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DeadlineQueue } from "./deadline-queue.ts";

const step = fc.record({
  value: fc.nat(20),
  lease: fc.oneof(fc.nat(50), fc.constant(Number.POSITIVE_INFINITY)),
  passes: fc.nat(5),
});

test("everything is due at the deadline that was given last, and once", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const deadlines = new Map<number, number>();
      const queue = new DeadlineQueue((value) => deadlines.get(value));
      let now = 0;
      for (const { value, lease, passes } of steps) {
        deadlines.set(value, now + lease);
        queue.add(value, now + lease, deadlines.size);
        now += passes;
        const expected = [...deadlines].filter(([, deadline]) => deadline <= now).map(([one]) => one);
        const due = new Set(queue.takeDue(now, Number.POSITIVE_INFINITY));
        assert.deepEqual(
          [...due].sort((a, b) => a - b),
          expected.sort((a, b) => a - b),
        );
        for (const one of due) deadlines.delete(one);
        assert.ok((queue.earliest ?? now + 1) > now);
      }
    }),
  );
});

test("renewals without end take no more room than three times what lives", () => {
  let asked = 0;
  const deadlines = new Map<number, number>();
  const queue = new DeadlineQueue((value) => {
    asked += 1;
    return deadlines.get(value);
  });
  for (let round = 1; round <= 100; round += 1) {
    for (let value = 0; value < 1000; value += 1) {
      deadlines.set(value, round * 1000 + value);
      queue.add(value, round * 1000 + value, 1000);
    }
  }
  asked = 0;
  assert.equal(queue.takeDue(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY).length, 1000);
  assert.ok(asked <= 3001, `${asked} entries were there`);
});
