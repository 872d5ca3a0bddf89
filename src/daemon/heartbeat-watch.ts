/** Tells a worker that hangs from one that is busy, idle, or stopped with the whole process. */
import type { Milliseconds } from "../base/index.ts";

/** How often to look at a heartbeat. */
export const LOOK_EVERY_MS: Milliseconds = 1000;

/**
 * Looks in a row that find no turn since the one before, after which a worker counts as hung. An idle one
 * turns once a second; a policy with modules takes its time.
 */
const HUNG_AFTER_LOOKS = 15;

/** Seconds that a worker which counts as hung has not turned. */
export const HUNG_AFTER_SECONDS = (HUNG_AFTER_LOOKS * LOOK_EVERY_MS) / 1000;

/**
 * Looks at a heartbeat, a number that changes with every turn of a worker. Looks are counted and not seconds:
 * where the whole process is stopped (SIGSTOP, a container that is paused), nobody looks either, and no
 * worker is to blame when it goes on.
 */
export class HeartbeatWatch {
  #heard = 0;
  #inVain = 0;

  /**
   * Looks once; to be done every {@link LOOK_EVERY_MS}.
   *
   * @param heartbeat - the number now
   * @returns whether the worker counts as hung
   */
  look(heartbeat: number): boolean {
    this.#inVain = heartbeat === this.#heard ? this.#inVain + 1 : 0;
    this.#heard = heartbeat;
    return this.#inVain >= HUNG_AFTER_LOOKS;
  }
}
