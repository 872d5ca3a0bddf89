/**
 * What one transaction does to our sets, maps and objects, gathered by set and put into the order that works.
 */
import {
  type ElementFacts,
  MESSAGE_FLAG,
  type ObjectFacts,
  SetBatch,
  type SetName,
  TABLE_FAMILY,
} from "../../netlink/index.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { markName, setName } from "./chain-text.ts";
import { encodeGeneration } from "./generation-mark.ts";
import type { KernelFeatures } from "./kernel-features.ts";
import { type LimitMap, limitMapName, objectType, parseObjectName } from "./limit-objects.ts";
import type { SetIdentity } from "./set-shape.ts";

/** What leaves a set or map, and what comes. */
interface Changes<Identity> {
  readonly identity: Identity;
  readonly removed: ElementFacts[];
  /** Taken out, in case they are there, to come in anew. */
  readonly replaced: ElementFacts[];
  readonly put: ElementFacts[];
}

function changesOf<Identity>(
  all: Map<string, Changes<Identity>>,
  name: string,
  identity: Identity,
): Changes<Identity> {
  const known = all.get(name);
  if (known !== undefined) return known;
  const fresh: Changes<Identity> = { identity, removed: [], replaced: [], put: [] };
  all.set(name, fresh);
  return fresh;
}

/** One transaction in the making. */
export class SetChanges {
  readonly #plan: ChainPlan;
  readonly #features: KernelFeatures;
  readonly #sets: Map<string, Changes<SetIdentity>> = new Map();
  /** Those that were asked for last. */
  #last: Changes<SetIdentity> | undefined;
  readonly #maps: Map<string, Changes<LimitMap>> = new Map();
  readonly #objects: ObjectFacts[] = [];
  readonly #goneObjects: string[] = [];
  /** Lifetimes count from here: the disk may take its time before the kernel hears of them. */
  readonly #begunAt: number = performance.now();

  constructor(plan: ChainPlan, features: KernelFeatures) {
    this.#plan = plan;
    this.#features = features;
  }

  /** What leaves and what comes, set by set. What comes may be among what leaves, which is done first. */
  get bySet(): Iterable<Changes<SetIdentity>> {
    return this.#sets.values();
  }

  /** The same, map of limits by map. */
  get byMap(): Iterable<Changes<LimitMap>> {
    return this.#maps.values();
  }

  /** Limits that come. */
  get objects(): readonly ObjectFacts[] {
    return this.#objects;
  }

  /** Names of limits that leave, before those that come. */
  get goneObjects(): readonly string[] {
    return this.#goneObjects;
  }

  /** Sets that are to hold something. */
  get filledSets(): SetIdentity[] {
    return filled(this.#sets);
  }

  /** Maps that are to hold something. */
  get filledMaps(): LimitMap[] {
    return filled(this.#maps);
  }

  remove(set: SetIdentity, facts: ElementFacts): void {
    this.#of(set).removed.push(facts);
  }

  /**
   * @param timeoutMs - lifetime; undefined for ever
   */
  put(set: SetIdentity, facts: ElementFacts, timeoutMs: number | undefined): void {
    const changes = this.#of(set);
    // A lifetime cannot be taken back from an element, and older kernels cannot change one.
    if (timeoutMs === undefined || !this.#features.renews) changes.replaced.push(facts);
    const { key, keyEnd, data } = facts;
    changes.put.push({ key, keyEnd, data, timeoutMs });
  }

  /** A key that is in a map leaves it. */
  removeEntry(map: LimitMap, facts: ElementFacts): void {
    changesOf(this.#maps, limitMapName(this.#plan, map), map).removed.push(facts);
  }

  /** A key that is not in a map comes in, and leads to an object. */
  putEntry(map: LimitMap, facts: ElementFacts, object: string): void {
    changesOf(this.#maps, limitMapName(this.#plan, map), map).put.push({ ...facts, object });
  }

  putObjects(objects: readonly ObjectFacts[]): void {
    this.#objects.push(...objects);
  }

  removeObject(name: string): void {
    this.#goneObjects.push(name);
  }

  /**
   * The transaction. What leaves goes first, or what comes could overlap it.
   *
   * @param from - generation that must be in force; undefined when there is no mark
   * @param to - generation that will be
   */
  encode(from: number | undefined, to: number): Uint8Array {
    const batch = new SetBatch(1, performance.now() - this.#begunAt);
    const mark = this.#name(markName(this.#plan));
    if (from !== undefined) batch.delete(mark, [{ key: encodeGeneration(from) }]);
    for (const [name, { removed }] of this.#maps) {
      if (this.#features.destroys) batch.destroy(this.#name(name), removed);
      else batch.delete(this.#name(name), removed);
    }
    for (const [name, { removed, replaced }] of this.#sets) {
      this.#encodeRemoval(batch, this.#name(name), removed);
      this.#encodeRemoval(batch, this.#name(name), replaced);
    }
    for (const name of this.#goneObjects) {
      const kind = parseObjectName(this.#plan, name)?.kind ?? "pps";
      batch.deleteObject(mark.table, { name, type: objectType(kind) });
    }
    for (const object of this.#objects) batch.putObject(mark.table, object);
    for (const [name, { put }] of this.#sets) batch.put(this.#name(name), put);
    for (const [name, { put }] of this.#maps) batch.put(this.#name(name), put);
    batch.put(mark, [{ key: encodeGeneration(to) }], MESSAGE_FLAG.ACK);
    return batch.end();
  }

  /** Elements come in runs of one set, and a name costs more than all else that is done here. */
  #of(set: SetIdentity): Changes<SetIdentity> {
    const last = this.#last?.identity;
    const isSame = last?.shape === set.shape && last.role === set.role && last.layer === set.layer;
    if (this.#last !== undefined && isSame) return this.#last;
    this.#last = changesOf(this.#sets, setName(this.#plan, set), set);
    return this.#last;
  }

  #name(name: string): SetName {
    return { table: { family: TABLE_FAMILY.INET, name: this.#plan.table }, name };
  }

  #encodeRemoval(batch: SetBatch, set: SetName, elements: readonly ElementFacts[]): void {
    if (this.#features.destroys) return batch.destroy(set, elements);
    // What has expired meanwhile could not be removed; what is put first surely can. So what is replaced
    // comes after what leaves: it may overlap that.
    batch.put(set, elements);
    batch.delete(set, elements);
  }
}

function filled<Identity>(all: ReadonlyMap<string, Changes<Identity>>): Identity[] {
  return [...all.values()].filter(({ put }) => put.length > 0).map(({ identity }) => identity);
}
