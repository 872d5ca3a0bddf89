/** Clocks of pcapng interfaces: 64-bit counts of units that the interface names. */
import type { CaptureRecord } from "./capture-record.ts";

/** Microseconds, where the option if_tsresol is not present (draft-ietf-opsawg-pcapng section 4.2). */
export const DEFAULT_UNITS_PER_SECOND = 1_000_000;

const NANOSECONDS = 1_000_000_000;
const HALF = 0x10000;
const WORD = 0x1_0000_0000;

/** Up to here a remainder times 65536 is exact in a double, and long division needs no big integers. */
const UNITS_EXACT_MAX = 2 ** 37;

/** For powers of two: up to here a fraction of a second times a billion is exact. */
const BINARY_UNITS_EXACT_MAX = 2 ** 23;

const BINARY = 0x80;
const EXPONENT_MASK = 0x7f;
/** 64 bits hold no finer fraction of a second that also leaves room for a second. */
const BINARY_EXPONENT_MAX = 63;
const DECIMAL_EXPONENT_MAX = 18;

/**
 * Units in a second, from the value of the option if_tsresol: "If the Most Significant Bit is equal to zero,
 * the remaining bits indicates the resolution of the timestamp as a negative power of 10", otherwise of 2.
 *
 * @returns units; `undefined` when a 64-bit count of them can't hold a second
 */
export function unitsPerSecond(resolution: number): number | undefined {
  const exponent = resolution & EXPONENT_MASK;
  if ((resolution & BINARY) !== 0) return exponent <= BINARY_EXPONENT_MAX ? 2 ** exponent : undefined;
  return exponent <= DECIMAL_EXPONENT_MAX ? 10 ** exponent : undefined;
}

/** Exact for every resolution; allocates. Clocks finer than 7 picoseconds are rare. */
function setFineTime(record: CaptureRecord, high: number, low: number, units: number): void {
  const count = (BigInt(high) << 32n) | BigInt(low);
  const perSecond = BigInt(units);
  record.seconds = Number(count / perSecond);
  record.nanoseconds = Number(((count % perSecond) * BigInt(NANOSECONDS)) / perSecond);
}

/**
 * Writes the time that a 64-bit count tells into a record.
 *
 * @param high - upper 32 bits
 * @param low - lower 32 bits
 * @param units - units in a second
 */
export function setTime(record: CaptureRecord, high: number, low: number, units: number): void {
  const binary = units % 10 !== 0;
  if (units > (binary ? BINARY_UNITS_EXACT_MAX : UNITS_EXACT_MAX)) {
    setFineTime(record, high, low, units);
    return;
  }
  // Long division by digits of 16 bits: every intermediate value is below 2^53.
  let rest = high % units;
  let seconds = Math.floor(high / units) * WORD;
  rest = rest * HALF + (low >>> 16);
  seconds += Math.floor(rest / units) * HALF;
  rest = (rest % units) * HALF + (low & (HALF - 1));
  record.seconds = seconds + Math.floor(rest / units);
  const fraction = rest % units;
  if (NANOSECONDS % units === 0) record.nanoseconds = fraction * (NANOSECONDS / units);
  else if (units % NANOSECONDS === 0) record.nanoseconds = Math.floor(fraction / (units / NANOSECONDS));
  else record.nanoseconds = Math.floor((fraction * NANOSECONDS) / units);
}
