/** Keys of SIMCO in files. */
import { readFileSync } from "node:fs";
import { FirewallError } from "../base/index.ts";

const KEY = /^(?:[0-9a-f]{2}){16,}$/i;

/**
 * Reads a key: at least 16 octets in hexadecimal digits.
 *
 * @param flag - that names the file
 * @throws {FirewallError} `SIMCO_KEY`
 */
export function readSimcoKey(flag: string, file: string): Uint8Array {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new FirewallError("SIMCO_KEY", `cannot read ${flag} ${file}: ${String(cause)}`, { cause });
  }
  if (KEY.test(text)) return Uint8Array.from(Buffer.from(text, "hex"));
  throw new FirewallError("SIMCO_KEY", `${flag} ${file} must hold 32 or more hexadecimal digits`);
}
