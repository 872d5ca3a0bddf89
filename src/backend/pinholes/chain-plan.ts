/** Where our chain is, and what it does. */
import { FirewallError, type HookName } from "../../base/index.ts";

/** Where our chain is, and what happens there. */
export interface ChainPlan {
  /** Name of the table, of family `inet`. */
  readonly table: string;
  /**
   * Name of our chain; with {@link ChainPlan.hooks} absent it is in a table of the administrator, who jumps
   * to it.
   */
  readonly chain: string;
  /** What happens to a packet that a pinhole permits: `accept`, or a chain of the same table. */
  readonly target?: string;
  /** Hooks of a table that is wholly ours; absent: the table is not ours. */
  readonly hooks?: readonly HookName[];
  /** Priority at these hooks; nftables' filter chains have 0. */
  readonly priority?: number;
  /** Bit of the packet mark that says that a pinhole permits the packet; absent: packets are not marked. */
  readonly mark?: number;
  /** What happens at these hooks to a packet that no pinhole permits. */
  readonly otherwise?: "accept" | "drop";
}

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,47}$/;

function checkName(what: string, name: string): void {
  if (NAME.test(name)) return;
  const message = `"${name}" is no name for a ${what}: use a letter, then letters, digits, "-", "_" or ".".`;
  throw new FirewallError("CHAIN_NAME_INVALID", message, { details: { [what]: name } });
}

/**
 * Refuses names that nftables' language would misread.
 *
 * @throws {FirewallError} `CHAIN_NAME_INVALID`
 */
export function checkPlan(plan: ChainPlan): void {
  checkName("table", plan.table);
  checkName("chain", plan.chain);
  if (plan.target !== undefined) checkName("target", plan.target);
}
