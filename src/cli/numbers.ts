/** Numbers on the command line. */
import { InvalidArgumentError } from "commander";

/** A count of at least one. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError("It takes a whole number of at least 1.");
  }
  return value;
}

/** A decimal number without an exponent. */
export function parseDecimal(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError("It takes a number such as 0.5.");
  return Number(text);
}
