/**
 * The state table as the outside sees it: one table out of all workers' and the kernel's, asked by filter,
 * watched, and changed.
 */
import type { KernelRules } from "../backend/index.ts";
import { FirewallError, type TimeoutValues } from "../base/index.ts";
import type { KillAnswer, KillRequest, StateQuery } from "../client/index.ts";
import { resolveUser } from "../system/index.ts";
import { ownTuple, type State, StateFacts, StateFilter, StateMerger } from "../view/index.ts";
import { EndedConnections } from "./ended-connections.ts";
import { endFlows } from "./flow-ending.ts";
import { FlowWatch } from "./flow-watch.ts";
import type { KernelTable } from "./kernel-table.ts";
import { inRounds } from "./state-rounds.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Watchers at a time; each costs every worker the making of events. */
const WATCHES_MAX = 64;

/** What the service works with. */
export interface StateServiceParts {
  readonly pool: WorkerPool;
  readonly kernel: KernelTable;
  /** Our rules, which let our resets pass and stop what the kernel judged alone. */
  readonly rules: KernelRules;
}

function parse(filter: string): StateFilter {
  return StateFilter.parse(filter, { user: resolveUser });
}

/** See above. */
export class StateService {
  readonly #parts: StateServiceParts;
  readonly #watches = new Map<FlowWatch, () => void>();
  readonly #endings: EndedConnections;

  constructor(parts: StateServiceParts) {
    this.#parts = parts;
    this.#endings = new EndedConnections(parts.rules);
    parts.pool.onEvents((events, lost) => {
      for (const watch of this.#watches.keys()) if (watch.own) watch.take(events, lost);
    });
  }

  /**
   * States that a filter chooses, from our tables, the kernel's or both.
   *
   * @throws {FirewallError} `FILTER_INVALID`, pointing at the place
   */
  async *list({ filter = "", source = "both" }: StateQuery): AsyncGenerator<State> {
    const chosen = parse(filter);
    const { pool, kernel } = this.#parts;
    if (source === "own") yield* pool.visitFlows("listFlows", filter);
    else if (source === "kernel") yield* kernel.list(filter);
    else yield* this.#merged(chosen);
  }

  /**
   * The state with an id.
   *
   * @throws {FirewallError} `STATE_GONE` when there is none, or none any more
   */
  async get(id: string): Promise<State> {
    const found = (await this.#parts.pool.getFlow(id)) ?? (await this.#parts.kernel.get(id));
    if (found === undefined) throw new FirewallError("STATE_GONE", `state ${id} is gone, or never was`);
    return found;
  }

  /**
   * Ends the flows that a filter chooses: in our tables, in the kernel's, and, if asked, at both ends.
   *
   * @returns how many, in each table
   */
  async kill({ filter, source = "both", reset = false }: KillRequest): Promise<KillAnswer> {
    const chosen = parse(filter);
    const { own, kernel, ended } = await endFlows(this.#parts, chosen, {
      source,
      tells: reset,
      deleting: (states) => this.#endings.stop(states, reset ? "refused" : "silenced"),
    });
    return { own, kernel, resets: reset ? this.#endings.tell(ended) : 0 };
  }

  /**
   * Watches the flows that a filter chooses.
   *
   * @throws {FirewallError} `FILTER_INVALID`, or `WATCHES_LIMIT` when too many watch
   */
  async watch({ filter = "", source = "own" }: StateQuery): Promise<FlowWatch> {
    if (this.#watches.size >= WATCHES_MAX) {
      throw new FirewallError("WATCHES_LIMIT", `${WATCHES_MAX} watches are open; close one`);
    }
    const watch = new FlowWatch(parse(filter), source !== "kernel");
    const stop =
      source === "own"
        ? () => undefined
        : this.#parts.kernel.watch((events, lost) => watch.take(events, lost));
    this.#watches.set(watch, stop);
    await this.#tellWorkers();
    return watch;
  }

  /** Ends a watch; one that has ended is left alone. */
  async unwatch(watch: FlowWatch): Promise<void> {
    const stop = this.#watches.get(watch);
    if (stop === undefined) return;
    stop();
    this.#watches.delete(watch);
    watch.close();
    await this.#tellWorkers();
  }

  /**
   * Changes timeouts in all workers.
   *
   * @param values - those to change, in milliseconds; none to read
   * @returns all timeouts
   * @throws {FirewallError} `TIMEOUT_INVALID`; nothing is changed then
   */
  async setTimeouts(values: Partial<TimeoutValues>): Promise<TimeoutValues> {
    const timeouts = await this.#parts.pool.setTimeouts(values);
    if (timeouts === undefined) throw new FirewallError("NO_WORKER", "no worker is running; try again");
    return timeouts;
  }

  /** Ends all watches and gives the sockets back. */
  close(): void {
    for (const [watch, stop] of this.#watches) {
      stop();
      watch.close();
    }
    this.#watches.clear();
    this.#endings.close();
  }

  async *#merged(filter: StateFilter): AsyncGenerator<State> {
    const { pool, kernel } = this.#parts;
    const facts = new StateFacts();
    const chosen = (state: State): boolean => {
      facts.bind(state);
      return filter.matches(facts);
    };
    /** Entries of the kernel that were told with one of ours already. */
    const told = new Set<string>();
    for await (const { states, isLast } of inRounds(pool.visitFlows("listFlows", ""))) {
      const merger = new StateMerger();
      for (const state of states) merger.addOwn(state);
      for await (const state of kernel.list("")) {
        const merged = merger.addKernel(state);
        const isAlone = merged[0] === state;
        if (isAlone && (!isLast || told.has(ownTuple(state)))) continue;
        if (!isAlone && !isLast) told.add(ownTuple(state));
        yield* merged.filter(chosen);
      }
      yield* merger.takeRest().filter(chosen);
    }
  }

  /** Workers make events of what one watcher wants, or of everything when there are several. */
  async #tellWorkers(): Promise<void> {
    const own = [...this.#watches.keys()].filter((watch) => watch.own);
    const [first] = own;
    const filter = first === undefined ? null : own.length > 1 ? "" : first.filter.text;
    await this.#parts.pool.watchFlows(filter);
  }
}
