/** The pinholes that need an element together, and until when. */
import type { Milliseconds } from "../base/index.ts";

/** That a pinhole needs an element. */
export interface Holding {
  /** Of the pinhole. */
  readonly number: number;
  readonly deadline: Milliseconds;
  /** Smaller for those that came earlier. */
  readonly arrival: number;
}

/** Who needs an element that several pinholes need. */
export class Claim {
  readonly #holdings: Map<number, Holding> = new Map();
  #arrivals = 0;

  /** True when nobody needs it. */
  get isIdle(): boolean {
    return this.#holdings.size === 0;
  }

  /** The latest deadline; negative infinity when nobody needs it. */
  get deadline(): Milliseconds {
    let latest = Number.NEGATIVE_INFINITY;
    for (const { deadline } of this.#holdings.values()) if (deadline > latest) latest = deadline;
    return latest;
  }

  /** The number of the pinhole that came first; 0 when nobody needs it. */
  get first(): number {
    let first: Holding | undefined;
    for (const one of this.#holdings.values()) {
      if (first === undefined || one.arrival < first.arrival) first = one;
    }
    return first?.number ?? 0;
  }

  /** The deadline of one pinhole; undefined when it does not need the element. */
  deadlineOf(number: number): Milliseconds | undefined {
    return this.#holdings.get(number)?.deadline;
  }

  set(number: number, deadline: Milliseconds): void {
    this.#arrivals += 1;
    const arrival = this.#holdings.get(number)?.arrival ?? this.#arrivals;
    this.#holdings.set(number, { number, deadline, arrival });
  }

  /** @returns what {@link Claim.restore} takes; undefined when the pinhole did not need the element */
  delete(number: number): Holding | undefined {
    const holding = this.#holdings.get(number);
    this.#holdings.delete(number);
    return holding;
  }

  /** Makes it as it was: also who came first. */
  restore(holding: Holding): void {
    this.#holdings.set(holding.number, holding);
  }

  /** The same without some pinholes. */
  without(numbers: ReadonlySet<number>): Claim {
    const rest = new Claim();
    for (const one of this.#holdings.values()) if (!numbers.has(one.number)) rest.restore(one);
    return rest;
  }
}
