/**
 * A LimitRule as the kernel judges it: nftables' `limit`, for all sources or for each.
 *
 * Both are the same token bucket: full at first, filled steadily up to the burst, and a packet over the limit
 * takes nothing. The kernel counts in time: a packet costs what the rate gives it, in whole nanoseconds, and
 * a bucket holds the time of as many packets as the burst. So its rate is off by what is rounded, at most
 * {@link RATE_TOLERANCE}; a rate that would be off by more stays in userspace. Userspace reads its clock in
 * milliseconds, the kernel in nanoseconds: where a token is due within a millisecond they may differ.
 *
 * Buckets by source are elements of a set, each with a limit of its own. An element leaves once its bucket is
 * surely full again, so a forgotten source and an idle one are the same, as in userspace. A full set takes no
 * other source: its packets go up, where a table of as many sources gives the idlest up (see
 * token-buckets.ts). So no source is without a limit, and each has its bucket on one side: the kernel's while
 * it stands in the set. IPv6 sources are judged in userspace altogether, since packets with extension headers
 * go up in any case.
 *
 * Limits and sets are named by the rule's text, and outlive plans as the rule's shared memory outlives
 * policies.
 */
import { createHash } from "node:crypto";
import type { Policy, PolicyRule } from "../../policy/index.ts";

/** A rate in the kernel differs from the policy's by no more than this part of it. */
const RATE_TOLERANCE = 0.001;

/** Beyond it a more exact unit is looked for. */
const RATE_EXACT = 0.000_001;

/** Longest time that the kernel is asked to remember a source, in seconds. */
const IDLE_SECONDS_MAX = 30 * 24 * 3600;

const NANOSECONDS = 1_000_000_000;

/** Longest time that a burst may take to come in, in seconds: the kernel has 63 bits of nanoseconds. */
const BURST_SECONDS_MAX = 9_000_000_000;

/** The kernel's units, in seconds. */
const UNIT_SECONDS = { second: 1, minute: 60, hour: 3600, day: 86_400, week: 604_800 } as const;

/** Characters of a hash that tell names apart. */
const NAME_CHARACTERS = 24;

/** A limit in the kernel. */
export interface Meter {
  /** Of the limit or of the set with the limits; the same for the same rule of each policy. */
  readonly name: string;
  readonly by: "overall" | "source";
  /** Which packets fit the line. */
  readonly fits: "over" | "under";
  /** Packets a unit of time, and the burst, in nftables' words. */
  readonly words: string;
  /** Most sources. */
  readonly sources: number;
  /** Time after which a bucket that nobody has used is surely full, in seconds. */
  readonly idleSeconds: number;
}

/**
 * True when of the packets that fit a line's match some may not fit the line: it counts, or knows who
 * knocked.
 */
export function asksMore({ meter, knock }: { readonly meter?: object; readonly knock?: object }): boolean {
  return meter !== undefined || knock !== undefined;
}

/** What a LimitRule says, with its defaults. */
interface LimitValues {
  readonly rate: number;
  readonly per: "second" | "minute" | "hour";
  readonly burst?: number;
  readonly by: "overall" | "source";
  readonly match: "over" | "under";
}

interface KernelRate {
  readonly words: string;
  /** Time that a packet takes, in nanoseconds. */
  readonly cost: number;
  /** How far the rate is off, as a part of it. */
  readonly error: number;
}

/** The closest that the kernel comes to a rate. @param perSecond - packets */
function closestRate(perSecond: number): KernelRate {
  let best: KernelRate = { words: "", cost: 0, error: Number.POSITIVE_INFINITY };
  for (const [unit, seconds] of Object.entries(UNIT_SECONDS)) {
    const count = Math.round(perSecond * seconds);
    const cost = count === 0 ? 0 : Math.floor((seconds * NANOSECONDS) / count);
    if (cost === 0) continue;
    const error = Math.abs(NANOSECONDS / cost / perSecond - 1);
    if (error < best.error) best = { words: `${count}/${unit}`, cost, error };
    if (error <= RATE_EXACT) break;
  }
  return best;
}

/**
 * A rate and a burst in nftables' words, and how long the burst takes to come in.
 *
 * @param perSecond - packets
 * @param secondsMax - longest time for the burst
 * @returns why the kernel cannot count so, for people, where it cannot
 */
export function limitWords(
  perSecond: number,
  burst: number,
  secondsMax: number = IDLE_SECONDS_MAX,
): { readonly words: string; readonly burstSeconds: number } | string {
  const { words, cost, error } = closestRate(perSecond);
  if (error > RATE_TOLERANCE) return "the kernel cannot count at this rate: it counts in whole nanoseconds";
  const burstSeconds = (burst * cost) / NANOSECONDS;
  if (burstSeconds > secondsMax) return "its burst is the packets of too long a time for the kernel";
  return { words: `${words} burst ${burst} packets`, burstSeconds };
}

/** A name of something in the kernel that is the same for the same words. */
export function nameOf(kind: string, words: string): string {
  return `${kind}-${createHash("sha256").update(words).digest("hex").slice(0, NAME_CHARACTERS)}`;
}

/** Why a rule cannot count in the kernel, whatever it counts; `undefined` when it can. */
function meterObstacle(
  { shadow, target }: PolicyRule,
  by: Meter["by"],
  fits: Meter["fits"],
): string | undefined {
  if (shadow) return "it stands in the shadow and reports what it would do";
  if (target.kind === "next" || target.kind === "own") return "it has no effect";
  if (target.kind === "return" && by === "source" && fits === "under") {
    return "the kernel cannot return from the chain in which it asks for what is under the limit";
  }
  return undefined;
}

/**
 * A LimitRule as a limit of the kernel.
 *
 * @returns why it cannot be one, for people, where it cannot
 */
export function meterOf(row: PolicyRule, { settings }: Policy): Meter | string {
  const { rate, per, burst = Math.ceil(rate), by, match } = row.values as unknown as LimitValues;
  const fits = (match === "over") === row.not ? "under" : "over";
  const obstacle = meterObstacle(row, by, fits);
  if (obstacle !== undefined) return obstacle;
  const secondsMax = by === "source" ? IDLE_SECONDS_MAX : BURST_SECONDS_MAX;
  const limit = limitWords(rate / UNIT_SECONDS[per], burst, secondsMax);
  if (typeof limit === "string") return limit;
  const sources = settings.limits.limitSources;
  return {
    name: nameOf(by === "source" ? "sources" : "limit", `${row.memoryKey} ${fits} ${sources}`),
    by,
    fits,
    words: limit.words,
    sources,
    idleSeconds: Math.ceil(limit.burstSeconds) + 1,
  };
}

/** What the kernel holds of a meter, to stand in a table block. */
export function meterText({ name, by, fits, words, sources, idleSeconds }: Meter): string {
  if (by === "overall") {
    return `\tlimit ${name} {\n\t\trate ${fits === "over" ? "over " : ""}${words}\n\t}`;
  }
  const lines = [
    "type ipv4_addr",
    `size ${sources}`,
    "flags dynamic,timeout",
    `timeout ${idleSeconds}s`,
    "gc-interval 1s",
  ];
  return `\tset ${name} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}`;
}

/** The command that takes it away. */
export function meterRemoval(table: string, { name, by }: Meter): string {
  return `delete ${by === "overall" ? "limit" : "set"} inet ${table} ${name}`;
}
