/** Pinholes beside a policy: the flags of `postern up` about them, and the daemon that they start. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { NftablesPinholes } from "../backend/index.ts";
import { DEFAULT_PINHOLE_SOCKET } from "../client/index.ts";
import {
  AgentDirectory,
  type Log,
  openUnixDoor,
  PinholeDaemon,
  policyChain,
  removePolicyPinholes,
} from "../daemon/index.ts";

/** Whether a firewall serves pinholes, and how. */
export interface PolicyPinholeFlags {
  pinholes?: boolean;
  pinholeSocket: string;
  pinholeAgents?: string;
  pinholeState: string;
  salvage?: boolean;
}

/** Adds the flags. */
export function addPolicyPinholeFlags(command: Command): Command {
  return command
    .option("--pinholes", "let programs open pinholes, for PinholeRule")
    .option("--pinhole-socket <path>", "with --pinholes: where they ask", DEFAULT_PINHOLE_SOCKET)
    .option("--pinhole-agents <file>", "with --pinholes: who may open what; root alone when absent")
    .option("--pinhole-state <folder>", "with --pinholes: where the journal is", "/var/lib/postern/pinholes")
    .option("--salvage", "with --pinholes: take up what is left of a damaged journal");
}

/** Pinholes beside a policy. */
export interface PolicyPinholes {
  /** Reads the agents anew; a file that is wrong changes nothing. */
  reload(): void;
  /** Stops serving, and takes the pinholes out of the kernel; the next start takes them up again. */
  stop(): Promise<void>;
}

const NOTHING: PolicyPinholes = { reload: () => undefined, stop: () => Promise.resolve() };

/**
 * Serves pinholes beside a policy, if the flags say so.
 *
 * @param table - name of the firewall's own table
 * @throws {FirewallError} when the system refuses
 */
export async function startPolicyPinholes(
  flags: PolicyPinholeFlags,
  table: string,
  log: Log,
): Promise<PolicyPinholes> {
  if (flags.pinholes !== true) return NOTHING;
  const { pinholeAgents } = flags;
  const agents = new AgentDirectory(pinholeAgents === undefined ? {} : { file: resolve(pinholeAgents) });
  const plan = policyChain(table);
  const daemon = await PinholeDaemon.start({
    openBackend: () => NftablesPinholes.open(plan),
    lockName: `${plan.table}/${plan.chain}`,
    stateFolder: resolve(flags.pinholeState),
    isSalvage: flags.salvage === true,
    agents,
    limits: agents.limits,
    doors: [openUnixDoor({ path: resolve(flags.pinholeSocket) })],
    log,
  });
  return {
    reload: () => agents.reloadOrKeep(log),
    stop: async () => {
      await daemon.stop();
      removePolicyPinholes(table);
    },
  };
}
