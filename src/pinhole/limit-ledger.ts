/** Which limits are in force, and what of them a transaction changes. */
import type { PinholeLimits, StandingLimits } from "./kernel-plan.ts";
import type { UndoLog } from "./undo-log.ts";

/** What a transaction changes. */
export interface LimitChanges {
  readonly put: StandingLimits[];
  /** Numbers of pinholes. */
  readonly remove: number[];
}

/** Limits by the number of their pinhole. */
export class LimitLedger {
  readonly #standing: Map<number, PinholeLimits> = new Map();
  readonly #undo: UndoLog;
  #before: Map<number, PinholeLimits | undefined> = new Map();

  /** @param undo - where every change is noted */
  constructor(undo: UndoLog) {
    this.#undo = undo;
  }

  /** True when nothing has limits. */
  get isEmpty(): boolean {
    return this.#standing.size === 0;
  }

  /** The limits of a pinhole; undefined when it has none. */
  of(number: number): PinholeLimits | undefined {
    return this.#standing.get(number);
  }

  /** @param limits - undefined: none any more */
  set(number: number, limits: PinholeLimits | undefined): void {
    const former = this.#standing.get(number);
    if (former === limits) return;
    if (!this.#before.has(number)) this.#before.set(number, former);
    this.#put(number, limits);
    this.#undo.note(() => this.#put(number, former));
  }

  /** What differs from the time of the last settlement. */
  changes(): LimitChanges {
    const changes: LimitChanges = { put: [], remove: [] };
    for (const [number, before] of this.#before) {
      const limits = this.#standing.get(number);
      if (limits === before) continue;
      if (limits === undefined) changes.remove.push(number);
      else changes.put.push({ number, limits });
    }
    return changes;
  }

  settle(): void {
    this.#before = new Map();
  }

  *standing(): Generator<StandingLimits> {
    for (const [number, limits] of this.#standing) yield { number, limits };
  }

  #put(number: number, limits: PinholeLimits | undefined): void {
    if (limits === undefined) this.#standing.delete(number);
    else this.#standing.set(number, limits);
  }
}
