/**
 * Watchers of flows: each has a filter and a queue of its own, bounded, so that a slow one costs a gap and
 * not memory.
 */
import { StateFacts, type StateFilter } from "../view/index.ts";
import type { WatchEvent } from "../client/index.ts";
import type { FlowEvent } from "./worker-protocol.ts";

/** Events that wait for one watcher; more are told as a gap. */
const WAITING_MAX = 4096;

/** One watcher's events, in order, as they are asked for. */
export class FlowWatch {
  readonly filter: StateFilter;
  readonly #facts = new StateFacts();
  #waiting: WatchEvent[] = [];
  #wake: () => void = () => undefined;
  #closed = false;

  /** True when events of our own tracker are wanted. */
  readonly own: boolean;

  /**
   * @param filter - which flows are of interest
   * @param own - whether our own tracker's are
   */
  constructor(filter: StateFilter, own: boolean) {
    this.filter = filter;
    this.own = own;
  }

  /** Takes what workers tell. @param lost - events behind these that they had no room for */
  take(events: readonly FlowEvent[], lost: number): void {
    for (const event of events) {
      this.#facts.bind(event.state);
      if (this.filter.matches(this.#facts)) this.#add(event);
    }
    if (lost > 0) this.#lose(lost);
    this.#wake();
  }

  /** Ends the watch. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Events as they come, until the watch is closed. Where some were lost stands a gap that says how many. */
  async *events(): AsyncGenerator<WatchEvent> {
    while (!this.#closed) {
      const events = this.#waiting;
      this.#waiting = [];
      yield* events;
      if (this.#waiting.length === 0 && !this.#closed) await this.#news();
    }
  }

  #add(event: WatchEvent): void {
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push(event);
    else this.#lose(1);
  }

  /** Notes that events were lost behind those that wait; gaps side by side are one. */
  #lose(count: number): void {
    const last = this.#waiting.at(-1);
    if (last?.kind === "gap")
      this.#waiting[this.#waiting.length - 1] = { kind: "gap", lost: last.lost + count };
    else this.#waiting.push({ kind: "gap", lost: count });
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
