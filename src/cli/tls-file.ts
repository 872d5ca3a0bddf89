/** Files with keys and certificates that the command line names. */
import { readFileSync } from "node:fs";
import { FirewallError } from "../base/index.ts";

/** Certificates of a server on the command line. */
export interface TlsFlags {
  tlsCert?: string;
  tlsKey?: string;
  tlsCa?: string;
}

/**
 * Reads a file with a key or a certificate.
 *
 * @param flag - that names the file
 * @throws {FirewallError} `TLS_FILE`
 */
export function readTlsFile(flag: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new FirewallError("TLS_FILE", `cannot read ${flag} ${file}: ${String(cause)}`, { cause });
  }
}

/**
 * Reads what a server shows and demands.
 *
 * @param wanted - the flag that needs it
 * @throws {FirewallError} `USAGE` when one of the three is not named, `TLS_FILE`
 */
export function readTlsMaterial(
  wanted: string,
  { tlsCert, tlsKey, tlsCa }: TlsFlags,
): { cert: Buffer; key: Buffer; ca: Buffer } {
  const read = (flag: string, file: string | undefined): Buffer => {
    if (file === undefined) throw new FirewallError("USAGE", `${wanted} needs ${flag}`);
    return readTlsFile(flag, file);
  };
  return { cert: read("--tls-cert", tlsCert), key: read("--tls-key", tlsKey), ca: read("--tls-ca", tlsCa) };
}
