/**
 * Which limits are in the kernel, and which elements lead to them. Changes are noted, so that a plan can be
 * taken back.
 */
import type { ElementFacts } from "../../netlink/index.ts";
import {
  type PinholeLimits,
  type StandingElement,
  type StandingLimits,
  UndoLog,
} from "../../pinhole/index.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { kindsOf, limitObjects, objectName } from "./limit-objects.ts";
import type { SetChanges } from "./set-changes.ts";
import type { SetIdentity } from "./set-shape.ts";

/** Limits and who is subject to them. */
export class LimitRegister {
  readonly #plan: ChainPlan;
  readonly #limits: Map<number, PinholeLimits> = new Map();
  /** Number of the pinhole whose limits count, by the key of an element. */
  readonly #limiters: Map<string, number> = new Map();
  readonly #undo = new UndoLog();

  constructor(plan: ChainPlan) {
    this.#plan = plan;
  }

  /** Limits come into force. */
  begin(changes: SetChanges, { number, limits }: StandingLimits): void {
    changes.putObjects(limitObjects(this.#plan, number, limits));
    this.adopt({ number, limits });
    this.#undo.note(() => this.#limits.delete(number));
  }

  /** The kernel has these limits already. */
  adopt({ number, limits }: StandingLimits): void {
    this.#limits.set(number, limits);
  }

  /** Limits end; nothing is subject to them any more. */
  end(changes: SetChanges, number: number): void {
    const limits = this.#limits.get(number);
    if (limits === undefined) return;
    for (const kind of kindsOf(limits)) changes.removeObject(objectName(this.#plan, number, kind));
    this.#limits.delete(number);
    this.#undo.note(() => this.#limits.set(number, limits));
  }

  /** An element is subject to the limits of its pinhole, whatever it was subject to before. */
  subject(changes: SetChanges, element: StandingElement, set: SetIdentity, facts: ElementFacts): void {
    const former = this.#limiters.get(element.key);
    if (former === element.limiter) return;
    if (former !== undefined) this.release(changes, element, set, facts);
    for (const kind of kindsOf(this.#limits.get(element.limiter) ?? {})) {
      const object = objectName(this.#plan, element.limiter, kind);
      changes.putEntry({ kind, shape: set.shape, layer: set.layer }, facts, object);
    }
    this.#limiters.set(element.key, element.limiter);
    this.#undo.note(() => this.#limiters.delete(element.key));
  }

  /** The kernel has the entries of an element already. */
  adoptSubject(element: StandingElement): void {
    this.#limiters.set(element.key, element.limiter);
  }

  /** An element leaves. */
  release(
    changes: SetChanges,
    element: Pick<StandingElement, "key">,
    set: SetIdentity,
    facts: ElementFacts,
  ): void {
    const former = this.#limiters.get(element.key);
    if (former === undefined) return;
    for (const kind of kindsOf(this.#limits.get(former) ?? {})) {
      changes.removeEntry({ kind, shape: set.shape, layer: set.layer }, facts);
    }
    this.#limiters.delete(element.key);
    this.#undo.note(() => this.#limiters.set(element.key, former));
  }

  /** Everything since the last `settle` or `takeBack` stays. */
  settle(): void {
    this.#undo.settle();
  }

  /** Takes back everything since the last `settle` or `takeBack`. */
  takeBack(): void {
    this.#undo.takeBack();
  }

  clear(): void {
    this.#limits.clear();
    this.#limiters.clear();
    this.#undo.settle();
  }
}
