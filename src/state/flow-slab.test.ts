import assert from "node:assert/strict";
import { test } from "node:test";
import { BYTE, DOUBLE, HALF, ROW_BYTES, WORD } from "./flow-row.ts";
import { CHUNK_ROWS, FlowSlab } from "./flow-slab.ts";

/** Bytes that each field of the row takes: begin and end. */
function extents(): { name: string; from: number; to: number }[] {
  const twofold = new Set([
    "SEQUENCE_END",
    "SEQUENCE_LIMIT",
    "MAX_WINDOW",
    "MAX_ACK",
    "TIMESTAMP",
    "PACKETS",
    "BYTES",
    "SEGMENT_MAX",
    "TIME_TO_LIVE",
  ]);
  const kinds = [
    [WORD, 4],
    [DOUBLE, 8],
    [HALF, 2],
    [BYTE, 1],
  ] as const;
  return kinds.flatMap(([fields, bytes]) =>
    Object.entries(fields).map(([name, offset]) => {
      const count = name === "REMOTE" || name === "LOCAL" ? 4 : twofold.has(name) ? 2 : 1;
      return { name, from: offset * bytes, to: (offset + count) * bytes };
    }),
  );
}

test("the fields of a row do not overlap and fill no more than 184 bytes", () => {
  const fields = extents().sort((a, b) => a.from - b.from);
  for (const [at, field] of fields.entries()) {
    const next = fields[at + 1]?.from ?? ROW_BYTES;
    assert.ok(field.to <= next, `${field.name} reaches into the next field`);
  }
  assert.equal(ROW_BYTES, 184);
});

test("a freed row is the next to be used, empty, under another id", () => {
  const slab = new FlowSlab();
  const slot = slab.allocate();
  slab.setHalf(slot, HALF.KIND, 6);
  slab.setWord(slot, WORD.MARK, 77);
  const id = slab.id(slot);
  assert.equal(slab.slotOf(id), slot);
  slab.free(slot);
  assert.equal(slab.slotOf(id), -1);
  assert.ok(!slab.isLive(slot));
  assert.equal(slab.allocate(), slot);
  slab.setHalf(slot, HALF.KIND, 6);
  assert.equal(slab.word(slot, WORD.MARK), 0);
  assert.notEqual(slab.id(slot), id);
  assert.equal(slab.slotOf(id), -1);
});

test("rows of different chunks are apart", () => {
  const slab = new FlowSlab();
  const slots = Array.from({ length: 2 * CHUNK_ROWS + 1 }, () => slab.allocate());
  for (const slot of slots) {
    slab.setHalf(slot, HALF.KIND, 6);
    slab.setWord(slot, WORD.RULE, slot);
    slab.setDouble(slot, DOUBLE.CREATED, -slot);
  }
  for (const slot of slots) {
    assert.equal(slab.word(slot, WORD.RULE), slot);
    assert.equal(slab.double(slot, DOUBLE.CREATED), -slot);
  }
  assert.equal(slab.bytes, 3 * CHUNK_ROWS * ROW_BYTES);
  assert.equal(slab.size, slots.length);
});

test("any number may be asked whether it is live, and any id for its slot", () => {
  const slab = new FlowSlab();
  for (const number of [-1, 0, 5, 2 ** 24, 2 ** 40]) {
    assert.ok(!slab.isLive(number));
    assert.equal(slab.slotOf(number), -1);
  }
});
