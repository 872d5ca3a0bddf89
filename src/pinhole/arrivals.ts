/**
 * Names in the order in which they came, the oldest found at once.
 *
 * A Map knows that order too, but to find its first entry it walks over the places of all that have left
 * since it was last rebuilt, and those are thousands where the oldest is always the next to go.
 */

/** Names that have left may stay in memory up to this many, and then up to half of all. */
const GONE_MIN = 1024;

/** Names in the order in which they came. */
export class Arrivals {
  #names: string[] = [];
  /** Where the oldest is. */
  #first = 0;

  /** The oldest name; undefined when there is none. */
  get oldest(): string | undefined {
    return this.#names[this.#first];
  }

  add(name: string): void {
    this.#names.push(name);
  }

  /** The oldest leaves. */
  dropOldest(): void {
    this.#first += 1;
    if (this.#first < GONE_MIN || 2 * this.#first < this.#names.length) return;
    this.#names = this.#names.slice(this.#first);
    this.#first = 0;
  }

  /** The one that came last leaves. */
  dropNewest(): void {
    if (this.#names.length > this.#first) this.#names.pop();
  }
}
