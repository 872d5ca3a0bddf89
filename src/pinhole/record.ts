/** Pinholes as they stand in the journal: plain values, and how to read them back. */
import type { Milliseconds } from "../base/index.ts";
import type { KeptAnswer } from "./answer-memory.ts";
import type { PinholeLimits } from "./kernel-plan.ts";
import type { Moment } from "./moment.ts";
import type { Pinhole } from "./pinhole.ts";
import type { PortLease } from "./port-pool.ts";
import { PinholeRequest, type PinholeSpec } from "./specification.ts";

/** A living pinhole. */
export interface PinholeRecord {
  readonly id: string;
  readonly number: number;
  readonly clientId?: string;
  readonly owner: string;
  readonly group: string;
  readonly groupNumber: number;
  readonly spec: PinholeSpec;
  readonly state: "reserved" | "enabled";
  readonly revision: number;
  readonly generation: number;
  readonly granted: number | null;
  /** Monotonic deadline, good until the machine is started anew; null for never. */
  readonly deadline: Milliseconds | null;
  /** The same as Unix time; null for never. */
  readonly deadlineAt: Milliseconds | null;
  readonly createdAt: Milliseconds;
  readonly limit?: PinholeLimits;
  readonly leases: readonly PortLease[];
}

/** What stands at the head of a journal. */
export interface JournalHead {
  readonly generation: number;
  /** Numbers that were given: the next ones follow. */
  readonly nextNumber: number;
  readonly nextGroupNumber: number;
  /** Names the start of the machine: monotonic deadlines of another one mean nothing. */
  readonly bootId: string;
}

/** What a commit changes in the journal, all of it or nothing. */
export interface JournalChanges {
  readonly head: Omit<JournalHead, "bootId">;
  readonly put: readonly PinholeRecord[];
  /** Ids of pinholes that are no more. */
  readonly remove: readonly string[];
  readonly keep: readonly KeptAnswer[];
  readonly forget: readonly KeptAnswer[];
}

/** A whole journal. */
export interface JournalContents {
  /** Undefined when it is empty. */
  readonly head: JournalHead | undefined;
  readonly pinholes: Iterable<PinholeRecord>;
  readonly answers: Iterable<KeptAnswer>;
}

/**
 * A living pinhole as a record.
 *
 * @param groupNumber - of its group; 0 when it has none
 */
export function recordOf(pinhole: Pinhole, groupNumber: number, moment: Moment): PinholeRecord {
  const { id, number, owner, group, revision, generation, granted, createdAt, leases } = pinhole;
  const { clientId, limit } = pinhole;
  const isTimed = pinhole.deadline !== Number.POSITIVE_INFINITY;
  return {
    id,
    number,
    ...(clientId === undefined ? {} : { clientId }),
    owner,
    group,
    groupNumber,
    spec: pinhole.request.spec,
    state: pinhole.state === "reserved" ? "reserved" : "enabled",
    revision,
    generation,
    granted,
    deadline: isTimed ? pinhole.deadline : null,
    deadlineAt: isTimed ? moment.wall + (pinhole.deadline - moment.now) : null,
    createdAt,
    ...(limit === undefined ? {} : { limit }),
    leases,
  };
}

/**
 * A record as a living pinhole, without what carries it out.
 *
 * @param deadline - on today's monotonic clock
 * @throws {PinholeRefusal} when nobody could ask for such a pinhole today
 */
export function pinholeOf(record: PinholeRecord, deadline: Milliseconds): Omit<Pinhole, "elements"> {
  return {
    id: record.id,
    number: record.number,
    clientId: record.clientId,
    owner: record.owner,
    request: PinholeRequest.check(record.spec),
    group: record.group,
    state: record.state,
    revision: record.revision,
    generation: record.generation,
    granted: record.granted,
    deadline,
    createdAt: record.createdAt,
    limit: record.limit,
    leases: record.leases,
    end: undefined,
  };
}

/**
 * The deadline of a record on today's monotonic clock.
 *
 * @param isSameBoot - true when the machine has not been started anew since, so that nobody's setting of the
 *   wall clock matters
 */
export function deadlineOf(record: PinholeRecord, moment: Moment, isSameBoot: boolean): Milliseconds {
  if (record.deadline === null || record.deadlineAt === null) return Number.POSITIVE_INFINITY;
  return isSameBoot ? record.deadline : moment.now + (record.deadlineAt - moment.wall);
}
