/**
 * Every limit of the program, in one list: name, unit, default, smallest and largest value, and what happens
 * there. A policy's `settings.limits` may change them; nothing in Postern grows without one.
 */

/** One limit. */
export interface Limit {
  readonly unit:
    | "flows"
    | "packets"
    | "bytes"
    | "entries"
    | "events"
    | "milliseconds"
    | "chains"
    | "connections";
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** What it bounds, and what happens when it is reached. */
  readonly meaning: string;
}

/** The list. */
export const LIMITS = {
  flows: {
    unit: "flows",
    default: 262_144,
    min: 16,
    max: 16_777_216,
    meaning: "entries of one worker's state table; at the limit the oldest half-open entry gives way",
  },
  // The kernel takes a larger number and lets no more wait all the same (Linux 6.18).
  queuePackets: {
    unit: "packets",
    default: 16_384,
    min: 1,
    max: 65_536,
    meaning: "packets waiting in one kernel queue; beyond it the policy's fail mode decides",
  },
  receiveBufferBytes: {
    unit: "bytes",
    default: 67_108_864,
    min: 65_536,
    max: 1_073_741_824,
    meaning: "kernel receive buffer of one queue's socket; beyond it the policy's fail mode decides",
  },
  copyRangeBytes: {
    unit: "bytes",
    default: 65_535,
    min: 128,
    max: 65_535,
    meaning: "bytes of each packet that come to userspace at most; the rest is not seen by any rule",
  },
  batchPackets: {
    unit: "packets",
    default: 256,
    min: 1,
    max: 1024,
    meaning: "packets taken from the kernel in one call",
  },
  knockSources: {
    unit: "entries",
    default: 65_536,
    min: 16,
    max: 4_194_304,
    meaning:
      "sources whose knocks are remembered, per rule, and as many in the kernel where it remembers them; " +
      "at the limit userspace forgets the oldest unfinished one",
  },
  limitSources: {
    unit: "entries",
    default: 65_536,
    min: 16,
    max: 4_194_304,
    meaning:
      "sources with a token bucket of their own, per rule; at the limit the oldest that holds tokens gives way",
  },
  pendingEvents: {
    unit: "events",
    default: 4096,
    min: 16,
    max: 1_048_576,
    meaning: "log and print events a worker holds for the main thread; beyond it they are counted, not kept",
  },
  tables: {
    unit: "entries",
    default: 1000,
    min: 1,
    max: 65_536,
    meaning: "address tables; a table beyond it is refused",
  },
  tableEntries: {
    unit: "entries",
    default: 200_000,
    min: 1,
    max: 16_777_216,
    meaning: "entries of one address table; an addition that would exceed it is refused as a whole",
  },
  watchedFlows: {
    unit: "flows",
    default: 1_048_576,
    min: 16,
    max: 16_777_216,
    meaning:
      "kernel connections a watcher remembers by number; what vanishes unseen beyond it is not told after a gap",
  },
  pinholes: {
    unit: "entries",
    default: 262_144,
    min: 1,
    max: 4_194_304,
    meaning: "pinholes of all owners at a time; one more is refused",
  },
  pinholeElements: {
    unit: "entries",
    default: 1_048_576,
    min: 1,
    max: 16_777_216,
    meaning: "elements in the packet filter that all pinholes together need; a pinhole beyond it is refused",
  },
  pinholeTransactions: {
    unit: "entries",
    default: 1024,
    min: 1,
    max: 65_536,
    meaning: "open transactions about pinholes of one owner; one more is refused",
  },
  pinholeOperations: {
    unit: "entries",
    default: 131_072,
    min: 1,
    max: 1_048_576,
    meaning: "operations of one transaction about pinholes; one more is refused",
  },
  pinholeAnswers: {
    unit: "entries",
    default: 65_536,
    min: 0,
    max: 4_194_304,
    meaning: "answers remembered under idempotency keys; beyond it the oldest is forgotten",
  },
  pinholeAnswerBytes: {
    unit: "bytes",
    default: 67_108_864,
    min: 0,
    max: 17_179_869_184,
    meaning: "length of all answers remembered under idempotency keys; beyond it the oldest is forgotten",
  },
  pinholeTombstones: {
    unit: "entries",
    default: 16_384,
    min: 0,
    max: 1_048_576,
    meaning: "ended pinholes that can still be read; beyond it the oldest is forgotten",
  },
  pinholeEvents: {
    unit: "events",
    default: 16_384,
    min: 16,
    max: 1_048_576,
    meaning: "events about pinholes kept for listeners that come back; older ones are a gap for them",
  },
  pinholeConnections: {
    unit: "connections",
    default: 16_384,
    min: 16,
    max: 1_048_576,
    meaning: "connections at one door to the pinholes; for one more, the one that is silent for longest ends",
  },
  pinholeIdle: {
    unit: "milliseconds",
    default: 75_000,
    min: 1000,
    max: 86_400_000,
    meaning: "silence on a connection to the pinholes after which it is ended",
  },
  pinholeBodyBytes: {
    unit: "bytes",
    default: 33_554_432,
    min: 65_536,
    max: 1_073_741_824,
    meaning: "one request about pinholes over HTTP; a longer one is refused",
  },
  pinholeUploadBytes: {
    unit: "bytes",
    default: 268_435_456,
    min: 65_536,
    max: 68_719_476_736,
    meaning: "requests about pinholes that are being received at one door; what would exceed it is refused",
  },
  pinholeListeners: {
    unit: "connections",
    default: 64,
    min: 1,
    max: 65_536,
    meaning: "streams of events about pinholes of one owner at one door; one more is refused",
  },
  simcoConnections: {
    unit: "connections",
    default: 16_384,
    min: 1,
    max: 1_048_576,
    meaning: "connections of the SIMCO door at a time; one more is closed as it comes",
  },
  simcoSessions: {
    unit: "connections",
    default: 4096,
    min: 1,
    max: 1_048_576,
    meaning: "SIMCO sessions at a time, open or being opened; one more is refused with 0x0321",
  },
  simcoBacklogBytes: {
    unit: "bytes",
    default: 1_048_576,
    min: 65_536,
    max: 1_073_741_824,
    meaning: "octets that a SIMCO agent has not read yet; beyond it its session is ended",
  },
  captureRecordBytes: {
    unit: "bytes",
    default: 1_048_576,
    min: 65_536,
    max: 67_108_864,
    meaning: "one packet in a capture file; a longer one is a fault of the file, and reading stops there",
  },
  captureBlockBytes: {
    unit: "bytes",
    default: 16_777_216,
    min: 65_536,
    max: 1_073_741_824,
    meaning: "one block of a pcapng file; a longer one is a fault of the file, and reading stops there",
  },
  captureInterfaces: {
    unit: "entries",
    default: 4096,
    min: 1,
    max: 65_536,
    meaning: "interfaces in one section of a pcapng file; one more is a fault, and reading stops there",
  },
  tunnelDepth: {
    unit: "entries",
    default: 4,
    min: 0,
    max: 16,
    meaning: "tunnels within tunnels that are looked into; what lies deeper is judged as the tunnel",
  },
  streamFlows: {
    unit: "flows",
    default: 262_144,
    min: 16,
    max: 16_777_216,
    meaning: "flows whose streams are followed at a time; at the limit the flow idle for longest is let go",
  },
  streamMemoryBytes: {
    unit: "bytes",
    default: 536_870_912,
    min: 1_048_576,
    max: 68_719_476_736,
    meaning:
      "bytes that all streams of a worker hold together; at the limit a stream that needs more is given up",
  },
  streamWindowBytes: {
    unit: "bytes",
    default: 1_048_576,
    min: 65_536,
    max: 1_073_741_824,
    meaning:
      "bytes from the oldest one held to the newest, per direction; beyond it what is missing is skipped",
  },
  streamGapBytes: {
    unit: "bytes",
    default: 262_144,
    min: 1460,
    max: 1_073_741_824,
    meaning: "distance to the newest byte that waits for missing ones; beyond it what is missing is skipped",
  },
  streamSegments: {
    unit: "entries",
    default: 256,
    min: 1,
    max: 65_536,
    meaning:
      "separate ranges that wait for missing bytes, per direction; beyond it the first hole is skipped",
  },
  streamVerifyBytes: {
    unit: "bytes",
    default: 65_536,
    min: 0,
    max: 1_048_576,
    meaning:
      "unacknowledged bytes held for comparison with retransmissions, per direction; older ones are not compared",
  },
  contentFlows: {
    unit: "flows",
    default: 16_384,
    min: 16,
    max: 1_048_576,
    meaning:
      "flows of a worker whose bytes are counted or kept for rules at a time; one more is not judged by its bytes",
  },
} as const satisfies Record<string, Limit>;

/** A limit by its name. */
export type LimitName = keyof typeof LIMITS;

/** A value for each limit. */
export type LimitValues = { readonly [Name in LimitName]: number };

/** The defaults of all limits. */
export function defaultLimits(): LimitValues {
  const values: Partial<Record<LimitName, number>> = {};
  for (const name of Object.keys(LIMITS) as LimitName[]) values[name] = LIMITS[name].default;
  return values as LimitValues;
}
