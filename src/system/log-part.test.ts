/** What a part of a log says of itself, whatever became of its bytes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { frameFiller, framePartHead, frameRecord, type PartReading, readPart } from "./log-part.ts";

const BODIES = ["{1}\n-a\n", '{2}\n+b\t["ü"]\n', "{3}\n"];
const ROOM = Buffer.alloc(40);

/** A part as it is while it is written: with room behind its records. */
function part(): { readonly bytes: Buffer; readonly end: number; readonly lastAt: number } {
  const records = [framePartHead(4096), ...BODIES.map(frameRecord)];
  const written = Buffer.concat(records);
  const lastAt = written.length - (records.at(-1)?.length ?? 0);
  return { bytes: Buffer.concat([written, ROOM]), end: written.length, lastAt };
}

function texts({ records }: PartReading): string[] {
  return records.map(String);
}

describe("a part of a log", () => {
  it("says its records, where they end, and how long the part before is", () => {
    const { bytes, end } = part();
    for (const expected of [undefined, end]) {
      const reading = readPart(bytes, expected);
      assert.deepEqual(texts(reading), BODIES);
      assert.deepEqual(
        { ...reading, records: [] },
        { records: [], former: 4096, end, damages: [], tornBytes: 0 },
      );
    }
  });

  it("is torn where only the last record is wrong, and damaged where any other is, whatever byte changed", () => {
    const { end, lastAt } = part();
    for (let at = 0; at < end; at += 1) {
      for (const change of [0x01, 0x80, 0xff]) {
        const { bytes } = part();
        bytes[at] = (bytes[at] ?? 0) ^ change;
        const reading = readPart(bytes, undefined);
        assert.equal(reading.damages.length, at < lastAt ? 1 : 0, `byte ${at}`);
        assert.equal(reading.tornBytes > 0, at >= lastAt, `byte ${at}`);
        const known = readPart(bytes, end);
        assert.equal(known.damages.length, 1, `byte ${at}, with a known length`);
        assert.equal(known.tornBytes, 0);
        const lost = at < framePartHead(4096).length ? 0 : 1;
        assert.equal(reading.records.length, BODIES.length - lost);
      }
    }
  });

  it("is damaged where it is shorter than it was, wherever it was cut", () => {
    const { bytes, end } = part();
    for (let cut = 0; cut < end; cut += 1) {
      const { damages, records } = readPart(bytes.subarray(0, cut), end);
      assert.equal(damages.length, 1, `cut at ${cut}`);
      assert.ok(records.length < BODIES.length);
    }
  });

  it("is damaged where a stretch of it reads as zeros and records follow", () => {
    const { bytes, lastAt } = part();
    bytes.fill(0, 0, lastAt);
    const reading = readPart(bytes, undefined);
    assert.deepEqual(reading.damages, [{ at: 0, bytes: lastAt }]);
    assert.deepEqual(texts(reading), BODIES.slice(-1));
  });

  it("is whole again with fillers where it was damaged", () => {
    const { bytes, end } = part();
    for (let at = 0; at < end; at += 1) {
      const wounded = Buffer.from(bytes);
      wounded[at] = (wounded[at] ?? 0) ^ 1;
      const before = readPart(wounded, end);
      for (const { at: from, bytes: length } of before.damages) frameFiller(length).copy(wounded, from);
      const after = readPart(wounded, end);
      assert.deepEqual(after.damages, []);
      assert.deepEqual(texts(after), texts(before));
    }
  });
});
