import assert from "node:assert/strict";
import { test } from "node:test";
import { LineBuffer } from "./line-buffer.ts";
import type { WorkerLine } from "./worker-protocol.ts";

function openBuffer(limits: { pending: number; perSecond: number }): {
  buffer: LineBuffer;
  sent: WorkerLine[][];
} {
  const sent: WorkerLine[][] = [];
  return { buffer: new LineBuffer(limits, (lines) => sent.push(lines)), sent };
}

function offer(buffer: LineBuffer, now: number, message: string): boolean {
  const admitted = buffer.admits(now);
  if (admitted) buffer.add("INFO", message);
  return admitted;
}

test("lines are sent in one group a flush, and an empty flush sends nothing", () => {
  const { buffer, sent } = openBuffer({ pending: 10, perSecond: 10 });
  offer(buffer, 0, "a");
  offer(buffer, 1, "b");
  buffer.flush();
  buffer.flush();
  assert.deepEqual(sent, [
    [
      { level: "INFO", message: "a" },
      { level: "INFO", message: "b" },
    ],
  ]);
});

test("beyond the rate lines are counted, and the next second says how many", () => {
  const { buffer, sent } = openBuffer({ pending: 100, perSecond: 2 });
  const admitted = ["a", "b", "c", "d", "e"].map((message) => offer(buffer, 500, message));
  assert.deepEqual(admitted, [true, true, false, false, false]);
  assert.ok(offer(buffer, 1500, "f"));
  buffer.flush();
  assert.equal(buffer.lost, 3);
  assert.deepEqual(
    sent[0]?.map((line) => line.message),
    ["a", "b", "3 more lines were not logged", "f"],
  );
});

test("when the main thread does not take lines, no more than the limit are held", () => {
  const { buffer } = openBuffer({ pending: 3, perSecond: 1000 });
  const admitted = [1, 2, 3, 4].map((at) => offer(buffer, at, String(at)));
  assert.deepEqual(admitted, [true, true, true, false]);
});
