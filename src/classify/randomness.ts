/**
 * Randomness tests of NIST SP 800-22 revision 1a, on bytes read most significant bit first.
 *
 * The standard words its tests for single bits. Here a byte is one step: tables give a byte's ones, its
 * transitions and the highest and lowest point of its walk, so that a 1,460-byte packet costs microseconds.
 * Every test takes the number of bits, so that sequences that do not fill their last byte (as the worked
 * examples of the standard) are judged as well. Nothing is allocated for sequences up to the pattern length
 * limit; scratch tables are shared, which is safe because no test is suspended halfway.
 */

import { erfc, normalCumulative, upperIncompleteGamma } from "./special-functions.ts";

const BYTE_BITS = 8;
const BYTE_VALUES = 256;
/** Longest pattern that {@link approximateEntropy} and {@link serial} count, in bits. */
export const PATTERN_BITS_MAX = 16;
// Beyond ten standard deviations the normal distribution is 0 or 1 to the last digit.
const NORMAL_REACH = 10;

const ONES = new Uint8Array(BYTE_VALUES);
const CHANGES_INSIDE = new Uint8Array(BYTE_VALUES);
const WALK_HIGH = new Int8Array(BYTE_VALUES);
const WALK_LOW = new Int8Array(BYTE_VALUES);
for (let value = 0; value < BYTE_VALUES; value++) fillTables(value);

function fillTables(value: number): void {
  let walk = 0;
  let high = -BYTE_BITS;
  let low = BYTE_BITS;
  for (let bit = 7; bit >= 0; bit--) {
    walk += (value >> bit) & 1 ? 1 : -1;
    high = Math.max(high, walk);
    low = Math.min(low, walk);
  }
  WALK_HIGH[value] = high;
  WALK_LOW[value] = low;
  ONES[value] = (walk + BYTE_BITS) / 2;
  const changes = (value ^ (value >> 1)) & 0x7f;
  for (let bit = 0; bit < 7; bit++)
    CHANGES_INSIDE[value] = (CHANGES_INSIDE[value] ?? 0) + ((changes >> bit) & 1);
}

