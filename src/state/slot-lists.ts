/**
 * Doubly linked lists of slots whose links live in the rows themselves: no memory beside two words a list.
 *
 * A slot is in one list of a family at most, and leaves it without knowing which one it is: the ends of a
 * chain point back to their list as `-1 - list`.
 */
import { type FlowSlab, NO_SLOT } from "./flow-slab.ts";

/** Link of a slot that is in no list. */
const UNLINKED = -0x8000_0000;

/** A family of lists over the same two link fields. */
export class SlotLists {
  readonly #slab: FlowSlab;
  readonly #next: number;
  readonly #previous: number;
  readonly #first: Int32Array;
  readonly #last: Int32Array;

  /**
   * @param slab - rows that hold the links
   * @param next - field of the link to the next slot; the link back stands behind it
   * @param lists - number of lists in the family
   */
  constructor(slab: FlowSlab, next: number, lists: number) {
    this.#slab = slab;
    this.#next = next;
    this.#previous = next + 1;
    this.#first = Int32Array.from({ length: lists }, (_, list) => -1 - list);
    this.#last = Int32Array.from(this.#first);
  }

  /** First slot of a list, {@link NO_SLOT} when it is empty. */
  first(list: number): number {
    const slot = this.#first[list] as number;
    return slot < 0 ? NO_SLOT : slot;
  }

  /** Marks the slot of a fresh row as being in no list. */
  leave(slot: number): void {
    this.#slab.setWord(slot, this.#next, UNLINKED);
  }

  /** True when the slot is in some list of the family. */
  isListed(slot: number): boolean {
    return this.#slab.word(slot, this.#next) !== UNLINKED;
  }

  /** Puts a slot that is in no list at the end of one. */
  append(list: number, slot: number): void {
    const last = this.#last[list] as number;
    this.#slab.setWord(slot, this.#next, -1 - list);
    this.#slab.setWord(slot, this.#previous, last);
    this.#setNext(last, slot);
    this.#last[list] = slot;
  }

  /** Takes a slot out of the list it is in. */
  remove(slot: number): void {
    const next = this.#slab.word(slot, this.#next);
    const previous = this.#slab.word(slot, this.#previous);
    this.#setNext(previous, next);
    this.#setPrevious(next, previous);
    this.leave(slot);
  }

  /** Moves a whole list to the end of another, in constant time. */
  splice(from: number, to: number): void {
    const first = this.#first[from] as number;
    if (first < 0) return;
    const last = this.#last[from] as number;
    const end = this.#last[to] as number;
    this.#slab.setWord(first, this.#previous, end);
    this.#slab.setWord(last, this.#next, -1 - to);
    this.#setNext(end, first);
    this.#last[to] = last;
    this.#first[from] = -1 - from;
    this.#last[from] = -1 - from;
  }

  #setNext(link: number, next: number): void {
    if (link < 0) this.#first[-1 - link] = next;
    else this.#slab.setWord(link, this.#next, next);
  }

  #setPrevious(link: number, previous: number): void {
    if (link < 0) this.#last[-1 - link] = previous;
    else this.#slab.setWord(link, this.#previous, previous);
  }
}
