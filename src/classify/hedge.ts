/**
 * HEDGE: is a piece of a stream encrypted, or merely compressed? (Casino, Choo, Patsakis, "HEDGE: Efficient
 * traffic classification of encrypted and compressed packets", IEEE TIFS 14(11), 2019.)
 *
 * A piece is "encrypted" only when it passes every test: the absolute χ² of its byte histogram lies within
 * γ standard deviations of the mean, the χ² percentage lies between 1 and 99 %, and the SP 800-22 tests for
 * frequency within a block, cumulative sums (both directions) and approximate entropy give p >= 0.01.
 * The mean and deviation that the authors measured on ciphertext are those of the χ² distribution with 255
 * degrees of freedom, at every size: 255 and √510.
 */

import { BYTE_VALUES, chiSquare, chiSquarePercentage, countBytes } from "./histogram.ts";
import { approximateEntropy, blockFrequency, cumulativeSums } from "./randomness.ts";

const DEGREES = BYTE_VALUES - 1;

/** Mean of χ² over ciphertext: the degrees of freedom. */
export const CHI_SQUARE_MEAN: number = DEGREES;
/** Standard deviation of χ² over ciphertext: √(2 · 255) = 22.58. */
export const CHI_SQUARE_DEVIATION: number = Math.sqrt(2 * DEGREES);
/**
 * γ, in standard deviations. The paper sweeps 0.1 to 3. At γ = 1 a third of all ciphertext fails, at 2 one in
 * 22. At 2.5 the interval (198.5 to 311.5) just encloses what the percentage test lets pass (205.4 to 310.5),
 * so this test costs no ciphertext beyond the one that follows it: the least γ for which that is so, to a
 * half.
 */
export const HEDGE_GAMMA = 2.5;
/** Significance level of the SP 800-22 tests and both ends of the χ² percentage. */
export const HEDGE_SIGNIFICANCE = 0.01;
/** Least length that the tests are defined for: 100 bits (SP 800-22 §2.2.7), rounded up to bytes. */
export const HEDGE_BYTES_MIN = 13;

const BLOCK_BITS_MIN = 20;
const BLOCKS_MAX = 99;
const PATTERN_BITS_LOW = 2;
const PATTERN_BITS_HIGH = 3;

/** Which test of HEDGE a piece fails first; `too-short` when the tests are not defined for it. */
export type HedgeFailure =
  | "too-short"
  | "chi-square-absolute"
  | "chi-square-percentage"
  | "block-frequency"
  | "cumulative-sums-forward"
  | "cumulative-sums-backward"
  | "approximate-entropy";

/** HEDGE's answer. */
export type HedgeVerdict = "encrypted" | "compressed";

/** Settings of HEDGE. */
export interface HedgeOptions {
  /** Half width of the χ² interval, in standard deviations, above 0; {@link HEDGE_GAMMA} by default. */
  gamma?: number;
}

const counts = new Uint32Array(BYTE_VALUES);

/**
 * The first test that the bytes fail, cheapest tests first (the order cannot change the verdict).
 *
 * @param bytes - a piece of a stream
 * @param options - γ
 * @returns the failure, or `undefined` when every test is passed
 */
export function hedgeFailure(bytes: Uint8Array, options: HedgeOptions = {}): HedgeFailure | undefined {
  if (bytes.length < HEDGE_BYTES_MIN) return "too-short";
  counts.fill(0);
  countBytes(counts, bytes);
  const value = chiSquare(counts, bytes.length);
  const reach = (options.gamma ?? HEDGE_GAMMA) * CHI_SQUARE_DEVIATION;
  if (Math.abs(value - CHI_SQUARE_MEAN) > reach) return "chi-square-absolute";
  const percentage = chiSquarePercentage(value);
  if (percentage < HEDGE_SIGNIFICANCE || percentage > 1 - HEDGE_SIGNIFICANCE) return "chi-square-percentage";
  return bitFailure(bytes);
}

// Parameters as the authors' code has them.
function bitFailure(bytes: Uint8Array): HedgeFailure | undefined {
  const bits = bytes.length * 8;
  const blocks = Math.floor(bits / BLOCK_BITS_MIN);
  const many = blocks > BLOCKS_MAX;
  const blockBits = many ? Math.floor(bits / BLOCKS_MAX) : BLOCK_BITS_MIN;
  if (blockFrequency(bytes, blockBits, many ? BLOCKS_MAX : blocks) < HEDGE_SIGNIFICANCE)
    return "block-frequency";
  const sums = cumulativeSums(bytes);
  if (sums.forward < HEDGE_SIGNIFICANCE) return "cumulative-sums-forward";
  if (sums.backward < HEDGE_SIGNIFICANCE) return "cumulative-sums-backward";
  const wanted = Math.floor(Math.log2(bits)) - 6;
  const patternBits = Math.min(PATTERN_BITS_HIGH, Math.max(PATTERN_BITS_LOW, wanted));
  return approximateEntropy(bytes, patternBits) < HEDGE_SIGNIFICANCE ? "approximate-entropy" : undefined;
}

/**
 * HEDGE's verdict on one piece. Pieces below {@link HEDGE_BYTES_MIN} bytes are "compressed": nothing speaks
 * for encryption.
 *
 * @param bytes - a piece of a stream
 * @param options - γ
 * @example
 * ```ts
 * hedge(payload, { gamma: 3 }); // "encrypted" | "compressed"
 * ```
 */
export function hedge(bytes: Uint8Array, options: HedgeOptions = {}): HedgeVerdict {
  return hedgeFailure(bytes, options) === undefined ? "encrypted" : "compressed";
}
