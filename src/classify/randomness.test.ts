import assert from "node:assert/strict";
import { test } from "node:test";
import {
  approximateEntropy,
  blockFrequency,
  countOnes,
  cumulativeSums,
  monobit,
  PATTERN_BITS_MAX,
  runs,
  serial,
} from "./randomness.ts";
import { erfc } from "./special-functions.ts";

/** Packs a text of zeros and ones, most significant bit first. */
function pack(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(text.length / 8));
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "1") bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (0x80 >> (i & 7));
  }
  return bytes;
}

/** The first `count` binary digits of e, as the standard's file data.e has them. */
function digitsOfE(count: number): string {
  const guard = 64n;
  let term = 1n << (BigInt(count) + guard);
  let sum = term;
  for (let k = 1n; term > 0n; k++) {
    term /= k;
    sum += term;
  }
  return (sum >> guard).toString(2).slice(0, count);
}

const is = (actual: number, published: number): void => {
  assert.ok(Math.abs(actual - published) < 1e-6, `${actual} instead of ${published}`);
};

// The 100 binary digits of π that the worked examples use.
const PI = `110010010000111111011010101000100010000101101000110000100011010011000100110001100110001010001011${"1000"}`;
const PI_BYTES = pack(PI);

test("monobit: worked examples of SP 800-22 §2.1.4 and §2.1.8", () => {
  is(monobit(pack("1011010101"), 10), 0.527089);
  is(monobit(PI_BYTES, 100), 0.109599);
});

test("block frequency: worked examples of §2.2.4 and §2.2.8", () => {
  is(blockFrequency(pack("0110011010"), 3, undefined, 10), 0.801252);
  is(blockFrequency(PI_BYTES, 10, undefined, 100), 0.706438);
});

test("runs: worked examples of §2.3.4 and §2.3.8", () => {
  is(runs(pack("1001101011"), 10), 0.147232);
  is(runs(PI_BYTES, 100), 0.500798);
});

test("serial: worked example of §2.11.4", () => {
  const { first, second } = serial(pack("0011011101"), 3, 10);
  is(first, 0.808792);
  is(second, 0.67032);
});

test("approximate entropy: worked examples of §2.12.4 and §2.12.8", () => {
  is(approximateEntropy(pack("0100110101"), 3, 10), 0.261961);
  is(approximateEntropy(PI_BYTES, 2, 100), 0.235301);
});

test("cumulative sums: worked examples of §2.13.4 and §2.13.8", () => {
  is(cumulativeSums(pack("1011010111"), 10).forward, 0.4116588);
  const { forward, backward } = cumulativeSums(PI_BYTES, 100);
  is(forward, 0.219194);
  is(backward, 0.114866);
});

test("a million digits of e: the table of appendix B and the example of §2.11.8", () => {
  const bytes = pack(digitsOfE(1_000_000));
  is(monobit(bytes), 0.953749);
  is(blockFrequency(bytes, 128), 0.211072);
  is(runs(bytes), 0.561917);
  is(cumulativeSums(bytes).forward, 0.669887);
  is(cumulativeSums(bytes).backward, 0.724266);
  is(approximateEntropy(bytes, 10), 0.700073);
  is(serial(bytes, 16).first, 0.766182);
  is(serial(bytes, 16).second, 0.462921);
  is(serial(bytes, 2).first, 0.843764);
  is(serial(bytes, 2).second, 0.561915);
});

const onesOf = (text: string): number => text.split("1").length - 1;

// The runs test written bit by bit, as the standard words it.
function slowRuns(text: string): number {
  const share = onesOf(text) / text.length;
  if (share === 0 || share === 1 || Math.abs(share - 0.5) >= 2 / Math.sqrt(text.length)) return 0;
  let count = 1;
  for (let i = 1; i < text.length; i++) if (text[i] !== text[i - 1]) count++;
  const spread = 2 * share * (1 - share);
  return erfc(Math.abs(count - text.length * spread) / (Math.sqrt(2 * text.length) * spread));
}

test("the byte-wise tests agree with each other at every length up to 100 bits", () => {
  for (let bits = 1; bits <= 100; bits++) {
    const text = PI.slice(0, bits);
    const bytes = pack(text);
    assert.equal(countOnes(bytes, bits), onesOf(text));
    const reversed = cumulativeSums(pack(text.split("").reverse().join("")), bits);
    is(cumulativeSums(bytes, bits).backward, reversed.forward);
    is(runs(bytes, bits), slowRuns(text));
    for (const p of [monobit(bytes, bits), runs(bytes, bits), approximateEntropy(bytes, 3, bits)]) {
      assert.ok(p >= 0 && p <= 1, `${p} at ${bits} bits`);
    }
  }
});

test("bits beyond the count do not matter", () => {
  const tail = Uint8Array.from(PI_BYTES);
  tail[12] = (tail[12] ?? 0) | 0x0f;
  assert.equal(monobit(tail, 100), monobit(PI_BYTES, 100));
  assert.equal(runs(tail, 100), runs(PI_BYTES, 100));
  assert.equal(approximateEntropy(tail, 3, 100), approximateEntropy(PI_BYTES, 3, 100));
});

test("empty sequences pass, patterns out of range are refused", () => {
  const nothing = new Uint8Array(0);
  assert.equal(monobit(nothing), 1);
  assert.equal(blockFrequency(nothing, 20), 1);
  assert.equal(runs(nothing), 1);
  assert.equal(approximateEntropy(nothing, 3), 1);
  assert.deepEqual(cumulativeSums(nothing), { forward: 1, backward: 1 });
  assert.throws(() => serial(PI_BYTES, PATTERN_BITS_MAX + 1), RangeError);
  assert.throws(() => approximateEntropy(PI_BYTES, PATTERN_BITS_MAX), RangeError);
});
