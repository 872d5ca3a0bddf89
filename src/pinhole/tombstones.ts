/** Pinholes that have ended and can still be read for a while (the "storage time" of RFC 5190). */
import type { Milliseconds } from "../base/index.ts";
import type { Pinhole } from "./pinhole.ts";

/** How long an ended pinhole can be read. */
const KEPT_MS = 300_000;

/** Ended pinholes, the oldest first to go. */
export class Tombstones {
  readonly #capacity: number;
  readonly #ended: Map<string, Pinhole> = new Map();

  /** @param capacity - pinholes that are kept at most */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(pinholes: readonly Pinhole[]): void {
    for (const pinhole of pinholes) this.#ended.set(pinhole.id, pinhole);
  }

  get(id: string): Pinhole | undefined {
    return this.#ended.get(id);
  }

  /** @param wall - Unix time, in milliseconds */
  forget(wall: Milliseconds): void {
    for (const [id, { end }] of this.#ended) {
      if (this.#ended.size <= this.#capacity && (end?.at ?? 0) + KEPT_MS > wall) return;
      this.#ended.delete(id);
    }
  }
}
