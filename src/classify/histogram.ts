/** The byte histogram and what is read from it: χ², its probability, Shannon entropy. */

import { chiSquareProbability } from "./special-functions.ts";

/** Number of byte values, the bins of a histogram. */
export const BYTE_VALUES = 256;

/**
 * Adds bytes to a histogram.
 *
 * @param counts - {@link BYTE_VALUES} bins, changed in place
 * @param bytes - what is counted
 * @param from - offset of the first byte
 * @param to - offset just past the last byte
 */
export function countBytes(
  counts: Uint32Array,
  bytes: Uint8Array,
  from = 0,
  to: number = bytes.length,
): void {
  for (let i = from; i < to; i++) {
    const value = bytes[i] ?? 0;
    counts[value] = (counts[value] ?? 0) + 1;
  }
}

/**
 * χ² of a histogram against equal shares.
 *
 * @param counts - the bins
 * @param total - sum of all bins
 * @returns the absolute value, 0 or above; 0 for an empty histogram
 */
export function chiSquare(counts: Uint32Array, total: number): number {
  if (total === 0) return 0;
  let squares = 0;
  for (let bin = 0; bin < counts.length; bin++) squares += (counts[bin] ?? 0) ** 2;
  return (squares * counts.length) / total - total;
}

/**
 * χ² as a percentage: how often equal shares give at least this value.
 *
 * @param value - χ² of a histogram of {@link BYTE_VALUES} bins
 * @returns the p-value, from 0 to 1
 */
export function chiSquarePercentage(value: number): number {
  return chiSquareProbability(value, BYTE_VALUES - 1);
}

// n log2 n of the counts that short pieces have.
const LOGS_MAX = 1024;
const logs = Float64Array.from({ length: LOGS_MAX }, (_, n) => (n > 1 ? n * Math.log2(n) : 0));

/**
 * Shannon entropy of a histogram.
 *
 * @param counts - the bins
 * @param total - sum of all bins
 * @returns bits per byte, from 0 to 8; 0 for an empty histogram
 */
export function entropyOfCounts(counts: Uint32Array, total: number): number {
  if (total === 0) return 0;
  let sum = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin] ?? 0;
    sum += count < LOGS_MAX ? (logs[count] ?? 0) : count * Math.log2(count);
  }
  return Math.log2(total) - sum / total;
}

const scratch = new Uint32Array(BYTE_VALUES);

/**
 * Shannon entropy of bytes. `n` bytes cannot exceed log2 `n`, so no run of fewer than 32 bytes reaches 5.0.
 *
 * @param bytes - any bytes
 * @returns bits per byte, from 0 to 8; 0 for no bytes
 */
export function shannonEntropy(bytes: Uint8Array): number {
  scratch.fill(0);
  countBytes(scratch, bytes);
  return entropyOfCounts(scratch, bytes.length);
}

/** Entropy below which bytes cannot be ciphertext, in bits per byte: the thesis fork's gate. */
export const ENTROPY_GATE = 5.0;

/**
 * The entropy gate: may these bytes be compressed or encrypted at all?
 *
 * @param bytes - any bytes
 * @param gate - least entropy that passes, in bits per byte
 */
export function passesEntropyGate(bytes: Uint8Array, gate: number = ENTROPY_GATE): boolean {
  return shannonEntropy(bytes) >= gate;
}
