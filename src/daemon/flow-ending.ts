/**
 * Ending flows in our tables and in the kernel's.
 *
 * What a list of both tables shows under a filter, a kill with that filter ends in both, though each table
 * knows of a flow what the other does not: ours knows rules, users and what was recognised, the kernel's
 * knows translation, zones and marks. So a flow that one table has ended is looked for in the other by its
 * ends.
 */
import {
  type State,
  StateFacts,
  type StateFilter,
  StateMerger,
  kernelTuples,
  mergeStates,
  ownTuple,
} from "../view/index.ts";
import type { KernelTable } from "./kernel-table.ts";
import { inRounds, type StateRound } from "./state-rounds.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Whose flows are ended. */
export interface EndingParts {
  readonly pool: WorkerPool;
  readonly kernel: KernelTable;
}

/** What is wanted of an ending. */
export interface EndingWish {
  readonly source: State["source"];
  /** Whether it is of interest what the flows were. */
  readonly tells: boolean;
  /** Called with connections that the kernel is about to forget. */
  readonly deleting: (states: readonly State[]) => void;
}

/** What was ended. */
export interface Ending {
  /** Flows of our tables. */
  own: number;
  /** Connections of the kernel's. */
  kernel: number;
  /** Flows as they were, of both tables; empty unless asked for. */
  readonly ended: State[];
}

/** Ends the flows that a filter chooses, in both tables. */
class DoubleEnding implements Ending {
  own = 0;
  kernel = 0;
  readonly ended: State[] = [];
  readonly #parts: EndingParts;
  readonly #filter: StateFilter;
  readonly #deleting: EndingWish["deleting"];
  readonly #facts = new StateFacts();
  /** States of the kernel that were chosen and that ours did not choose, by the tuples that ours may have. */
  readonly #strangers = new Map<string, State>();

  constructor(parts: EndingParts, filter: StateFilter, deleting: EndingWish["deleting"]) {
    this.#parts = parts;
    this.#deleting = deleting;
    this.#filter = filter;
  }

  async run(): Promise<void> {
    const { pool } = this.#parts;
    for await (const round of inRounds(pool.visitFlows("killFlows", this.#filter.text)))
      await this.#endRound(round);
    if (this.#strangers.size > 0) await this.#endStrangers();
  }

  async #endRound({ states, isLast }: StateRound): Promise<void> {
    const merger = new StateMerger();
    for (const state of states) merger.addOwn(state);
    this.own += states.length;
    // Where there is nothing to look for by its ends, the kernel need not show what the filter passes over.
    const looked = states.length === 0 ? this.#filter.text : "";
    const wanted = (state: State): boolean => {
      const merged = merger.addKernel(state);
      if (merged[0]?.source !== "both") return isLast && this.#takeStranger(state);
      this.ended.push(...merged);
      return true;
    };
    this.kernel += await this.#parts.kernel.kill(looked, { wanted, deleting: this.#deleting });
    this.ended.push(...merger.takeRest());
  }

  #takeStranger(state: State): boolean {
    this.#facts.bind(state);
    if (!this.#filter.matches(this.#facts)) return false;
    for (const tuple of kernelTuples(state)) this.#strangers.set(tuple, state);
    return true;
  }

  async #endStrangers(): Promise<void> {
    const { pool } = this.#parts;
    const found: [own: State, kernel: State][] = [];
    for await (const state of pool.visitFlows("listFlows", "")) {
      const stranger = this.#strangers.get(ownTuple(state));
      if (stranger !== undefined) found.push([state, stranger]);
    }
    for (const [state, stranger] of found) {
      const own = await pool.killFlow(state.id);
      if (own === undefined) continue;
      this.own += 1;
      this.ended.push(mergeStates(own, stranger));
      for (const tuple of kernelTuples(stranger)) this.#strangers.delete(tuple);
    }
    // Each is there under both tuples that ours might have had.
    this.ended.push(...new Set(this.#strangers.values()));
  }
}

/**
 * Ends the flows that a filter chooses.
 *
 * @param wish - in which tables, and what is wanted to know
 */
export async function endFlows(
  parts: EndingParts,
  filter: StateFilter,
  { source, tells, deleting }: EndingWish,
): Promise<Ending> {
  const { pool, kernel } = parts;
  const all = filter.isAll && !tells;
  if (source === "both" && !all) {
    const ending = new DoubleEnding(parts, filter, deleting);
    await ending.run();
    return ending;
  }
  const ended: State[] = [];
  let own = 0;
  if (source !== "kernel" && tells)
    for await (const state of pool.visitFlows("killFlows", filter.text)) ended.push(state);
  else if (source !== "kernel") own = await pool.killFlows(filter.text);
  own += ended.length;
  const noted = (states: readonly State[]): void => {
    deleting(states);
    if (tells) ended.push(...states);
  };
  const inKernel = source === "own" ? 0 : await kernel.kill(filter.text, { deleting: noted });
  return { own, kernel: inKernel, ended };
}
