/**
 * What the kernel was told: every element of our sets by its key, and until when.
 *
 * A restoration fills the account from what shall be in force; each transaction that the kernel confirmed
 * moves it on. So the kernel can be held against it at any time, part by part and beside other work: what
 * comes, changes or leaves while an inspection goes on is known, and is neither missed nor wrong.
 *
 * There are very many elements, so a row is a key, which is a text, and some numbers in columns.
 */
import type { Milliseconds } from "../../base/index.ts";
import type { ElementFacts } from "../../netlink/index.ts";
import { nameKey } from "./box-key.ts";
import type { LimitMap } from "./limit-objects.ts";
import { ObjectAccount } from "./object-account.ts";
import type { LimitKind } from "./overrun-sets.ts";
import type { SetChanges } from "./set-changes.ts";
import { type SetIdentity, setSuffix } from "./set-shape.ts";

// What an inspection knows of an element: nothing; the kernel has named it; it is so since the inspection
// began.
const UNSEEN = 0;
const SEEN = 1;
const TOUCHED = 2;

/** Rows for which there is room at first. */
const ROWS_FIRST = 64;

/** A deadline may be wrong by this much, in milliseconds, before it is put right. */
const DEADLINE_TOLERANCE_MS = 1_000;

/** A set, or a map of limits beside it. */
export interface SetPlace extends SetIdentity {
  /** Of a map: which limits its keys lead to. */
  readonly limit?: LimitKind;
}

/** A map of limits as a place. */
export function placeOf({ kind, shape, layer }: LimitMap): SetPlace {
  return { role: "pass-limited", shape, layer, limit: kind };
}

/** Sets, or maps, of one role and shape, whatever their layer. */
export type SetKind = Omit<SetPlace, "layer">;

/** What the kernel says of an element. */
export interface Sighting {
  /** Of the set that holds it. */
  readonly layer: number;
  /** When it ends, on the caller's clock; Infinity for never. */
  readonly deadline: Milliseconds;
  /** How much earlier it may end: the kernel said so up to so long ago. */
  readonly ageMs: Milliseconds;
  /** In maps: what it leads to; of a limit, the name of its object in Latin-1. */
  readonly data: Uint8Array;
}

/** How that compares: `misplaced` is what shall be in force, but elsewhere or otherwise. */
export type Finding = "right" | "stale" | "misplaced" | "stranger";

function isTimely({ deadline, ageMs }: Sighting, expected: Milliseconds): boolean {
  if (deadline === expected) return true;
  const lateMs = deadline - expected;
  return lateMs > -DEADLINE_TOLERANCE_MS && lateMs - ageMs < DEADLINE_TOLERANCE_MS;
}

/** The elements of one kind of set. */
export class KindAccount {
  readonly kind: SetKind;
  readonly #rows: Map<string, number> = new Map();
  readonly #idle: number[] = [];
  #deadlines: Float64Array = new Float64Array(ROWS_FIRST);
  /** The layer that holds it; 0 in hash sets, and where that is not known yet. */
  #layers: Uint8Array = new Uint8Array(ROWS_FIRST);
  #marks: Uint8Array = new Uint8Array(ROWS_FIRST);
  readonly #data: (Uint8Array | undefined)[] = [];
  /** Keys that left since the inspection began; undefined while there is none. */
  #gone: Set<string> | undefined;

  constructor(kind: SetKind) {
    this.kind = kind;
  }

  get size(): number {
    return this.#rows.size;
  }

  /**
   * An element shall be in force.
   *
   * @param layer - 0 in hash sets, and where it is not known which layer holds it
   * @returns its row, which is its own as long as it is there
   */
  put(facts: ElementFacts, layer: number, deadline: Milliseconds): number {
    const name = nameKey(facts.key, facts.keyEnd);
    const row = this.#rows.get(name) ?? this.#enter(name);
    this.#deadlines[row] = deadline;
    this.#layers[row] = layer;
    this.#marks[row] = TOUCHED;
    if (facts.data !== undefined) this.#data[row] = facts.data;
    return row;
  }

