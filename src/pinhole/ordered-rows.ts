/**
 * Rows in the order of their ids, for lists that are read page by page while they change.
 *
 * The order of an id is its time and, within a millisecond, its count (see identifier.ts): two numbers, kept
 * in columns. What leaves keeps its place until half of all have left.
 */
import { type IdOrder, orderOf } from "./identifier.ts";
import { grown } from "./column.ts";

const CAPACITY = 64;

/** Rows by their ids. Ids sort by time, so nearly every addition is at the end. */
export class OrderedRows {
  #times: Float64Array = new Float64Array(CAPACITY);
  #counts: Uint16Array = new Uint16Array(CAPACITY);
  /** The row at a place, plus one; 0 when it has left. */
  #rows: Uint32Array = new Uint32Array(CAPACITY);
  #length = 0;
  #gone = 0;

  add(id: string, row: number): void {
    const order = orderOf(id);
    const at = this.#find(order);
    if (this.#isAt(at, order)) this.#gone -= 1;
    else this.#makeRoom(at);
    this.#times[at] = order.time;
    this.#counts[at] = order.count;
    this.#rows[at] = row + 1;
  }

  remove(id: string): void {
    const order = orderOf(id);
    const at = this.#find(order);
    if (!this.#isAt(at, order) || this.#rows[at] === 0) return;
    this.#rows[at] = 0;
    this.#gone += 1;
    if (this.#gone * 2 >= this.#length) this.#compact();
  }

  /** The rows behind an id, in order. */
  *after(cursor: string): Generator<number> {
    const order = orderOf(cursor);
    const first = this.#find(order);
    for (let at = this.#isAt(first, order) ? first + 1 : first; at < this.#length; at += 1) {
      const row = (this.#rows[at] ?? 0) - 1;
      if (row >= 0) yield row;
    }
  }

  /** Where an id is, or would be. */
  #find(order: IdOrder): number {
    let low = 0;
    let high = this.#length;
    if (high > 0 && this.#isBefore(high - 1, order)) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#isBefore(middle, order)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #isBefore(at: number, { time, count }: IdOrder): boolean {
    const own = this.#times[at] ?? 0;
    return own < time || (own === time && (this.#counts[at] ?? 0) < count);
  }

  #isAt(at: number, { time, count }: IdOrder): boolean {
    return at < this.#length && this.#times[at] === time && this.#counts[at] === count;
  }

  #makeRoom(at: number): void {
    const length = this.#length + 1;
    this.#times = grown(this.#times, length).copyWithin(at + 1, at, this.#length);
    this.#counts = grown(this.#counts, length).copyWithin(at + 1, at, this.#length);
    this.#rows = grown(this.#rows, length).copyWithin(at + 1, at, this.#length);
    this.#length = length;
  }

  #compact(): void {
    let kept = 0;
    for (let at = 0; at < this.#length; at += 1) {
      if (this.#rows[at] === 0) continue;
      this.#times[kept] = this.#times[at] ?? 0;
      this.#counts[kept] = this.#counts[at] ?? 0;
      this.#rows[kept] = this.#rows[at] ?? 0;
      kept += 1;
    }
    this.#length = kept;
    this.#gone = 0;
  }
}
