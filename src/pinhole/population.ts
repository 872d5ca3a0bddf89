/**
 * All living pinholes, and every way to find them: by id, number, the owner's own name, by what overlaps, by
 * what ends next. Each change is noted, so that a transaction that fails leaves no trace.
 */
import { invariant, type Milliseconds } from "../base/index.ts";
import { BoxIndex, type Pair } from "./box-index.ts";
import { DeadlineQueue } from "./deadline-queue.ts";
import { OrderedIds } from "./ordered-ids.ts";
import type { Pinhole } from "./pinhole.ts";
import type { UndoLog } from "./undo-log.ts";

/** What a pinhole is between. */
export function pairOf({ request }: Pinhole): Pair {
  return { protocol: request.protocol, near: request.internal, far: request.external };
}

/** What is filed of a pinhole, and stays the same as long as it lives in one state. */
type Filing = "permit" | "block" | "none";

function filingOf(pinhole: Pinhole): Filing {
  if (pinhole.state !== "enabled") return "none";
  return pinhole.request.kind === "block" ? "block" : "permit";
}

/** All living pinholes. */
export class Population {
  readonly #byId: Map<string, Pinhole> = new Map();
  readonly #byNumber: Map<number, string> = new Map();
  readonly #byClientId: Map<string, string> = new Map();
  readonly #counts: Map<string, number> = new Map();
  readonly #order: OrderedIds = new OrderedIds();
  readonly #index: Readonly<Record<"permit" | "block", BoxIndex<string>>>;
  readonly #deadlines: DeadlineQueue<string>;
  readonly #undo: UndoLog;

  /** @param undo - where every change is noted */
  constructor(undo: UndoLog) {
    this.#undo = undo;
    const pair = (id: string): Pair => pairOf(this.#known(id));
    this.#index = { permit: new BoxIndex(pair), block: new BoxIndex(pair) };
    this.#deadlines = new DeadlineQueue((id) => this.#byId.get(id)?.deadline);
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Pinhole | undefined {
    return this.#byId.get(id);
  }

  byNumber(number: number): Pinhole | undefined {
    const id = this.#byNumber.get(number);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  byClientId(owner: string, clientId: string): Pinhole | undefined {
    const id = this.#byClientId.get(`${owner}\0${clientId}`);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  /** How many pinholes an owner has. */
  countOf(owner: string): number {
    return this.#counts.get(owner) ?? 0;
  }

  /** All, in no order. */
  all(): Iterable<Pinhole> {
    return this.#byId.values();
  }

  /** Those behind one, in the order of their ids. */
  *after(cursor: string): Generator<Pinhole> {
    for (const id of this.#order.after(cursor)) yield this.#known(id);
  }

  /** Enabled pinholes of a kind that have packets in common with a pair. */
  meeting(kind: "permit" | "block", pair: Pair): Pinhole[] {
    return this.#index[kind].meeting(pair).map((id) => this.#known(id));
  }

  /** An instant before which nothing ends; undefined when nothing ends by itself. */
  get nextDeadline(): Milliseconds | undefined {
    return this.#deadlines.earliest;
  }

  /** Pinholes whose time is over; each is told once, unless {@link Population.remind} puts it back. */
  takeDue(now: Milliseconds, max: number): Pinhole[] {
    const ids = new Set(this.#deadlines.takeDue(now, max));
    return [...ids].map((id) => this.#known(id));
  }

  /** Puts back what was taken out as due and could not be ended. */
  remind(pinholes: readonly Pinhole[]): void {
    for (const { id, deadline } of pinholes) this.#deadlines.add(id, deadline, this.size);
  }

  /** A pinhole comes in. */
  add(pinhole: Pinhole): void {
    this.#enter(pinhole);
    this.#undo.note(() => this.#drop(pinhole));
  }

  /** A pinhole changes. Id, number, owner and the owner's own name stay. */
  replace(former: Pinhole, pinhole: Pinhole): void {
    this.#exchange(former, pinhole);
    this.#undo.note(() => this.#exchange(pinhole, former));
  }

  /** A pinhole leaves. */
  remove(pinhole: Pinhole): void {
    this.#drop(pinhole);
    this.#undo.note(() => this.#enter(pinhole));
  }

  #known(id: string): Pinhole {
    const pinhole = this.#byId.get(id);
    invariant(pinhole !== undefined, "what is filed lives");
    return pinhole;
  }

  #exchange(former: Pinhole, pinhole: Pinhole): void {
    this.#unfile(former);
    this.#byId.set(pinhole.id, pinhole);
    this.#file(pinhole);
    if (pinhole.deadline !== former.deadline) {
      this.#deadlines.add(pinhole.id, pinhole.deadline, this.size);
    }
  }

  #enter(pinhole: Pinhole): void {
    const { id, number, owner, clientId } = pinhole;
    this.#byId.set(id, pinhole);
    this.#byNumber.set(number, id);
    if (clientId !== undefined) this.#byClientId.set(`${owner}\0${clientId}`, id);
    this.#counts.set(owner, this.countOf(owner) + 1);
    this.#order.add(id);
    this.#file(pinhole);
    this.#deadlines.add(id, pinhole.deadline, this.size);
  }

  #drop(pinhole: Pinhole): void {
    const { id, number, owner, clientId } = pinhole;
    this.#unfile(pinhole);
    this.#byId.delete(id);
    this.#byNumber.delete(number);
    if (clientId !== undefined) this.#byClientId.delete(`${owner}\0${clientId}`);
    const left = this.countOf(owner) - 1;
    if (left > 0) this.#counts.set(owner, left);
    else this.#counts.delete(owner);
    this.#order.remove(id);
  }

  #file(pinhole: Pinhole): void {
    const filing = filingOf(pinhole);
    if (filing !== "none") this.#index[filing].add(pinhole.id);
  }

  /** Before the record changes: the index finds a pinhole by what it was filed under. */
  #unfile(pinhole: Pinhole): void {
    const filing = filingOf(pinhole);
    if (filing !== "none") this.#index[filing].remove(pinhole.id);
  }
}
