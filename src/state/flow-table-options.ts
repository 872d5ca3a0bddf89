/** What a table of flows is made with, and whom it tells of them. */
import type { TimeoutValues } from "../base/index.ts";
import type { Counters } from "./counter.ts";

/** Hears of flows that leave, while their rows can still be read. */
export type RemovalListener = (slot: number, cause: number) => void;

/** What a table is made with. */
export interface FlowTableOptions {
  /** Most flows, 1 to 16,777,216. */
  readonly capacity: number;
  readonly timeouts: TimeoutValues;
  /** Secret of the hash. */
  readonly seed: readonly [number, number];
  readonly counters: Counters;
  readonly removed: RemovalListener | undefined;
  /** Hears of flows that seem idle and that the kernel judges by itself. */
  readonly idle: ((slot: number) => void) | undefined;
  /** Hears of flows that the kernel judges by itself and that leave or are ended. */
  readonly sealLost: ((slot: number) => void) | undefined;
  /** Whether the kernel has seen the end of a connection that it carries. */
  readonly isOver: ((slot: number) => boolean) | undefined;
}
