/** Notices within a quarter of a second that somebody else has changed our part of the rule set. */
import { setImmediate as turn } from "node:timers/promises";
import {
  decodeGenerationNumber,
  encodeGenerationGet,
  type RuleNews,
  TABLE_FAMILY,
} from "../../netlink/index.ts";
import type { Drift } from "../../pinhole/index.ts";
import { type NetlinkSocket, RuleEvents, type RuleListener } from "../../system/index.ts";
import type { ChainPlan } from "./chain-plan.ts";

/** How often the news are read, in milliseconds. */
const INTERVAL_MS = 250;

/** Pages of news that are read in one go: about a millisecond of the event loop. */
const PAGES_AT_ONCE = 32;

/** Operations in words (enum nf_tables_msg_types). */
const OPERATIONS: ReadonlyMap<number, string> = new Map([
  [0, "a table came"],
  [2, "the table was deleted"],
  [3, "a chain came"],
  [5, "a chain was deleted"],
  [6, "a rule came"],
  [8, "a rule was deleted"],
  [9, "a set came"],
  [11, "a set was deleted"],
  [12, "elements came"],
  [14, "elements were deleted"],
  [18, "a limit came"],
  [20, "a limit was deleted"],
]);

/** Transactions in this network namespace, whoever did them, modulo 2^32. */
function countTransactions(socket: NetlinkSocket): number {
  const [answer] = socket.exchange(encodeGenerationGet()).messages;
  return answer === undefined ? 0 : decodeGenerationNumber(answer);
}

/** Watches. */
export class DriftMonitor {
  readonly #plan: ChainPlan;
  readonly #events: RuleEvents;
  readonly #ownPorts: Set<number> = new Set();
  #listener: (drift: Drift) => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Others did something while we did not listen. */
  #wasUnheard = false;
  #isLooking = false;
  #isClosed = false;
  /** What the transaction did whose news are being read; empty while it is none of our business. */
  #what: Set<string> = new Set();

  private constructor(plan: ChainPlan, events: RuleEvents) {
    this.#plan = plan;
    this.#events = events;
  }

  /**
   * Subscribes in the network namespace of the calling thread.
   *
   * @param ownPort - address of the socket through which we change elements
   * @throws {FirewallError} `NETLINK_UNAVAILABLE`
   */
  static open(plan: ChainPlan, ownPort: number): DriftMonitor {
    const events = RuleEvents.open();
    events.ignore(ownPort);
    return new DriftMonitor(plan, events);
  }

  /**
   * Does something through another socket of ours, and learns its address by it.
   *
   * @param table - a table that nobody else knows, which the work makes
   */
  learn<Result>(table: string, work: () => Result): Result {
    const result = work();
    this.#events.read({
      news: (news) => {
        if (news.table === table) this.#ownPorts.add(news.port);
      },
      done: () => undefined,
    });
    return result;
  }

  /**
   * Does one transaction of ours without hearing of it: the kernel writes a page of news for each element,
   * and for very many that takes longer than the work. Whether others did something meanwhile is counted.
   *
   * @param socket - through which the work is done, and which can be asked
   * @param work - the transaction; when it throws, it did nothing
   */
  unheard<Result>(socket: NetlinkSocket, work: () => Result): Result {
    const before = countTransactions(socket);
    let ours = 0;
    this.#events.mute();
    try {
      const result = work();
      ours = 1;
      return result;
    } finally {
      this.#events.unmute();
      this.#wasUnheard ||= (countTransactions(socket) - before) >>> 0 !== ours;
    }
  }

  /** Begins to watch. */
  start(listener: (drift: Drift) => void): void {
    this.#listener = listener;
    this.#timer = setInterval(() => void this.#look(), INTERVAL_MS);
    this.#timer.unref();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#events.close();
  }

  /** Reads all news. There may be very many, so other work has its turn meanwhile. */
  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const listener: RuleListener = {
      news: (news) => this.#hear(news),
      done: ({ pid, processName }) => this.#tell(processName === "" ? "" : `${processName} (${pid})`),
    };
    let isWhole = true;
    for (let isEmpty = false; !isEmpty; ) {
      const reading = this.#events.read(listener, PAGES_AT_ONCE);
      ({ isEmpty } = reading);
      isWhole &&= reading.isWhole;
      if (!isEmpty) await turn();
      if (this.#isClosed) return;
    }
    this.#isLooking = false;
    const wasUnheard = this.#wasUnheard;
    this.#wasUnheard = false;
    if (!isWhole || wasUnheard) {
      this.#listener({ culprit: "", what: "so much changed that we could not follow" });
    }
  }

  #hear(news: RuleNews): void {
    const { family, table, name, port, operation } = news;
    if (family !== TABLE_FAMILY.INET || table !== this.#plan.table || this.#ownPorts.has(port)) return;
    const { chain } = this.#plan;
    const isOurs = name === "" || name === chain || name.startsWith(`${chain}-`);
    if (isOurs) this.#what.add(OPERATIONS.get(operation) ?? "something changed");
  }

  #tell(culprit: string): void {
    if (this.#what.size === 0) return;
    const what = [...this.#what].join(", ");
    this.#what = new Set();
    this.#listener({ culprit, what });
  }
}
