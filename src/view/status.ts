/**
 * Counters of the firewall under pf's names (py-pf: PFStatus). Counters that have no meaning on Linux are not
 * there: a zero would claim that nothing happened.
 */
import type { Milliseconds } from "../base/index.ts";
import type { ConntrackStatistics } from "../netlink/index.ts";
import type { CounterValues } from "../state/index.ts";
import { clockText } from "./verbose.ts";

/** What pf's generic counters mean here. */
export const STATUS_COUNTERS = {
  match: "packets that were judged by a rule or a chain's default",
  short: "packets whose headers could not be read",
  memory: "flows not made because the table was full of established ones",
  "bad-timestamp": "segments with an old timestamp",
  congestion: "packets that found a queue or its buffer full",
  "state-mismatch": "segments that no state provides for, or outside the window",
  "state-insert": "entries the kernel could not insert",
  "state-limit": "flows that gave way to make room",
} as const;

/** One of pf's generic counters. */
export type StatusCounter = keyof typeof STATUS_COUNTERS;

/** Searches, inserts and removals of a table. */
export interface TableActivity {
  readonly searches: number;
  readonly inserts: number;
  readonly removals: number;
}

/** What went by in one direction. */
export interface DirectionStatus {
  readonly bytes: number;
  readonly passedPackets: number;
  readonly blockedPackets: number;
}

/** What went by in one direction, by family. */
export interface FamilyStatus {
  readonly ipv4: DirectionStatus;
  readonly ipv6: DirectionStatus;
}

/** Traffic of one interface. */
export interface InterfaceStatus {
  readonly name: string;
  readonly in: FamilyStatus;
  readonly out: FamilyStatus;
}

/** The status object. */
export interface StateStatus {
  readonly running: boolean;
  /** Milliseconds since it began to run (pf: since). */
  readonly runningForMs: Milliseconds;
  /** Id of this host, 32 bits. */
  readonly hostId: number;
  /** Level of the log (pf: debug). */
  readonly debug: string;
  /** Digest of the policy (pf: pf_chksum). */
  readonly checksum: string;
  /** Flows in our tables. */
  readonly states: number;
  /** Of them, TCP connections that do not stand yet (pf: states_halfopen). */
  readonly halfOpenStates: number;
  /** pf: cnt. */
  readonly counters: Readonly<Record<StatusCounter, number>>;
  /** Our tables (pf: fcnt). */
  readonly activity: TableActivity;
  /** pf: bytes and packets, of all interfaces together. */
  readonly in: DirectionStatus;
  readonly out: DirectionStatus;
  /** In the order of their names. */
  readonly interfaces: readonly InterfaceStatus[];
  /** The kernel's own table; null when it was not asked. */
  readonly kernel: KernelStatus | null;
}

/** The kernel's table in figures. */
export interface KernelStatus {
  /** Entries in it, -1 when unknown. */
  readonly entries: number;
  /** Most there may be, -1 when unknown. */
  readonly limit: number;
  readonly statistics: ConntrackStatistics;
}

/** What a status is made of. */
export interface StatusFacts
  extends Pick<
    StateStatus,
    | "running"
    | "runningForMs"
    | "hostId"
    | "debug"
    | "checksum"
    | "states"
    | "halfOpenStates"
    | "interfaces"
    | "kernel"
  > {
  /** Counters of every worker's tracker. */
  readonly trackers: readonly CounterValues[];
  readonly judgedPackets: number;
  readonly malformedPackets: number;
  /** Packets the kernel could not queue or hand over. */
  readonly congestedPackets: number;
}

function sum(facts: StatusFacts, ...names: readonly (keyof CounterValues)[]): number {
  let total = 0;
  for (const tracker of facts.trackers) for (const name of names) total += tracker[name];
  return total;
}

const NO_TRAFFIC: DirectionStatus = { bytes: 0, passedPackets: 0, blockedPackets: 0 };

function addTraffic(one: DirectionStatus, other: DirectionStatus): DirectionStatus {
  return {
    bytes: one.bytes + other.bytes,
    passedPackets: one.passedPackets + other.passedPackets,
    blockedPackets: one.blockedPackets + other.blockedPackets,
  };
}

function addFamilies(one: FamilyStatus, other: FamilyStatus): FamilyStatus {
  return { ipv4: addTraffic(one.ipv4, other.ipv4), ipv6: addTraffic(one.ipv6, other.ipv6) };
}

