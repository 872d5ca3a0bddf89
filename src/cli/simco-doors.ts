/** The SIMCO doors of `postern pinhold`. */
import type { Command } from "commander";
import { FirewallError } from "../base/index.ts";
import {
  openSimcoDoor,
  openSimcoSocket,
  SIMCO_PORT,
  type SimcoBoxOptions,
} from "../daemon/pinholes/simco/simco-door.ts";
import { type HostPort, parseHostPort } from "./host-port.ts";
import { readSimcoKey } from "./simco-key.ts";
import { readTlsMaterial, type TlsFlags } from "./tls-file.ts";

/** What the command line says of SIMCO. */
export interface SimcoFlags extends TlsFlags {
  simcoListen?: HostPort;
  simcoSocket?: string;
  simcoLocalAgent?: string;
  simcoIdentity?: string;
  simcoKey?: string;
}

function boxOptions({ simcoLocalAgent, simcoIdentity, simcoKey }: SimcoFlags): SimcoBoxOptions {
  return {
    ...(simcoLocalAgent === undefined ? {} : { localAgent: simcoLocalAgent }),
    ...(simcoIdentity === undefined ? {} : { identity: simcoIdentity }),
    ...(simcoKey === undefined ? {} : { key: readSimcoKey("--simco-key", simcoKey) }),
  };
}

/**
 * The doors that were asked for.
 *
 * @param userId - of the user that owns the Unix socket; ours when undefined
 * @throws {FirewallError} `USAGE`, `FILE_UNREADABLE`, `SIMCO_KEY`
 */
export function simcoDoors(
  flags: SimcoFlags,
  userId: number | undefined,
): ReturnType<typeof openSimcoDoor>[] {
  const { simcoListen, simcoSocket, tlsCert } = flags;
  const options = boxOptions(flags);
  const owner = userId === undefined ? {} : { userId };
  if (simcoListen === undefined && simcoSocket === undefined && Object.keys(options).length > 0) {
    throw new FirewallError("USAGE", "SIMCO is spoken with --simco-listen or --simco-socket only");
  }
  const tls = tlsCert === undefined ? {} : { material: readTlsMaterial("--tls-cert", flags) };
  return [
    ...(simcoListen === undefined ? [] : [openSimcoDoor({ ...simcoListen, ...options, ...tls })]),
    ...(simcoSocket === undefined ? [] : [openSimcoSocket({ path: simcoSocket, ...owner }, options)]),
  ];
}

/** Adds the flags. */
export function addSimcoFlags(command: Command): Command {
  return command
    .option(
      "--simco-listen <address:port>",
      `speak SIMCO (RFC 4540) too, whose port is ${SIMCO_PORT}: with TLS where --tls-cert is given, and in\nclear text with this machine only`,
      parseHostPort,
    )
    .option("--simco-socket <path>", "speak SIMCO on a Unix socket too")
    .option("--simco-local-agent <agent>", "who clear text from this machine is; absent: it must prove it")
    .option("--simco-identity <name>", "what we call ourselves when we prove who we are")
    .option("--simco-key <file>", "our key for that, in hexadecimal digits");
}
