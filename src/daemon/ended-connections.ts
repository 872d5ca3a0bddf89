/**
 * Connections that were ended on request: both ends are told, and segments of those that the kernel judged
 * alone are stopped for a while, since it would take them for a connection older than itself.
 *
 * The numbers of a state are those of the last segment that came up. They make a reset for a connection of
 * which every segment comes up; ends of any other are asked for a segment, and this is refused. Of one that
 * opens nobody can tell which it is: the kernel may carry it before the segment with which it begins was
 * seen.
 */
import {
  ENDED_SECONDS,
  type EndedFate,
  ENDS_MAX,
  type ExpectedReset,
  type KernelRules,
  QUESTION_NUMBERS,
} from "../backend/index.ts";
import { FirewallError, type Milliseconds, SECOND } from "../base/index.ts";
import type { State } from "../view/index.ts";
import { endsOf, type Reset, ResetSender, resetsFor } from "./reset-sender.ts";

/** When ended connections are forgotten, after the last was ended. */
const FORGET_MS: Milliseconds = (ENDED_SECONDS + 1) * SECOND;
/** Ends handed to the kernel at a time. */
const SLICE_ENDS = 1024;

function hasNumbers({ source, offload }: State): boolean {
  return source !== "kernel" && offload === "none";
}

function hasFreshNumbers(state: State): boolean {
  return hasNumbers(state) && state.timeout !== "tcp.opening";
}

/** See above. */
export class EndedConnections {
  readonly #rules: KernelRules;
  readonly #resets = new ResetSender();
  #forgetting: NodeJS.Timeout | undefined;
  /** Ends that are stopped, by what becomes of their segments. */
  readonly #stopped: Record<EndedFate, number> = { refused: 0, silenced: 0 };

  /** @param rules - they let resets pass and stop segments */
  constructor(rules: KernelRules) {
    this.#rules = rules;
  }

  /**
   * Stops segments of connections. To be called before the kernel's entries are deleted. Where there are too
   * many at a time, the rest may go on.
   */
  stop(states: readonly State[], fate: EndedFate): void {
    const ends: ExpectedReset[] = states.flatMap(endsOf).slice(0, ENDS_MAX - this.#stopped[fate]);
    if (ends.length === 0) return;
    this.#stopped[fate] += ends.length;
    for (let from = 0; from < ends.length; from += SLICE_ENDS)
      this.#rules.stopEnded(ends.slice(from, from + SLICE_ENDS), fate);
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => this.#forget(), FORGET_MS).unref();
  }

  /**
   * Tells both ends of connections.
   *
   * @param states - as they were
   * @returns how many ends were told
   */
  tell(states: readonly State[]): number {
    const fresh = states.filter(hasFreshNumbers).flatMap(resetsFor);
    const perhapsFresh = states.filter((state) => hasNumbers(state) && !hasFreshNumbers(state));
    const stale = states.filter((state) => !hasFreshNumbers(state));
    const ends: ExpectedReset[] = stale.flatMap(endsOf);
    this.stop(stale, "refused");
    this.#send(perhapsFresh.flatMap(resetsFor));
    let told = this.#send(fresh);
    for (let from = 0; from < ends.length; from += SLICE_ENDS) {
      const some = ends.slice(from, from + SLICE_ENDS);
      this.#rules.expectResets(some);
      told += some.filter((end) => this.#resets.ask(end, QUESTION_NUMBERS)).length;
    }
    return told;
  }

  /** Gives the sockets back. What is stopped stays so until our table goes. */
  close(): void {
    clearTimeout(this.#forgetting);
    this.#resets.close();
  }

  /** Sends resets. @returns how many */
  #send(resets: readonly Reset[]): number {
    let sent = 0;
    for (let from = 0; from < resets.length; from += SLICE_ENDS) {
      const some = resets.slice(from, from + SLICE_ENDS);
      this.#rules.expectResets(some);
      sent += some.filter((reset) => this.#resets.send(reset)).length;
    }
    return sent;
  }

  #forget(): void {
    this.#stopped.refused = 0;
    this.#stopped.silenced = 0;
    try {
      this.#rules.forgetEnded();
    } catch (error) {
      // Somebody has removed our table, and with it what is to be forgotten.
      if (!(error instanceof FirewallError)) throw error;
    }
  }
}