/** Adds up what several workers counted of the same interfaces. @returns in the order of names */
export function sumInterfaces(all: readonly InterfaceStatus[]): InterfaceStatus[] {
  const sums = new Map<string, InterfaceStatus>();
  for (const each of all) {
    const { name } = each;
    const sum = sums.get(name);
    if (sum === undefined) sums.set(name, each);
    else sums.set(name, { name, in: addFamilies(sum.in, each.in), out: addFamilies(sum.out, each.out) });
  }
  return [...sums.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Puts a status together. */
export function stateStatus(facts: StatusFacts): StateStatus {
  const { running, runningForMs, hostId, debug, checksum, states, halfOpenStates, kernel } = facts;
  const { interfaces } = facts;
  const total = (direction: "in" | "out"): DirectionStatus =>
    interfaces.flatMap((each) => [each[direction].ipv4, each[direction].ipv6]).reduce(addTraffic, NO_TRAFFIC);
  return {
    running,
    runningForMs,
    hostId,
    debug,
    checksum,
    states,
    halfOpenStates,
    counters: {
      match: facts.judgedPackets,
      short: facts.malformedPackets,
      memory: sum(facts, "refused"),
      "bad-timestamp": sum(facts, "badTimestamp"),
      congestion: facts.congestedPackets,
      "state-mismatch": sum(facts, "undefinedSegments", "outOfWindow"),
      "state-insert": kernel === null ? 0 : kernel.statistics.insertFailed,
      "state-limit": sum(facts, "evictedHalfOpen", "evictedClosing", "evictedCarried"),
    },
    activity: {
      searches: sum(facts, "searches"),
      inserts: sum(facts, "inserts"),
      removals: sum(facts, "removals"),
    },
    in: total("in"),
    out: total("out"),
    interfaces,
    kernel,
  };
}

const DAY: Milliseconds = 86_400_000;
const NAME_WIDTH = 25;
const TOTAL_WIDTH = 14;
/** Longest name of an interface, and the words before it. */
const INTERFACE_TITLE_WIDTH = 36;
const FAMILY_WIDTH = 16;

/** Prints a status as `pfctl -s info` and py-pf do. @returns lines without line ends */
export function statusLines(status: StateStatus): string[] {
  const days = Math.floor(status.runningForMs / DAY);
  const runtime = ` for ${days} days ${clockText(status.runningForMs % DAY)}`;
  const headline = `Status: ${status.running ? `Enabled${runtime}` : "Disabled"}`;
  const seconds = status.running ? status.runningForMs / 1000 : 0;
  const rated = (name: string, total: number): string => {
    const rate = seconds > 0 ? ` ${(total / seconds).toFixed(1).padStart(14)}/s` : "";
    return `  ${name.padEnd(NAME_WIDTH)} ${String(total).padStart(TOTAL_WIDTH)}${rate}`;
  };
  const plain = (name: string, total: number): string =>
    `  ${name.padEnd(NAME_WIDTH)} ${String(total).padStart(TOTAL_WIDTH)}`;
  return [
    headline.padEnd(44) + `Debug: ${status.debug}`.padStart(15),
    "",
    ...status.interfaces.flatMap(interfaceLines),
    `Hostid:   0x${status.hostId.toString(16).padStart(8, "0")}`,
    `Checksum: ${status.checksum}`,
    "",
    `${"State Table".padEnd(27)} ${"Total".padStart(14)} ${"Rate".padStart(16)}`,
    plain("current entries", status.states),
    plain("half-open tcp", status.halfOpenStates),
    ...Object.entries(status.activity).map(([name, total]) => rated(name, total as number)),
    "Counters",
    ...Object.entries(status.counters).map(([name, total]) => rated(name, total)),
    ...kernelLines(status.kernel, plain),
  ];
}

/** As `pfctl -s info` prints the interface that it counts. */
function interfaceLines({ name, ...traffic }: InterfaceStatus): string[] {
  const row = (title: string, values: readonly (number | string)[]): string =>
    title.padEnd(INTERFACE_TITLE_WIDTH) +
    values.map((value) => String(value).padStart(FAMILY_WIDTH)).join(" ");
  const direction = (title: string, { ipv4, ipv6 }: FamilyStatus): string[] => [
    `  Packets ${title}`,
    row("    Passed", [ipv4.passedPackets, ipv6.passedPackets]),
    row("    Blocked", [ipv4.blockedPackets, ipv6.blockedPackets]),
  ];
  return [
    row(`Interface Stats for ${name}`, ["IPv4", "IPv6"]),
    row("  Bytes In", [traffic.in.ipv4.bytes, traffic.in.ipv6.bytes]),
    row("  Bytes Out", [traffic.out.ipv4.bytes, traffic.out.ipv6.bytes]),
    ...direction("In", traffic.in),
    ...direction("Out", traffic.out),
    "",
  ];
}

function kernelLines(
  kernel: KernelStatus | null,
  plain: (name: string, total: number) => string,
): readonly string[] {
  if (kernel === null) return [];
  const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return [
    "Kernel Table",
    plain("current entries", kernel.entries),
    plain("limit", kernel.limit),
    ...Object.entries(kernel.statistics).map(([name, total]) => plain(words(name), total as number)),
  ];
}
