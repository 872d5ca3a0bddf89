/**
 * One clock for all threads of the firewall: shared memory of rules and tables has deadlines that every
 * thread reads.
 *
 * It counts from the start of the main thread, so that its whole milliseconds stay small integers for weeks.
 */
import { workerData } from "node:worker_threads";
import type { Milliseconds } from "../base/index.ts";

/** What must be added to this thread's clock to have the machine's monotonic time. */
const CLOCK_OFFSET: Milliseconds = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The machine's monotonic time at which the clock stands at zero; a worker is told it by the main thread. */
export const CLOCK_START: Milliseconds =
  (workerData as { clockStart?: Milliseconds } | null)?.clockStart ?? CLOCK_OFFSET + performance.now();

/** Monotonic time since the main thread began. */
export function monotonicNow(): Milliseconds {
  return CLOCK_OFFSET + performance.now() - CLOCK_START;
}
