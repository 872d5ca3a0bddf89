/** An instant on both clocks. */
import type { Milliseconds } from "../base/index.ts";

/**
 * An instant. Deadlines count on the monotonic clock, which nobody can set; people and journals read the
 * other.
 */
export interface Moment {
  /** Monotonic: the machine's time since it was started, in milliseconds. */
  readonly now: Milliseconds;
  /** Wall clock: milliseconds since 1970 (Unix time). */
  readonly wall: Milliseconds;
}
