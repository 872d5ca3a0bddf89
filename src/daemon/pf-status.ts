/** The running firewall in figures, under pf's names. */
import type { CounterValues } from "../engine/index.ts";
import type { KernelQueueStatistics } from "../system/index.ts";
import { type KernelStatus, type StateStatus, stateStatus, sumInterfaces } from "../view/index.ts";
import { policyChecksum } from "./policy-file.ts";
import type { TrackerStatus } from "./worker-protocol.ts";

/** What the figures come from. */
export interface PfStatusFacts {
  readonly runningForMs: number;
  readonly hostId: number;
  /** Level of the log. */
  readonly debug: string;
  /** Text of the policy in force. */
  readonly policy: string;
  readonly trackers: readonly TrackerStatus[];
  /** Counters of all workers, summed. */
  readonly counters: CounterValues;
  /** The kernel's own figures of our queues. */
  readonly queues: readonly Pick<KernelQueueStatistics, "queueDropped" | "userDropped">[];
  readonly kernel: KernelStatus | null;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Puts the figures together. */
export function pfStatus(facts: PfStatusFacts): StateStatus {
  const { runningForMs, hostId, debug, policy, trackers, counters, queues, kernel } = facts;
  return stateStatus({
    running: true,
    runningForMs,
    hostId,
    debug,
    checksum: policyChecksum(policy),
    states: sum(trackers.map(({ flows }) => flows)),
    halfOpenStates: sum(trackers.map(({ halfOpen }) => halfOpen)),
    interfaces: sumInterfaces(trackers.flatMap(({ interfaces }) => interfaces)),
    kernel,
    trackers: trackers.map((tracker) => tracker.counters),
    judgedPackets: counters.packets,
    malformedPackets: counters.malformed,
    congestedPackets: sum(queues.map(({ queueDropped, userDropped }) => queueDropped + userDropped)),
  });
}
