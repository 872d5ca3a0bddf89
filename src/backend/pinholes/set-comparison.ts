/** Reads our sets out of the kernel and compares them with what they shall hold. */
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
} from "../../netlink/index.ts";
import { type DesiredState, makeElement, type StandingElement } from "../../pinhole/index.ts";
import { errnoName, type NetlinkSocket } from "../../system/index.ts";
import { decodeBox, encodeElement, nameKey } from "./box-key.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { markName, setName } from "./chain-text.ts";
import { decodeGeneration } from "./generation-mark.ts";
import { type LimitMap, limitMapName, parseLimitMap, parseObjectName } from "./limit-objects.ts";
import { failureOf } from "./plan-failure.ts";
import type { SetCatalogue } from "./set-catalogue.ts";
import { parseSetSuffix, type SetIdentity, setSuffix, shapeOf } from "./set-shape.ts";

/** A deadline may be wrong by this much, in milliseconds, before it is put right. */
const DEADLINE_TOLERANCE_MS = 1_000;

/** How often a list is read that changes meanwhile. */
const DUMP_ATTEMPTS_MAX = 16;

/** An entry of a map of limits. */
export interface HeldEntry {
  readonly map: LimitMap;
  readonly facts: ElementFacts;
  /** Name of the object that it leads to. */
  readonly object: string;
}

/** What the kernel holds of ours. */
export interface HeldState {
  /** The generation in force; undefined when there is no mark that we can read. */
  readonly generation: number | undefined;
  /** Our sets that exist. */
  readonly sets: readonly SetIdentity[];
  /** Elements in all of them. */
  readonly held: number;
  readonly contents: ReadonlyMap<SetIdentity, readonly HeldElement[]>;
  /** Our maps of limits that exist. */
  readonly limitMaps: readonly LimitMap[];
  readonly entries: readonly HeldEntry[];
  /** Names of our limits. */
  readonly objects: readonly string[];
}

/** An element that nobody asked for. */
export interface Surplus {
  readonly set: SetIdentity;
  readonly facts: ElementFacts;
  /** What a person calls it. */
  readonly name: string;
}

