/**
 * Who needs which element.
 *
 * Equal elements of several pinholes are one element in the filter, with the latest of their deadlines. The
 * ledger keeps for each element who holds it, and knows at the end of a transaction what of it differs from
 * before: an element that one pinhole gave up and another took on in the same transaction does not move at
 * all.
 */
import type { Milliseconds } from "../base/index.ts";
import { Claim, type Holding } from "./claim.ts";
import type { Element, StandingElement } from "./element.ts";
import type { UndoLog } from "./undo-log.ts";

/** What a transaction changes in the filter. */
export interface ElementChanges {
  readonly put: StandingElement[];
  /** Those of `put` that were not there. */
  readonly begun: StandingElement[];
  readonly remove: Element[];
}

const NOBODY: ReadonlySet<number> = new Set();

/** The account of all elements. */
export class ElementLedger {
  readonly #claims: Map<string, Claim> = new Map();
  readonly #undo: UndoLog;
  /** What elements were before a transaction touched them; undefined: not there. */
  #touched: Map<string, StandingElement | undefined> = new Map();

  /** @param undo - where every change is noted */
  constructor(undo: UndoLog) {
    this.#undo = undo;
  }

  /** How many elements are in force, or will be. */
  get size(): number {
    return this.#claims.size;
  }

  /** True when some pinhole holds an element with this key. */
  has(key: string): boolean {
    return this.#claims.has(key);
  }

  /**
   * A pinhole needs an element until a deadline.
   *
   * @param number - the pinhole's number
   */
  hold(element: Element, number: number, deadline: Milliseconds): void {
    const claim = this.#claims.get(element.key) ?? this.#enter(element);
    this.#touch(claim);
    const former = claim.deadlineOf(number);
    claim.set(number, deadline);
    this.#undo.note(() => {
      if (former !== undefined) claim.set(number, former);
      else this.#drop(claim, number);
    });
  }

  /** A pinhole no longer needs an element. */
  release(element: Element, number: number): void {
    const claim = this.#claims.get(element.key);
    if (claim?.deadlineOf(number) === undefined) return;
    this.#touch(claim);
    const holding = this.#drop(claim, number);
    this.#undo.note(() => {
      if (holding !== undefined) claim.restore(holding);
      this.#claims.set(element.key, claim);
    });
  }

  /** What differs from the time of the last call. */
  changes(): ElementChanges {
    const changes: ElementChanges = { put: [], begun: [], remove: [] };
    for (const [key, before] of this.#touched) {
      const claim = this.#claims.get(key);
      if (claim === undefined) {
        if (before !== undefined) changes.remove.push(before);
        continue;
      }
      const { standing } = claim;
      if (standing.deadline === before?.deadline && standing.limiter === before.limiter) continue;
      changes.put.push(standing);
      if (before === undefined) changes.begun.push(standing);
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
    for (const claim of this.#claims.values()) {
      const rest = without.size === 0 ? claim : claim.without(without);
      if (!rest.isIdle) yield rest.standing;
    }
  }

  #enter(element: Element): Claim {
    const claim = new Claim(element);
    this.#claims.set(element.key, claim);
    return claim;
  }

  #drop(claim: Claim, number: number): Holding | undefined {
    const holding = claim.delete(number);
    if (claim.isIdle) this.#claims.delete(claim.element.key);
    return holding;
  }

  #touch(claim: Claim): void {
    const { key } = claim.element;
    if (this.#touched.has(key)) return;
    if (claim.isIdle) this.#touched.set(key, undefined);
    else this.#touched.set(key, claim.standing);
  }
}
