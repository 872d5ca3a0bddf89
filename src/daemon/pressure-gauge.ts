/**
 * Whether packets wait longer than a policy wants them to: its objective is what 99 of 100 may not exceed.
 *
 * Waits are sampled (wait-meter.ts) and counted in windows of some seconds. Pressure begins within a window,
 * as soon as more than one of its hundred samples is beyond the objective. It ends with the first window in
 * which no more than that are beyond half the objective: what relieves a queue should not be what ends the
 * relief. A window without samples is one without packets, and ends it too, unless a packet waits all the
 * while.
 */
import type { Milliseconds } from "../base/index.ts";

/** Three queues are probed ten times a second: up to 150 samples. */
const WINDOW_MS: Milliseconds = 5000;

/** Samples of which one may be late. */
const PERCENTILE = 100;

/** See the head of this file. */
export class PressureGauge {
  /** True from the beginning of pressure to its end. */
  isPressed = false;
  #objectiveMs: Milliseconds | undefined;
  #windowFrom: Milliseconds = 0;
  #samples = 0;
  /** Samples beyond the objective. */
  #late = 0;
  /** Samples beyond half of it. */
  #high = 0;

  /** Longest wait that 99 of 100 packets may have; `undefined` for any. */
  get objectiveMs(): Milliseconds | undefined {
    return this.#objectiveMs;
  }

  /** Sets it; what was counted under another counts no more. */
  aim(objectiveMs: Milliseconds | undefined): void {
    if (objectiveMs === this.#objectiveMs) return;
    this.#objectiveMs = objectiveMs;
    this.#clear();
    this.isPressed = false;
  }

  /** Takes a sample. */
  count(waited: Milliseconds): void {
    const objective = this.#objectiveMs;
    if (objective === undefined) return;
    this.#samples += 1;
    if (waited > objective) this.#late += 1;
    if (waited > objective / 2) this.#high += 1;
    if (this.#isTooMany(this.#late)) this.isPressed = true;
  }

  /**
   * Lets the window end when it is over.
   *
   * @param waiting - how long the oldest packet waits whose wait is not over
   */
  turn(now: Milliseconds, waiting: Milliseconds): void {
    if (this.#objectiveMs === undefined || now - this.#windowFrom < WINDOW_MS) return;
    if (!this.#isTooMany(this.#high) && waiting <= this.#objectiveMs / 2) this.isPressed = false;
    this.#clear();
    this.#windowFrom = now;
  }

  #isTooMany(samples: number): boolean {
    return samples * PERCENTILE > Math.max(this.#samples, PERCENTILE);
  }

  #clear(): void {
    this.#samples = 0;
    this.#late = 0;
    this.#high = 0;
  }
}
