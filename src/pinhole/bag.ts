/** A set that costs little while it holds one value, as nearly all of very many do. */
export class Bag<Value> {
  #one: Value | undefined;
  #more: Set<Value> | undefined;

  get size(): number {
    return this.#more?.size ?? (this.#one === undefined ? 0 : 1);
  }

  add(value: Value): void {
    if (this.#more !== undefined) this.#more.add(value);
    else if (this.#one === undefined || this.#one === value) this.#one = value;
    else {
      this.#more = new Set([this.#one, value]);
      this.#one = undefined;
    }
  }

  /** @returns false when it was not there */
  delete(value: Value): boolean {
    if (this.#more !== undefined) return this.#more.delete(value);
    if (this.#one !== value) return false;
    this.#one = undefined;
    return true;
  }

  /** Appends all values to a list. */
  collect(found: Value[]): void {
    if (this.#one !== undefined) found.push(this.#one);
    if (this.#more !== undefined) for (const value of this.#more) found.push(value);
  }
}
