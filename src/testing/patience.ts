/** Waiting for what will be so soon, without a guess how soon. */
import { setTimeout as delay } from "node:timers/promises";

/**
 * How long what is expected is waited for, in milliseconds: it takes less than one, or the machine is busy.
 */
export const PATIENCE_MS = 30_000;

/** Time after which silence is silence, where that is expected, in milliseconds. */
export const SILENCE_MS = 300;

/** Pause between two questions, in milliseconds. */
const PAUSE_MS = 10;

/**
 * Asks again until the answer is the wanted one, or has been another for half a minute.
 *
 * @param ask - gets the answer
 * @param isWanted - tells whether it is the one
 * @returns the last answer, to be asserted
 */
export async function eventually<Answer>(
  ask: () => Answer | Promise<Answer>,
  isWanted: (answer: Answer) => boolean,
): Promise<Answer> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (isWanted(answer) || performance.now() > deadline) return answer;
    await delay(PAUSE_MS);
  }
}
