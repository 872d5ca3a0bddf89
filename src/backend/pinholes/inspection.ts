/**
 * Holds what our sets hold against the account, part by part: the event loop goes on while the kernel writes
 * a part, and transactions may be carried out meanwhile.
 *
 * While it makes a hash table larger or smaller, the kernel may name some elements twice and others not at
 * all, and while others or we change a set, likewise. So what is missing is asked for once more by itself.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { Milliseconds } from "../../base/index.ts";
import {
  decodeName,
  type ElementFacts,
  ElementReader,
  encodeElementGet,
  encodeElementsDump,
  encodeObjectsDump,
  type SetName,
  type TableName,
} from "../../netlink/index.ts";
import { makeElement } from "../../pinhole/index.ts";
import { errnoName, type NetlinkSocket } from "../../system/index.ts";
import { decodeBox } from "./box-key.ts";
import type { ElementAccount, KindAccount, SetPlace } from "./element-account.ts";
import { failureOf } from "./plan-failure.ts";
import { setSuffix } from "./set-shape.ts";

/** How often sets are read anew because of transactions that others carry out meanwhile. */
const INSPECTIONS_MAX = 16;

/**
 * Up to this many elements that a list lacks are asked for one by one: more are put again, which is harmless.
 */
export const CONFIRMED_MAX = 4096;

/** Missing elements that are noted in one go: about a millisecond of the event loop. */
const NOTED_AT_ONCE = 1024;

/** An element that is in force, and shall not be there or not so. */
export interface Stranger {
  readonly set: SetPlace;
  readonly facts: ElementFacts;
  /** Its key as the account knows it. */
  readonly key: string;
}

/** An element of the account that is not in force as it shall be. */
export interface Fault {
  readonly kind: KindAccount;
  readonly key: string;
}

/** What an inspection found. */
export interface Findings {
  /** Elements that the kernel named, right or wrong. */
  held: number;
  readonly strangers: Map<string, Stranger>;
  readonly missing: Fault[];
  /** In force until another time than they shall be. */
  readonly stale: Fault[];
  /** Names of limits that are not there. */
  missingObjects: readonly string[];
  /** Names of limits that nobody asked for. */
  readonly strangeObjects: string[];
  /** True when something changed meanwhile. */
  isInterrupted: boolean;
}

/** What an inspection works with. */
export interface InspectionParts {
  /** For long lists, and nothing else meanwhile. */
  readonly lists: Pick<NetlinkSocket, "list">;
  /** For single questions. */
  readonly socket: Pick<NetlinkSocket, "exchange">;
  readonly account: ElementAccount;
  /** The clock of the deadlines. */
  readonly clock: () => Milliseconds;
  /** False as soon as nobody wants to know any more: the rest of a list is passed over. */
  readonly isWanted: () => boolean;
  readonly nameOf: (set: SetPlace) => SetName;
  /** True for an object that is one of our limits. */
  readonly isLimit: (object: string) => boolean;
}

/** What a person calls an element. */
export function describe(set: SetPlace, { key, keyEnd, data }: ElementFacts): string {
  const box = decodeBox(set.shape, key, keyEnd ?? key);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  if (box !== undefined && set.limit !== undefined)
    return `${set.limit} of ${makeElement(set.role, box).key}`;
  if (box === undefined || data !== undefined) return `${setSuffix(set)} ${hex(key)}`;
  return makeElement(set.role, box).key;
}

/** Inspects one set, or one map. */
async function inspectSet(set: SetPlace, parts: InspectionParts, findings: Findings): Promise<void> {
  const { lists, account, clock, isWanted, nameOf } = parts;
  const kind = account.of(set);
  const { table, name: setName } = nameOf(set);
  const reader = new ElementReader();
  const suffix = setSuffix(set);
  const end = await lists.list(encodeElementsDump(table, setName), (bytes, cursor, ageMs) => {
    if (!isWanted()) return;
    const now = clock();
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    reader.scan(bytes, cursor.at, cursor.end, () => {
      const { key, keyEnd, leftMs } = reader;
      const data = set.limit === undefined ? reader.data : reader.object;
      const name =
        buffer.toString("latin1", key.at, key.end) + buffer.toString("latin1", keyEnd.at, keyEnd.end);
      const sighting = {
        layer: set.layer,
        deadline: now + leftMs,
        ageMs,
        data: buffer.subarray(data.at, data.end),
      };
      const finding = kind.see(name, sighting);
      if (set.limit === undefined) findings.held += 1;
      if (finding === "right") return;
      if (finding === "stale") findings.stale.push({ kind, key: name });
      else {
        const facts = kind.factsOf(name, undefined);
        const led = data.end === data.at ? facts : { ...facts, data: Uint8Array.from(sighting.data) };
        findings.strangers.set(`${suffix} ${name}`, { set, facts: led, key: name });
      }
    });
  });
  findings.isInterrupted ||= end.isInterrupted;
  if (end.refused !== undefined && errnoName(end.refused.errno) !== "ENOENT") throw failureOf(end.refused);
}

