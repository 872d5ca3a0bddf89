/** Ids in order, for lists that are read page by page while they change. */

/** Ids sort by time, so nearly every addition is at the end. */
export class OrderedIds {
  #ids: string[] = [];
  #gone: Set<string> = new Set();

  add(id: string): void {
    if (this.#gone.delete(id)) return;
    if ((this.#ids.at(-1) ?? "") < id) this.#ids.push(id);
    else this.#ids.splice(this.#find(id), 0, id);
  }

  remove(id: string): void {
    this.#gone.add(id);
    if (this.#gone.size * 2 < this.#ids.length) return;
    this.#ids = this.#ids.filter((one) => !this.#gone.has(one));
    this.#gone = new Set();
  }

  /** The ids behind one, in order. */
  *after(cursor: string): Generator<string> {
    for (let at = this.#find(cursor); at < this.#ids.length; at += 1) {
      const id = this.#ids[at];
      if (id !== undefined && id !== cursor && !this.#gone.has(id)) yield id;
    }
  }

  /** Where an id is, or would be. */
  #find(id: string): number {
    let low = 0;
    let high = this.#ids.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ids[middle] ?? "") < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