const bitAt = (bytes: Uint8Array, bit: number): number => ((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1;

/**
 * Ones among the first bits.
 *
 * @param bytes - the sequence, most significant bit first
 * @param bits - how many bits count; at most 8 times the bytes
 */
export function countOnes(bytes: Uint8Array, bits: number = bytes.length * BYTE_BITS): number {
  const whole = bits >> 3;
  let ones = 0;
  for (let i = 0; i < whole; i++) ones += ONES[bytes[i] ?? 0] ?? 0;
  const rest = bits & 7;
  if (rest > 0) ones += ONES[(bytes[whole] ?? 0) & (0xff00 >> rest) & 0xff] ?? 0;
  return ones;
}

/**
 * Frequency (monobit) test.
 *
 * @param bytes - the sequence, most significant bit first
 * @param bits - how many bits count
 * @returns the p-value, from 0 to 1
 * @see NIST SP 800-22 §2.1
 */
export function monobit(bytes: Uint8Array, bits: number = bytes.length * BYTE_BITS): number {
  if (bits === 0) return 1;
  return erfc(Math.abs(2 * countOnes(bytes, bits) - bits) / Math.sqrt(2 * bits));
}

/**
 * Frequency test within a block. Bits after the last whole block are left out, as the standard says.
 *
 * @param bytes - the sequence, most significant bit first
 * @param blockBits - M, length of a block in bits
 * @param blocks - N, how many blocks are used; all whole ones by default
 * @param bits - how many bits count
 * @returns the p-value, from 0 to 1; 1 when there is no whole block
 * @see NIST SP 800-22 §2.2
 */
export function blockFrequency(
  bytes: Uint8Array,
  blockBits: number,
  blocks?: number,
  bits: number = bytes.length * BYTE_BITS,
): number {
  const count = Math.min(blocks ?? Number.POSITIVE_INFINITY, Math.floor(bits / blockBits));
  if (!(count > 0)) return 1;
  let squares = 0;
  let before = 0;
  let onesUpToByte = 0;
  let byte = 0;
  for (let block = 1; block <= count; block++) {
    const end = block * blockBits;
    for (; byte < end >> 3; byte++) onesUpToByte += ONES[bytes[byte] ?? 0] ?? 0;
    const rest = end & 7;
    const upTo = onesUpToByte + (ONES[(bytes[byte] ?? 0) & (0xff00 >> rest) & 0xff] ?? 0);
    const deviation = (upTo - before) / blockBits - 0.5;
    squares += deviation * deviation;
    before = upTo;
  }
  return upperIncompleteGamma(count / 2, 2 * blockBits * squares);
}

/**
 * Runs test: are zeros and ones exchanged as often as they should be?
 *
 * @param bytes - the sequence, most significant bit first
 * @param bits - how many bits count
 * @returns the p-value, from 0 to 1; 0 when the share of ones already fails the test's precondition
 * @see NIST SP 800-22 §2.3
 */
export function runs(bytes: Uint8Array, bits: number = bytes.length * BYTE_BITS): number {
  if (bits === 0) return 1;
  const share = countOnes(bytes, bits) / bits;
  if (share === 0 || share === 1 || Math.abs(share - 0.5) >= 2 / Math.sqrt(bits)) return 0;
  const expected = 2 * bits * share * (1 - share);
  const deviation = Math.abs(countRuns(bytes, bits) - expected);
  return erfc(deviation / (2 * Math.sqrt(2 * bits) * share * (1 - share)));
}

function countRuns(bytes: Uint8Array, bits: number): number {
  const whole = bits >> 3;
  let changes = 0;
  for (let i = 0; i < whole; i++) {
    const value = bytes[i] ?? 0;
    changes += CHANGES_INSIDE[value] ?? 0;
    if (i > 0) changes += ((bytes[i - 1] ?? 0) & 1) ^ (value >> 7);
  }
  for (let bit = Math.max(1, whole * BYTE_BITS); bit < bits; bit++) {
    changes += bitAt(bytes, bit) ^ bitAt(bytes, bit - 1);
  }
  return changes + 1;
}

/** p-values of the cumulative sums test in both directions, each from 0 to 1. */
export interface CumulativeSums {
  /** From the first bit on (mode 0 of the standard). */
  forward: number;
  /** From the last bit back (mode 1). */
  backward: number;
}

/**
 * Cumulative sums test in both directions, from one walk: the walk back from the end reaches the distance
 * between the final sum and the lowest or highest sum on the way.
 *
 * @param bytes - the sequence, most significant bit first
 * @param bits - how many bits count
 * @see NIST SP 800-22 §2.13
 */
export function cumulativeSums(bytes: Uint8Array, bits: number = bytes.length * BYTE_BITS): CumulativeSums {
  if (bits === 0) return { forward: 1, backward: 1 };
  walk(bytes, bits);
  const { end, high, low } = reached;
  const forward = excursionProbability(Math.max(high, -low), bits);
  return { forward, backward: excursionProbability(Math.max(high - end, end - low), bits) };
}

// Where the last walk ended, and its highest and lowest point.
const reached = { end: 0, high: 0, low: 0 };

function walk(bytes: Uint8Array, bits: number): void {
  const whole = bits >> 3;
  let sum = 0;
  let high = 0;
  let low = 0;
  for (let i = 0; i < whole; i++) {
    const value = bytes[i] ?? 0;
    const top = sum + (WALK_HIGH[value] ?? 0);
    const bottom = sum + (WALK_LOW[value] ?? 0);
    if (top > high) high = top;
    if (bottom < low) low = bottom;
    sum += 2 * (ONES[value] ?? 0) - BYTE_BITS;
  }
  for (let bit = whole * BYTE_BITS; bit < bits; bit++) {
    sum += 2 * bitAt(bytes, bit) - 1;
    if (sum > high) high = sum;
    if (sum < low) low = sum;
  }
  reached.end = sum;
  reached.high = high;
  reached.low = low;
}

// The two sums of §2.13.4 (4); their indexes are cut off where every term is 0.
function excursionProbability(z: number, bits: number): number {
  if (z === 0) return 0;
  const unit = z / Math.sqrt(bits);
  const reach = Math.ceil((NORMAL_REACH / unit + 3) / 4);
  const last = Math.min(reach, Math.trunc((bits / z - 1) / 4));
  let first = Math.max(-reach, Math.trunc((-bits / z + 1) / 4));
  let probability = 1;
  for (let k = first; k <= last; k++) {
    probability -= normalCumulative((4 * k + 1) * unit) - normalCumulative((4 * k - 1) * unit);
  }
  first = Math.max(-reach, Math.trunc((-bits / z - 3) / 4));
  for (let k = first; k <= last; k++) {
    probability += normalCumulative((4 * k + 3) * unit) - normalCumulative((4 * k + 1) * unit);
  }
  return Math.min(1, Math.max(0, probability));
}

const patternCounts = new Uint32Array(1 << PATTERN_BITS_MAX);

// Counts every overlapping pattern of `length` bits; the sequence is closed to a ring (§2.11.4 (1), §2.12.4
// (1)).
function countPatterns(bytes: Uint8Array, bits: number, length: number): void {
  const mask = (1 << length) - 1;
  patternCounts.fill(0, 0, mask + 1);
  let window = 0;
  for (let bit = 0; bit < length - 1; bit++) window = (window << 1) | bitAt(bytes, bit % bits);
  let bit = length - 1;
  for (; bit < bits && (bit & 7) !== 0; bit++) {
    window = ((window << 1) | bitAt(bytes, bit)) & mask;
    patternCounts[window] = (patternCounts[window] ?? 0) + 1;
  }
  for (; bit + BYTE_BITS <= bits; bit += BYTE_BITS) {
    window = (window << BYTE_BITS) | (bytes[bit >> 3] ?? 0);
    for (let shift = 7; shift >= 0; shift--) {
      const pattern = (window >> shift) & mask;
      patternCounts[pattern] = (patternCounts[pattern] ?? 0) + 1;
    }
    window &= mask;
  }
  for (; bit < bits + length - 1; bit++) {
    window = ((window << 1) | bitAt(bytes, bit % bits)) & mask;
    patternCounts[window] = (patternCounts[window] ?? 0) + 1;
  }
}

// Patterns one bit shorter: on a ring each is the prefix of two longer ones.
function shortenPatterns(length: number): void {
  for (let pattern = 0; pattern < 1 << (length - 1); pattern++) {
    patternCounts[pattern] = (patternCounts[2 * pattern] ?? 0) + (patternCounts[2 * pattern + 1] ?? 0);
  }
}

// φ of §2.12.4 (4): the sum of π ln π.
function sumOfLogs(length: number, bits: number): number {
  let sum = 0;
  for (let pattern = 0; pattern < 1 << length; pattern++) {
    const share = (patternCounts[pattern] ?? 0) / bits;
    if (share > 0) sum += share * Math.log(share);
  }
  return sum;
}

function checkPatternLength(length: number): void {
  if (length >= 1 && length <= PATTERN_BITS_MAX) return;
  throw new RangeError(`pattern of ${length} bits: 1 to ${PATTERN_BITS_MAX} bits can be counted`);
}

/**
 * Approximate entropy test.
 *
 * @param bytes - the sequence, most significant bit first
 * @param patternBits - m, from 1 to {@link PATTERN_BITS_MAX} − 1
 * @param bits - how many bits count
 * @returns the p-value, from 0 to 1
 * @throws {RangeError} when the pattern length is out of range
 * @see NIST SP 800-22 §2.12
 */
export function approximateEntropy(
  bytes: Uint8Array,
  patternBits: number,
  bits: number = bytes.length * BYTE_BITS,
): number {
  checkPatternLength(patternBits + 1);
  if (bits === 0) return 1;
  countPatterns(bytes, bits, patternBits + 1);
  const longer = sumOfLogs(patternBits + 1, bits);
  shortenPatterns(patternBits + 1);
  const entropy = sumOfLogs(patternBits, bits) - longer;
  const chiSquare = 2 * bits * (Math.LN2 - entropy);
  return upperIncompleteGamma(2 ** (patternBits - 1), chiSquare / 2);
}

/** p-values of the serial test, each from 0 to 1. */
export interface SerialProbabilities {
  /** From ∇ψ², the first difference. */
  first: number;
  /** From ∇²ψ², the second difference. */
  second: number;
}

/**
 * Serial test: is every pattern of m bits as frequent as every other?
 *
 * @param bytes - the sequence, most significant bit first
 * @param patternBits - m, from 3 to {@link PATTERN_BITS_MAX}; 2 is accepted with ψ² of nothing counted as 0
 * @param bits - how many bits count
 * @throws {RangeError} when the pattern length is out of range
 * @see NIST SP 800-22 §2.11
 */
export function serial(
  bytes: Uint8Array,
  patternBits: number,
  bits: number = bytes.length * BYTE_BITS,
): SerialProbabilities {
  checkPatternLength(patternBits);
  if (bits === 0) return { first: 1, second: 1 };
  countPatterns(bytes, bits, patternBits);
  const psi = psiSquare(patternBits, bits);
  shortenPatterns(patternBits);
  const psiOneLess = psiSquare(patternBits - 1, bits);
  shortenPatterns(patternBits - 1);
  const psiTwoLess = psiSquare(patternBits - 2, bits);
  const first = upperIncompleteGamma(2 ** (patternBits - 2), (psi - psiOneLess) / 2);
  const second = upperIncompleteGamma(2 ** (patternBits - 3), (psi - 2 * psiOneLess + psiTwoLess) / 2);
  return { first, second };
}

// ψ² of §2.11.4 (3).
function psiSquare(length: number, bits: number): number {
  if (length <= 0) return 0;
  let squares = 0;
  for (let pattern = 0; pattern < 1 << length; pattern++) squares += (patternCounts[pattern] ?? 0) ** 2;
  return (2 ** length / bits) * squares - bits;
}
