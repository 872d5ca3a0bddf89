/**
 * When flows are to be looked at: a timing wheel of eight levels whose entries never cascade.
 *
 * Level n has 64 buckets of 8^n ticks. A deadline goes to the finest level that reaches it and is rounded up
 * there, so a flow is looked at up to an eighth of its timeout late and never early. What that costs is
 * memory only: the table itself knows exactly when a flow has expired. A packet does not touch the wheel: it
 * moves the flow's deadline, and when the bucket's turn comes the flow is put where it then belongs. (The
 * kernel's timer wheel has the same form.)
 *
 * The wheel counts whole ticks; how long one is, its owner decides.
 *
 * Buckets that are due are chained to one list in constant time each, and taken from it as far as the
 * caller's budget goes, so a bucket of a million flows makes no pause.
 */
import { WORD } from "./flow-row.ts";
import type { FlowSlab } from "./flow-slab.ts";
import { SlotLists } from "./slot-lists.ts";

const LEVELS = 8;
const LEVEL_SHIFT = 3;
const BUCKETS = 64;
const BUCKET_MASK = BUCKETS - 1;

/**
 * Reach of a level, in its own buckets. Rounding up may add one, and so may the hand's standing within a
 * bucket; the sum must not come round to the bucket the hand stands on.
 */
const AHEAD = BUCKETS - 2;

/** List of the flows whose turn has come. */
const DUE = LEVELS * BUCKETS;

/** Furthest deadline the wheel can hold, in ticks ahead: with ticks of 100 ms, about 150 days. */
export const REACH_TICKS: number = AHEAD << (LEVEL_SHIFT * (LEVELS - 1));

/** A timing wheel over the rows of a slab. */
export class TimingWheel {
  readonly #lists: SlotLists;
  #tick = 0;

  /** @param slab - rows that hold the links */
  constructor(slab: FlowSlab) {
    this.#lists = new SlotLists(slab, WORD.WHEEL_NEXT, DUE + 1);
  }

  /**
   * Turns the wheel. Constant work for each bucket passed, and never more than all buckets.
   *
   * @param tick - the present, 0 to 2^31 - 1; the past is ignored
   */
  advance(tick: number): void {
    if (tick <= this.#tick) return;
    for (let level = 0; level < LEVELS; level += 1) {
      const shift = level * LEVEL_SHIFT;
      const to = tick >>> shift;
      const passed = Math.min(to - (this.#tick >>> shift), BUCKETS);
      if (passed === 0) break;
      for (let turn = to - passed + 1; turn <= to; turn += 1) {
        this.#lists.splice(level * BUCKETS + (turn & BUCKET_MASK), DUE);
      }
    }
    this.#tick = tick;
  }

  /**
   * Puts a slot that the wheel does not hold where its deadline belongs.
   *
   * @param deadline - tick at which the flow is to be looked at; at the end of the wheel's reach at the
   *   latest, and at its next turn when it has passed
   */
  schedule(slot: number, deadline: number): void {
    const due = Math.max(deadline, this.#tick);
    let level = 0;
    while (level < LEVELS - 1 && due - this.#tick >= AHEAD << (level * LEVEL_SHIFT)) level += 1;
    const shift = level * LEVEL_SHIFT;
    const turn = Math.min((due >>> shift) + 1, (this.#tick >>> shift) + BUCKET_MASK);
    this.#lists.append(level * BUCKETS + (turn & BUCKET_MASK), slot);
  }

  /** Takes a slot out of the wheel. */
  cancel(slot: number): void {
    this.#lists.remove(slot);
  }

  /** A slot whose turn has come, -1 when there is none. It stays the first until it is cancelled. */
  get due(): number {
    return this.#lists.first(DUE);
  }
}
