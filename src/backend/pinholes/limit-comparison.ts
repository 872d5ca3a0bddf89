/**
 * Puts limits and their maps right. What is right stays as it is: a token bucket stays as empty, a quota as
 * used up, as it was.
 */
import type { StandingElement, StandingLimits } from "../../pinhole/index.ts";
import { encodeBox, nameKey } from "./box-key.ts";
import type { ChainPlan } from "./chain-plan.ts";
import type { ElementAccount } from "./element-account.ts";
import { kindsOf, limitMapName, limitObjects, objectName } from "./limit-objects.ts";
import type { LimitRegister } from "./limit-register.ts";
import type { SetCatalogue } from "./set-catalogue.ts";
import type { SetChanges } from "./set-changes.ts";
import type { HeldEntry, HeldStructure } from "./held-structure.ts";

/** What works together. */
export interface LimitParts {
  readonly plan: ChainPlan;
  readonly register: LimitRegister;
  /** Learns what is right. */
  readonly account: ElementAccount;
  readonly catalogue: SetCatalogue;
  readonly changes: SetChanges;
}

/** Objects: those of a pinhole are either all there, or all made anew. Returns the numbers of the former. */
function restoreObjects(
  state: HeldStructure,
  limits: readonly StandingLimits[],
  parts: LimitParts,
): Set<number> {
  const { plan, register, account, changes } = parts;
  const held = new Set(state.objects);
  const intact = new Set<number>();
  const wanted = new Set<string>();
  for (const one of limits) {
    const names = kindsOf(one.limits).map((kind) => objectName(plan, one.number, kind));
    for (const name of names) wanted.add(name);
    if (names.every((name) => held.has(name))) {
      intact.add(one.number);
      register.adopt(one);
      for (const object of limitObjects(plan, one.number, one.limits)) account.objects.put(object);
    } else {
      for (const name of names.filter((candidate) => held.has(candidate))) changes.removeObject(name);
      register.begin(changes, one);
    }
  }
  for (const name of held) if (!wanted.has(name)) changes.removeObject(name);
  return intact;
}

/**
 * Compares limits and maps with what they shall be. Elements that are missing come later, and bring their
 * entries.
 *
 * @param present - elements that the kernel holds
 */
export function restoreLimits(
  state: HeldStructure,
  limits: readonly StandingLimits[],
  present: readonly StandingElement[],
  parts: LimitParts,
): void {
  const { plan, register, account, catalogue, changes } = parts;
  const intact = restoreObjects(state, limits, parts);
  const entryName = (map: HeldEntry["map"], facts: HeldEntry["facts"]): string =>
    `${limitMapName(plan, map)} ${nameKey(facts.key, facts.keyEnd)}`;
  const held = new Map(state.entries.map((entry) => [entryName(entry.map, entry.facts), entry]));
  const limitsOf = new Map(limits.map((one) => [one.number, one.limits]));
  const missing: StandingElement[] = [];
  for (const element of present) {
    if (element.role !== "pass-limited") continue;
    const { shape, layer } = catalogue.find(element);
    const facts = encodeBox(shape, element.box);
    const entries = kindsOf(limitsOf.get(element.limiter) ?? {}).map((kind) => ({
      map: { kind, shape, layer },
      name: entryName({ kind, shape, layer }, facts),
      object: objectName(plan, element.limiter, kind),
    }));
    const isRight = entries.every(({ name, object }) => held.get(name)?.object === object);
    if (isRight && intact.has(element.limiter)) {
      for (const { map, name, object } of entries) {
        held.delete(name);
        account.putEntry(map, facts, object);
      }
      register.adoptSubject(element);
    } else missing.push(element);
  }
  for (const { map, facts } of held.values()) changes.removeEntry(map, facts);
  for (const element of missing) {
    const set = catalogue.find(element);
    register.subject(changes, element, set, encodeBox(set.shape, element.box));
  }
}
