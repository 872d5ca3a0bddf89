import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { test } from "node:test";
import { BLOCK_FEATURES, BLOCK_LEVELS, BLOCK_QUANTITIES, BlockSums } from "./blocks.ts";

const random = createCipheriv("aes-128-ctr", Buffer.alloc(16, 4), Buffer.alloc(16)).update(
  Buffer.alloc(200_000),
);

function features(bytes: Uint8Array, step = bytes.length): Float64Array {
  const sums = new BlockSums();
  for (let at = 0; at < bytes.length; at += step) sums.push(bytes, at, Math.min(bytes.length, at + step));
  const row = new Float64Array(BLOCK_FEATURES);
  sums.fill(row, 0);
  return row;
}

/** Sum of one quantity over a block, bit by bit: every term is +1 or −1. */
function blockSum(block: Uint8Array, distance: number): number {
  let sum = 0;
  for (const value of block) {
    for (let bit = 0; bit + distance < 8; bit++) {
      const other = distance === 0 ? 0 : (value >> (bit + distance)) & 1;
      sum += ((value >> bit) & 1) ^ other ? 1 : -1;
    }
  }
  return sum;
}

test("the variance of every level and quantity equals its definition", () => {
  const bytes = random.subarray(0, 5000);
  const row = features(bytes);
  for (let level = 0; level < BLOCK_LEVELS; level++) {
    for (let quantity = 0; quantity < BLOCK_QUANTITIES; quantity++) {
      const length = 16 << level;
      const blocks = Math.floor(bytes.length / length);
      let squares = 0;
      for (let i = 0; i < blocks; i++)
        squares += blockSum(bytes.subarray(i * length, (i + 1) * length), quantity) ** 2;
      const expected = (squares / (length * (8 - quantity)) - blocks) / Math.sqrt(2 * blocks);
      const actual = row[level * BLOCK_QUANTITIES + quantity] ?? Number.NaN;
      assert.ok(
        Math.abs(actual - expected) < 1e-9,
        `${length} bytes, ${quantity}: ${actual}, not ${expected}`,
      );
    }
  }
});

test("on ciphertext the features have mean 0 and deviation 1", () => {
  let sum = 0;
  let squares = 0;
  let count = 0;
  for (let at = 0; at + 4096 <= random.length; at += 4096) {
    for (const value of features(random.subarray(at, at + 4096)).subarray(
      0,
      BLOCK_LEVELS * BLOCK_QUANTITIES,
    )) {
      sum += value;
      squares += value * value;
      count++;
    }
  }
  assert.ok(Math.abs(sum / count) < 0.15, String(sum / count));
  assert.ok(Math.abs(squares / count - 1) < 0.25, String(squares / count));
});

test("habits that change show in blocks, even when the whole is even", () => {
  const bytes = Uint8Array.from({ length: 4096 }, (_, i) => (random[i] ?? 0) | ((i >> 6) & 1 ? 0x10 : 0));
  for (let i = 0; i < bytes.length; i++) if (((i >> 6) & 1) === 0) bytes[i] = (bytes[i] ?? 0) & 0xef;
  const row = features(bytes);
  assert.ok(Math.abs(row[BLOCK_LEVELS * BLOCK_QUANTITIES] ?? 0) < 4);
  assert.ok((row[2 * BLOCK_QUANTITIES] ?? 0) > 10);
});

test("cut anywhere, the sums are the same; nothing gives zeros", () => {
  const bytes = random.subarray(0, 3333);
  const whole = features(bytes);
  for (const step of [1, 7, 16, 100, 1460]) assert.deepEqual(features(bytes, step), whole);
  assert.ok(features(new Uint8Array(0)).every((value) => value === 0));
  assert.ok(features(new Uint8Array(70_000).fill(0xff)).every((value) => Number.isFinite(value)));
});
