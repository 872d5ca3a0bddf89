import assert from "node:assert/strict";
import { test } from "node:test";
import { MINUTE } from "../base/index.ts";
import { WAIT_BYTES, WaitMeter, waitQuantile } from "./wait-meter.ts";

function open(): { memory: SharedArrayBuffer; meter: WaitMeter } {
  const memory = new SharedArrayBuffer(WAIT_BYTES);
  return { memory, meter: new WaitMeter(memory) };
}

test("a wait lasts from the probe until its newest packet is answered, and not only an older one", () => {
  const { memory, meter } = open();
  meter.probe(3, 12, 1000);
  meter.answered(11, 1001);
  assert.equal(waitQuantile(memory, 0.5), null);
  meter.answered(12, 1008);
  const wait = waitQuantile(memory, 0.5) ?? 0;
  assert.ok(wait >= 8 && wait < 8 * 1.2, `${wait}`);
});

test("one probe is under way at a time: a later one does not make the wait shorter", () => {
  const { memory, meter } = open();
  meter.probe(1, 5, 0);
  meter.probe(1, 90, 100);
  meter.answered(6, 200);
  assert.ok((waitQuantile(memory, 0.5) ?? 0) >= 200);
});

test("an empty queue is a wait of nothing if it brought packets, and no sample if it did not", () => {
  const { memory, meter } = open();
  meter.probe(0, 7, 0);
  assert.equal(waitQuantile(memory, 0.5), null);
  meter.answered(8, 10);
  meter.probe(0, 8, 100);
  assert.equal(waitQuantile(memory, 0.99), 0);
});

test("packet numbers begin anew behind 32 bits", () => {
  const { memory, meter } = open();
  meter.probe(1, 0xffff_ffff, 0);
  meter.answered(0xffff_fffe | 0, 1);
  assert.equal(waitQuantile(memory, 0.5), null);
  meter.answered(3, 4);
  assert.ok((waitQuantile(memory, 0.5) ?? 0) >= 4);
});

test("quantiles tell the many from the few, and old samples fade", () => {
  const { memory, meter } = open();
  const wait = (from: number, length: number): void => {
    meter.probe(1, from, from);
    meter.answered(from, from + length);
  };
  for (let at = 0; at < 98; at += 1) wait(at * 100, 1);
  for (let at = 98; at < 100; at += 1) wait(at * 100, 90);
  assert.ok((waitQuantile(memory, 0.5) ?? 0) < 1.3);
  assert.ok((waitQuantile(memory, 0.99) ?? 0) >= 90);
  for (let minute = 1; minute < 30; minute += 1) wait(minute * MINUTE * 2, 1);
  assert.ok((waitQuantile(memory, 0.99) ?? 0) < 1.3);
});

test("a probe whose packet was lost on its way up ends with the queue found empty", () => {
  const { memory, meter } = open();
  meter.probe(1, 5, 0);
  meter.probe(0, 5, 100);
  meter.answered(6, 60 * MINUTE);
  assert.equal(waitQuantile(memory, 1), null);
  meter.probe(1, 9, 60 * MINUTE + 100);
  meter.answered(9, 60 * MINUTE + 102);
  assert.ok((waitQuantile(memory, 1) ?? 0) < 2.4);
});
