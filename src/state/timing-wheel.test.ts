import assert from "node:assert/strict";
import { test } from "node:test";
import { FlowSlab } from "./flow-slab.ts";
import { REACH_MS, TICK_MS, TimingWheel } from "./timing-wheel.ts";

/** A wheel with one slot for each delay, started at an instant. */
function arm(
  start: number,
  delays: readonly number[],
): { wheel: TimingWheel; deadlines: Map<number, number> } {
  const slab = new FlowSlab();
  const wheel = new TimingWheel(slab);
  wheel.advance(start);
  const deadlines = new Map<number, number>();
  for (const delay of delays) {
    const slot = slab.allocate();
    deadlines.set(slot, start + delay);
    wheel.schedule(slot, start + delay);
  }
  return { wheel, deadlines };
}

/** Takes what is due at an instant. */
function takeDue(wheel: TimingWheel, now: number): number[] {
  wheel.advance(now);
  const slots: number[] = [];
  for (let slot = wheel.due; slot >= 0; slot = wheel.due) {
    slots.push(slot);
    wheel.cancel(slot);
  }
  return slots;
}

const DELAYS = [
  0, 1, 99, 100, 101, 5000, 6200, 6300, 30_000, 90_000, 120_000, 900_000, 86_400_000, 432_000_000,
];

for (const start of [0, 123_456.789, 1.7e12]) {
  test(`never early, and late by an eighth of the delay and two ticks at most (from ${start})`, () => {
    const { wheel, deadlines } = arm(start, DELAYS);
    let now = start;
    while (deadlines.size > 0) {
      now += Math.max(20, (now - start) / 200);
      for (const slot of takeDue(wheel, now)) {
        const deadline = deadlines.get(slot) ?? Number.NaN;
        const step = Math.max(20, (now - start) / 200);
        assert.ok(now >= deadline, `${deadline - now} ms early`);
        assert.ok(now - deadline <= (deadline - start) / 8 + 2 * TICK_MS + step, `${now - deadline} ms late`);
        deadlines.delete(slot);
      }
      assert.ok(now - start < 2 * REACH_MS, "a slot was lost");
    }
  });
}

test("a leap over everything makes everything due, by bounded work", () => {
  const { wheel, deadlines } = arm(1000, DELAYS);
  assert.equal(takeDue(wheel, 1000 + 400 * 24 * 3_600_000).length, deadlines.size);
});

test("deadlines beyond the reach come due at its end at the latest", () => {
  const { wheel } = arm(0, [2 * REACH_MS]);
  assert.equal(takeDue(wheel, REACH_MS / 2).length, 0);
  assert.equal(takeDue(wheel, 1.2 * REACH_MS).length, 1);
});

test("a cancelled slot is never due", () => {
  const { wheel, deadlines } = arm(0, [1000, 2000]);
  const [first = -1] = deadlines.keys();
  wheel.cancel(first);
  assert.deepEqual(takeDue(wheel, 10_000), [1]);
});

test("slots scheduled at every instant come due in time, round after round", () => {
  const slab = new FlowSlab();
  const wheel = new TimingWheel(slab);
  const deadlines = new Map<number, number>();
  for (let now = 0; now < 600_000; now += 37) {
    wheel.advance(now);
    const delay = (now * 7919) % 70_000;
    const slot = slab.allocate();
    wheel.schedule(slot, now + delay);
    deadlines.set(slot, now + delay);
    for (const due of takeDue(wheel, now)) {
      const deadline = deadlines.get(due) ?? Number.NaN;
      assert.ok(now >= deadline && now - deadline < 70_000 / 8 + 300);
      deadlines.delete(due);
    }
  }
  const late = [...deadlines.values()].filter((deadline) => deadline < 600_000 - 10_000);
  assert.deepEqual(late, []);
});
