/**
 * States of our tables in rounds, so that putting them together with the kernel's takes bounded memory
 * however many there are: each round is held against the whole of the kernel's table.
 */
import type { State } from "../view/index.ts";

/** States held at a time; each takes about two kilobytes. */
const ROUND_STATES = 131_072;

/** Some of the states. */
export interface StateRound {
  readonly states: readonly State[];
  /** True for the last round. There is one even when there are no states. */
  readonly isLast: boolean;
}

/** Gathers states into rounds. */
export async function* inRounds(states: AsyncIterable<State>): AsyncGenerator<StateRound> {
  let round: State[] = [];
  for await (const state of states) {
    if (round.length === ROUND_STATES) {
      yield { states: round, isLast: false };
      round = [];
    }
    round.push(state);
  }
  yield { states: round, isLast: true };
}
