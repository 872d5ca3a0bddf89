/**
 * How long a flow may be silent: pf's timeouts under pf's names, by state.
 *
 * A flow expires when no packet of it was accepted for the timeout of its state. While the table fills up
 * from `adaptive.start` flows to `adaptive.end`, all timeouts shrink by the same factor, from one to nothing.
 */
import {
  FirewallError,
  type Milliseconds,
  SECOND,
  TIMEOUT_MEANINGS,
  type TimeoutName,
  type TimeoutValues,
} from "../base/index.ts";
import type { DatagramState } from "./datagram-machine.ts";
import type { FlowState } from "./tcp-table.ts";

/** The seven timeouts that an optimisation profile sets. */
type ProfileName =
  | "tcp.first"
  | "tcp.opening"
  | "tcp.established"
  | "tcp.closing"
  | "tcp.finwait"
  | "tcp.closed"
  | "tcp.tsdiff";

/** pf's optimisation profiles, in seconds. */
export const PROFILES = {
  normal: {
    "tcp.first": 120,
    "tcp.opening": 30,
    "tcp.established": 86_400,
    "tcp.closing": 900,
    "tcp.finwait": 45,
    "tcp.closed": 90,
    "tcp.tsdiff": 30,
  },
  "high-latency": {
    "tcp.first": 180,
    "tcp.opening": 35,
    "tcp.established": 86_400,
    "tcp.closing": 905,
    "tcp.finwait": 50,
    "tcp.closed": 95,
    "tcp.tsdiff": 60,
  },
  conservative: {
    "tcp.first": 3600,
    "tcp.opening": 900,
    "tcp.established": 432_000,
    "tcp.closing": 3600,
    "tcp.finwait": 600,
    "tcp.closed": 270,
    "tcp.tsdiff": 60,
  },
  aggressive: {
    "tcp.first": 30,
    "tcp.opening": 5,
    "tcp.established": 18_000,
    "tcp.closing": 60,
    "tcp.finwait": 30,
    "tcp.closed": 30,
    "tcp.tsdiff": 10,
  },
} as const satisfies Record<string, Record<ProfileName, number>>;

/** An optimisation profile by its name; pf's `satellite` is `high-latency`. */
export type Profile = keyof typeof PROFILES;

/** pf's defaults of the timeouts that no profile sets, in seconds. */
const OTHERS = {
  "udp.first": 60,
  "udp.single": 30,
  "udp.multiple": 60,
  "icmp.first": 20,
  "icmp.error": 10,
  "other.first": 60,
  "other.single": 30,
  "other.multiple": 60,
} as const satisfies Record<Exclude<TimeoutName, ProfileName>, number>;

/** Timeout of each TCP state. */
export const TCP_TIMEOUTS = {
  CLOSED: "tcp.closed",
  SYN_RCVD1: "tcp.first",
  SYN_RCVD2: "tcp.opening",
  SYN_SENT1: "tcp.first",
  SYN_SENT2: "tcp.opening",
  SYN_SENT3: "tcp.opening",
  ESTABLISHED: "tcp.established",
  CLOSE_WAIT1: "tcp.closing",
  CLOSE_WAIT2: "tcp.closing",
  LAST_ACK: "tcp.finwait",
  FIN_WAIT_1: "tcp.closing",
  FIN_WAIT_2: "tcp.closing",
  FIN_WAIT_3: "tcp.finwait",
  CLOSING: "tcp.finwait",
  CLOSING2: "tcp.finwait",
  TIME_WAIT: "tcp.closed",
} as const satisfies Record<FlowState, TimeoutName>;

/** Timeouts of each state of the datagram machine, by kind of protocol. */
export const DATAGRAM_TIMEOUTS = {
  udp: { FIRST: "udp.first", SINGLE: "udp.single", REPLIED: "udp.single", MULTIPLE: "udp.multiple" },
  icmp: { FIRST: "icmp.first", SINGLE: "icmp.first", REPLIED: "icmp.error", MULTIPLE: "icmp.error" },
  other: {
    FIRST: "other.first",
    SINGLE: "other.single",
    REPLIED: "other.single",
    MULTIPLE: "other.multiple",
  },
} as const satisfies Record<string, Record<DatagramState, TimeoutName>>;

/** Longest timeout that can be set: 30 days. */
export const TIMEOUT_MAX: Milliseconds = 30 * 24 * 3600 * SECOND;

/**
 * Share of the capacity at which timeouts begin to shrink, and at which they would be nothing; pf's defaults.
 */
const ADAPTIVE_START_SHARE = 0.6;
const ADAPTIVE_END_SHARE = 1.2;

/** Timeouts of a profile, in milliseconds. */
export function profileTimeouts(profile: Profile): { [Name in ProfileName]: Milliseconds } {
  const entries = Object.entries(PROFILES[profile]).map(([name, seconds]) => [name, seconds * SECOND]);
  return Object.fromEntries(entries) as { [Name in ProfileName]: Milliseconds };
}

/**
 * Timeouts of the profile `normal` for a table of a size.
 *
 * @param capacity - most flows of the table
 */
export function defaultTimeouts(capacity: number): TimeoutValues {
  const others = Object.entries(OTHERS).map(([name, seconds]) => [name, seconds * SECOND]);
  return {
    ...profileTimeouts("normal"),
    ...(Object.fromEntries(others) as { [Name in keyof typeof OTHERS]: Milliseconds }),
    "adaptive.start": Math.floor(capacity * ADAPTIVE_START_SHARE),
    "adaptive.end": Math.floor(capacity * ADAPTIVE_END_SHARE),
  };
}

/**
 * Checks timeouts that come from outside.
 *
 * @throws {FirewallError} `TIMEOUT_INVALID` when one is not a span of time up to 30 days, or adaptive.end is
 *   not above adaptive.start
 */
export function checkTimeouts(values: TimeoutValues): void {
  const fail = (name: string, rule: string): never => {
    throw new FirewallError("TIMEOUT_INVALID", `timeout ${name} ${rule}`, { details: { name } });
  };
  for (const [name, value] of Object.entries(values)) {
    if (!(value >= 0)) fail(name, `must be a number of at least 0, not ${value}`);
    if (name in TIMEOUT_MEANINGS && value > TIMEOUT_MAX) fail(name, `must be at most ${TIMEOUT_MAX} ms`);
  }
  const start = values["adaptive.start"];
  if (start > 0 && values["adaptive.end"] <= start) fail("adaptive.end", "must be above adaptive.start");
}

/**
 * Factor by which timeouts shrink at a size of the table.
 *
 * @returns 0 to 1
 */
export function adaptiveScale(start: number, end: number, size: number): number {
  if (start === 0 || size <= start) return 1;
  return size >= end ? 0 : (end - size) / (end - start);
}

/** The shortest that any timeout can get in a table of a size. */
export function leastTimeout(values: TimeoutValues, capacity: number): Milliseconds {
  const names = Object.keys(TIMEOUT_MEANINGS) as TimeoutName[];
  const scale = adaptiveScale(values["adaptive.start"], values["adaptive.end"], capacity);
  return Math.min(...names.map((name) => values[name])) * scale;
}
