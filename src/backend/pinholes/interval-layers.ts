/**
 * Where boxes with ranges live.
 *
 * A set of intervals takes no two that overlap, unless they are equal, and each change of it costs time in
 * proportion to what it holds. So there are several sets of a kind, called layers, and a box goes to the
 * first where it overlaps nothing and there is room. A packet asks all layers; it does not matter in which
 * one it finds itself. Equal boxes never come here twice: the model counts who needs a box, and tells us
 * once.
 */
import { FirewallError, invariant } from "../../base/index.ts";
import { BoxIndex, type Element } from "../../pinhole/index.ts";

/**
 * Intervals in a layer: while there are layers to be had, and when there are none. To take one out of a layer
 * costs the kernel time in proportion to what the layer holds, and a packet pays for what all of them hold.
 */
const LAYER_ELEMENTS_MAX = [128, 2048] as const;

/** Layers of one kind. A packet asks each of them. */
const LAYERS_MAX = 64;

interface Placed {
  readonly element: Element;
  readonly layer: number;
}

/** The layers of one kind of interval set. */
export class IntervalLayers {
  readonly #placed: Map<string, Placed> = new Map();
  readonly #counts: number[] = [0];
  readonly #index: BoxIndex<Placed> = new BoxIndex(({ element: { box } }) => ({
    protocol: box.protocol,
    near: box.source,
    far: box.destination,
  }));

  /** The layer that holds an element, from 1; 0 when none does. */
  layerOf(element: Element): number {
    return this.#placed.get(element.key)?.layer ?? 0;
  }

  /**
   * Finds room for an element that is in no layer.
   *
   * @returns its layer, from 1
   * @throws {FirewallError} `BACKEND_REFUSED` when every layer is full or holds something that overlaps it
   */
  place(element: Element): number {
    const { protocol, source, destination } = element.box;
    const neighbours = this.#index.meeting({ protocol, near: source, far: destination });
    const taken = new Set(neighbours.map((placed) => placed.layer));
    for (const max of LAYER_ELEMENTS_MAX) {
      for (let layer = 1; layer <= LAYERS_MAX; layer += 1) {
        if (taken.has(layer) || (this.#counts[layer] ?? 0) >= max) continue;
        this.adopt(element, layer);
        return layer;
      }
    }
    const overlapping = taken.size;
    throw new FirewallError(
      "BACKEND_REFUSED",
      `No room for one more range of ports or addresses: ${overlapping} of ${LAYERS_MAX} sets hold others that ` +
        "overlap it, the rest is full. Use single addresses and ports, or fewer overlapping ranges.",
      { details: { element: element.key, overlapping } },
    );
  }

  /** Notes that an element is in a layer. */
  adopt(element: Element, layer: number): void {
    invariant(!this.#placed.has(element.key), "an element is in one layer");
    const placed = { element, layer };
    this.#placed.set(element.key, placed);
    this.#index.add(placed);
    this.#counts[layer] = (this.#counts[layer] ?? 0) + 1;
  }

  /** Notes that an element has left its layer. */
  release(element: Element): void {
    const placed = this.#placed.get(element.key);
    if (placed === undefined) return;
    this.#placed.delete(element.key);
    this.#index.remove(placed);
    this.#counts[placed.layer] = (this.#counts[placed.layer] ?? 0) - 1;
  }
}