/** How the two differ. */
export interface Comparison {
  /** Elements that are in force and shall be, the stale ones among them. */
  readonly present: readonly StandingElement[];
  readonly missing: readonly StandingElement[];
  readonly stale: readonly StandingElement[];
  readonly surplus: readonly Surplus[];
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

/** Reads everything of ours. Costs time in proportion to what there is. */
export function readState(plan: ChainPlan, socket: NetlinkSocket): HeldState {
  const table = { family: TABLE_FAMILY.INET, name: plan.table };
  const names = dump(socket, encodeSetsDump(table)).map(decodeName);
  const reader = new ElementReader();
  const read = (set: string): HeldElement[] => {
    const elements: HeldElement[] = [];
    for (const message of dump(socket, encodeElementsDump(table, set))) {
      reader.read(message, (element) => elements.push(element));
    }
    return elements;
  };
  const contents = new Map<SetIdentity, HeldElement[]>();
  for (const name of names) {
    const prefix = `${plan.chain}-`;
    const set = name.startsWith(prefix) ? parseSetSuffix(name.slice(prefix.length)) : undefined;
    if (set !== undefined) contents.set(set, read(setName(plan, set)));
  }
  const limitMaps = names.flatMap((name) => parseLimitMap(plan, name) ?? []);
  const entries = limitMaps.flatMap((map) =>
    read(limitMapName(plan, map)).map(({ key, keyEnd, object }) => ({
      map,
      facts: map.shape.isInterval ? { key, keyEnd } : { key },
      object,
    })),
  );
  const objects = dump(socket, encodeObjectsDump(table)).map(decodeName);
  const mark = names.includes(markName(plan)) ? read(markName(plan))[0] : undefined;
  return {
    generation: mark === undefined ? undefined : decodeGeneration(mark.key),
    sets: [...contents.keys()],
    held: [...contents.values()].reduce((sum, elements) => sum + elements.length, 0),
    contents,
    limitMaps,
    entries,
    objects: objects.filter((name) => parseObjectName(plan, name) !== undefined),
  };
}

/** What sets of one role and shape shall hold, whatever their layer; with what keys lead to, for maps. */
type Expected = Map<string, ExpectedElement>;

interface ExpectedElement {
  readonly element: StandingElement;
  readonly data: Uint8Array | undefined;
  /** Where the kernel holds it; undefined while it is not found. */
  heldIn: SetIdentity | undefined;
}

function kindOf({ role, shape }: SetIdentity): string {
  return setSuffix({ role, shape, layer: 0 });
}

function expect(desired: DesiredState): Map<string, Expected> {
  const kinds = new Map<string, Expected>();
  for (const element of desired.elements) {
    const shape = shapeOf(element.box);
    const kind = kindOf({ role: element.role, shape, layer: 0 });
    let expected = kinds.get(kind);
    if (expected === undefined) {
      expected = new Map();
      kinds.set(kind, expected);
    }
    const { key, keyEnd, data } = encodeElement(shape, element);
    expected.set(nameKey(key, keyEnd), { element, data, heldIn: undefined });
  }
  return kinds;
}

function isStale(element: StandingElement, held: HeldElement, now: number): boolean {
  const leftMs = element.deadline - now;
  if (leftMs === held.leftMs) return false;
  return !(Math.abs(leftMs - held.leftMs) < DEADLINE_TOLERANCE_MS);
}

function leadsTo(held: HeldElement, data: Uint8Array | undefined): boolean {
  return data === undefined || Buffer.compare(held.data, data) === 0;
}

function surplusOf(set: SetIdentity, held: HeldElement): Surplus {
  const { key, keyEnd, data } = held;
  const box = decodeBox(set.shape, key, keyEnd);
  const interval = set.shape.isInterval ? { key, keyEnd } : { key };
  const facts = data.length === 0 ? interval : { ...interval, data };
  if (box === undefined) return { set, facts, name: `${setSuffix(set)} ${Buffer.from(key).toString("hex")}` };
  return { set, facts, name: makeElement(set.role, box).key };
}

/**
 * Compares, and tells the catalogue in which layer each expected element is.
 *
 * While the kernel makes a hash table larger or smaller, it may name some elements twice and others not at
 * all. The former count once; the latter are put again, which changes nothing.
 *
 * @param state - what the kernel holds
 * @param desired - what it shall hold
 * @param catalogue - knows no element yet
 */
export function compareSets(state: HeldState, desired: DesiredState, catalogue: SetCatalogue): Comparison {
  const kinds = expect(desired);
  const present: StandingElement[] = [];
  const stale: StandingElement[] = [];
  const surplus: Map<string, Surplus>[] = [];
  for (const [set, elements] of state.contents) {
    const expected = kinds.get(kindOf(set));
    const strangers = new Map<string, Surplus>();
    surplus.push(strangers);
    for (const held of elements) {
      const name = nameKey(held.key, held.keyEnd);
      const wanted = expected?.get(name);
      if (wanted?.heldIn === set) continue;
      if (wanted === undefined || wanted.heldIn !== undefined || !leadsTo(held, wanted.data)) {
        strangers.set(name, surplusOf(set, held));
        continue;
      }
      wanted.heldIn = set;
      const { element } = wanted;
      catalogue.adopt(element, set);
      present.push(element);
      if (isStale(element, held, desired.now)) stale.push(element);
    }
  }
  const missing = [...kinds.values()].flatMap((expected) =>
    [...expected.values()].filter(({ heldIn }) => heldIn === undefined).map(({ element }) => element),
  );
  return { present, missing, stale, surplus: surplus.flatMap((strangers) => [...strangers.values()]) };
}
