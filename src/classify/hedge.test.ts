import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { CHI_SQUARE_DEVIATION, CHI_SQUARE_MEAN, HEDGE_BYTES_MIN, hedge, hedgeFailure } from "./hedge.ts";
import { chiSquare, countBytes, passesEntropyGate, shannonEntropy } from "./histogram.ts";

const PIECE_BYTES = 1024;
const PIECES = 4000;

/** Key stream of AES-256-CTR under a fixed key: what ciphertext looks like. */
function ciphertext(bytes: number, seed = 1): Uint8Array {
  return createCipheriv("aes-256-ctr", Buffer.alloc(32, seed), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

const random = ciphertext(PIECES * PIECE_BYTES);
const piece = (i: number): Uint8Array => random.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES);

/** Share of pieces of ciphertext whose χ² lies within γ deviations of the mean. */
function passRate(gamma: number): number {
  let passed = 0;
  const counts = new Uint32Array(256);
  for (let i = 0; i < PIECES; i++) {
    counts.fill(0);
    countBytes(counts, piece(i));
    const distance = Math.abs(chiSquare(counts, PIECE_BYTES) - CHI_SQUARE_MEAN);
    if (distance <= gamma * CHI_SQUARE_DEVIATION) passed++;
  }
  return passed / PIECES;
}

// γ and the share of truly random data that the absolute χ² test lets pass.
const PASS_RATES: [number, number][] = [
  [1, 0.684],
  [1.5, 0.868],
  [2, 0.955],
  [2.5, 0.987],
  [3, 0.997],
];

test("the χ² interval lets the published share of ciphertext pass", () => {
  for (const [gamma, share] of PASS_RATES) {
    const allowed = 4 * Math.sqrt((share * (1 - share)) / PIECES) + 0.003;
    const rate = passRate(gamma);
    assert.ok(Math.abs(rate - share) < allowed, `γ = ${gamma}: ${rate} instead of ${share}`);
  }
});

test("at γ = 2 HEDGE as a whole calls 91 to 95 % of ciphertext encrypted, at the default γ a little more", () => {
  const share = (gamma?: number): number => {
    let encrypted = 0;
    const options = gamma === undefined ? {} : { gamma };
    for (let i = 0; i < PIECES; i++) if (hedge(piece(i), options) === "encrypted") encrypted++;
    return encrypted / PIECES;
  };
  const atTwo = share(2);
  assert.ok(atTwo > 0.91 && atTwo < 0.95, String(atTwo));
  assert.ok(share() > atTwo);
});

test("at the default γ the absolute χ² test rejects nothing that the percentage test would let pass", () => {
  for (let i = 0; i < PIECES; i++) {
    if (hedgeFailure(piece(i)) !== "chi-square-absolute") continue;
    assert.equal(hedgeFailure(piece(i), { gamma: 100 }), "chi-square-percentage");
  }
});

test("each test of HEDGE has bytes that fail it first", () => {
  const cycle = Uint8Array.from({ length: 1024 }, (_, i) => i & 255);
  assert.equal(hedgeFailure(new Uint8Array(HEDGE_BYTES_MIN - 1)), "too-short");
  assert.equal(hedgeFailure(new Uint8Array(1024)), "chi-square-absolute");
  assert.equal(hedgeFailure(cycle, { gamma: 12 }), "chi-square-percentage");
  const found = new Set<string | undefined>();
  for (let i = 0; i < PIECES; i++) found.add(hedgeFailure(piece(i), { gamma: 100 }));
  for (const failure of [
    "block-frequency",
    "cumulative-sums-forward",
    "approximate-entropy",
    undefined,
  ] as const) {
    assert.ok(found.has(failure), String(failure));
  }
});

test("deflated text of 8 KB and more is compressed", () => {
  let text = "";
  for (let i = 0; text.length < 400_000; i++)
    text += `${i} ${Math.sin(i).toFixed(4)} flow of ${i % 97} packets\n`;
  const packed = deflateRawSync(text);
  for (let at = 4096; at + 8192 < packed.length; at += 8192) {
    assert.equal(hedge(packed.subarray(at, at + 8192)), "compressed");
  }
});

test("short pieces never throw", () => {
  for (let bytes = 0; bytes < 64; bytes++) assert.match(hedge(random.subarray(0, bytes)), /^(enc|comp)/);
});

test("the entropy gate: 32 different bytes reach 5.0 exactly, 31 stay below", () => {
  const different = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i);
  assert.equal(shannonEntropy(different(32)), 5);
  assert.equal(passesEntropyGate(different(32)), true);
  assert.equal(passesEntropyGate(different(31)), false);
  assert.equal(passesEntropyGate(different(32), 5.01), false);
  assert.equal(shannonEntropy(new Uint8Array(0)), 0);
  assert.equal(shannonEntropy(new Uint8Array(100)), 0);
  assert.equal(shannonEntropy(different(256)), 8);
});
