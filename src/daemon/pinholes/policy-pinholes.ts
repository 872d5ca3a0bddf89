/**
 * Pinholes for a policy: a table of our own just before the queueing chains, which marks what pinholes
 * permit, for PinholeRule, and decides nothing else but what is blocked.
 */
import { type ChainPlan, DEFAULT_PRIORITY, removeLeftovers } from "../../backend/index.ts";
import { HOOK_NAMES, PINHOLE_MARK } from "../../base/index.ts";

/** The table of the pinholes that belongs to a firewall's own table. */
export function pinholeTable(table: string): string {
  return `${table}-pinholes`;
}

/**
 * Where the pinholes of a policy are.
 *
 * @param table - name of the firewall's own table
 */
export function policyChain(table: string): ChainPlan {
  return {
    table: pinholeTable(table),
    chain: "pinholes",
    hooks: HOOK_NAMES,
    priority: DEFAULT_PRIORITY - 1,
    mark: PINHOLE_MARK,
    otherwise: "accept",
  };
}

/**
 * Takes the pinholes of a policy out of the kernel; the journal keeps them.
 *
 * @param table - name of the firewall's own table
 * @returns false when there was nothing
 * @throws {FirewallError} `NETLINK_REFUSED`
 */
export function removePolicyPinholes(table: string): boolean {
  return removeLeftovers(pinholeTable(table));
}
