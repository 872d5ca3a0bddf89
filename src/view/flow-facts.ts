/**
 * What filters ask of a flow, whichever table it is in: a row of our tracker, an entry of the kernel's, or a
 * {@link State} that was made before. So a filter can pass over a million rows without making an object of
 * each.
 */
import type { AddressWords, Family } from "../base/index.ts";
import type { State, StateDirection, StateOffload, StateSource } from "./state.ts";

/** The two sides of address translation, as in {@link State}. */
export type KeySide = "nk" | "sk";

/** Answers about one flow at a time. */
export interface FlowFacts {
  readonly source: StateSource;
  readonly id: string;
  readonly family: Family;
  readonly protocol: number;
  readonly direction: StateDirection;
  /** Address of an end (a value of STATE_END); the words are good until the next question. */
  address(side: KeySide, end: number): AddressWords;
  /** Port of an end, or what stands for it. */
  port(side: KeySide, end: number): number;
  /** Level of an end. */
  level(end: number): number;
  readonly zone: number;
  /** "" when unknown. */
  readonly interface: string;
  /** Name of the chain of the rule that let it in, "" when unknown. */
  readonly chain: string;
  /** Index of that rule, -1 for the chain's default or when unknown. */
  readonly rule: number;
  readonly label: string;
  readonly isTranslated: boolean;
  readonly isSloppy: boolean;
  /** Milliseconds; null when unknown, as with all that follow. */
  readonly ageMs: number | null;
  readonly expiresInMs: number | null;
  /** Both directions together. */
  readonly packets: number | null;
  /** Both directions together. */
  readonly bytes: number | null;
  readonly userId: number | null;
  readonly mark: number;
  readonly application: string;
  readonly serverName: string;
  readonly offload: StateOffload;
}

/** A flow of which an object can be made. */
export interface FlowSubject extends FlowFacts {
  /** The flow as it is at this moment, in an object of its own. */
  state(): State;
}
