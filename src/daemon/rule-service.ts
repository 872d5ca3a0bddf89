/** What each rule has judged, in the kernel and in userspace, since its policy came into force. */
import {
  type KernelPlan,
  type KernelRules,
  type LineCount,
  type PlanOptions,
  planPolicy,
  type RulePlace,
} from "../backend/index.ts";
import type { RuleReport, RulesReport, TrafficCount } from "../client/index.ts";
import type { Policy, RuleMemory } from "../policy/index.ts";
import { nameRule } from "./rule-name.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** What the service asks. */
export interface RuleServiceParts {
  readonly pool: WorkerPool;
  readonly rules: KernelRules;
  readonly planOptions: PlanOptions;
  /** The policy in force. */
  readonly inForce: () => { readonly policy: Policy; readonly memory: RuleMemory };
}

function sum(counts: readonly LineCount[]): TrafficCount {
  return {
    packets: counts.reduce((packets, count) => packets + count.packets, 0),
    bytes: counts.reduce((bytes, count) => bytes + count.bytes, 0),
  };
}

function keyOf({ chain, rule }: { readonly chain: number; readonly rule: number }): string {
  return `${chain} ${rule}`;
}

/** Counts of each rule; a rule may stand in several lines. */
function byKey(counts: readonly LineCount[]): ReadonlyMap<string, readonly LineCount[]> {
  const found = new Map<string, LineCount[]>();
  for (const count of counts) {
    const key = keyOf(count);
    const known = found.get(key);
    if (known === undefined) found.set(key, [count]);
    else known.push(count);
  }
  return found;
}

/** Adds up what workers have counted for a rule. */
function matches(ofWorkers: readonly (readonly (readonly number[])[])[], { chain, rule }: RulePlace): number {
  return ofWorkers.reduce((packets, worker) => packets + (worker[chain]?.[rule] ?? 0), 0);
}

/** See above. */
export class RuleService {
  readonly #parts: RuleServiceParts;
  #plan: KernelPlan | undefined;

  constructor(parts: RuleServiceParts) {
    this.#parts = parts;
  }

  /** The rules of the policy in force, each with its counts. */
  async report(): Promise<RulesReport> {
    const { pool, rules } = this.#parts;
    const { policy, places } = this.plan;
    const ofWorkers = await pool.callAll("ruleCounts", null);
    const counts = rules.readCounts();
    const byRule = byKey(counts);
    const ended = (action: LineCount["action"]): TrafficCount =>
      sum(counts.filter((count) => count.action === action));
    return {
      kernelJudges: rules.hasPlan,
      kernel: { accepted: ended("accept"), dropped: ended("drop"), rejected: ended("reject") },
      rules: places.map(
        (place): RuleReport => ({
          ...nameRule(policy, place),
          place: rules.hasPlan ? place.place : "userspace",
          reasons: place.reasons,
          kernel: sum(byRule.get(keyOf(place)) ?? []),
          userspacePackets: matches(ofWorkers, place),
        }),
      ),
    };
  }

  /** Takes a plan that was made for the kernel, so that it need not be made again. */
  take(plan: KernelPlan): void {
    this.#plan = plan;
  }

  /** The plan of the policy in force; where the kernel has none it is made when it is asked for. */
  get plan(): KernelPlan {
    const { policy, memory } = this.#parts.inForce();
    if (this.#plan?.policy !== policy) this.#plan = planPolicy(policy, memory, this.#parts.planOptions);
    return this.#plan;
  }
}
