/** Pinholes that have ended and can still be read for a while (the "storage time" of RFC 5190). */
import { invariant, type Milliseconds } from "../base/index.ts";
import type { Pinhole } from "./pinhole.ts";
import { Arrivals } from "./arrivals.ts";
import { type EndedPinhole, unpackPinhole } from "./record.ts";

/** How long an ended pinhole can be read. */
const KEPT_MS = 300_000;

function ownName({ owner, clientId }: Pick<EndedPinhole, "owner" | "clientId">): string | undefined {
  return clientId === undefined ? undefined : `${owner}\0${clientId}`;
}

/** Ended pinholes, the oldest first to go. */
export class Tombstones {
  readonly #capacity: number;
  readonly #ended: Map<string, EndedPinhole> = new Map();
  /** Ids in the order in which they ended. */
  readonly #order: Arrivals = new Arrivals();
  /** Of each name that an owner gave, the pinhole that ended last; never more than there are pinholes. */
  readonly #byClientId: Map<string, EndedPinhole> = new Map();

  /** @param capacity - pinholes that are kept at most */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(pinholes: readonly EndedPinhole[]): void {
    for (const pinhole of pinholes) {
      this.#ended.set(pinhole.id, pinhole);
      this.#order.add(pinhole.id);
      const name = ownName(pinhole);
      if (name !== undefined) this.#byClientId.set(name, pinhole);
    }
  }

  get(id: string): Pinhole | undefined {
    const found = this.#ended.get(id);
    return found === undefined ? undefined : unpackPinhole(found);
  }

  /** The one that ended last of those to which an owner gave this name. */
  byClientId(owner: string, clientId: string): Pinhole | undefined {
    const found = this.#byClientId.get(ownName({ owner, clientId }) ?? "");
    return found === undefined ? undefined : unpackPinhole(found);
  }

  /** @param wall - Unix time, in milliseconds */
  forget(wall: Milliseconds): void {
    for (let id = this.#order.oldest; id !== undefined; id = this.#order.oldest) {
      const pinhole = this.#ended.get(id);
      invariant(pinhole !== undefined, "what has ended is kept until it is forgotten");
      if (this.#ended.size <= this.#capacity && pinhole.end.at + KEPT_MS > wall) return;
      this.#order.dropOldest();
      this.#ended.delete(id);
      const name = ownName(pinhole);
      if (name !== undefined && this.#byClientId.get(name) === pinhole) this.#byClientId.delete(name);
    }
  }
}
