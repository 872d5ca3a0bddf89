/**
 * What goes over the wire, as JSON schemas. Requests are checked against them, and the OpenAPI document is
 * made of them.
 *
 * Types and words are checked here; whether values make sense together is the model's business, so that all
 * doors agree.
 */
import { LIMITS } from "../../../base/index.ts";
import type { Schema } from "./route.ts";

const ID_MAX = 255;
/** Longest text of an address, with room to be wrong. */
const ADDRESS_MAX = 64;
const LABEL_MAX = 256;

function object(properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema {
  return { type: "object", properties, required, additionalProperties: false };
}

function described(description: string, schema: Schema): Schema {
  return { description, ...schema };
}

const ID: Schema = { type: "string", minLength: 1, maxLength: ID_MAX };
const COUNT: Schema = { type: "integer", minimum: 1 };
const NUMBER: Schema = { type: "integer", minimum: 0 };
const TEXT: Schema = { type: "string" };
const FLAG: Schema = { type: "boolean" };
const UNIX_TIME = described("Unix time, in milliseconds.", { type: "number" });
const ADDRESS: Schema = { type: "string", maxLength: ADDRESS_MAX };
const LIFETIME = described("Seconds; null for ever, for profiles that may.", {
  type: ["integer", "null"],
});
const REVISION = described("Refuse unless the pinhole is at this revision.", { type: "integer" });

const ENDPOINT: Schema = object(
  {
    family: { type: "integer", enum: [4, 6] },
    address: described("Absent: every address.", ADDRESS),
    prefix: described("Bits that count; absent: all.", { type: "integer" }),
    ports: described("First and last port; null or absent: every port.", {
      type: ["array", "null"],
      items: { type: "integer" },
      minItems: 2,
      maxItems: 2,
    }),
  },
  ["family"],
);

const LIMIT: Schema = object({
  pps: described("Packets per second.", COUNT),
  bps: described("Bits per second.", COUNT),
  burst: described("Packets, or the bits of as many, that may come at once.", COUNT),
  newPerSec: described("New connections per second.", COUNT),
  quotaBytes: described("Bytes in its whole life.", COUNT),
});

const NAT_ENDPOINT: Schema = object({ address: ADDRESS, port: { type: "integer" } }, ["address"]);
const NAT: Schema = object(
  {
    mode: { type: "string", enum: ["traditional", "twice"] },
    outside: NAT_ENDPOINT,
    inside: NAT_ENDPOINT,
    exact: FLAG,
  },
  ["mode"],
);

const SPEC: Schema = object(
  {
    kind: described("Absent: permit.", { type: "string", enum: ["permit", "reserve", "block"] }),
    internal: described("Our side.", ENDPOINT),
    external: described("The other side.", ENDPOINT),
    protocol: described("IANA number; 0 for every protocol.", { type: "integer" }),
    direction: described("Who may send; with TCP, who may set up. Absent: both.", {
      type: "string",
      enum: ["in", "out", "both"],
    }),
    portMode: described("How ranges of ports go together. Absent: product.", {
      type: "string",
      enum: ["pairwise", "product"],
    }),
    lifetime: LIFETIME,
    group: described("Id of a group, or a name of one's own for it.", TEXT),
    parity: { type: "string", enum: ["any", "same", "odd", "even"] },
    portCount: described("Of a reservation: consecutive ports.", { type: "integer" }),
    limit: LIMIT,
    labels: { type: "object", additionalProperties: { type: "string", maxLength: LABEL_MAX } },
    nat: NAT,
  },
  ["protocol", "lifetime"],
);

const OPERATION: Schema = object(
  {
    op: described("`reserve` is `open` with kind reserve.", {
      type: "string",
      enum: ["open", "reserve", "close", "renew", "enable"],
    }),
    id: described("Of the pinhole: its id, or its owner's own.", ID),
    clientId: described("With open and reserve: an id of one's own.", ID),
    spec: SPEC,
    lifetime: LIFETIME,
    revision: REVISION,
  },
  ["op"],
);

const OPERATIONS: Schema = object(
  { operations: { type: "array", items: OPERATION, maxItems: LIMITS.pinholeOperations.max } },
  ["operations"],
);

const COMMIT: Schema = object(
  {
    operations: { type: "array", items: OPERATION, maxItems: LIMITS.pinholeOperations.max },
    expectGeneration: described("Refuse unless this generation is in force.", { type: "integer" }),
  },
  ["operations"],
);

const COMMIT_OPTIONS: Schema = {
  ...object({ expectGeneration: { type: "integer" } }),
  type: ["object", "null"],
};

const RENEWAL: Schema = object({ lifetime: LIFETIME }, ["lifetime"]);

const PORT_LEASE: Schema = described(
  "An address and ports that are kept for the pinhole.",
  object(
    {
      side: { type: "string", enum: ["outside", "inside"] },
      address: ADDRESS,
      protocol: NUMBER,
      port: described("First port; 0 when only the address is kept.", NUMBER),
      count: NUMBER,
    },
    ["side", "address", "protocol", "port", "count"],
  ),
);

const STATE: Schema = { type: "string", enum: ["reserved", "enabled", "ended"] };
const SECONDS: Schema = { type: ["integer", "null"] };

const TRAFFIC: Schema = object({ packets: NUMBER, bytes: NUMBER }, ["packets", "bytes"]);

const PINHOLE: Schema = object(
  {
    id: ID,
    pid: described("Its number in SIMCO.", NUMBER),
    clientId: ID,
    owner: TEXT,
    group: described("Id of its group; empty for a block.", TEXT),
    state: STATE,
    revision: COUNT,
    generation: described("Of the commit that changed it last.", NUMBER),
    granted: described("Seconds that were granted; null for ever.", SECONDS),
    remaining: described("Seconds left; null for ever, 0 when it has ended.", SECONDS),
    createdAt: UNIX_TIME,
    reason: described("Why it ended.", {
      type: "string",
      enum: ["expired", "deleted", "conflict", "admin", "backend"],
    }),
    endedAt: UNIX_TIME,
    spec: SPEC,
    outside: PORT_LEASE,
    inside: PORT_LEASE,
    traffic: described("What passed through it, when it was asked for.", TRAFFIC),
  },
  [
    "id",
    "pid",
    "owner",
    "group",
    "state",
    "revision",
    "generation",
    "granted",
    "remaining",
    "createdAt",
    "spec",
  ],
);

const PAGE: Schema = object(
  {
    pinholes: { type: "array", items: PINHOLE },
    cursor: described(
      "Where the next page begins, also when this one is short or empty; absent at the end.",
      TEXT,
    ),
  },
  ["pinholes"],
);

const OPERATION_ANSWER: Schema = object(
  {
    op: { type: "string", enum: ["open", "close", "renew", "enable"] },
    id: ID,
    pid: NUMBER,
    gid: described("The group's number in SIMCO; 0 for a block.", NUMBER),
    group: TEXT,
    state: STATE,
    revision: COUNT,
    granted: SECONDS,
    isNew: described("False when an open found the pinhole there already.", FLAG),
    outside: PORT_LEASE,
    inside: PORT_LEASE,
  },
  ["op", "id", "pid", "gid", "group", "state", "revision", "granted", "isNew"],
);

const COMMIT_ANSWER: Schema = object(
  {
    generation: described("The rule set that it made.", NUMBER),
    appliedAt: UNIX_TIME,
    results: { type: "array", items: OPERATION_ANSWER },
    isInForce: described("False with 202: written, and not yet in force. Absent: in force.", FLAG),
  },
  ["generation", "appliedAt", "results"],
);

const TRANSACTION: Schema = object(
  {
    id: ID,
    secondsLeft: described("Until it is rolled back by itself.", { type: "number" }),
    operations: described("How many it has so far.", NUMBER),
  },
  ["id", "secondsLeft", "operations"],
);

const STAGED: Schema = object(
  {
    staged: {
      type: "array",
      items: object({ op: TEXT, id: ID, pid: NUMBER }, ["op", "id"]),
    },
  },
  ["staged"],
);

const GROUP: Schema = object(
  {
    id: described("`gr_` and its number, or the name that its owner gave it.", TEXT),
    gid: described("Its number in SIMCO.", NUMBER),
    owner: TEXT,
    size: described("How many pinholes it has.", NUMBER),
    members: described("Their ids, when one group is asked for.", { type: "array", items: ID }),
  },
  ["id", "gid", "owner", "size"],
);

const GROUP_PAGE: Schema = object({ groups: { type: "array", items: GROUP }, cursor: TEXT }, ["groups"]);

const ABILITIES: Schema = object(
  {
    isAtomic: FLAG,
    expires: FLAG,
    counts: FLAG,
    limits: { type: "array", items: TEXT },
    translates: FLAG,
    expansionMax: NUMBER,
  },
  ["isAtomic", "expires", "counts", "limits", "translates", "expansionMax"],
);

const BACKEND: Schema = object(
  {
    name: TEXT,
    abilities: ABILITIES,
    isDegraded: FLAG,
    reason: described("What it said last when it failed.", TEXT),
    desired: described("Elements that shall be in force.", NUMBER),
    enforced: described("Elements that are in force.", NUMBER),
  },
  ["name", "abilities", "isDegraded", "reason", "desired", "enforced"],
);

const STATUS: Schema = object(
  {
    bootId: described("Names this run of the daemon; another after each start.", TEXT),
    pid: NUMBER,
    uptimeSeconds: NUMBER,
    generation: NUMBER,
    pinholes: NUMBER,
    lastEvent: described("Id of the last event.", TEXT),
    backend: BACKEND,
    counters: { type: "object", additionalProperties: NUMBER },
  },
  ["bootId", "pid", "uptimeSeconds", "generation", "pinholes", "lastEvent", "backend", "counters"],
);

const CAPABILITIES: Schema = object(
  {
    bootId: TEXT,
    generation: NUMBER,
    backend: TEXT,
    abilities: ABILITIES,
    agent: described("Who the daemon takes the caller for.", TEXT),
    profile: described("What the caller may do.", { type: "object" }),
    pinholes: described("How many the caller has.", NUMBER),
    limits: { type: "object", additionalProperties: NUMBER },
  },
  ["bootId", "generation", "backend", "abilities", "agent", "profile", "pinholes", "limits"],
);

const RESTORATION: Schema = object(
  {
    held: described("Elements that were in force, right or wrong.", NUMBER),
    added: NUMBER,
    renewed: NUMBER,
    removed: NUMBER,
  },
  ["held", "added", "renewed", "removed"],
);

const EVENT: Schema = object(
  {
    type: TEXT,
    generation: described("In force when it happened.", NUMBER),
    at: UNIX_TIME,
    pinhole: PINHOLE,
    group: TEXT,
    owner: TEXT,
    refused: described("Packets that limits refused, by limit: `limit.hit` only.", {
      type: "object",
      additionalProperties: COUNT,
    }),
    ids: described("Pinholes that the commit was about: `commit.failed` only.", {
      type: "array",
      items: ID,
    }),
    text: described("One sentence for a person.", TEXT),
  },
  ["type", "generation", "at"],
);

const PROBLEM: Schema = object(
  {
    type: described("Stable name of the problem.", { type: "string", format: "uri" }),
    title: TEXT,
    status: { type: "integer" },
    detail: TEXT,
    code: described("The last part of the type.", TEXT),
    simco: described("Number of the same refusal in SIMCO.", { type: "integer" }),
    operation: described("Index of the operation that is refused, from 0.", NUMBER),
    field: described("Path of the field that is wrong.", TEXT),
    conflicts: { type: "array", items: ID },
    retryAfter: described("Seconds after which it may work.", { type: "number" }),
  },
  ["type", "title", "status", "detail", "code"],
);

/** Schemas with names, for routes and for the document. */
export const SCHEMAS = {
  Endpoint: ENDPOINT,
  Limit: LIMIT,
  Nat: NAT,
  Spec: SPEC,
  Operation: OPERATION,
  Operations: OPERATIONS,
  Commit: COMMIT,
  CommitOptions: COMMIT_OPTIONS,
  Renewal: RENEWAL,
  Traffic: TRAFFIC,
  PortLease: PORT_LEASE,
  Pinhole: PINHOLE,
  Page: PAGE,
  OperationAnswer: OPERATION_ANSWER,
  CommitAnswer: COMMIT_ANSWER,
  Transaction: TRANSACTION,
  Staged: STAGED,
  Group: GROUP,
  GroupPage: GROUP_PAGE,
  Abilities: ABILITIES,
  Backend: BACKEND,
  Backends: object({ backends: { type: "array", items: BACKEND } }, ["backends"]),
  Document: { type: "object" },
  Status: STATUS,
  Capabilities: CAPABILITIES,
  Restoration: RESTORATION,
  Event: EVENT,
  Problem: PROBLEM,
} as const satisfies Record<string, Schema>;

/** Name of a schema. */
export type SchemaName = keyof typeof SCHEMAS;

/** One operation, or several as `{"operations": […]}`. */
export const STAGING: Schema = {
  type: "object",
  if: { type: "object", required: ["operations"] },
  // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema, nobody awaits it
  then: OPERATIONS,
  else: OPERATION,
};
