/** An element with the pinholes that need it, and until when. */
import type { Milliseconds } from "../base/index.ts";
import type { Element, StandingElement } from "./element.ts";

/** That a pinhole needs an element. */
export interface Holding {
  /** Of the pinhole. */
  readonly number: number;
  readonly deadline: Milliseconds;
  /** Smaller for those that came earlier. */
  readonly arrival: number;
}

/** Who needs an element. Nearly always that is one pinhole, and then no map is made. */
export class Claim {
  readonly element: Element;
  #one: Holding | undefined;
  #others: Map<number, Holding> | undefined;
  #arrivals = 0;

  constructor(element: Element) {
    this.element = element;
  }

  /** True when nobody needs it. */
  get isIdle(): boolean {
    return this.#one === undefined;
  }

  /** The latest deadline; negative infinity when nobody needs it. */
  get deadline(): Milliseconds {
    let latest = this.#one?.deadline ?? Number.NEGATIVE_INFINITY;
    for (const { deadline } of this.#others?.values() ?? []) if (deadline > latest) latest = deadline;
    return latest;
  }

  /** Where elements are equal, the limits of the pinhole that came first count. */
  get limiter(): number {
    if (!this.element.role.endsWith("-limited")) return 0;
    let first = this.#one;
    for (const one of this.#others?.values() ?? []) {
      if (first === undefined || one.arrival < first.arrival) first = one;
    }
    return first?.number ?? 0;
  }

  /** The deadline of one pinhole; undefined when it does not need the element. */
  deadlineOf(number: number): Milliseconds | undefined {
    return this.#holdingOf(number)?.deadline;
  }

  set(number: number, deadline: Milliseconds): void {
    this.#arrivals += 1;
    const arrival = this.#holdingOf(number)?.arrival ?? this.#arrivals;
    this.restore({ number, deadline, arrival });
  }

  /** @returns what {@link Claim.restore} takes; undefined when the pinhole did not need the element */
  delete(number: number): Holding | undefined {
    const holding = this.#holdingOf(number);
    this.#others?.delete(number);
    if (holding === undefined || holding !== this.#one) return holding;
    this.#one = undefined;
    for (const next of this.#others?.values() ?? []) {
      this.#others?.delete(next.number);
      this.#one = next;
      break;
    }
    return holding;
  }

  /** Makes it as it was: also who came first. */
  restore(holding: Holding): void {
    if (this.#one === undefined || this.#one.number === holding.number) {
      this.#one = holding;
    } else {
      this.#others ??= new Map();
      this.#others.set(holding.number, holding);
    }
  }

  /** The same without some pinholes. */
  without(numbers: ReadonlySet<number>): Claim {
    const rest = new Claim(this.element);
    for (const one of [this.#one, ...(this.#others?.values() ?? [])]) {
      if (one !== undefined && !numbers.has(one.number)) rest.restore(one);
    }
    return rest;
  }

  /** The element as it shall be in force. */
  get standing(): StandingElement {
    const { key, role, box, target } = this.element;
    const { deadline, limiter } = this;
    return target === undefined
      ? { key, role, box, deadline, limiter }
      : { key, role, box, target, deadline, limiter };
  }

  #holdingOf(number: number): Holding | undefined {
    return this.#one?.number === number ? this.#one : this.#others?.get(number);
  }
}
