/**
 * Pinholes as they are kept: as one short text each, in memory and in the journal alike.
 *
 * There are very many, and what is a text costs the garbage collector next to nothing, where objects within
 * objects cost it more than everything else that a commit does. What a text says is read when somebody asks.
 */
import type { Milliseconds } from "../base/index.ts";
import type { AnswerName, KeptAnswer } from "./answer-memory.ts";
import type { PinholeLimits } from "./kernel-plan.ts";
import type { EndReason, PinholeState } from "./life-cycle.ts";
import type { Moment } from "./moment.ts";
import type { Pinhole } from "./pinhole.ts";
import type { PortLease } from "./port-pool.ts";
import {
  type EndpointSpec,
  PinholeRequest,
  type PinholeDirection,
  type PinholeKind,
  type PinholeSpec,
  type PortMode,
} from "./specification.ts";

/** A pinhole as a text: an array in JSON that begins with its id. */
export interface PinholeRecord {
  readonly id: string;
  readonly text: string;
}

/** A pinhole that has ended: its text while it lived, and what is different since. */
export interface EndedPinhole {
  readonly id: string;
  readonly owner: string;
  readonly clientId: string | undefined;
  readonly text: string;
  readonly revision: number;
  readonly generation: number;
  readonly end: { readonly reason: EndReason; readonly at: Milliseconds };
}

/** A pinhole as it is kept, living or ended. */
export type PackedPinhole = string | EndedPinhole;

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
  readonly forget: readonly AnswerName[];
}

/** A whole journal. */
export interface JournalContents {
  /** Undefined when it is empty. */
  readonly head: JournalHead | undefined;
  /** The texts of pinholes. */
  readonly pinholes: Iterable<string>;
  readonly answers: Iterable<KeptAnswer>;
}

/** An endpoint: family, address, prefix, ports. Null stands for what is absent, 0 for ports that are null. */
type EndpointRow = readonly [4 | 6, string | null, number | null, readonly [number, number] | 0 | null];

/** A specification. Null stands for what is absent, but for the lifetime. */
type SpecRow = readonly [
  kind: PinholeKind,
  internal: EndpointRow | null,
  external: EndpointRow | null,
  protocol: number,
  lifetime: number | null,
  direction?: PinholeDirection | null,
  portMode?: PortMode | null,
  group?: string | null,
  rare?: Pick<PinholeSpec, "parity" | "portCount" | "limit" | "labels" | "nat"> | null,
];

/** A pinhole. */
type PinholeRow = readonly [
  id: string,
  owner: string,
  clientId: string | null,
  number: number,
  group: string,
  groupNumber: number,
  state: PinholeState,
  revision: number,
  generation: number,
  granted: number | null,
  deadline: Milliseconds | null,
  deadlineAt: Milliseconds | null,
  createdAt: Milliseconds,
  spec: SpecRow,
  limit: PinholeLimits | null,
  leases: readonly PortLease[],
];

/** In front of the id in the text of a pinhole. */
const ID_AT = '["'.length;

function endpointRow(spec: EndpointSpec | undefined): EndpointRow | null {
  if (spec === undefined) return null;
  const { family, address = null, prefix = null, ports } = spec;
  return [family, address, prefix, ports === null ? 0 : (ports ?? null)];
}

function endpointOf(row: EndpointRow): EndpointSpec {
  const [family, address, prefix, ports] = row;
  // Nearly all of them are so, and to put an object together of parts takes much longer.
  if (address !== null && prefix === null && ports !== null && ports !== 0) return { family, address, ports };
  return {
    family,
    ...(address === null ? {} : { address }),
    ...(prefix === null ? {} : { prefix }),
    ...(ports === null ? {} : { ports: ports === 0 ? null : ports }),
  };
}

function specRow(spec: PinholeSpec): SpecRow {
  const { kind, internal, external, protocol, lifetime, direction, portMode, group, ...rare } = spec;
  const isRare = Object.keys(rare).length > 0;
  const [near, far] = [endpointRow(internal), endpointRow(external)];
  if (!isRare && group === undefined && portMode === undefined) {
    return direction === undefined
      ? [kind, near, far, protocol, lifetime]
      : [kind, near, far, protocol, lifetime, direction];
  }
  const words = [direction ?? null, portMode ?? null, group ?? null] as const;
  return [kind, near, far, protocol, lifetime, ...words, isRare ? rare : null];
}

