/**
 * What ends next.
 *
 * A heap in which nothing is ever moved: when a lease is renewed its pinhole comes in a second time, and the
 * first entry means nothing when its turn comes. When such entries are in the majority the heap is built
 * anew.
 */
import type { Milliseconds } from "../base/index.ts";

interface Entry<Value> {
  readonly deadline: Milliseconds;
  readonly value: Value;
}

/** Below this size it is never worth building anew. */
const REBUILD_MIN = 1024;

/** Values by their deadlines. */
export class DeadlineQueue<Value> {
  #heap: Entry<Value>[] = [];
  #live = 0;
  readonly #deadlineOf: (value: Value) => Milliseconds | undefined;

  /** @param deadlineOf - the deadline that counts; undefined when the value is no more */
  constructor(deadlineOf: (value: Value) => Milliseconds | undefined) {
    this.#deadlineOf = deadlineOf;
  }

  /**
   * @param deadline - when; Infinity does not come in
   * @param live - how many values there are, to know when most entries mean nothing
   */
  add(value: Value, deadline: Milliseconds, live: number): void {
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.#live = live;
    if (this.#heap.length > REBUILD_MIN && this.#heap.length > 3 * this.#live) this.#rebuild();
    this.#heap.push({ deadline, value });
    this.#up(this.#heap.length - 1);
  }

  /**
   * The earliest deadline, or an earlier instant at which nothing will be due; undefined when nothing ends.
   */
  get earliest(): Milliseconds | undefined {
    return this.#heap[0]?.deadline;
  }

  /**
   * Takes out what is due.
   *
   * @param max - no more than this many
   */
  takeDue(now: Milliseconds, max: number): Value[] {
    const due: Value[] = [];
    for (let top = this.#heap[0]; top !== undefined && due.length < max; top = this.#heap[0]) {
      if (top.deadline > now) break;
      this.#takeTop();
      if (this.#deadlineOf(top.value) === top.deadline) due.push(top.value);
    }
    return due;
  }

  #takeTop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#down(0);
  }

  #rebuild(): void {
    this.#heap = this.#heap.filter(({ deadline, value }) => this.#deadlineOf(value) === deadline);
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at -= 1) this.#down(at);
  }

  #deadlineAt(at: number): Milliseconds {
    return this.#heap[at]?.deadline ?? Number.POSITIVE_INFINITY;
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#heap[a], this.#heap[b]];
    if (one === undefined || other === undefined) return;
    this.#heap[a] = other;
    this.#heap[b] = one;
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
