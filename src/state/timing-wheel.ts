/**
 * When flows are to be looked at: a timing wheel of eight levels whose entries never cascade.
 *
 * Level n has 64 buckets of 8^n ticks. A deadline goes to the finest level that reaches it and is rounded up
 * there, so a flow is looked at up to an eighth of its timeout late and never early. What that costs is
 * memory only: the table itself knows exactly when a flow has expired. A packet does not touch the wheel: it
 * moves the flow's deadline, and when the bucket's turn comes the flow is put where it then belongs. (The
 * kernel's timer wheel has the same form.)
 *
 * Buckets that are due are chained to one list in constant time each, and taken from it as far as the
 * caller's budget goes, so a bucket of a million flows makes no pause.
 */
import type { Milliseconds } from "../base/index.ts";
import { WORD } from "./flow-row.ts";
import type { FlowSlab } from "./flow-slab.ts";
import { SlotLists } from "./slot-lists.ts";

/** Resolution of the wheel. */
export const TICK_MS: Milliseconds = 100;

const LEVELS = 8;
const LEVEL_SHIFT = 3;
const BUCKETS = 64;
const BUCKET_MASK = BUCKETS - 1;

/**
 * Reach of a level, in its own buckets. Rounding up may add one, and so may the hand's standing within a bucket;
 * the sum must not come round to the bucket the hand stands on.
 */
const AHEAD = BUCKETS - 2;

/** List of the flows whose turn has come. */
const DUE = LEVELS * BUCKETS;

/** Furthest deadline the wheel can hold: about 150 days. */
export const REACH_MS: Milliseconds = TICK_MS * AHEAD * 2 ** (LEVEL_SHIFT * (LEVELS - 1));

/** A timing wheel over the rows of a slab. */
export class TimingWheel {
  readonly #lists: SlotLists;
  /** When tick zero was; the first instant the wheel hears of. */
  #epoch: Milliseconds = Number.NaN;
  #tick = 0;

  /** @param slab - rows that hold the links */
  constructor(slab: FlowSlab) {
    this.#lists = new SlotLists(slab, WORD.WHEEL_NEXT, DUE + 1);
  }

  /** Turns the wheel to an instant. Constant work for each bucket passed, and never more than all buckets. */
  advance(now: Milliseconds): void {
    if (Number.isNaN(this.#epoch)) this.#epoch = now;
    const tick = Math.floor((now - this.#epoch) / TICK_MS);
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
   * @param deadline - not before the wheel's last instant; deadlines beyond {@link REACH_MS} are looked at
   *   there
   */
  schedule(slot: number, deadline: Milliseconds): void {
    const due = Math.max(Math.ceil((deadline - this.#epoch) / TICK_MS), this.#tick);
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
