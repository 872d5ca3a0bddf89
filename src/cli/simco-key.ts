/** Keys of SIMCO in files. */
import { FirewallError } from "../base/index.ts";
import { readInput } from "./input-file.ts";

const KEY = /^(?:[0-9a-f]{2}){16,}$/i;

/**
 * Reads a key: at least 16 octets in hexadecimal digits.
 *
 * @param flag - that names the file
 * @throws {FirewallError} `FILE_UNREADABLE`, `SIMCO_KEY`
 */
export function readSimcoKey(flag: string, file: string): Uint8Array {
  const text = readInput(flag, file).toString("utf8").trim();
  if (KEY.test(text)) return Uint8Array.from(Buffer.from(text, "hex"));
  throw new FirewallError("SIMCO_KEY", `${flag} ${file} must hold 32 or more hexadecimal digits`);
}
