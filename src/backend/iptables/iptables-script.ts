/** What one plan means for ipset and iptables: lines for each of them, in the order that works. */
import type { Family, Milliseconds } from "../../base/index.ts";
import type { Element, StandingElement } from "../../pinhole/index.ts";
import { addLine, deleteLine } from "./kernel-scripts.ts";
import { elementRule, type IptablesPlan } from "./rule-text.ts";
import { halfOpenEntry, type IpSet, type IpSetEntry, tupleEntries } from "./spot.ts";
import type { TupleColours } from "./tuple-colours.ts";

const SECOND_MS = 1000;

/** Longest lifetime that ipset takes, in seconds. */
const TIMEOUT_MAX = 2_147_483;

/** Where an element is: entries of sets that ask together, or a rule. */
export type Spot = readonly IpSetEntry[] | "rule";

/** Finds where an element is, or would be; `colour` is undefined for what is no tuple, or one too many. */
export function spotOf(element: Element, colour: number | undefined): Spot {
  if (colour !== undefined) return tupleEntries(element, colour);
  const entry = halfOpenEntry(element);
  return entry === undefined ? "rule" : [entry];
}

/** Whole seconds of a lifetime, for ipset; 0 for ever. */
export function timeoutSeconds(deadline: Milliseconds, now: Milliseconds): number {
  if (deadline === Number.POSITIVE_INFINITY) return 0;
  return Math.min(TIMEOUT_MAX, Math.max(1, Math.ceil((deadline - now) / SECOND_MS)));
}

/** A name without spaces for an element, for the comment of its rule. */
export function ruleName(element: Pick<Element, "key">): string {
  return element.key.replaceAll(" ", ";");
}

/** The clocks of a script: deadlines count on the one, rules on the other. */
export interface ScriptTime {
  readonly now: Milliseconds;
  readonly wall: Milliseconds;
}

/** Lines, and sets that must be there first. */
export class IptablesScript {
  readonly ipset: string[] = [];
  readonly rules: Readonly<Record<Family, string[]>> = { 4: [], 6: [] };
  /** Sets that are asked together. */
  readonly wanted: Map<string, readonly IpSet[]> = new Map();
  readonly #plan: IptablesPlan;
  readonly #colours: TupleColours;
  readonly #time: ScriptTime;

  constructor(plan: IptablesPlan, colours: TupleColours, time: ScriptTime) {
    this.#plan = plan;
    this.#colours = colours;
    this.#time = time;
  }

  /** @param former - the same element as it stands, when it does */
  put(element: StandingElement, former: StandingElement | undefined): void {
    const spot = spotOf(element, this.#colours.place(element));
    if (spot === "rule") {
      if (former !== undefined) this.rules[element.box.source.family].push(this.#deletion(former));
      this.rules[element.box.source.family].push(this.ruleOf(element));
      return;
    }
    const sets = spot.map(({ set }) => set);
    this.wanted.set(sets.map(({ suffix }) => suffix).join(" "), sets);
    const seconds = timeoutSeconds(element.deadline, this.#time.now);
    for (const entry of spot) this.ipset.push(addLine(this.#plan, entry, seconds));
  }

  remove(element: StandingElement): void {
    const spot = spotOf(element, this.#colours.release(element));
    if (spot === "rule") this.rules[element.box.source.family].push(this.#deletion(element));
    else for (const entry of spot) this.ipset.push(deleteLine(this.#plan, entry));
  }

  /** The rule that stands for an element. */
  ruleOf(element: StandingElement): string {
    const deadlineAt = this.#time.wall + (element.deadline - this.#time.now);
    return elementRule(this.#plan, element, deadlineAt, ruleName(element));
  }

  /** The rule to be deleted is named by all its words; the deadline is the same as when it came. */
  #deletion(element: StandingElement): string {
    return this.ruleOf(element).replace(/^-A/, "-D");
  }
}
