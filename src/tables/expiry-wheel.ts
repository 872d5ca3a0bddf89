/**
 * Deadlines of a table's entries: a wheel of one-second buckets.
 *
 * An entry hangs in the bucket of its deadline's second, modulo the wheel. A tick looks at one bucket only;
 * an entry whose deadline lies a full turn or more ahead stays where it is, so it is looked at once per turn.
 */
import { type Milliseconds, SECOND } from "../base/index.ts";
import { HEADER, type TableArrays, WHEEL_BUCKETS } from "./memory.ts";

/** The wheel of one table, over the table's arrays. */
export class ExpiryWheel {
  readonly #arrays: TableArrays;

  /** @param arrays - memory of the table */
  constructor(arrays: TableArrays) {
    this.#arrays = arrays;
  }

  /** Hangs an entry in. @param deadline - when it ends, in milliseconds, above 0 */
  insert(entry: number, deadline: Milliseconds): void {
    const { buckets, wheelNext, wheelPrevious, header, tick } = this.#arrays;
    // One that is overdue goes where the wheel stands, or it would wait for a whole turn.
    const ends = Math.max(deadline, (tick[0] ?? 0) * SECOND, 1);
    const bucket = this.#bucket(ends);
    const first = buckets[bucket] ?? 0;
    wheelNext[entry] = first;
    wheelPrevious[entry] = 0;
    if (first !== 0) wheelPrevious[first - 1] = entry + 1;
    buckets[bucket] = entry + 1;
    this.#arrays.deadline[entry] = ends;
    header[HEADER.DEADLINES] = (header[HEADER.DEADLINES] ?? 0) + 1;
  }

  /** Takes an entry out; one without a deadline is left as it is. */
  remove(entry: number): void {
    const { buckets, wheelNext, wheelPrevious, header, deadline } = this.#arrays;
    const ends = deadline[entry] ?? 0;
    if (ends === 0) return;
    const next = wheelNext[entry] ?? 0;
    const previous = wheelPrevious[entry] ?? 0;
    if (next !== 0) wheelPrevious[next - 1] = previous;
    if (previous !== 0) wheelNext[previous - 1] = next;
    else buckets[this.#bucket(ends)] = next;
    deadline[entry] = 0;
    header[HEADER.DEADLINES] = (header[HEADER.DEADLINES] ?? 0) - 1;
  }

  /**
   * Moves on to `now` and hands over every entry that is past its deadline.
   *
   * @param now - milliseconds, on the clock of the deadlines
   * @param remove - called with each entry; takes it out of the wheel
   * @returns how many there were
   */
  advance(now: Milliseconds, remove: (entry: number) => void): number {
    const { tick, header } = this.#arrays;
    const last = Math.floor(now / SECOND);
    // More than one turn behind: each bucket needs to be seen once only.
    let at = Math.max(tick[0] ?? 0, last - WHEEL_BUCKETS + 1);
    let found = 0;
    for (; at <= last && (header[HEADER.DEADLINES] ?? 0) > 0; at += 1) {
      found += this.#empty(at % WHEEL_BUCKETS, now, remove);
    }
    // The bucket of this second is met again: more of it may end before the second does.
    tick[0] = Math.max(tick[0] ?? 0, last);
    return found;
  }

  #bucket(deadline: Milliseconds): number {
    return Math.floor(deadline / SECOND) % WHEEL_BUCKETS;
  }

  #empty(bucket: number, now: Milliseconds, remove: (entry: number) => void): number {
    const { buckets, wheelNext, deadline } = this.#arrays;
    let found = 0;
    let at = buckets[bucket] ?? 0;
    while (at !== 0) {
      const entry = at - 1;
      at = wheelNext[entry] ?? 0;
      if ((deadline[entry] ?? 0) > now) continue;
      remove(entry);
      found += 1;
    }
    return found;
  }
}
