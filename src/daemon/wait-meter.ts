/**
 * How long packets wait in a queue, told from samples.
 *
 * The kernel stamps no time on packets that this host sends or that come through loopback, so the wait is
 * measured by probes: ten times a second the number of the newest packet in the queue is read, and when the
 * answer to that packet has been sent, the time since is what a packet that came at the moment of the probe
 * had to wait, its own judging included. A queue that is empty at the time of the probe is a wait of nothing.
 * A queue that brought no packet since the last probe has no sample: silence is no merit. Where the queue is
 * found empty and the newest packet was not answered, it was lost on its way up, and its probe with it.
 *
 * Waits are counted in a histogram whose buckets grow by a fifth. The counts are halved each minute, so what
 * is read is about the last two minutes.
 */
import { type Milliseconds, MINUTE } from "../base/index.ts";

/** How often a queue is probed. */
export const PROBE_EVERY_MS: Milliseconds = 100;

/** Buckets for each doubling of the wait. */
const STEPS = 4;
/** Up to 2^24 microseconds; what waits longer is in the last bucket. */
const BUCKETS: number = STEPS * 24 + 1;

/** Bytes of a histogram. */
export const WAIT_BYTES: number = BUCKETS * Float64Array.BYTES_PER_ELEMENT;

/** Counts waits of one queue; the histogram may be read by another thread. */
export class WaitMeter {
  readonly #counts: Float64Array;
  #halvedAt: Milliseconds = 0;
  #probedAt: Milliseconds = -1;
  #probedId = 0;
  #isActive = false;
  readonly #told: (waited: Milliseconds) => void;

  /**
   * @param memory - of {@link WAIT_BYTES}
   * @param told - hears of each sample
   */
  constructor(memory: SharedArrayBuffer, told: (waited: Milliseconds) => void = () => undefined) {
    this.#counts = new Float64Array(memory);
    this.#told = told;
  }

  /** How long the packet of the last probe waits, 0 when it has its answer. */
  waiting(now: Milliseconds): Milliseconds {
    return this.#probedAt < 0 ? 0 : now - this.#probedAt;
  }

  /**
   * Takes what the kernel says of the queue.
   *
   * @param waiting - packets without an answer
   * @param newestId - number of the newest packet, of which the lowest 32 bits count
   */
  probe(waiting: number, newestId: number, now: Milliseconds): void {
    if (waiting === 0) this.#probedAt = -1;
    if (this.#probedAt >= 0) return;
    if (waiting > 0) {
      this.#probedAt = now;
      this.#probedId = newestId | 0;
    } else if (this.#isActive) this.#count(0);
    this.#isActive = false;
    if (now - this.#halvedAt < MINUTE) return;
    this.#halvedAt = now;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1)
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) / 2;
  }

  /**
   * Takes note that a batch was answered.
   *
   * @param lastId - number of its last packet
   */
  answered(lastId: number, now: Milliseconds): void {
    this.#isActive = true;
    if (this.#probedAt < 0 || ((lastId - this.#probedId) | 0) < 0) return;
    this.#count(now - this.#probedAt);
    this.#probedAt = -1;
  }

  #count(waited: Milliseconds): void {
    const bucket = Math.min(BUCKETS - 1, Math.floor(STEPS * Math.log2(1 + waited * 1000)));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#told(waited);
  }
}

/**
 * The wait that so many of the samples did not exceed, in milliseconds, a fifth too high at most.
 *
 * @param share - of the samples, 0 to 1
 * @returns `null` without samples
 */
export function waitQuantile(memory: SharedArrayBuffer, share: number): Milliseconds | null {
  const counts = new Float64Array(memory);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let seen = 0;
  const bucket = counts.findIndex((count) => {
    seen += count;
    return seen >= share * total;
  });
  return bucket === 0 ? 0 : (2 ** ((bucket + 1) / STEPS) - 1) / 1000;
}
