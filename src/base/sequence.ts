/**
 * Arithmetic on 32-bit TCP sequence numbers, which wrap (RFC 9293 section 3.4).
 *
 * "a comparison modulo 2^32": one number is before another when the signed 32-bit distance is negative.
 * Nothing outside this file subtracts sequence numbers.
 */
import type { SequenceNumber } from "./units.ts";

/**
 * Signed distance from `from` to `to`.
 *
 * @returns -2147483648 to 2147483647; positive when `to` is after `from`
 */
export function sequenceDistance(from: SequenceNumber, to: SequenceNumber): number {
  return (to - from) | 0;
}

/** Adds `count` (may be negative) to a sequence number, modulo 2^32. */
export function sequenceAdd(sequence: SequenceNumber, count: number): SequenceNumber {
  return (sequence + count) >>> 0;
}

/** True when `a` comes before `b`. */
export function sequenceBefore(a: SequenceNumber, b: SequenceNumber): boolean {
  return ((a - b) | 0) < 0;
}

/** True when `a` comes before `b` or is `b`. */
export function sequenceAtOrBefore(a: SequenceNumber, b: SequenceNumber): boolean {
  return ((a - b) | 0) <= 0;
}

/** The later of two sequence numbers. */
export function sequenceMax(a: SequenceNumber, b: SequenceNumber): SequenceNumber {
  return sequenceBefore(a, b) ? b : a;
}
