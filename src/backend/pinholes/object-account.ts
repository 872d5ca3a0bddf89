/**
 * Which limits the kernel was told of, each an object with a name; see element-account.ts.
 */
import type { ObjectFacts } from "../../netlink/index.ts";

/** The objects of all limits. */
export class ObjectAccount {
  readonly #objects: Map<string, ObjectFacts> = new Map();
  /** Names that the kernel has told since the inspection began; undefined while there is none. */
  #seen: Set<string> | undefined;
  /** Names that came or left since then. */
  readonly #touched: Set<string> = new Set();

  /** An object that shall be there; undefined when it shall not. */
  get(name: string): ObjectFacts | undefined {
    return this.#objects.get(name);
  }

  put(object: ObjectFacts): void {
    this.#objects.set(object.name, object);
    if (this.#seen !== undefined) this.#touched.add(object.name);
  }

  remove(name: string): void {
    this.#objects.delete(name);
    if (this.#seen !== undefined) this.#touched.add(name);
  }

  clear(): void {
    this.#objects.clear();
  }

  /** Nothing is seen yet. */
  beginInspection(): void {
    this.#seen = new Set();
  }

  endInspection(): void {
    this.#seen = undefined;
    this.#touched.clear();
  }

  /** The kernel names an object. Returns false when nobody asked for it. */
  see(name: string): boolean {
    this.#seen?.add(name);
    return this.#objects.has(name) || this.#touched.has(name);
  }

  /** Names of objects that the kernel has not told, though they are there for longer than the inspection. */
  *unseen(): Generator<string> {
    for (const name of this.#objects.keys()) {
      if (this.#seen?.has(name) === false && !this.#touched.has(name)) yield name;
    }
  }
}