  /** An element is gone from a layer. */
  remove(facts: ElementFacts, layer: number): void {
    const name = nameKey(facts.key, facts.keyEnd);
    const row = this.#rows.get(name);
    if (row === undefined || this.#layers[row] !== layer) return;
    this.#rows.delete(name);
    this.#idle.push(row);
    this.#gone?.add(name);
  }

  /** Nothing is seen yet. */
  beginInspection(): void {
    this.#marks.fill(UNSEEN);
    this.#gone = new Set();
  }

  endInspection(): void {
    this.#gone = undefined;
  }

  /** The kernel names an element. It may name one several times while it makes a table larger. */
  see(name: string, sighting: Sighting): Finding {
    const row = this.#rows.get(name);
    if (row === undefined) return this.#gone?.has(name) === true ? "right" : "stranger";
    const mark = this.#marks[row];
    if (mark === TOUCHED) return "right";
    if (!this.#isInPlace(row, sighting)) return "misplaced";
    this.#layers[row] = sighting.layer;
    this.#marks[row] = SEEN;
    return mark === SEEN || isTimely(sighting, this.deadlineOf(row)) ? "right" : "stale";
  }

  #isInPlace(row: number, { layer, data }: Sighting): boolean {
    const own = this.#layers[row] ?? 0;
    const wanted = this.#data[row];
    return (own === layer || own === 0) && (wanted === undefined || Buffer.compare(wanted, data) === 0);
  }

  /**
   * Rows of elements that the kernel has not named.
   *
   * @param now - what is over by then is not missed
   */
  *unseen(now: Milliseconds): Generator<readonly [name: string, row: number]> {
    for (const entry of this.#rows) {
      const [, row] = entry;
      if (this.#marks[row] === UNSEEN && this.deadlineOf(row) > now) yield entry;
    }
  }

  /** The row of an element; undefined when it is not, or no longer, to be in force. */
  rowOf(name: string): number | undefined {
    return this.#rows.get(name);
  }

  /** True when the kernel has named an element. */
  isSeen(row: number): boolean {
    return this.#marks[row] === SEEN;
  }

  deadlineOf(row: number): Milliseconds {
    return this.#deadlines[row] ?? 0;
  }

  layerOf(row: number): number {
    return this.#layers[row] ?? 0;
  }

  /** The key of an element, and what it leads to. */
  factsOf(name: string, row: number | undefined): ElementFacts {
    const bytes = Uint8Array.from(Buffer.from(name, "latin1"));
    const { isInterval, keyBytes } = this.kind.shape;
    return {
      key: bytes.subarray(0, keyBytes),
      keyEnd: isInterval ? bytes.subarray(keyBytes) : undefined,
      data: row === undefined ? undefined : this.#data[row],
    };
  }

  #enter(name: string): number {
    const row = this.#idle.pop() ?? this.#rows.size;
    this.#rows.set(name, row);
    if (row >= this.#marks.length) this.#grow(2 * row);
    this.#data[row] = undefined;
    return row;
  }

  #grow(rows: number): void {
    const [deadlines, layers, marks] = [this.#deadlines, this.#layers, this.#marks];
    this.#deadlines = new Float64Array(rows);
    this.#deadlines.set(deadlines);
    this.#layers = new Uint8Array(rows);
    this.#layers.set(layers);
    this.#marks = new Uint8Array(rows);
    this.#marks.set(marks);
  }
}

/** What a key of a map of limits leads to, as the account keeps it. */
export function objectData(name: string): Uint8Array {
  return Buffer.from(name, "latin1");
}

/** The elements of all our sets, the keys of the maps of limits, and the limits. */
export class ElementAccount {
  readonly objects: ObjectAccount = new ObjectAccount();
  readonly #kinds: Map<string, KindAccount> = new Map();
  /** The kind that was asked for last: elements come in runs of one kind. */
  #last: KindAccount | undefined;

  /** All kinds of which there was an element. */
  get kinds(): Iterable<KindAccount> {
    return this.#kinds.values();
  }

  /** The elements of a kind of set. */
  of({ role, shape, limit }: SetKind): KindAccount {
    const last = this.#last?.kind;
    if (this.#last !== undefined && last?.role === role && last.shape === shape && last.limit === limit) {
      return this.#last;
    }
    const name = `${setSuffix({ role, shape, layer: 0 })} ${limit}`;
    const kind = limit === undefined ? { role, shape } : { role, shape, limit };
    const found = this.#kinds.get(name) ?? new KindAccount(kind);
    this.#kinds.set(name, found);
    this.#last = found;
    return found;
  }

  /**
   * A transaction is in force.
   *
   * @param now - when it was made: lifetimes count from there
   */
  apply(changes: SetChanges, now: Milliseconds): void {
    for (const { identity, removed, put } of changes.bySet) {
      const kind = this.of(identity);
      for (const facts of removed) kind.remove(facts, identity.layer);
      for (const facts of put) {
        kind.put(facts, identity.layer, now + (facts.timeoutMs ?? Number.POSITIVE_INFINITY));
      }
    }
    for (const { identity, removed, put } of changes.byMap) {
      for (const facts of removed) this.of(placeOf(identity)).remove(facts, identity.layer);
      for (const facts of put) this.putEntry(identity, facts, facts.object ?? "");
    }
    for (const name of changes.goneObjects) this.objects.remove(name);
    for (const object of changes.objects) this.objects.put(object);
  }

  /** A key of a map leads to an object. */
  putEntry(map: LimitMap, { key, keyEnd }: ElementFacts, object: string): void {
    const facts = { key, keyEnd, data: objectData(object) };
    this.of(placeOf(map)).put(facts, map.layer, Number.POSITIVE_INFINITY);
  }

  clear(): void {
    this.objects.clear();
    this.#last = undefined;
    this.#kinds.clear();
  }
}
