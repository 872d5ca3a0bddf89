import assert from "node:assert/strict";
import { test } from "node:test";
import { PressureGauge } from "./pressure-gauge.ts";

const WINDOW_MS = 5000;

/** A gauge with an objective of 10 ms that has counted some samples. */
function gauge(...samples: readonly number[]): PressureGauge {
  const made = new PressureGauge();
  made.aim(10);
  made.turn(WINDOW_MS, 0);
  for (const each of samples) made.count(each);
  return made;
}

test("pressure begins when more than one of a hundred packets waits longer than the objective", () => {
  assert.equal(gauge(11).isPressed, false, "the one of a hundred");
  assert.equal(gauge(11, 11).isPressed, true);
  assert.equal(gauge(10, 10, 10).isPressed, false, "as long as the objective is not longer");
  const few = new Array<number>(250).fill(1);
  assert.equal(gauge(...few, 11, 11).isPressed, false, "two of 252");
  assert.equal(gauge(...few, 11, 11, 11).isPressed, true, "three of 253");
});

test("pressure lasts until a whole window stays within half the objective", () => {
  const pressed = gauge(20, 20);
  pressed.turn(2 * WINDOW_MS, 0);
  assert.equal(pressed.isPressed, true, "its first window has the samples that began it");
  for (const each of [6, 6]) pressed.count(each);
  pressed.turn(3 * WINDOW_MS - 1, 0);
  pressed.turn(3 * WINDOW_MS, 0);
  assert.equal(pressed.isPressed, true, "between the two");
  for (const each of [5, 5]) pressed.count(each);
  pressed.turn(4 * WINDOW_MS, 0);
  assert.equal(pressed.isPressed, false);
});

test("a window without packets ends pressure, but not one in which a packet has waited all the while", () => {
  const pressed = gauge(20, 20);
  pressed.turn(2 * WINDOW_MS, 0);
  pressed.turn(3 * WINDOW_MS, WINDOW_MS);
  assert.equal(pressed.isPressed, true);
  pressed.turn(4 * WINDOW_MS, 0);
  assert.equal(pressed.isPressed, false);
});

test("without an objective nothing waits too long, and another one is another question", () => {
  const pressed = gauge(20, 20);
  pressed.aim(10);
  assert.equal(pressed.isPressed, true);
  pressed.aim(undefined);
  assert.equal(pressed.isPressed, false);
  for (let at = 0; at < 200; at += 1) pressed.count(60_000);
  assert.equal(pressed.isPressed, false);
});
