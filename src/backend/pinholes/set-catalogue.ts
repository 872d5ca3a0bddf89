/** Which sets there are in the kernel, and which of them holds an element. */
import { type Element, UndoLog } from "../../pinhole/index.ts";
import { IntervalLayers } from "./interval-layers.ts";
import { type SetIdentity, setSuffix, shapeOf } from "./set-shape.ts";

/**
 * Keeps account of sets and of the layers of intervals. Changes are noted, so that a plan can be taken back.
 */
export class SetCatalogue {
  readonly #sets: Map<string, SetIdentity> = new Map();
  readonly #layers: Map<string, IntervalLayers> = new Map();
  readonly #undo = new UndoLog();

  /** Every set that exists in the kernel. */
  get sets(): Iterable<SetIdentity> {
    return this.#sets.values();
  }

  has(set: SetIdentity): boolean {
    return this.#sets.has(setSuffix(set));
  }

  /** Notes that a set exists. */
  add(set: SetIdentity): void {
    this.#sets.set(setSuffix(set), set);
  }

  /** The set that holds an element, or would hold it; the layer is 0 while no interval set does. */
  find(element: Element): SetIdentity {
    const shape = shapeOf(element.box);
    const layer = shape.isInterval ? this.#layersOf(element).layerOf(element) : 0;
    return { role: element.role, shape, layer };
  }

  /**
   * The set for an element that shall be in force.
   *
   * @throws {FirewallError} `BACKEND_REFUSED` when there is no room for its range
   */
  place(element: Element): SetIdentity {
    const found = this.find(element);
    if (!found.shape.isInterval || found.layer > 0) return found;
    const layers = this.#layersOf(element);
    const layer = layers.place(element);
    this.#undo.note(() => layers.release(element));
    return { ...found, layer };
  }

  /** Notes that an element is gone, or about to be. */
  release(element: Element): SetIdentity {
    const found = this.find(element);
    if (found.layer === 0) return found;
    const layers = this.#layersOf(element);
    layers.release(element);
    this.#undo.note(() => layers.adopt(element, found.layer));
    return found;
  }

  /** Notes that the kernel holds an element in this set. */
  adopt(element: Element, set: SetIdentity): void {
    if (set.layer > 0) this.#layersOf(element).adopt(element, set.layer);
  }

  /** Everything since the last `settle` or `takeBack` stays. */
  settle(): void {
    this.#undo.settle();
  }

  /** Takes back everything since the last `settle` or `takeBack`. */
  takeBack(): void {
    this.#undo.takeBack();
  }

  /** Forgets everything. */
  clear(): void {
    this.#sets.clear();
    this.#layers.clear();
    this.#undo.settle();
  }

  #layersOf(element: Element): IntervalLayers {
    const shape = shapeOf(element.box);
    const kind = `${element.role} ${shape.family} ${shape.name}`;
    const known = this.#layers.get(kind);
    if (known !== undefined) return known;
    const layers = new IntervalLayers();
    this.#layers.set(kind, layers);
    return layers;
  }
}
