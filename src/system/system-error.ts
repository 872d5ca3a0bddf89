/** Failures of the operating system, told with the call, the error's name and the system's own words. */
import { type ErrorDetails, FirewallError } from "../base/index.ts";
import { ERRNO, errnoName, errnoText, lastErrno } from "./libc.ts";

/** What to do about the errors whose cause is nearly always the same. */
const ADVICE: ReadonlyMap<number, string> = new Map([
  [ERRNO.EPERM, "Run as root, or with CAP_NET_ADMIN."],
  [ERRNO.EBUSY, "Another program uses it."],
]);

/**
 * Makes the failure for an error number.
 *
 * @param code - stable identifier in upper case
 * @param action - what was attempted, as the beginning of a sentence
 * @param errno - positive error number
 * @param details - further facts for programs
 */
export function systemError(
  code: string,
  action: string,
  errno: number,
  details: ErrorDetails = {},
): FirewallError {
  const message = [`${action}: ${errnoText(errno)} (${errnoName(errno)}).`, ADVICE.get(errno) ?? ""].join(
    " ",
  );
  return new FirewallError(code, message.trimEnd(), { details: { ...details, errno: errnoName(errno) } });
}

/**
 * Checks what a C function returned.
 *
 * @param result - the function's result; -1 means failure
 * @returns the result
 * @throws {FirewallError} with `code` when it is -1
 */
export function expectSuccess(result: number, code: string, action: string): number {
  if (result === -1) throw systemError(code, action, lastErrno());
  return result;
}
