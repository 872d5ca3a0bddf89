/**
 * Who needs which element.
 *
 * Equal elements of several pinholes are one element in the filter, with the latest of their deadlines. The
 * ledger keeps for each element who holds it, and knows at the end of a transaction what of it differs from
 * before: an element that one pinhole gave up and another took on in the same transaction does not move at
 * all.
 */
import type { Milliseconds } from "../base/index.ts";
import type { Element, StandingElement } from "./element.ts";
import type { UndoLog } from "./undo-log.ts";

interface Entry {
  readonly element: Element;
  /** Deadlines by the number of the pinhole that holds the element, in order of arrival. */
  readonly holders: Map<number, Milliseconds>;
}

/** What an element was before a transaction touched it. */
interface Before {
  readonly element: Element;
  readonly deadline: Milliseconds | undefined;
  readonly limiter: number;
}

/** What a transaction changes in the filter. */
export interface ElementChanges {
  readonly put: StandingElement[];
  /** Those of `put` that were not there. */
  readonly begun: StandingElement[];
  readonly remove: Element[];
}

const NOBODY: ReadonlySet<number> = new Set();

function latest(holders: ReadonlyMap<number, Milliseconds>): Milliseconds {
  let deadline = Number.NEGATIVE_INFINITY;
  for (const one of holders.values()) if (one > deadline) deadline = one;
  return deadline;
}

/** Where elements are equal, the limits of the pinhole that came first count. */
function limiterOf({ element, holders }: Entry): number {
  if (!element.role.endsWith("-limited")) return 0;
  for (const number of holders.keys()) return number;
  return 0;
}

/** The account of all elements. */
export class ElementLedger {
  readonly #entries: Map<string, Entry> = new Map();
  readonly #undo: UndoLog;
  #touched: Map<string, Before> = new Map();

  /** @param undo - where every change is noted */
  constructor(undo: UndoLog) {
    this.#undo = undo;
  }

  /** How many elements are in force, or will be. */
  get size(): number {
    return this.#entries.size;
  }

  /** True when some pinhole holds an element with this key. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /**
   * A pinhole needs an element until a deadline.
   *
   * @param number - the pinhole's number
   */
  hold(element: Element, number: number, deadline: Milliseconds): void {
    const entry = this.#entries.get(element.key) ?? this.#enter(element);
    this.#touch(entry);
    const former = entry.holders.get(number);
    entry.holders.set(number, deadline);
    this.#undo.note(() => {
      if (former !== undefined) entry.holders.set(number, former);
      else this.#drop(entry, number);
    });
  }

  /** A pinhole no longer needs an element. */
  release(element: Element, number: number): void {
    const entry = this.#entries.get(element.key);
    if (entry === undefined || !entry.holders.has(number)) return;
    this.#touch(entry);
    const holders = [...entry.holders];
    this.#drop(entry, number);
    this.#undo.note(() => {
      // The order of arrival comes back too.
      entry.holders.clear();
      for (const [holder, deadline] of holders) entry.holders.set(holder, deadline);
      this.#entries.set(element.key, entry);
    });
  }

  /** What differs from the time of the last call. */
  changes(): ElementChanges {
    const changes: ElementChanges = { put: [], begun: [], remove: [] };
    for (const [key, before] of this.#touched) {
      const entry = this.#entries.get(key);
      if (entry === undefined) {
        if (before.deadline !== undefined) changes.remove.push(before.element);
        continue;
      }
      const standing = this.#standing(entry);
      if (standing.deadline === before.deadline && standing.limiter === before.limiter) continue;
      changes.put.push(standing);
      if (before.deadline === undefined) changes.begun.push(standing);
    }
    return changes;
  }

  /** The changes so far are done with: the next ones count from here. */
  settle(): void {
    this.#touched = new Map();
  }

  /**
   * Everything that shall be in force.
   *
   * @param without - numbers of pinholes that shall not count
   */
  *standing(without: ReadonlySet<number> = NOBODY): Generator<StandingElement> {
    for (const entry of this.#entries.values()) {
      if (without.size === 0) yield this.#standing(entry);
      else {
        const holders = new Map([...entry.holders].filter(([number]) => !without.has(number)));
        if (holders.size > 0) yield this.#standing({ element: entry.element, holders });
      }
    }
  }

  #standing(entry: Entry): StandingElement {
    return { ...entry.element, deadline: latest(entry.holders), limiter: limiterOf(entry) };
  }

  #enter(element: Element): Entry {
    const entry: Entry = { element, holders: new Map() };
    this.#entries.set(element.key, entry);
    return entry;
  }

  #drop(entry: Entry, number: number): void {
    entry.holders.delete(number);
    if (entry.holders.size === 0) this.#entries.delete(entry.element.key);
  }

  #touch(entry: Entry): void {
    const { key } = entry.element;
    if (this.#touched.has(key)) return;
    const deadline = entry.holders.size === 0 ? undefined : latest(entry.holders);
    this.#touched.set(key, { element: entry.element, deadline, limiter: limiterOf(entry) });
  }
}
