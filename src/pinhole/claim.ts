/** An element with the pinholes that need it, and until when. */
import type { Milliseconds } from "../base/index.ts";
import type { Element, StandingElement } from "./element.ts";

/** Deadlines by the number of the pinhole, in order of arrival. */
type Holders = ReadonlyMap<number, Milliseconds>;

/** Who needs an element. Nearly always that is one pinhole, and then no map is made. */
export class Claim {
  readonly element: Element;
  #first: number | undefined;
  #deadline: Milliseconds = Number.NEGATIVE_INFINITY;
  #others: Map<number, Milliseconds> | undefined;

  constructor(element: Element) {
    this.element = element;
  }

  /** True when nobody needs it. */
  get isIdle(): boolean {
    return this.#first === undefined;
  }

  /** The latest deadline; negative infinity when nobody needs it. */
  get deadline(): Milliseconds {
    let deadline = this.#deadline;
    for (const one of this.#others?.values() ?? []) if (one > deadline) deadline = one;
    return deadline;
  }

  /** Where elements are equal, the limits of the pinhole that came first count. */
  get limiter(): number {
    return this.element.role.endsWith("-limited") ? (this.#first ?? 0) : 0;
  }

  /** The deadline of one pinhole; undefined when it does not need the element. */
  deadlineOf(number: number): Milliseconds | undefined {
    return number === this.#first ? this.#deadline : this.#others?.get(number);
  }

  set(number: number, deadline: Milliseconds): void {
    if (this.#first === undefined || this.#first === number) {
      this.#first = number;
      this.#deadline = deadline;
    } else {
      this.#others ??= new Map();
      this.#others.set(number, deadline);
    }
  }

  delete(number: number): void {
    if (number !== this.#first) {
      this.#others?.delete(number);
      return;
    }
    this.#first = undefined;
    this.#deadline = Number.NEGATIVE_INFINITY;
    for (const [next, deadline] of this.#others ?? []) {
      this.#others?.delete(next);
      return this.set(next, deadline);
    }
  }

  /** Everybody who needs it, for {@link Claim.restore}. */
  get holders(): Holders {
    const holders = new Map<number, Milliseconds>();
    if (this.#first !== undefined) holders.set(this.#first, this.#deadline);
    for (const [number, deadline] of this.#others ?? []) holders.set(number, deadline);
    return holders;
  }

  /** Makes everything as it was, the order of arrival too. */
  restore(holders: Holders): void {
    this.#first = undefined;
    this.#others = undefined;
    for (const [number, deadline] of holders) this.set(number, deadline);
  }

  /** The element as it shall be in force. */
  get standing(): StandingElement {
    const { key, role, box, target } = this.element;
    const { deadline, limiter } = this;
    return target === undefined
      ? { key, role, box, deadline, limiter }
      : { key, role, box, target, deadline, limiter };
  }
}
