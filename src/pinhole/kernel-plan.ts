/**
 * What a packet filter is told: differences, not states, so that the effort follows the number of changes.
 */
import type { Milliseconds } from "../base/index.ts";
import type { Element, StandingElement } from "./element.ts";

/** What one pinhole may carry. Absent: no limit. */
export interface PinholeLimits {
  /** Packets per second. */
  readonly pps?: number;
  /** Bits per second. */
  readonly bps?: number;
  /** Packets that may come at once beyond `pps`. */
  readonly burst?: number;
  /** Connections per second that may be set up. */
  readonly newPerSec?: number;
  /** Bytes altogether. */
  readonly quotaBytes?: number;
}

/** A limit that a packet can go beyond. */
export type EnforcedLimit = Exclude<keyof PinholeLimits, "burst">;

/** The limits of one pinhole. */
export interface StandingLimits {
  /** The pinhole's number. */
  readonly number: number;
  readonly limits: PinholeLimits;
}

/** A change from one generation to the next: all of it or nothing. */
export interface KernelPlan {
  /** Number of the rule set that this makes. */
  readonly generation: number;
  /** When the plan was made, on the clock of the deadlines. */
  readonly now: Milliseconds;
  /** Elements that shall be in force; one that is there already takes the given deadline and limiter. */
  readonly put: readonly StandingElement[];
  /** Elements that shall be gone. It does not matter when the filter has dropped them by itself already. */
  readonly remove: readonly Element[];
  readonly putLimits: readonly StandingLimits[];
  /** Numbers of pinholes whose limits are gone. */
  readonly removeLimits: readonly number[];
}
