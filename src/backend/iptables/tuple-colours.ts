/** Which pair of sets holds which tuple: each pair of hosts once in each colour. */
import { type Element, UndoLog } from "../../pinhole/index.ts";
import { COLOURS, tupleName } from "./spot.ts";

/** Keeps account. Changes are noted, so that a plan can be taken back. */
export class TupleColours {
  readonly #colours: Map<string, number> = new Map();
  /** Colours that a pair of hosts has used up, one bit each. */
  readonly #used: Map<string, number> = new Map();
  readonly #undo = new UndoLog();

  /** The colour of an element; undefined when it has none. */
  find(element: Element): number | undefined {
    return this.#colours.get(element.key);
  }

  /** The colour for an element; undefined when it is no tuple or its hosts have used all up. */
  place(element: Element): number | undefined {
    const known = this.find(element);
    if (known !== undefined) return known;
    for (let colour = 0; colour < COLOURS; colour += 1) {
      if (this.take(element, colour)) return colour;
    }
    return undefined;
  }

  /** Takes one colour for an element. False when its hosts have used it, or it is no tuple. */
  take(element: Element, colour: number): boolean {
    const name = tupleName(element.box);
    if (name === undefined) return false;
    const hosts = `${element.role} ${name}`;
    const used = this.#used.get(hosts) ?? 0;
    if ((used & (1 << colour)) !== 0) return false;
    this.#set(element, hosts, colour);
    this.#undo.note(() => this.#clear(element, hosts, colour));
    return true;
  }

  /** Gives the colour of an element back. */
  release(element: Element): number | undefined {
    const colour = this.find(element);
    if (colour === undefined) return undefined;
    const hosts = `${element.role} ${tupleName(element.box) ?? ""}`;
    this.#clear(element, hosts, colour);
    this.#undo.note(() => this.#set(element, hosts, colour));
    return colour;
  }

  settle(): void {
    this.#undo.settle();
  }

  takeBack(): void {
    this.#undo.takeBack();
  }

  clear(): void {
    this.#colours.clear();
    this.#used.clear();
    this.#undo.settle();
  }

  #set(element: Element, hosts: string, colour: number): void {
    this.#colours.set(element.key, colour);
    this.#used.set(hosts, (this.#used.get(hosts) ?? 0) | (1 << colour));
  }

  #clear(element: Element, hosts: string, colour: number): void {
    this.#colours.delete(element.key);
    const left = (this.#used.get(hosts) ?? 0) & ~(1 << colour);
    if (left === 0) this.#used.delete(hosts);
    else this.#used.set(hosts, left);
  }
}
