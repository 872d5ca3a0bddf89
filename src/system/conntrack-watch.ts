/**
 * The kernel's connections as they come, change and go, without a hole that goes unnoticed.
 *
 * First every entry there is, then the news. When news were lost, a gap is told, the table is listed anew and
 * what the list shows is told as news: entries that were not known, and numbers of entries that have
 * vanished. Only numbers of entries are remembered; at the limit `watchedFlows` no more are, and what
 * vanishes in a gap from then on is not told.
 *
 * The kernel sends no news of entries that are older than its first listener, unless told to
 * (`nf_conntrack_events` is 2 by default, "only while somebody listens", and decided when an entry begins).
 * So the table is also listed anew from time to time, and old entries that have ended are told as vanished.
 */
import { LIMITS } from "../base/index.ts";
import { ConntrackEntry } from "../netlink/index.ts";
import { ConntrackEvents } from "./conntrack-events.ts";
import { ConntrackList } from "./conntrack-list.ts";

/** Longest wait for news, in milliseconds: after it, whoever watches is asked whether to go on. */
const WAIT_MS = 1000;

/** Time between two lists, in milliseconds, unless told otherwise. */
const RELIST_MS = 30_000;

/** Hears what happens; each call must be short. The entry is filled anew for the next call. */
export interface ConntrackObserver {
  /** It was there when the watch began, or is there after a gap and was not known. */
  present(entry: ConntrackEntry): void;
  began(entry: ConntrackEntry): void;
  changed(entry: ConntrackEntry): void;
  ended(entry: ConntrackEntry): void;
  /** News were lost; the table is listed anew. */
  gap(): void;
  /** It has gone, in a gap or without news. @param id - number of the entry, as it was told with it */
  vanished(id: number): void;
}

/** How to watch. */
export interface ConntrackWatchOptions {
  /** Buffer of the subscription, in bytes. */
  readonly bufferBytes?: number;
  /** Most entries whose numbers are remembered. */
  readonly remembered?: number;
  /** Time between two lists, in milliseconds; 0 lists at the beginning and after gaps only. */
  readonly relistMs?: number;
}

/** A watch under way. */
export class ConntrackWatch {
  readonly #observer: ConntrackObserver;
  readonly #events: ConntrackEvents;
  readonly #entry: ConntrackEntry = new ConntrackEntry();
  readonly #list: ConntrackList;
  readonly #limit: number;
  readonly #relistMs: number;
  /** When the table was listed last, on the process's clock in milliseconds. */
  #listedAt = 0;
  /** Number of each entry that is known, and the round in which it was last seen. */
  readonly #known = new Map<number, number>();
  #round = 0;
  #stopped = false;

  private constructor(
    observer: ConntrackObserver,
    events: ConntrackEvents,
    list: ConntrackList,
    options: ConntrackWatchOptions,
  ) {
    this.#observer = observer;
    this.#events = events;
    this.#list = list;
    this.#limit = options.remembered ?? LIMITS.watchedFlows.default;
    this.#relistMs = options.relistMs ?? RELIST_MS;
  }

  /**
   * Subscribes in the network namespace of the calling thread. News are heard from then on, and told by
   * {@link ConntrackWatch.run}.
   *
   * @throws {FirewallError} `NETLINK_UNAVAILABLE`
   */
  static open(observer: ConntrackObserver, options: ConntrackWatchOptions = {}): ConntrackWatch {
    const list = ConntrackList.open();
    try {
      const events = ConntrackEvents.open(["new", "update", "destroy"], options.bufferBytes);
      return new ConntrackWatch(observer, events, list, options);
    } catch (error) {
      list.close();
      throw error;
    }
  }

  /** Times that news were lost. */
  get overruns(): number {
    return this.#events.overruns;
  }

  /**
   * Tells the observer what there is, and then what happens, until {@link ConntrackWatch.stop}.
   *
   * @throws {FirewallError} `NETLINK_REFUSED`, `NETLINK_RECEIVE`
   */
  async run(): Promise<void> {
    try {
      await this.#listAll(false);
      while (!this.#stopped) {
        await this.#events.wait(this.#relistMs > 0 ? Math.min(WAIT_MS, this.#relistMs) : WAIT_MS);
        await this.#drain();
        const isDue = this.#relistMs > 0 && performance.now() - this.#listedAt >= this.#relistMs;
        if (isDue && !this.#stopped) await this.#listAll(false);
      }
    } finally {
      this.#list.close();
      await this.#events.close();
    }
  }

  /** Ends the watch; {@link ConntrackWatch.run} returns soon after. */
  stop(): void {
    this.#stopped = true;
    void this.#events.close();
  }

  /** Reads what waits, and lets other work in between. */
  async #drain(): Promise<void> {
    while (!this.#stopped) {
      const found = this.#events.read(this.#entry, (event, entry) => this.#tell(event, entry));
      if (found === "empty") return;
      if (found === "overrun") {
        this.#observer.gap();
        this.#events.discard();
        await this.#listAll(true);
      }
      await nextTurn();
    }
  }

  #tell(event: "new" | "update" | "destroy", entry: ConntrackEntry): void {
    if (event === "destroy") {
      this.#known.delete(entry.id);
      this.#observer.ended(entry);
    } else if (event === "new") {
      // What was listed already after its news had been sent is told once only.
      if (this.#remember(entry.id)) this.#observer.began(entry);
      else this.#observer.changed(entry);
    } else {
      this.#remember(entry.id);
      this.#observer.changed(entry);
    }
  }

  /** Lists the table and tells how it differs from what is known; after a gap any entry may have changed. */
  async #listAll(afterGap: boolean): Promise<void> {
    this.#round += 1;
    this.#listedAt = performance.now();
    this.#list.begin();
    const see = (entry: ConntrackEntry): void => {
      if (this.#remember(entry.id)) this.#observer.present(entry);
      else if (afterGap) this.#observer.changed(entry);
    };
    while (this.#list.read(this.#entry, see)) {
      await nextTurn();
      if (this.#stopped) return;
    }
    if (this.#list.interrupted) return;
    for (const [id, round] of this.#known) {
      if (round === this.#round) continue;
      this.#known.delete(id);
      this.#observer.vanished(id);
    }
  }

  /** Notes that an entry is there. Returns true when it was not known. */
  #remember(id: number): boolean {
    const isNew = !this.#known.has(id);
    if (!isNew || this.#known.size < this.#limit) this.#known.set(id, this.#round);
    return isNew;
  }
}

/** Lets the event loop do what else waits. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
