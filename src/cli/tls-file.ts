/** Files with keys and certificates that the command line names. */
import { FirewallError } from "../base/index.ts";
import { readInput } from "./input-file.ts";

/** Certificates of a server on the command line. */
export interface TlsFlags {
  tlsCert?: string;
  tlsKey?: string;
  tlsCa?: string;
}

/**
 * Reads what a server shows and demands.
 *
 * @param wanted - the flag that needs it
 * @throws {FirewallError} `USAGE` when one of the three is not named, `FILE_UNREADABLE`
 */
export function readTlsMaterial(
  wanted: string,
  { tlsCert, tlsKey, tlsCa }: TlsFlags,
): { cert: Buffer; key: Buffer; ca: Buffer } {
  const read = (flag: string, file: string | undefined): Buffer => {
    if (file === undefined) throw new FirewallError("USAGE", `${wanted} needs ${flag}`);
    return readInput(flag, file);
  };
  return { cert: read("--tls-cert", tlsCert), key: read("--tls-key", tlsKey), ca: read("--tls-ca", tlsCa) };
}
