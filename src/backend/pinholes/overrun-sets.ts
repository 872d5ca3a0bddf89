/**
 * Which packets limits refuse, in nftables: a set for each kind of limit and family, which the kernel fills.
 *
 * A rule that finds a packet beyond its limit leads to a chain that notes the packet's flow, with a counter,
 * and drops it. Packets within their limits never come there. A set has a greatest size; what comes when it
 * is full is dropped all the same, and not noted. Reading takes out what was read.
 *
 * ```
 * CHAIN-v4-limited ─► CHAIN-over-pps-v4: add to the set of the same name, drop
 * ```
 */
import type { Family } from "../../base/index.ts";
import {
  ElementReader,
  encodeElementsDump,
  type HeldElement,
  MESSAGE_FLAG,
  SetBatch,
  TABLE_FAMILY,
} from "../../netlink/index.ts";
import { type EnforcedLimit, FLOWS_NOTED_MAX, hasPorts, type Overrun } from "../../pinhole/index.ts";
import type { NetlinkSocket } from "../../system/index.ts";
import { decodeBox, nameKey } from "./box-key.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { failureOf } from "./plan-failure.ts";
import { exactShape, shapeExpression, shapeType } from "./set-shape.ts";

/** Kinds of limits, by their word in names, and what pinholes call them. */
export const LIMIT_WORDS = {
  pps: "pps",
  bps: "bps",
  new: "newPerSec",
  quota: "quotaBytes",
} as const satisfies Record<string, EnforcedLimit>;
/** A kind of limit, by its word. */
export type LimitKind = keyof typeof LIMIT_WORDS;

/** What one kind of limit refuses in one family. */
export interface OverrunSet {
  readonly kind: LimitKind;
  readonly family: Family;
}

/** Name of the set, and of the chain that fills it. */
export function overrunName(plan: ChainPlan, { kind, family }: OverrunSet): string {
  return `${plan.chain}-over-${kind}-v${family}`;
}

/** The commands that make the set and the chain, whatever of them is there already. */
export function overrunText(plan: ChainPlan, set: OverrunSet): string {
  const shape = exactShape(set.family);
  const name = overrunName(plan, set);
  const chain = `inet ${plan.table} ${name}`;
  return `add set ${chain} { type ${shapeType(shape)}; size ${FLOWS_NOTED_MAX}; flags dynamic; counter; }
add chain ${chain}
flush chain ${chain}
add rule ${chain} add @${name} { ${shapeExpression(shape)} }
add rule ${chain} drop
`;
}

function overrunOf({ kind, family }: OverrunSet, { key, packets }: HeldElement): Overrun | undefined {
  const box = decodeBox(exactShape(family), key, key);
  if (box === undefined) return undefined;
  const { protocol, source, destination } = box;
  const withPorts = hasPorts(protocol);
  return {
    limit: LIMIT_WORDS[kind],
    packets,
    packet: {
      family,
      protocol,
      source: source.prefix.words,
      destination: destination.prefix.words,
      sourcePort: withPorts ? source.ports.low : 0,
      destinationPort: withPorts ? destination.ports.low : 0,
      opensTcp: false,
    },
  };
}

/**
 * Takes out what was noted.
 *
 * @throws {FirewallError} when the kernel refuses
 */
export function takeOverruns(plan: ChainPlan, socket: NetlinkSocket, sets: readonly OverrunSet[]): Overrun[] {
  const table = { family: TABLE_FAMILY.INET, name: plan.table };
  const reader = new ElementReader();
  return sets.flatMap((set) => {
    const name = overrunName(plan, set);
    // A set that grows while it is read may show an element twice.
    const noted = new Map<string, HeldElement>();
    for (const message of socket.exchange(encodeElementsDump(table, name)).messages) {
      reader.read(message, (element) => noted.set(nameKey(element.key, undefined), element));
    }
    if (noted.size === 0) return [];
    const batch = new SetBatch(1);
    const keys = Array.from(noted.values(), ({ key }) => ({ key }));
    batch.delete({ table, name }, keys, MESSAGE_FLAG.ACK);
    const refused = socket.exchange(batch.end()).answers.find(({ errno }) => errno !== 0);
    if (refused !== undefined) throw failureOf(refused);
    return [...noted.values()].flatMap((element) => overrunOf(set, element) ?? []);
  });
}
