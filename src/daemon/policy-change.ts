/**
 * How a running firewall comes to judge by another policy.
 *
 * Until the workers judge by it, whatever fails leaves the old policy in force and no trace of the new one.
 * From then on there is no way back, since packets have been judged by it: what the kernel does not take is
 * done without. It then judges nothing by itself, and everything goes to userspace, which is slower and not
 * less right.
 */
import type { KernelRules } from "../backend/index.ts";
import type { Log } from "./log.ts";
import type { SealService } from "./seal-service.ts";
import type { PreparedTables } from "./table-registry.ts";
import type { PoolPolicy, WorkerPool } from "./worker-pool.ts";

/** What a change works with. */
export interface PolicyChangeParts {
  readonly pool: Pick<WorkerPool, "replacePolicy">;
  readonly rules: Pick<KernelRules, "commitPlan" | "rollbackPlan" | "tellStates" | "isTellingStates">;
  /** Absent where the kernel's table takes no seals. */
  readonly seals: Pick<SealService, "renew"> | undefined;
  readonly log: Pick<Log, "warning" | "critical">;
}

/** A policy that shall come into force. */
export interface PolicyChange {
  readonly next: PoolPolicy;
  readonly tables: Pick<PreparedTables, "rollback">;
  /** Whether packets that go up shall tell their state. */
  readonly isTelling: boolean;
  /** Builds what the kernel can judge of the policy by itself. */
  preparePlan(): void;
  /** Called as soon as the workers judge by it. */
  begun(): void;
  /** Puts its address tables in force, here and then in the kernel. */
  commitTables(): void;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Puts the prepared plan in force, or none. */
function commitPlan({ rules, log }: PolicyChangeParts): void {
  try {
    rules.commitPlan();
    return;
  } catch (error) {
    log.warning(`the kernel judges no packet by itself any more: ${messageOf(error)}`);
  }
  try {
    rules.rollbackPlan();
  } catch (error) {
    log.warning(`chains of a plan stay in the kernel, out of use: ${messageOf(error)}`);
  }
  try {
    rules.commitPlan();
  } catch (error) {
    const words = "the kernel still judges by the plan of the policy before; reload, or start anew";
    log.critical(`${words}: ${messageOf(error)}`);
  }
}

/** What follows the workers' swap: each step takes place, whatever becomes of the others. */
function settle(parts: PolicyChangeParts, change: PolicyChange): void {
  const { rules, log } = parts;
  commitPlan(parts);
  try {
    rules.tellStates(change.isTelling);
  } catch (error) {
    log.warning(`packets still tell their state in the kernel's tracking: ${messageOf(error)}`);
  }
  try {
    change.commitTables();
  } catch (error) {
    log.critical(`address tables of the policy are not in force; reload: ${messageOf(error)}`);
  }
}

/** Nothing of a policy that is refused stays. Table commands wait for this, so they are let go first. */
function rollBack({ rules, log }: PolicyChangeParts, { tables }: PolicyChange, wasTelling: boolean): void {
  tables.rollback();
  const steps = [() => rules.rollbackPlan(), () => rules.tellStates(wasTelling)];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      log.warning(
        `something of a policy that was refused stays in the kernel, out of use: ${messageOf(error)}`,
      );
    }
  }
}

/**
 * Puts a policy in force, while no seal is.
 *
 * @throws {unknown} what went wrong before the workers judged by it; the policy before is in force then
 */
export async function changePolicy(parts: PolicyChangeParts, change: PolicyChange): Promise<void> {
  const { pool, rules, seals } = parts;
  const wasTelling = rules.isTellingStates;
  let hasBegun = false;
  const replace = async (): Promise<void> => {
    if (change.isTelling) rules.tellStates(true);
    await pool.replacePolicy(change.next);
    hasBegun = true;
    change.begun();
    settle(parts, change);
  };
  try {
    change.preparePlan();
    await (seals === undefined ? replace() : seals.renew(replace));
  } catch (error) {
    if (!hasBegun) rollBack(parts, change, wasTelling);
    throw error;
  }
}
