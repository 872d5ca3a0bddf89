/**
 * A PortKnocking rule in strict mode as the kernel holds it: sets of sources whose elements leave by
 * themselves.
 *
 * - `begun`: sources between their first knock and their last, for `deadline` from the first one.
 * - one set for each number of doors passed, for `timeout` from the last knock. A source has passed so many
 *   doors while it is in that set and in `begun`.
 * - `open`: sources that have passed all doors, for `timeout`.
 * - `counted`: SYNs that have counted, for `deadline`.
 * - `tries`: a limit for each source, of what it may begin.
 *
 * Elements of the first four are added and never refreshed, so each lives as long as the policy says from the
 * moment that it is about. The kernel's clock for elements ticks every 1 to 10 milliseconds.
 *
 * A full set takes no other element and gives none up. So a source whose first knock finds no room goes up,
 * and userspace, where the oldest source gives way, has its knocks; while there may be such sources (`full`
 * holds an element for as long as userspace may remember one), packets that knock or go to the protected port
 * go up, too, of all sources of which the kernel knows no knock. So forged first knocks lock nobody out. A
 * later knock that finds no room is lost, and its source begins again: those sets fill only with sources that
 * know the doors. Where it finds none in `counted` alone, a copy of its SYN is a wrong knock.
 *
 * The sets are named by the rule's text, and outlive plans as the rule's shared memory outlives policies.
 */
import { type Family, type Port, PROTOCOL, SECOND } from "../../base/index.ts";
import type { Policy, PolicyRule } from "../../policy/index.ts";
import type { Match } from "./kernel-test.ts";
import { limitWords, nameOf } from "./meter.ts";

/** The source of a packet, in nftables' words. */
export function sourceText({ family }: Pick<KnockSets, "family">): string {
  return family === 4 ? "ip saddr" : "ip6 saddr";
}

/** What a SYN that has counted is known by, in nftables' words. */
export function synText(sets: Pick<KnockSets, "family">): string {
  return `${sourceText(sets)} . tcp sport . tcp dport . tcp sequence`;
}

/** A port that packets go to. */
export interface KnockPort {
  readonly protocol: "TCP" | "UDP";
  readonly port: Port;
}

/** What a PortKnocking rule says, with its defaults. */
interface KnockValues {
  readonly protocol: "TCP" | "UDP";
  readonly port?: Port;
  readonly src_port?: Port;
  readonly timeout: number;
  readonly doors: readonly (readonly ["TCP" | "UDP", Port])[];
  readonly mode: "compatible" | "strict";
  readonly deadline?: number;
  readonly attempts: number;
  readonly attempt_window: number;
}

/** A rule about knocks, in the kernel, for the sources of one family. */
export interface KnockSets {
  readonly family: Family;
  /** Names of its sets begin with it; the same for the same rule of each policy. */
  readonly name: string;
  /** The protected port. */
  readonly opened: KnockPort;
  /** In their order. */
  readonly doors: readonly KnockPort[];
  /** Where knocks must come from; absent when from anywhere. */
  readonly sourcePort?: Port;
  /** In milliseconds. */
  readonly timeout: number;
  /** In milliseconds. */
  readonly deadline: number;
  /** What a source may begin, in nftables' words. */
  readonly tries: string;
  /** Time after which a source that begins nothing may surely begin as often as any, in seconds. */
  readonly idleSeconds: number;
  /** Most elements of each set. */
  readonly size: number;
}

/** Why sources of IPv6 are not the kernel's where the rule has UDP. */
export const IPV6_DATAGRAMS =
  "it remembers IPv6 sources in userspace: the kernel does not vouch for datagrams with a wrong checksum";

/** True for rules that {@link knockSetsOf} is for. */
export function isStrictKnock({ name, values }: PolicyRule): boolean {
  return name === "PortKnocking" && values["mode"] === "strict";
}

function valuesOf(row: PolicyRule): KnockValues {
  return row.values as unknown as KnockValues;
}

/** Each port once. */
function distinct(ports: readonly KnockPort[]): KnockPort[] {
  return [...new Map(ports.map((each) => [`${each.protocol} ${each.port}`, each])).values()];
}

function doorsOf({ doors }: KnockValues): KnockPort[] {
  return doors.map(([protocol, port]) => ({ protocol, port }));
}

/** What packets to a port fit. */
function portMatch({ protocol, port }: KnockPort): Match {
  return [
    { field: "protocol", protocols: [PROTOCOL[protocol]], negated: false },
    { field: "destinationPort", low: port, high: port, negated: false },
  ];
}

/**
 * The packets that a strict rule is about: those to a door or the protected port, no packet to two of them.
 */
export function knockMatches(row: PolicyRule): Match[] {
  const values = valuesOf(row);
  const { protocol, port } = values;
  const all = [...doorsOf(values), ...(port === undefined ? [] : [{ protocol, port }])];
  return distinct(all).map(portMatch);
}