/** Where a specification says more than its ends, protocol, lifetime and direction. */
const SPEC_PLAIN = 6;

function specOf(row: SpecRow): PinholeSpec {
  const [kind, near, far, protocol, lifetime, direction = null] = row;
  if (row.length > SPEC_PLAIN || near === null || far === null) return fullSpecOf(row);
  const [internal, external] = [endpointOf(near), endpointOf(far)];
  return direction === null
    ? { kind, internal, external, protocol, lifetime }
    : { kind, internal, external, protocol, direction, lifetime };
}

function fullSpecOf(row: SpecRow): PinholeSpec {
  const [kind, near, far, protocol, lifetime, direction, portMode, group, rare] = row;
  return {
    kind,
    ...(near === null ? {} : { internal: endpointOf(near) }),
    ...(far === null ? {} : { external: endpointOf(far) }),
    protocol,
    ...(direction === undefined || direction === null ? {} : { direction }),
    ...(portMode === undefined || portMode === null ? {} : { portMode }),
    lifetime,
    ...(group === undefined || group === null ? {} : { group }),
    ...rare,
  };
}

/** A living pinhole as a text. */
export function packPinhole(pinhole: Pinhole): string {
  const { id, owner, clientId = null, number, group, groupNumber, state, revision, generation } = pinhole;
  const { granted, deadline, deadlineAt, createdAt, request, limit = null, leases } = pinhole;
  const isTimed = deadline !== Number.POSITIVE_INFINITY;
  const row: PinholeRow = [
    id,
    owner,
    clientId,
    number,
    group,
    groupNumber,
    state,
    revision,
    generation,
    granted,
    isTimed ? deadline : null,
    isTimed ? deadlineAt : null,
    createdAt,
    specRow(request.spec),
    limit,
    leases,
  ];
  return JSON.stringify(row);
}

/**
 * A pinhole from what is kept of it.
 *
 * @throws {PinholeRefusal} when nobody could ask for such a pinhole today
 */
export function unpackPinhole(packed: PackedPinhole): Pinhole {
  if (typeof packed === "string") return unpackText(packed);
  const { text, revision, generation, end } = packed;
  return { ...unpackText(text), state: "ended", revision, generation, end };
}

function unpackText(text: string): Pinhole {
  const row = JSON.parse(text) as PinholeRow;
  const [id, owner, clientId, number, group, groupNumber, state, revision, generation] = row;
  const [, , , , , , , , , granted, deadline, deadlineAt, createdAt, spec, limit, leases] = row;
  return {
    id,
    number,
    clientId: clientId ?? undefined,
    owner,
    request: PinholeRequest.check(specOf(spec)),
    group,
    groupNumber,
    state,
    revision,
    generation,
    granted,
    deadline: deadline ?? Number.POSITIVE_INFINITY,
    deadlineAt: deadlineAt ?? Number.POSITIVE_INFINITY,
    createdAt,
    limit: limit ?? undefined,
    leases,
    end: undefined,
  };
}

/** The id in the text of a pinhole. */
export function idIn(text: string): string {
  return text.slice(ID_AT, text.indexOf('"', ID_AT));
}

/** True for the text of the pinhole with this id. */
export function hasId(text: string, id: string): boolean {
  return text.startsWith(id, ID_AT) && text.charCodeAt(ID_AT + id.length) === QUOTE;
}

const QUOTE = 0x22;

/**
 * The deadline of a pinhole of a former run on today's monotonic clock.
 *
 * @param isSameBoot - true when the machine has not been started anew since, so that nobody's setting of the
 *   wall clock matters
 */
export function deadlineToday(
  { deadline, deadlineAt }: Pinhole,
  moment: Moment,
  isSameBoot: boolean,
): Milliseconds {
  return isSameBoot ? deadline : moment.now + (deadlineAt - moment.wall);
}
