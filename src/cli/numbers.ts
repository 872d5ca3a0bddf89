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