/** Inspects the limits. */
async function inspectObjects(table: TableName, parts: InspectionParts, findings: Findings): Promise<void> {
  const { lists, account, isWanted, isLimit } = parts;
  const end = await lists.list(encodeObjectsDump(table), (bytes, { at, end: behind }) => {
    if (!isWanted()) return;
    const name = decodeName(new Uint8Array(bytes.buffer, bytes.byteOffset + at, behind - at));
    if (isLimit(name) && !account.objects.see(name)) findings.strangeObjects.push(name);
  });
  findings.isInterrupted ||= end.isInterrupted;
  if (end.refused !== undefined) throw failureOf(end.refused);
  findings.missingObjects = isWanted() ? [...account.objects.unseen()] : [];
}

/** True when the kernel holds an element, whatever a list says. */
function isHeld({ kind, key }: Fault, layer: number, { socket, nameOf }: InspectionParts): boolean {
  const { table, name } = nameOf({ ...kind.kind, layer });
  const { messages } = socket.exchange(encodeElementGet(table, name, kind.factsOf(key, undefined)));
  return messages.length > 0;
}

/**
 * Inspects sets and maps. What the account says of an element while its set is read counts.
 *
 * @param sets - that exist
 * @param limited - the table whose limits are inspected too; absent: they are not
 * @returns not all, once it is not wanted any more
 * @throws {FirewallError} `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`
 */
export async function inspect(
  sets: readonly SetPlace[],
  parts: InspectionParts,
  limited?: TableName,
): Promise<Findings> {
  const { account, isWanted } = parts;
  const findings: Findings = {
    held: 0,
    strangers: new Map(),
    missing: [],
    stale: [],
    missingObjects: [],
    strangeObjects: [],
    isInterrupted: false,
  };
  // Also kinds of which nothing has ever been in force here must know what leaves meanwhile.
  for (const set of sets) account.of(set);
  for (const kind of account.kinds) kind.beginInspection();
  account.objects.beginInspection();
  try {
    for (const set of sets) if (isWanted()) await inspectSet(set, parts, findings);
    if (limited !== undefined && isWanted()) await inspectObjects(limited, parts, findings);
  } finally {
    for (const kind of account.kinds) kind.endInspection();
    account.objects.endInspection();
  }
  if (isWanted()) await noteMissing(findings.missing, parts);
  return findings;
}

/** Notes what no list has named. That may be everything, so other work has its turn meanwhile. */
async function noteMissing(missing: Fault[], { account, clock, isWanted }: InspectionParts): Promise<void> {
  const now = clock();
  for (const kind of account.kinds) {
    for (const [key] of kind.unseen(now)) {
      if (missing.length % NOTED_AT_ONCE === 0) await turn();
      if (!isWanted()) return;
      missing.push({ kind, key });
    }
  }
}

/** Those of some missing elements that the kernel does not hold indeed. Asks for each of them. */
export function confirmMissing(missing: readonly Fault[], parts: InspectionParts): Fault[] {
  return missing.filter((fault) => {
    const row = fault.kind.rowOf(fault.key);
    if (row === undefined) return false;
    const layer = fault.kind.layerOf(row);
    return (fault.kind.kind.shape.isInterval && layer === 0) || !isHeld(fault, layer, parts);
  });
}

/**
 * Inspects until nothing interrupts a list: no plan does, and others may. They may do so for ever, also where
 * they leave our sets alone; so the last list counts in any case.
 *
 * @returns what is missing indeed
 * @throws {FirewallError} `BACKEND_REFUSED`, `BACKEND_UNAVAILABLE`
 */
export async function inspectAtRest(sets: readonly SetPlace[], parts: InspectionParts): Promise<Findings> {
  let findings = await inspect(sets, parts);
  for (let read = 1; findings.isInterrupted && read < INSPECTIONS_MAX; read += 1) {
    findings = await inspect(sets, parts);
  }
  const { missing } = findings;
  return missing.length > CONFIRMED_MAX ? findings : { ...findings, missing: confirmMissing(missing, parts) };
}