/** Packets to the protected port, and those to each door. */
export function knockPackets({ family, opened, doors }: KnockSets): {
  readonly opened: Match;
  readonly doors: Match[];
} {
  const match = (port: KnockPort): Match => [{ field: "family", family }, ...portMatch(port)];
  return { opened: match(opened), doors: distinct(doors).map(match) };
}

/** Why a rule cannot remember knocks in the kernel, whatever packets it meets; `undefined` when it can. */
function obstacle(row: PolicyRule): string | undefined {
  const { protocol, port, doors } = valuesOf(row);
  if (row.shadow) return "it stands in the shadow and reports what it would do";
  if (row.not) return "it is inverted";
  if (port === undefined) return "it protects no port";
  const isDoor = doors.some(([each, door]) => each === protocol && door === port);
  return isDoor ? "the protected port is one of its doors" : undefined;
}

/**
 * A strict PortKnocking rule as sets of the kernel, for each family of sources whose packets cannot go up.
 * Datagrams over IPv6 with a wrong checksum do, so with UDP it has none for IPv6.
 *
 * @returns why it cannot be, for people, where it cannot
 */
export function knockSetsOf(row: PolicyRule, { settings }: Policy): KnockSets[] | string {
  const reason = obstacle(row);
  if (reason !== undefined) return reason;
  const values = valuesOf(row);
  const { protocol, port = 0, src_port, timeout, deadline, attempts, attempt_window } = values;
  const limit = limitWords(attempts / attempt_window, attempts);
  if (typeof limit === "string") return `${limit} (attempts)`;
  const { knockSources } = settings.limits;
  const opened = { protocol, port };
  const doors = doorsOf(values);
  const hasDatagrams = [opened, ...doors].some((each) => each.protocol === "UDP");
  const families: readonly Family[] = hasDatagrams ? [4] : [4, 6];
  return families.map((family) => ({
    family,
    name: nameOf(`knocks${family}`, `${row.memoryKey} ${knockSources}`),
    opened,
    doors,
    ...(src_port !== undefined && { sourcePort: src_port }),
    timeout: timeout * SECOND,
    deadline: (deadline ?? timeout) * SECOND,
    tries: limit.words,
    idleSeconds: Math.ceil(limit.burstSeconds) + 1,
    size: knockSources,
  }));
}

/** Name of the set of sources that have passed so many doors, and not all. */
export function passedSetName({ name }: KnockSets, passed: number): string {
  return `${name}-passed-${passed}`;
}

/** Numbers of doors that are some, and not all. */
export function passedCounts({ doors }: KnockSets): number[] {
  return Array.from({ length: doors.length - 1 }, (_, at) => at + 1);
}

/** Elements of `full`: the one that it holds, and one that has run out and waits to be collected. */
const FULL_SIZE = 2;

interface SetForm {
  readonly name: string;
  readonly key: string;
  /** In milliseconds. */
  readonly timeout: number;
  readonly size: number;
}

function setForms(sets: KnockSets): SetForm[] {
  const { name, timeout, deadline, idleSeconds, size } = sets;
  const bySource = { key: sourceText(sets), size };
  // From its first knock a source has as long as this to pass all doors, and then to use what is open.
  const remembered = deadline + timeout + SECOND;
  return [
    { ...bySource, name: `${name}-begun`, timeout: deadline },
    ...passedCounts(sets).map((passed) => ({ ...bySource, name: passedSetName(sets, passed), timeout })),
    { ...bySource, name: `${name}-open`, timeout },
    { ...bySource, name: `${name}-tries`, timeout: idleSeconds * SECOND },
    { name: `${name}-counted`, key: synText(sets), timeout: deadline, size },
    { name: `${name}-full`, key: "meta nfproto", timeout: remembered, size: FULL_SIZE },
  ];
}

/**
 * A time in nftables' words, which takes no number of milliseconds beyond 31 bits. @param time - in
 * milliseconds
 */
function durationText(time: number): string {
  const whole = Math.round(time);
  return `${Math.floor(whole / SECOND)}s${whole % SECOND}ms`;
}

/** The sets, empty, to stand in a table block. */
export function knockSetsText(sets: KnockSets): string {
  const texts = setForms(sets).map(({ name, key, timeout, size }) => {
    const lines = [
      `typeof ${key}`,
      `size ${size}`,
      "flags dynamic,timeout",
      `timeout ${durationText(timeout)}`,
    ];
    return `\tset ${name} {\n${[...lines, "gc-interval 1s"].map((line) => `\t\t${line}\n`).join("")}\t}`;
  });
  return texts.join("\n");
}

/** The commands that take them away. */
export function knockSetsRemoval(table: string, sets: KnockSets): string {
  return setForms(sets)
    .map(({ name }) => `delete set inet ${table} ${name}`)
    .join("\n");
}
