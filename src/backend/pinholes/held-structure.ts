/** What there is of ours in the kernel: sets, maps and limits by name, and the generation in force. */
import { FirewallError } from "../../base/index.ts";
import {
  decodeName,
  type ElementFacts,
  ElementReader,
  encodeElementsDump,
  encodeObjectsDump,
  encodeSetsDump,
  type HeldElement,
  isInterrupted,
  TABLE_FAMILY,
  type TableName,
} from "../../netlink/index.ts";
import { errnoName, type NetlinkSocket } from "../../system/index.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { markName } from "./chain-text.ts";
import { decodeGeneration } from "./generation-mark.ts";
import { type LimitMap, limitMapName, parseLimitMap, parseObjectName } from "./limit-objects.ts";
import { failureOf } from "./plan-failure.ts";
import { parseSetSuffix, type SetIdentity } from "./set-shape.ts";

function tableOf({ table }: ChainPlan): TableName {
  return { family: TABLE_FAMILY.INET, name: table };
}

/** How often a list is read that changes meanwhile. */
const DUMP_ATTEMPTS_MAX = 16;

/** An entry of a map of limits. */
export interface HeldEntry {
  readonly map: LimitMap;
  readonly facts: ElementFacts;
  /** Name of the object that it leads to. */
  readonly object: string;
}

/** What there is of ours, by name. */
export interface HeldOutline {
  /** The generation in force; undefined when there is no mark that we can read. */
  readonly generation: number | undefined;
  /** Our sets that exist. */
  readonly sets: readonly SetIdentity[];
  /** Our maps of limits that exist. */
  readonly limitMaps: readonly LimitMap[];
}

/** What the kernel holds of ours, but for what is in the sets. */
export interface HeldStructure extends HeldOutline {
  readonly entries: readonly HeldEntry[];
  /** Names of our limits. */
  readonly objects: readonly string[];
}

/**
 * Reads a whole list. What changes while it is read makes the kernel say so, and then it is read again.
 *
 * @throws {FirewallError} `BACKEND_UNAVAILABLE` when it changes all the time
 */
function dump(socket: NetlinkSocket, request: Uint8Array): readonly Uint8Array[] {
  for (let attempt = 0; attempt < DUMP_ATTEMPTS_MAX; attempt += 1) {
    const { answers, messages } = socket.exchange(request);
    const refused = answers.find((answer) => answer.errno !== 0);
    if (refused !== undefined) {
      if (errnoName(refused.errno) === "ENOENT") return [];
      throw failureOf(refused);
    }
    if (!messages.some(isInterrupted)) return messages;
  }
  throw new FirewallError("BACKEND_UNAVAILABLE", "The sets change faster than they can be read.");
}

function read(plan: ChainPlan, socket: NetlinkSocket, set: string): HeldElement[] {
  const reader = new ElementReader();
  const elements: HeldElement[] = [];
  for (const message of dump(socket, encodeElementsDump(tableOf(plan), set))) {
    reader.read(message, (element) => elements.push(element));
  }
  return elements;
}

/** Reads what there is, and nothing of what it holds. */
export function readOutline(plan: ChainPlan, socket: NetlinkSocket): HeldOutline {
  const names = dump(socket, encodeSetsDump(tableOf(plan))).map(decodeName);
  const prefix = `${plan.chain}-`;
  const ours = names.filter((name) => name.startsWith(prefix));
  const mark = names.includes(markName(plan)) ? read(plan, socket, markName(plan))[0] : undefined;
  return {
    generation: mark === undefined ? undefined : decodeGeneration(mark.key),
    sets: ours.flatMap((name) => parseSetSuffix(name.slice(prefix.length)) ?? []),
    limitMaps: names.flatMap((name) => parseLimitMap(plan, name) ?? []),
  };
}

/** Reads everything but what our sets hold. Costs time in proportion to the limits there are. */
export function readStructure(plan: ChainPlan, socket: NetlinkSocket): HeldStructure {
  const outline = readOutline(plan, socket);
  const entries = outline.limitMaps.flatMap((map) =>
    read(plan, socket, limitMapName(plan, map)).map(({ key, keyEnd, object }) => ({
      map,
      facts: map.shape.isInterval ? { key, keyEnd } : { key },
      object,
    })),
  );
  const objects = dump(socket, encodeObjectsDump(tableOf(plan))).map(decodeName);
  return {
    ...outline,
    entries,
    objects: objects.filter((name) => parseObjectName(plan, name) !== undefined),
  };
}
