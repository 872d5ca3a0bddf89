/**
 * Who needs which element.
 *
 * Equal elements of several pinholes are one element in the filter, with the latest of their deadlines. The
 * ledger keeps for each element who holds it, and knows at the end of a transaction what of it differs from
 * before: an element that one pinhole gave up and another took on in the same transaction does not move at
 * all.
 *
 * Nearly every element has one holder, which two numbers in columns say; only those that have had several
 * have a claim.
 */
import type { Milliseconds } from "../base/index.ts";
import { Claim, type Holding } from "./claim.ts";
import { grown } from "./column.ts";
import { type Element, type ElementRole, elementWithKey, type StandingElement } from "./element.ts";
import type { UndoLog } from "./undo-log.ts";

/** What a transaction changes in the filter. */
export interface ElementChanges {
  readonly put: StandingElement[];
  /** Those of `put` that were not there. */
  readonly begun: StandingElement[];
  readonly remove: Element[];
}

/** How an element stands. */
type Standing = Pick<StandingElement, "deadline" | "limiter">;

/** An element that a transaction touches, and how it stood before; undefined: it did not. */
interface Touched {
  readonly element: Element;
  readonly before: Standing | undefined;
}

const NOBODY: ReadonlySet<number> = new Set();

/** Where elements are equal, the limits of the pinhole that came first count. */
function limiterOf(role: ElementRole, first: number): number {
  return role.endsWith("-limited") ? first : 0;
}

function stand(element: Element, { deadline, limiter }: Standing): StandingElement {
  const { key, role, box, target } = element;
  return target === undefined
    ? { key, role, box, deadline, limiter }
    : { key, role, box, target, deadline, limiter };
}

/** The account of all elements. */
export class ElementLedger {
  /** By key: the element's row. */
  readonly #rows: Map<string, number> = new Map();
  readonly #idle: number[] = [];
  /** The only holder, by row, and its deadline; where there is a claim, that counts. */
  #holders: Uint32Array = new Uint32Array(0);
  #deadlines: Float64Array = new Float64Array(0);
  readonly #claims: Map<number, Claim> = new Map();
  readonly #undo: UndoLog;
  #touched: Map<string, Touched> = new Map();

  /** @param undo - where every change is noted */
  constructor(undo: UndoLog) {
    this.#undo = undo;
  }

  /** How many elements are in force, or will be. */
  get size(): number {
    return this.#rows.size;
  }

  /**
   * A pinhole needs an element until a deadline.
   *
   * @param number - the pinhole's number
   */
  hold(element: Element, number: number, deadline: Milliseconds): void {
    const { key } = element;
    const row = this.#rows.get(key);
    this.#touch(element, row);
    if (row === undefined) {
      this.#file(key, number, deadline);
      this.#undo.note(() => this.#strike(key));
      return;
    }
    const claim = this.#claims.get(row);
    if (claim === undefined && this.#holders[row] === number) {
      const former = this.#deadlines[row] ?? 0;
      this.#deadlines[row] = deadline;
      this.#undo.note(() => this.#setBack(key, number, former));
      return;
    }
    this.#share(key, claim ?? this.#claim(row), { number, deadline });
  }

