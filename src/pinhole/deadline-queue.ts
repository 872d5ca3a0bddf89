/**
 * What ends next.
 *
 * A heap in which nothing is ever moved: when a lease is renewed its pinhole comes in a second time, and the
 * first entry means nothing when its turn comes. When such entries are in the majority the heap is built
 * anew.
 */
import type { Milliseconds } from "../base/index.ts";
import { grown } from "./column.ts";

/** Below this size it is never worth building anew. */
const REBUILD_MIN = 1024;

/** Small numbers by their deadlines. */
export class DeadlineQueue {
  // The heap, in two columns.
  #deadlines: Float64Array = new Float64Array(REBUILD_MIN);
  #values: Uint32Array = new Uint32Array(REBUILD_MIN);
  #length = 0;
  readonly #deadlineOf: (value: number) => Milliseconds | undefined;

  /** @param deadlineOf - the deadline that counts; undefined when the value is no more */
  constructor(deadlineOf: (value: number) => Milliseconds | undefined) {
    this.#deadlineOf = deadlineOf;
  }

  /**
   * @param deadline - when; Infinity does not come in
   * @param live - how many values there are, to know when most entries mean nothing
   */
  add(value: number, deadline: Milliseconds, live: number): void {
    if (deadline === Number.POSITIVE_INFINITY) return;
    if (this.#length > REBUILD_MIN && this.#length > 3 * live) this.#rebuild();
    this.#deadlines = grown(this.#deadlines, this.#length + 1);
    this.#values = grown(this.#values, this.#length + 1);
    this.#length += 1;
    this.#place(this.#length - 1, value, deadline);
    this.#up(this.#length - 1);
  }

  /**
   * The earliest deadline, or an earlier instant at which nothing will be due; undefined when nothing ends.
   */
  get earliest(): Milliseconds | undefined {
    return this.#length === 0 ? undefined : this.#deadlines[0];
  }

  /**
   * Takes out what is due.
   *
   * @param max - no more than this many
   */
  takeDue(now: Milliseconds, max: number): number[] {
    const due: number[] = [];
    while (this.#length > 0 && due.length < max) {
      const deadline = this.#deadlineAt(0);
      if (deadline > now) break;
      const value = this.#values[0] ?? 0;
      this.#takeTop();
      if (this.#deadlineOf(value) === deadline) due.push(value);
    }
    return due;
  }

  #takeTop(): void {
    this.#length -= 1;
    if (this.#length === 0) return;
    this.#copy(this.#length, 0);
    this.#down(0);
  }

  #rebuild(): void {
    let kept = 0;
    for (let at = 0; at < this.#length; at += 1) {
      if (this.#deadlineOf(this.#values[at] ?? 0) !== this.#deadlines[at]) continue;
      this.#copy(at, kept);
      kept += 1;
    }
    this.#length = kept;
    for (let at = (kept >> 1) - 1; at >= 0; at -= 1) this.#down(at);
  }

  #deadlineAt(at: number): Milliseconds {
    return at < this.#length ? (this.#deadlines[at] ?? 0) : Number.POSITIVE_INFINITY;
  }

  #place(at: number, value: number, deadline: Milliseconds): void {
    this.#values[at] = value;
    this.#deadlines[at] = deadline;
  }

  #copy(from: number, to: number): void {
    this.#place(to, this.#values[from] ?? 0, this.#deadlines[from] ?? 0);
  }

  #swap(a: number, b: number): void {
    const value = this.#values[a] ?? 0;
    const deadline = this.#deadlines[a] ?? 0;
    this.#copy(b, a);
    this.#place(b, value, deadline);
  }

  #up(start: number): void {
    for (let at = start; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.#deadlineAt(parent) <= this.#deadlineAt(at)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #down(start: number): void {
    for (let at = start; ; ) {
      const left = 2 * at + 1;
      const child = this.#deadlineAt(left + 1) < this.#deadlineAt(left) ? left + 1 : left;
      if (this.#deadlineAt(at) <= this.#deadlineAt(child)) return;
      this.#swap(at, child);
      at = child;
    }
  }
}
