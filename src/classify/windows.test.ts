import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { test } from "node:test";
import {
  byteSpectrum,
  highFirstSpectrum,
  lowFirstSpectrum,
  SPECTRUM_SIZE,
  WINDOW_BITS,
  WindowCounter,
} from "./windows.ts";

const random = createCipheriv("aes-128-ctr", Buffer.alloc(16, 3), Buffer.alloc(16)).update(
  Buffer.alloc(40_000),
);

/** The bits of the bytes in either order. */
function bitsOf(bytes: Uint8Array, lowFirst: boolean): number[] {
  const bits: number[] = [];
  for (const value of bytes) {
    for (let i = 0; i < 8; i++) bits.push((value >> (lowFirst ? i : 7 - i)) & 1);
  }
  return bits;
}

/** One coefficient by its definition: mean sign of the exclusive or over all windows, scaled. */
function coefficient(bits: number[], later: number[]): number {
  let sum = 0;
  let windows = 0;
  for (let at = 0; at + WINDOW_BITS <= bits.length; at++) {
    let parity = bits[at] ?? 0;
    for (const distance of later) parity ^= bits[at + distance] ?? 0;
    sum += parity === 1 ? -1 : 1;
    windows++;
  }
  return sum / Math.sqrt(windows);
}

const bitsIn = (set: number): number[] =>
  Array.from({ length: 8 }, (_, j) => j).filter((j) => (set >> j) & 1);

test("both spectra equal their definition", () => {
  const bytes = random.subarray(0, 300);
  const counter = new WindowCounter();
  counter.push(bytes, 0, bytes.length);
  const low = new Float64Array(SPECTRUM_SIZE);
  const high = new Float64Array(SPECTRUM_SIZE);
  lowFirstSpectrum(counter, low);
  highFirstSpectrum(counter, high);
  const lowBits = bitsOf(bytes, true);
  const highBits = bitsOf(bytes, false);
  const slack = 1e-9;
  for (const set of [0, 1, 2, 5, 17, 128, 200, 255]) {
    const inLow = coefficient(
      lowBits,
      bitsIn(set).map((j) => j + 1),
    );
    const inHigh = coefficient(
      highBits,
      bitsIn(set).map((j) => 8 - j),
    );
    assert.ok(Math.abs((low[set] ?? 0) - inLow) < slack, `low ${set}: ${low[set]} instead of ${inLow}`);
    assert.ok(Math.abs((high[set] ?? 0) - inHigh) < slack, `high ${set}: ${high[set]} instead of ${inHigh}`);
  }
});

test("on ciphertext every coefficient has mean 0 and variance 1, at every length", () => {
  for (const bytes of [500, 4000]) {
    let sum = 0;
    let squares = 0;
    let count = 0;
    for (let at = 0; at + bytes <= random.length; at += bytes) {
      const counter = new WindowCounter();
      counter.push(random, at, at + bytes);
      const spectrum = new Float64Array(SPECTRUM_SIZE);
      for (const fill of [lowFirstSpectrum, highFirstSpectrum]) {
        fill(counter, spectrum);
        for (const value of spectrum) {
          sum += value;
          squares += value * value;
          count++;
        }
      }
    }
    assert.ok(Math.abs(sum / count) < 0.05, String(sum / count));
    assert.ok(Math.abs(squares / count - 1) < 0.05, String(squares / count));
  }
});

test("pieces of any size give the same counts", () => {
  const whole = new WindowCounter();
  whole.push(random, 0, 5000);
  const cut = new WindowCounter();
  for (let at = 0, step = 1; at < 5000; at += step, step = (step % 7) + 1) {
    cut.push(random, at, Math.min(5000, at + step));
  }
  assert.deepEqual(cut.lowFirst, whole.lowFirst);
  assert.deepEqual(cut.highFirst, whole.highFirst);
  assert.equal(cut.windows, 8 * 4999);
});

test("nothing and one byte give empty spectra", () => {
  const counter = new WindowCounter();
  const spectrum = new Float64Array(SPECTRUM_SIZE).fill(7);
  counter.push(random, 0, 1);
  lowFirstSpectrum(counter, spectrum);
  assert.ok(spectrum.every((value) => value === 0));
  byteSpectrum(new Uint32Array(256), 0, spectrum);
  assert.ok(spectrum.every((value) => value === 0));
});
