/**
 * Tells whose limits refuse packets: at most one event for each pinhole in each interval, however many
 * packets there were.
 *
 * The packet filter notes the flows of packets that it refuses because of a limit; here they are looked up.
 * The event goes to every pinhole that a flow belongs to and that has this limit: which of several the filter
 * held a packet against, it does not say. What costs nothing while nobody has limits.
 */
import { FirewallError, type Milliseconds } from "../../base/index.ts";
import {
  type EnforcedLimit,
  type LimitHit,
  type Overrun,
  packPinhole,
  type PinholeBackend,
  type PinholeNews,
  type PinholeStore,
} from "../../pinhole/index.ts";

/** From one look to the next, in milliseconds. */
export const LIMIT_HIT_EVERY_MS = 1000;

/** What a watch works with. */
export interface LimitWatchParts {
  readonly backend: Pick<PinholeBackend, "overruns">;
  /** Reads what is in force. */
  readonly read: <Result>(look: (store: PinholeStore) => Result) => Promise<Result>;
  /** Unix time, in milliseconds. */
  readonly wall: () => Milliseconds;
  readonly publish: (news: readonly PinholeNews[]) => void;
}

/** What a limit is counted in, for people. */
const WORDS: Readonly<Record<EnforcedLimit, (value: number) => string>> = {
  pps: (value) => `${value} packets per second`,
  bps: (value) => `${value} bits per second`,
  newPerSec: (value) => `${value} connections per second`,
  quotaBytes: (value) => `${value} bytes altogether`,
};

function textOf({ pinhole: { limit = {} }, refused }: LimitHit): string {
  const clauses = (Object.keys(refused) as EnforcedLimit[]).map(
    (name) => `${refused[name]} beyond ${WORDS[name](limit[name] ?? 0)}`,
  );
  return `Packets were refused: ${clauses.join(", ")}.`;
}

function newsOf(overruns: readonly Overrun[], store: PinholeStore, at: Milliseconds): PinholeNews[] {
  const { generation } = store;
  return store.limitHits(overruns).map((hit) => ({
    type: "limit.hit",
    generation,
    at,
    packed: packPinhole(hit.pinhole),
    owner: hit.pinhole.owner,
    refused: hit.refused,
    origin: "",
    text: textOf(hit),
  }));
}

/** Watches limits. */
export class LimitWatch {
  readonly #parts: LimitWatchParts;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: LimitWatchParts) {
    this.#parts = parts;
  }

  /** Looks from now on, again and again. */
  start(): void {
    this.#timer = setTimeout(() => void this.#goOn(), LIMIT_HIT_EVERY_MS).unref();
  }

  /** Looks no more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Looks once.
   *
   * @throws {FirewallError} when the packet filter does not say
   */
  async look(): Promise<void> {
    const { backend, read, wall, publish } = this.#parts;
    if (!(await read((store) => store.hasLimits))) return;
    const overruns = await backend.overruns();
    if (overruns.length > 0) publish(await read((store) => newsOf(overruns, store, wall())));
  }

  async #goOn(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      // What is wrong with the packet filter is told where it is put right.
      if (!(error instanceof FirewallError)) throw error;
    }
    // Closed meanwhile: there is no timer any more.
    if (this.#timer !== undefined) this.start();
  }
}
