import assert from "node:assert/strict";
import { test } from "node:test";
import { FlowSlab } from "./flow-slab.ts";
import { REACH_TICKS, TimingWheel } from "./timing-wheel.ts";

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

const DELAYS = [0, 1, 50, 61, 62, 63, 300, 495, 496, 900, 1200, 9000, 864_000, 4_320_000];

for (const start of [0, 123_457, 1_500_000_000]) {
  test(`never early, and late by an eighth of the delay and two ticks at most (from tick ${start})`, () => {
    const { wheel, deadlines } = arm(start, DELAYS);
    let now = start;
    while (deadlines.size > 0) {
      now += 1 + Math.floor((now - start) / 200);
      for (const slot of takeDue(wheel, now)) {
        const deadline = deadlines.get(slot) ?? Number.NaN;
        const step = 1 + (now - start) / 200;
        assert.ok(now >= deadline, `${deadline - now} ticks early`);
        assert.ok(now - deadline <= (deadline - start) / 8 + 2 + step, `${now - deadline} ticks late`);
        deadlines.delete(slot);
      }
      assert.ok(now - start < 2 * REACH_TICKS, "a slot was lost");
    }
  });
}

test("a leap over everything makes everything due, by bounded work", () => {
  const { wheel, deadlines } = arm(1000, DELAYS);
  assert.equal(takeDue(wheel, 1000 + 2 * REACH_TICKS).length, deadlines.size);
});

test("deadlines beyond the reach come due at its end at the latest", () => {
  const { wheel } = arm(0, [2 * REACH_TICKS]);
  assert.equal(takeDue(wheel, REACH_TICKS / 2).length, 0);
  assert.equal(takeDue(wheel, Math.floor(1.2 * REACH_TICKS)).length, 1);
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
  for (let now = 0; now < 60_000; now += 3) {
    wheel.advance(now);
    const delay = (now * 7919) % 7000;
    const slot = slab.allocate();
    wheel.schedule(slot, now + delay);
    deadlines.set(slot, now + delay);
    for (const due of takeDue(wheel, now)) {
      const deadline = deadlines.get(due) ?? Number.NaN;
      assert.ok(now >= deadline && now - deadline < 7000 / 8 + 4);
      deadlines.delete(due);
    }
  }
  const late = [...deadlines.values()].filter((deadline) => deadline < 60_000 - 1000);
  assert.deepEqual(late, []);
});
