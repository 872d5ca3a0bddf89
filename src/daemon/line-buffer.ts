/**
 * The lines of one worker on their way to the main thread: bounded in number and in rate, sent once a batch.
 *
 * A flood of drops must not become a flood of log lines: beyond the rate, or when the main thread has fallen
 * behind, lines are counted and the count is said.
 */
import { type Milliseconds, SECOND } from "../base/index.ts";
import type { LogFacts } from "./log.ts";
import type { WorkerLine } from "./worker-protocol.ts";

/** How many lines may pass. */
export interface LineLimits {
  /** Lines held for one sending. */
  readonly pending: number;
  /** Lines in one second. */
  readonly perSecond: number;
}

/** Gathers lines and hands them over in groups. */
export class LineBuffer {
  readonly #limits: LineLimits;
  readonly #send: (lines: WorkerLine[]) => void;
  #lines: WorkerLine[] = [];
  #windowStart: Milliseconds = Number.NEGATIVE_INFINITY;
  #inWindow = 0;
  #suppressed = 0;
  /** Lines that were dropped since the worker began. */
  lost = 0;

  /**
   * @param limits - bounds in number and rate
   * @param send - takes one group of lines
   */
  constructor(limits: LineLimits, send: (lines: WorkerLine[]) => void) {
    this.#limits = limits;
    this.#send = send;
  }

  /** True when a line of this moment would be kept: callers ask before they format one. */
  admits(now: Milliseconds): boolean {
    if (now - this.#windowStart >= SECOND) this.#openWindow(now);
    if (this.#inWindow < this.#limits.perSecond && this.#lines.length < this.#limits.pending) return true;
    this.#suppressed += 1;
    this.lost += 1;
    return false;
  }

  /** Takes a line that was admitted. */
  add(level: WorkerLine["level"], message: string, facts?: LogFacts): void {
    this.#inWindow += 1;
    this.#lines.push(facts === undefined ? { level, message } : { level, message, facts });
  }

  /** Sends what has gathered. */
  flush(): void {
    if (this.#lines.length === 0) return;
    this.#send(this.#lines);
    this.#lines = [];
  }

  #openWindow(now: Milliseconds): void {
    this.#windowStart = now;
    this.#inWindow = 0;
    if (this.#suppressed > 0) {
      this.#lines.push({ level: "WARNING", message: `${this.#suppressed} more lines were not logged` });
    }
    this.#suppressed = 0;
  }
}
