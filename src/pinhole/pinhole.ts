/** A pinhole, and a group of them. Never changed: a change is another one in its place. */
import type { Milliseconds } from "../base/index.ts";
import type { PinholeLimits } from "./kernel-plan.ts";
import type { EndReason, PinholeState } from "./life-cycle.ts";
import type { PortLease } from "./port-pool.ts";
import type { PinholeRequest, PinholeSpec } from "./specification.ts";

/** A pinhole. */
export interface Pinhole {
  /** `ph_` and 26 characters; sorts by time. */
  readonly id: string;
  /** The same pinhole's number in SIMCO (PID). */
  readonly number: number;
  /** The owner's own name for it; unique for that owner. */
  readonly clientId: string | undefined;
  /** Name of the agent that made it. */
  readonly owner: string;
  readonly request: PinholeRequest;
  /** Id of its group; empty for a block, which has none (RFC 4540 section 8.8). */
  readonly group: string;
  /** The same group's number in SIMCO; 0 for a block. */
  readonly groupNumber: number;
  readonly state: PinholeState;
  /** Counts the changes of this pinhole, from 1. */
  readonly revision: number;
  /** Generation that changed it last. */
  readonly generation: number;
  /** Seconds that were granted; null for ever. */
  readonly granted: number | null;
  /** When it ends, on the monotonic clock; Infinity for never. */
  readonly deadline: Milliseconds;
  /** The same as Unix time, by the clock of the moment in which it was granted. */
  readonly deadlineAt: Milliseconds;
  /** When it was made, Unix time. */
  readonly createdAt: Milliseconds;
  /** What it may carry at most; undefined for no limits. */
  readonly limit: PinholeLimits | undefined;
  /** Addresses and ports that are kept for it; empty without translation. */
  readonly leases: readonly PortLease[];
  /** Why it ended, and when (Unix time); undefined while it lives. */
  readonly end: { readonly reason: EndReason; readonly at: Milliseconds } | undefined;
}

/**
 * A pinhole with some things changed. One literal without spreading makes all pinholes of one make, at a
 * fifth of the memory.
 */
export function changePinhole(pinhole: Pinhole, changes: Partial<Pinhole>): Pinhole {
  const { request = pinhole.request, state = pinhole.state, limit = pinhole.limit } = changes;
  const { granted = pinhole.granted, deadline = pinhole.deadline } = changes;
  const { deadlineAt = pinhole.deadlineAt, leases = pinhole.leases, end = pinhole.end } = changes;
  const { revision = pinhole.revision, generation = pinhole.generation } = changes;
  const { id, number, clientId, owner, group, groupNumber, createdAt } = pinhole;
  return {
    id,
    number,
    clientId,
    owner,
    request,
    group,
    groupNumber,
    state,
    revision,
    generation,
    granted,
    deadline,
    deadlineAt,
    createdAt,
    limit,
    leases,
    end,
  };
}

/** A group of pinholes of one owner. It lives as long as it has members. */
export interface PinholeGroup {
  /** `gr_` and its number, or the name that its owner gave it. */
  readonly id: string;
  /** The same group's number in SIMCO (GID). */
  readonly number: number;
  readonly owner: string;
  /** How many pinholes it has. */
  readonly size: number;
  /** Ids of its pinholes. */
  readonly members: ReadonlySet<string>;
}

/**
 * Whole seconds until the end, at least 1 while it lives (RFC 4540 section 8.6); null for never.
 *
 * Never more than were granted, though the deadline is the whole millisecond behind the instant at which the
 * lease ends.
 */
export function remainingSeconds(
  { deadline, granted }: Pick<Pinhole, "deadline" | "granted">,
  now: Milliseconds,
): number | null {
  if (deadline === Number.POSITIVE_INFINITY || granted === null) return null;
  return Math.min(granted, Math.max(1, Math.ceil((deadline - now) / 1000)));
}

/** A pinhole as the doors show it. */
export interface PinholeView {
  readonly id: string;
  readonly pid: number;
  readonly clientId?: string;
  readonly owner: string;
  readonly group: string;
  readonly state: PinholeState;
  readonly revision: number;
  readonly generation: number;
  readonly granted: number | null;
  /** Seconds left; 0 when it has ended. */
  readonly remaining: number | null;
  /** Unix time, in milliseconds. */
  readonly createdAt: Milliseconds;
  readonly reason?: EndReason;
  /** Unix time, in milliseconds. */
  readonly endedAt?: Milliseconds;
  readonly spec: PinholeSpec;
  readonly outside?: PortLease;
  readonly inside?: PortLease;
}

/** A pinhole as the doors show it. */
export function viewOf(pinhole: Pinhole, now: Milliseconds): PinholeView {
  const { id, number, clientId, owner, group, state, revision, generation, granted, createdAt } = pinhole;
  const { end, leases, request } = pinhole;
  const outside = leases.find((lease) => lease.side === "outside");
  const inside = leases.find((lease) => lease.side === "inside");
  return {
    id,
    pid: number,
    ...(clientId === undefined ? {} : { clientId }),
    owner,
    group,
    state,
    revision,
    generation,
    granted,
    remaining: end === undefined ? remainingSeconds(pinhole, now) : 0,
    createdAt,
    ...(end === undefined ? {} : { reason: end.reason, endedAt: end.at }),
    spec: request.spec,
    ...(outside === undefined ? {} : { outside }),
    ...(inside === undefined ? {} : { inside }),
  };
}
