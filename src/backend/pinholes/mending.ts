/** Puts right what an inspection found, some elements at a time, while plans are carried out. */
import { setImmediate as turn } from "node:timers/promises";
import type { Milliseconds } from "../../base/index.ts";
import type { Restoration } from "../../pinhole/index.ts";
import { type ElementAccount, type SetPlace } from "./element-account.ts";
import {
  CONFIRMED_MAX,
  confirmMissing,
  describe,
  type Fault,
  type Findings,
  type InspectionParts,
  type Stranger,
} from "./inspection.ts";
import type { SetChanges } from "./set-changes.ts";

/** Elements that are put right in one transaction: a few milliseconds of the event loop. */
const MENDED_AT_ONCE = 256;

/** What mending works with. */
export interface MendingParts extends InspectionParts {
  /** An empty transaction. */
  readonly begin: () => SetChanges;
  /** Carries one out that changes no generation. */
  readonly transact: (changes: SetChanges, now: Milliseconds) => void;
}

/** What was put right. */
type Mended = Pick<Restoration, "added" | "renewed" | "removed">;

/** One thing to put right. */
type Mending = (changes: SetChanges, now: Milliseconds) => void;

/** What a person calls an element that is not as it shall be. */
export function faultName({ kind, key }: Fault): string {
  return describe({ ...kind.kind, layer: 0 }, kind.factsOf(key, kind.rowOf(key)));
}

/**
 * Puts what the account says of an element into a transaction.
 *
 * @returns false when it shall not be there any more
 */
export function putAgain(changes: SetChanges, { kind, key }: Fault, now: Milliseconds): boolean {
  const row = kind.rowOf(key);
  if (row === undefined) return false;
  const layer = kind.layerOf(row);
  const facts = kind.factsOf(key, row);
  const { limit, shape } = kind.kind;
  if (limit === undefined) {
    const deadline = kind.deadlineOf(row);
    const leftMs = deadline === Number.POSITIVE_INFINITY ? undefined : deadline - now;
    changes.put({ ...kind.kind, layer }, facts, leftMs);
  } else {
    const { data, ...ends } = facts;
    changes.putEntry({ kind: limit, shape, layer }, ends, Buffer.from(data ?? []).toString("latin1"));
  }
  return true;
}

function remove(changes: SetChanges, { limit, ...set }: SetPlace, { facts }: Stranger): void {
  if (limit === undefined) changes.remove(set, facts);
  else changes.removeEntry({ kind: limit, shape: set.shape, layer: set.layer }, facts);
}

/** Takes out what nobody asked for; what shall be there otherwise comes in its place. */
function expel(changes: SetChanges, stranger: Stranger, account: ElementAccount, now: Milliseconds): void {
  const { set, key } = stranger;
  remove(changes, set, stranger);
  const kind = account.of(set);
  const row = kind.rowOf(key);
  if (row !== undefined && kind.layerOf(row) === set.layer) putAgain(changes, { kind, key }, now);
}

/** True for what shall be in force, but not any longer. */
function isOver({ kind, key }: Fault, now: Milliseconds): boolean {
  const row = kind.rowOf(key);
  return row !== undefined && kind.deadlineOf(row) <= now;
}

/** Limits come before what leads to them, and leave behind it; what is missing comes first. */
function* mendings(
  findings: Findings,
  parts: MendingParts,
  mended: Record<keyof Mended, string[]>,
): Generator<Mending> {
  const { account } = parts;
  const { missing, stale, strangers, missingObjects, strangeObjects } = findings;
  const isMany = missing.length > CONFIRMED_MAX;
  for (const name of missingObjects) {
    yield (changes) => {
      const object = account.objects.get(name);
      if (object === undefined) return;
      changes.putObjects([object]);
      mended.added.push(`limit ${name}`);
    };
  }
  for (const fault of missing) {
    yield (changes, now) => {
      if (isOver(fault, now) || (!isMany && confirmMissing([fault], parts).length === 0)) return;
      if (putAgain(changes, fault, now)) mended.added.push(faultName(fault));
    };
  }
  for (const fault of stale) {
    yield (changes, now) => {
      if (putAgain(changes, fault, now)) mended.renewed.push(faultName(fault));
    };
  }
  for (const stranger of strangers.values()) {
    yield (changes, now) => {
      expel(changes, stranger, account, now);
      mended.removed.push(describe(stranger.set, stranger.facts));
    };
  }
  for (const name of strangeObjects) {
    yield (changes) => {
      if (account.objects.get(name) !== undefined) return;
      changes.removeObject(name);
      mended.removed.push(`limit ${name}`);
    };
  }
}

/** The next of them, up to so many: there may be very many, and all of them at once would take long. */
function takeSome(work: Iterator<Mending>, max: number): Mending[] {
  const some: Mending[] = [];
  while (some.length < max) {
    const { done, value } = work.next();
    if (done === true) break;
    some.push(value);
  }
  return some;
}

/**
 * Puts everything right.
 *
 * @returns undefined when it was not wanted any more, and part of it is done
 * @throws {FirewallError} what the kernel refuses
 */
export async function mendAll(findings: Findings, parts: MendingParts): Promise<Mended | undefined> {
  const { isWanted, clock, begin, transact } = parts;
  const mended = { added: [], renewed: [], removed: [] };
  const work = mendings(findings, parts, mended);
  for (;;) {
    const some = takeSome(work, MENDED_AT_ONCE);
    if (some.length === 0) break;
    if (!isWanted()) return undefined;
    const changes = begin();
    // One time for all: the transaction counts lifetimes from where it began.
    const now = clock();
    for (const mend of some) mend(changes, now);
    transact(changes, now);
    await turn();
  }
  return isWanted() ? mended : undefined;
}
