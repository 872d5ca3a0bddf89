/**
 * Limits in nftables: stateful objects, and maps that lead from a packet to them.
 *
 * A pinhole has one object for each of its limits, whatever number of elements it has, so what counts is the
 * sum of all its packets. A map from keys to objects stands beside each set of `pass-limited`, with the same
 * keys, one for each kind of limit. The rules behind the limited sets ask the maps: who exceeds is noted and
 * dropped (see overrun-sets.ts), the rest is permitted.
 */
import type { MessageWriter, ObjectFacts } from "../../netlink/index.ts";
import type { PinholeLimits } from "../../pinhole/index.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { DEFAULT_BURST } from "./limit-meter.ts";
import { LIMIT_WORDS, type LimitKind, overrunName, type OverrunSet, overrunText } from "./overrun-sets.ts";
import { parseSetSuffix, type SetShape, setSuffix, shapeExpression, shapeType } from "./set-shape.ts";

/** Kinds of limits: packets, bytes and connections per second, and bytes altogether. */
export const LIMIT_KINDS = Object.keys(LIMIT_WORDS) as readonly LimitKind[];

// Types of objects (NFT_OBJECT_QUOTA, NFT_OBJECT_LIMIT).
const QUOTA = 2;
const LIMIT = 4;

// Attributes of a limit (enum nft_limit_attributes) and of a quota (enum nft_quota_attributes).
const LIMIT_RATE = 1;
const LIMIT_UNIT = 2;
const LIMIT_BURST = 3;
const LIMIT_TYPE = 4;
const LIMIT_FLAGS = 5;
const QUOTA_BYTES = 1;
const QUOTA_FLAGS = 2;

/** The object matches what exceeds it (NFT_LIMIT_F_INV, NFT_QUOTA_F_INV: "over"). */
const OVER = 1;

const PACKETS = 0;
const BYTES = 1;
const SECOND = 1;
const BITS_PER_BYTE = 8;

/** The limits that a pinhole has. */
export function kindsOf(limits: PinholeLimits): LimitKind[] {
  return LIMIT_KINDS.filter((kind) => limits[LIMIT_WORDS[kind]] !== undefined);
}

/** Type of the objects of a kind. */
export function objectType(kind: LimitKind): number {
  return kind === "quota" ? QUOTA : LIMIT;
}

/** Name of an object. */
export function objectName(plan: ChainPlan, number: number, kind: LimitKind): string {
  return `${plan.chain}-${number}-${kind}`;
}

/** Number and kind of an object with this name; `undefined` when it is none of ours. */
export function parseObjectName(
  plan: ChainPlan,
  name: string,
): { readonly number: number; readonly kind: LimitKind } | undefined {
  if (!name.startsWith(`${plan.chain}-`)) return undefined;
  const [, number, word] = /^(\d{1,10})-([a-z]+)$/.exec(name.slice(plan.chain.length + 1)) ?? [];
  const kind = LIMIT_KINDS.find((candidate) => candidate === word);
  return number === undefined || kind === undefined ? undefined : { number: Number(number), kind };
}

function writeRate(writer: MessageWriter, type: number, rate: number, burst: number): void {
  writer.uint64(LIMIT_RATE, rate);
  writer.uint64(LIMIT_UNIT, SECOND);
  writer.uint32(LIMIT_BURST, burst);
  writer.uint32(LIMIT_TYPE, type);
  writer.uint32(LIMIT_FLAGS, OVER);
}

function writeLimit(writer: MessageWriter, kind: LimitKind, limits: PinholeLimits): void {
  const { pps = 1, bps = BITS_PER_BYTE, burst = DEFAULT_BURST, newPerSec = 1, quotaBytes = 0 } = limits;
  switch (kind) {
    case "pps":
      return writeRate(writer, PACKETS, pps, burst);
    case "bps":
      // Without a burst of its own the kernel lets a second's worth come at once.
      return writeRate(writer, BYTES, Math.max(1, Math.floor(bps / BITS_PER_BYTE)), 0);
    case "new":
      return writeRate(writer, PACKETS, newPerSec, DEFAULT_BURST);
    case "quota":
      writer.uint64(QUOTA_BYTES, quotaBytes);
      return writer.uint32(QUOTA_FLAGS, OVER);
  }
}

/** The objects of a pinhole. */
export function limitObjects(plan: ChainPlan, number: number, limits: PinholeLimits): ObjectFacts[] {
  return kindsOf(limits).map((kind) => ({
    name: objectName(plan, number, kind),
    type: objectType(kind),
    writeData: (writer) => writeLimit(writer, kind, limits),
  }));
}

/** A map by what it is for: a kind of limit, for the elements of one set. */
export interface LimitMap {
  readonly kind: LimitKind;
  readonly shape: SetShape;
  /** The same as of the set beside it. */
  readonly layer: number;
}

/** Name of a map. */
export function limitMapName(plan: ChainPlan, { kind, shape, layer }: LimitMap): string {
  return `${plan.chain}-${kind}-${setSuffix({ role: "pass-limited", shape, layer })}`;
}

/** The map with this name; `undefined` when it is none of ours. */
export function parseLimitMap(plan: ChainPlan, name: string): LimitMap | undefined {
  for (const kind of LIMIT_KINDS) {
    const prefix = `${plan.chain}-${kind}-`;
    const set = name.startsWith(prefix) ? parseSetSuffix(name.slice(prefix.length)) : undefined;
    if (set?.role === "pass-limited") return { kind, shape: set.shape, layer: set.layer };
  }
  return undefined;
}

/** Where packets go that a map's limits refuse. */
export function overrunOfMap({ kind, shape }: LimitMap): OverrunSet {
  return { kind, family: shape.family };
}

/** The commands that make a map and the rule that asks it, in the chain of limited packets. */
export function limitMapText(plan: ChainPlan, map: LimitMap, place: "add" | "insert", chain: string): string {
  const { kind, shape } = map;
  const name = limitMapName(plan, map);
  const type = kind === "quota" ? "quota" : "limit";
  const flags = shape.isInterval ? " flags interval;" : "";
  const fresh = kind === "new" ? "ct state new " : "";
  const overrun = overrunOfMap(map);
  const refused = `goto ${overrunName(plan, overrun)}`;
  return `${overrunText(plan, overrun)}add map inet ${plan.table} ${name} { type ${shapeType(shape)} : ${type};${flags} }
${place} rule inet ${plan.table} ${chain} ${fresh}${type} name ${shapeExpression(shape)} map @${name} ${refused}
`;
}