  /**
   * The same for a pinhole of a former run, before anything else: nothing of it is noted as a change, and it
   * cannot be taken back.
   */
  adopt({ key }: Element, number: number, deadline: Milliseconds): void {
    const row = this.#rows.get(key);
    if (row === undefined) this.#file(key, number, deadline);
    else if (this.#holders[row] !== number) (this.#claims.get(row) ?? this.#claim(row)).set(number, deadline);
  }

  /** A pinhole no longer needs an element. */
  release(element: Element, number: number): void {
    const { key } = element;
    const row = this.#rows.get(key);
    if (row === undefined) return;
    const claim = this.#claims.get(row);
    if (claim !== undefined) return this.#leave(element, claim, number);
    if (this.#holders[row] !== number) return;
    this.#touch(element, row);
    const former = this.#deadlines[row] ?? 0;
    this.#strike(key);
    this.#undo.note(() => this.#file(key, number, former));
  }

  /** What differs from the time of the last call. */
  changes(): ElementChanges {
    const changes: ElementChanges = { put: [], begun: [], remove: [] };
    for (const [key, { element, before }] of this.#touched) {
      const row = this.#rows.get(key);
      if (row === undefined) {
        if (before !== undefined) changes.remove.push(stand(element, before));
        continue;
      }
      const now = this.#standing(element, row, NOBODY);
      if (now === undefined || (now.deadline === before?.deadline && now.limiter === before.limiter))
        continue;
      const standing = stand(element, now);
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
   * Everything that shall be in force, made of the keys.
   *
   * @param without - numbers of pinholes that shall not count
   */
  *standing(without: ReadonlySet<number> = NOBODY): Generator<StandingElement> {
    for (const [key, row] of this.#rows) {
      const element = elementWithKey(key);
      const standing = this.#standing(element, row, without);
      if (standing !== undefined) yield stand(element, standing);
    }
  }

  #standing({ role }: Element, row: number, without: ReadonlySet<number>): Standing | undefined {
    const claim = this.#claims.get(row);
    if (claim === undefined) {
      const holder = this.#holders[row] ?? 0;
      if (without.has(holder)) return undefined;
      return { deadline: this.#deadlines[row] ?? 0, limiter: limiterOf(role, holder) };
    }
    const rest = without.size === 0 ? claim : claim.without(without);
    return rest.isIdle ? undefined : { deadline: rest.deadline, limiter: limiterOf(role, rest.first) };
  }

  #file(key: string, number: number, deadline: Milliseconds): number {
    const row = this.#idle.pop() ?? this.#rows.size;
    this.#holders = grown(this.#holders, row + 1);
    this.#deadlines = grown(this.#deadlines, row + 1);
    this.#rows.set(key, row);
    this.#holders[row] = number;
    this.#deadlines[row] = deadline;
    return row;
  }

  #strike(key: string): void {
    const row = this.#rows.get(key);
    if (row === undefined) return;
    this.#rows.delete(key);
    this.#claims.delete(row);
    this.#idle.push(row);
  }

  /** A holder has its former deadline again, also when others came meanwhile and are gone. */
  #setBack(key: string, number: number, former: Milliseconds): void {
    const row = this.#rows.get(key);
    if (row === undefined) return;
    const claim = this.#claims.get(row);
    if (claim === undefined) this.#deadlines[row] = former;
    else claim.set(number, former);
  }

  /** The claim for an element that had one holder so far. */
  #claim(row: number): Claim {
    const claim = new Claim();
    claim.set(this.#holders[row] ?? 0, this.#deadlines[row] ?? 0);
    this.#claims.set(row, claim);
    return claim;
  }

  #share(key: string, claim: Claim, { number, deadline }: Pick<Holding, "number" | "deadline">): void {
    const former = claim.deadlineOf(number);
    claim.set(number, deadline);
    this.#undo.note(() => {
      if (former !== undefined) claim.set(number, former);
      else claim.delete(number);
      if (claim.isIdle) this.#strike(key);
    });
  }

  #leave(element: Element, claim: Claim, number: number): void {
    if (claim.deadlineOf(number) === undefined) return;
    const { key } = element;
    this.#touch(element, this.#rows.get(key));
    const holding = claim.delete(number);
    if (claim.isIdle) this.#strike(key);
    this.#undo.note(() => {
      const row = this.#rows.get(key) ?? this.#file(key, number, 0);
      this.#claims.set(row, claim);
      if (holding !== undefined) claim.restore(holding);
    });
  }

  #touch(element: Element, row: number | undefined): void {
    if (this.#touched.has(element.key)) return;
    const before = row === undefined ? undefined : this.#standing(element, row, NOBODY);
    this.#touched.set(element.key, { element, before });
  }
}
