/** The clock that all threads share. */
import type { Milliseconds } from "../base/index.ts";

/** What must be added to this thread's clock to have the machine's monotonic time. */
const CLOCK_OFFSET: Milliseconds = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Monotonic time of the whole machine: what rules and tables remember needs one clock for all threads. */
export function monotonicNow(): Milliseconds {
  return CLOCK_OFFSET + performance.now();
}
