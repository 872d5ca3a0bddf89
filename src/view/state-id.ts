/**
 * Ids of states: 64 bits as 16 hexadecimal digits. The first two name the table: `ff` the kernel's, any other
 * number the tracker of that queue worker. The rest is the number the table knows it by.
 */

/** First byte of the kernel's ids. */
const KERNEL = 0xff;

/** Digits of the number: our trackers' ids are safe integers, 53 bits. */
const DIGITS = 14;

/** Which state an id names. */
export interface StateIdParts {
  /** Index of the worker, 0 to 254; `undefined` for the kernel's table. */
  readonly worker: number | undefined;
  /** The table's own number. */
  readonly number: number;
}

/** Id of a flow of a worker's tracker. @param worker - 0 to 254 @param number - the tracker's id */
export function trackerStateId(worker: number, number: number): string {
  return hex(worker, 2) + hex(number, DIGITS);
}

/** Id of an entry of the kernel's tracker. @param number - 32 bits */
export function kernelStateId(number: number): string {
  return hex(KERNEL, 2) + hex(number, DIGITS);
}

/**
 * Takes an id apart. Leading zeros may be missing, and `0x` may stand in front.
 *
 * @returns `undefined` when the text is no id
 */
export function parseStateId(text: string): StateIdParts | undefined {
  const digits = /^(?:0x)?([0-9a-f]{1,16})$/i.exec(text)?.[1]?.padStart(16, "0");
  if (digits === undefined) return undefined;
  const worker = Number.parseInt(digits.slice(0, 2), 16);
  const number = Number.parseInt(digits.slice(2), 16);
  return Number.isSafeInteger(number)
    ? { worker: worker === KERNEL ? undefined : worker, number }
    : undefined;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
