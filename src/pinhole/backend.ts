/**
 * What every packet filter behind the pinholes can do. The model knows no other way to a kernel, and the same
 * suite of tests holds each of them to these words.
 */
import type { Milliseconds } from "../base/index.ts";
import type { Box, Element, StandingElement } from "./element.ts";
import type { PacketFacts } from "./judgement.ts";
import type { EnforcedLimit, KernelPlan, PinholeLimits, StandingLimits } from "./kernel-plan.ts";

/** What a backend can do, as `GET /v1/backends` tells it. */
export interface BackendAbilities {
  /** True: packets meet either the old or the new rule set, never something between. */
  readonly isAtomic: boolean;
  /** True: what reaches its deadline is gone even when nobody watches. */
  readonly expires: boolean;
  /** True: it counts packets for each element. */
  readonly counts: boolean;
  /** Limits that it enforces. */
  readonly limits: readonly (keyof PinholeLimits)[];
  /** True: it translates addresses. */
  readonly translates: boolean;
  /** Up to this many ports, a range costs it less as single ports. */
  readonly expansionMax: number;
}

/** What shall be in force. */
export interface DesiredState {
  readonly now: Milliseconds;
  readonly generation: number;
  readonly elements: Iterable<StandingElement>;
  readonly limits: Iterable<StandingLimits>;
}

/** What was done to make a filter hold what it shall. */
export interface Restoration {
  /** Generation that was in force; undefined when the filter held nothing of ours. */
  readonly found: number | undefined;
  /** Elements that were in force, right or wrong. */
  readonly held: number;
  /** Names of elements that were missing and are in force. */
  readonly added: readonly string[];
  /** Names of elements that had the wrong deadline, by a second or more. */
  readonly renewed: readonly string[];
  /** Names of elements that nobody asked for and that are gone. */
  readonly removed: readonly string[];
}

/** A plan that the backend has made ready. */
export interface PreparedPlan {
  readonly plan: KernelPlan;
}

/** What passed through an element. */
export interface Traffic {
  readonly packets: number;
  /** IP headers included. */
  readonly bytes: number;
}

/** Packets of one flow that a limit refused. */
export interface Overrun {
  readonly limit: EnforcedLimit;
  /** One of them; whether it opened a connection is not told. */
  readonly packet: PacketFacts;
  /** How many there were. */
  readonly packets: number;
}

/**
 * Flows whose refused packets a filter notes until it is asked, for each limit and family; others are lost.
 */
export const FLOWS_NOTED_MAX = 512;

/** Which live connections shall end. */
export interface Cut {
  /** Boxes that no longer pass, or that are blocked, for packets of either direction. */
  readonly boxes: readonly Box[];
  /**
   * Boxes with a leased address, of connections that end whatever permits them: their translation changes.
   */
  readonly translated: readonly Box[];
  /**
   * Asked for each connection in one of `boxes`: at once, or in {@link Cut.whenSettled}.
   *
   * @param first - the packet that began it
   * @returns true when something else still permits it
   */
  readonly isPermitted: (first: PacketFacts) => boolean;
  /** Does something when nothing is decided that is not in force, so that what is permitted counts. */
  readonly whenSettled: <Result>(work: () => Result) => Promise<Result>;
}

/** Somebody else changed what is ours. */
export interface Drift {
  /** Who did it, as far as the system tells: name and process id; empty when it does not. */
  readonly culprit: string;
  /** What the system tells of it, one clause. */
  readonly what: string;
}

/**
 * A packet filter.
 *
 * A plan goes through `prepare`, then `commit` or `rollback`, one plan at a time. Failures are of the class
 * `FirewallError`: `BACKEND_REFUSED` when the plan itself cannot be carried out, `BACKEND_DRIFTED` when the
 * filter does not hold the generation that the plan builds on (then {@link PinholeBackend.restore} puts it
 * right), `BACKEND_UNAVAILABLE` when it may work a moment later. After any of them the former generation is
 * in force.
 */
export interface PinholeBackend {
  /** What kind of filter it is: `nftables`, `iptables`, `simulator`. */
  readonly name: string;
  readonly abilities: BackendAbilities;
  /**
   * Reads what is in force, compares, and puts right what differs, in one step. What is right is not touched,
   * so packets pass meanwhile as they did. To be called before the first plan, and when something drifted.
   */
  restore(desired: DesiredState): Promise<Restoration>;
  /**
   * Begins to read what is in force, for the first {@link PinholeBackend.restore}, while the caller finds out
   * what shall be. Absent where that spares nothing.
   */
  readonly foresee?: () => void;
  /**
   * Does the same beside plans, a part at a time, for what was told in plans and not for what is desired.
   * What is missing is put right first.
   *
   * @param clock - of the deadlines
   * @returns undefined when only {@link PinholeBackend.restore} can put right what differs; absent where
   *   that is always so
   */
  readonly audit?: (clock: () => Milliseconds) => Promise<Restoration | undefined>;
  /** Makes everything ready that can fail without the kernel. Nothing takes effect. */
  prepare(plan: KernelPlan): PreparedPlan;
  /** Puts a plan into force. When it returns, the kernel has confirmed it. */
  commit(prepared: PreparedPlan): Promise<void>;
  /** Forgets a plan that was not committed, or whose commit failed. */
  rollback(prepared: PreparedPlan): void;
  /** What passed through elements; zero for those that are not in force. */
  traffic(elements: readonly Element[]): Promise<Traffic[]>;
  /** Which packets limits refused since it was asked last; nothing where there are no limits. */
  overruns(): Promise<Overrun[]>;
  /**
   * Ends live connections. That may take a while, in which plans may be carried out.
   *
   * @returns how many were ended, when they have
   */
  cut(cut: Cut): Promise<number>;
  /** Calls a listener when somebody else changes what is ours, within a second. */
  watch(listener: (drift: Drift) => void): void;
  /** Lets go of the filter. What is in force stays. */
  close(): Promise<void>;
}
