/**
 * Groups of pinholes: made with their first member, gone with their last (RFC 5189 section 2.3.3).
 *
 * Most pinholes are alone in a group without a name, so there are as many groups as pinholes: they stand in
 * columns, and so do their members, by number, each with its neighbours.
 */
import { invariant } from "../base/index.ts";
import { grown } from "./column.ts";
import { NumberSource } from "./identifier.ts";
import type { PinholeGroup } from "./pinhole.ts";
import { PinholeRefusal } from "./refusal.ts";
import { hashNumber, RowIndex } from "./row-index.ts";
import type { UndoLog } from "./undo-log.ts";

/** A group without its members. */
export type GroupFacts = Pick<PinholeGroup, "id" | "number" | "owner">;

/** What ids begin with that stand for a number, and the most digits that follow. */
const NUMBERED = "gr_";
const DIGITS_MAX = 10;
const ZERO = 0x30;

function nameOf(owner: string, id: string): string {
  return `${owner}\0${id}`;
}

/** The number in an id of ours; undefined for an owner's own name. */
function numberIn(id: string): number | undefined {
  const digits = id.length - NUMBERED.length;
  if (digits < 1 || digits > DIGITS_MAX || !id.startsWith(NUMBERED)) return undefined;
  let number = 0;
  for (let at = NUMBERED.length; at < id.length; at += 1) {
    const digit = id.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    number = 10 * number + digit;
  }
  return number;
}

/** Rows that are given, and given again. */
class Rows {
  readonly #idle: number[] = [];
  #used = 0;

  take(): number {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    this.#used += 1;
    return this.#used - 1;
  }

  giveBack(row: number): void {
    this.#idle.push(row);
  }

  get used(): number {
    return this.#used;
  }
}

/** Which pinholes are in which group: a list for each group. */
class Membership {
  readonly #rows: Rows = new Rows();
  readonly #byPinhole: RowIndex<number>;
  #pinholes: Uint32Array = new Uint32Array(0);
  // Neighbours in the list, and the first of a group's: rows, plus one; 0 for none.
  #next: Uint32Array = new Uint32Array(0);
  #previous: Uint32Array = new Uint32Array(0);
  #first: Uint32Array = new Uint32Array(0);

  constructor() {
    this.#byPinhole = new RowIndex(hashNumber, (row, pinhole) => this.#pinholes[row] === pinhole);
  }

  add(group: number, pinhole: number): void {
    const row = this.#rows.take();
    this.#pinholes = grown(this.#pinholes, row + 1);
    this.#next = grown(this.#next, row + 1);
    this.#previous = grown(this.#previous, row + 1);
    this.#first = grown(this.#first, group + 1);
    const next = this.#first[group] ?? 0;
    this.#pinholes[row] = pinhole;
    this.#next[row] = next;
    this.#previous[row] = 0;
    if (next !== 0) this.#previous[next - 1] = row + 1;
    this.#first[group] = row + 1;
    this.#byPinhole.add(pinhole, row);
  }

  delete(group: number, pinhole: number): void {
    const row = this.#byPinhole.find(pinhole);
    invariant(row !== undefined, "who leaves a group is in it");
    this.#byPinhole.delete(pinhole, row);
    const next = this.#next[row] ?? 0;
    const previous = this.#previous[row] ?? 0;
    if (previous === 0) this.#first[group] = next;
    else this.#next[previous - 1] = next;
    if (next !== 0) this.#previous[next - 1] = previous;
    this.#rows.giveBack(row);
  }

  *of(group: number): Generator<number> {
    for (let row = this.#first[group] ?? 0; row !== 0; row = this.#next[row - 1] ?? 0) {
      yield this.#pinholes[row - 1] ?? 0;
    }
  }
}

/** All groups. */
export class GroupRegistry {
  readonly #rows: Rows = new Rows();
  #numbers: Uint32Array = new Uint32Array(0);
  #sizes: Uint32Array = new Uint32Array(0);
  readonly #owners: string[] = [];
  /** Owners are few: each is one text, however many rows name him. */
  readonly #ownerTexts: Map<string, string> = new Map();
  readonly #members: Membership = new Membership();
  readonly #byNumber: RowIndex<number>;
  /** Those with a name of their owner's. */
  readonly #named: Map<string, number> = new Map();
  readonly #names: Map<number, string> = new Map();
  readonly #undo: UndoLog;
  readonly #idOf: (pinhole: number) => string | undefined;
  #source: NumberSource;

  /**
   * @param source - gives numbers
   * @param undo - where every change is noted
   * @param idOf - the id of the pinhole with a number
   */
  constructor(source: NumberSource, undo: UndoLog, idOf: (pinhole: number) => string | undefined) {
    this.#source = source;
    this.#undo = undo;
    this.#idOf = idOf;
    this.#byNumber = new RowIndex(hashNumber, (row, number) => this.#numbers[row] === number);
  }

  /** The number that comes next. */
  get upcoming(): number {
    return this.#source.upcoming;
  }

  /** Goes on with the numbers of a former run. */
  follow(next: number): void {
    this.#source = new NumberSource(next);
  }

  /** The group of an owner with this id; undefined when there is none. */
  find(owner: string, id: string): PinholeGroup | undefined {
    const row = this.#lookUp(owner, id);
    return row === undefined ? undefined : this.#at(row);
  }

  byNumber(number: number): PinholeGroup | undefined {
    const row = this.#byNumber.find(number);
    return row === undefined ? undefined : this.#at(row);
  }

  *all(): Generator<PinholeGroup> {
    for (let row = 0; row < this.#rows.used; row += 1) {
      if (this.#byNumber.find(this.#numbers[row] ?? 0) === row) yield this.#at(row);
    }
  }

  /**
   * The group for a pinhole: the one that is named, a new one of that name, or a new one without a name.
   *
   * @throws {PinholeRefusal} `NO_SUCH_GROUP`, `GROUP_FORBIDDEN`
   */
  choose(owner: string, id: string | undefined): GroupFacts {
    const row = id === undefined ? undefined : this.#lookUp(owner, id);
    const found = row === undefined ? undefined : this.#factsAt(row);
    // "All members of a group have one owner": also an administrator makes groups of his own.
    if (found !== undefined && found.owner !== owner) {
      throw new PinholeRefusal("GROUP_FORBIDDEN", `The group ${id} is somebody else's.`, { field: "group" });
    }
    if (found !== undefined) return found;
    if (id !== undefined && numberIn(id) !== undefined) {
      throw new PinholeRefusal("NO_SUCH_GROUP", `There is no group ${id}.`, { field: "group" });
    }
    const number = this.#source.next((taken) => this.#byNumber.find(taken) !== undefined);
    return { id: id ?? `gr_${number}`, number, owner };
  }

  /** A pinhole comes in; with it, if need be, its group. */
  join(group: GroupFacts, pinhole: number): void {
    this.#enter(group, pinhole);
    this.#undo.note(() => this.#leave(group.number, pinhole));
  }

  /**
   * A pinhole leaves.
   *
   * @returns true when it was the last, and the group is gone
   */
  leave(group: GroupFacts, pinhole: number): boolean {
    const isGone = this.#leave(group.number, pinhole);
    this.#undo.note(() => this.#enter(group, pinhole));
    return isGone;
  }

  #lookUp(owner: string, id: string): number | undefined {
    const number = numberIn(id);
    if (number === undefined) return this.#named.get(nameOf(owner, id));
    const row = this.#byNumber.find(number);
    return row !== undefined && this.#idAt(row) === id ? row : undefined;
  }

  #idAt(row: number): string {
    return this.#names.get(row) ?? `gr_${this.#numbers[row] ?? 0}`;
  }

  #factsAt(row: number): GroupFacts {
    return { id: this.#idAt(row), number: this.#numbers[row] ?? 0, owner: this.#owners[row] ?? "" };
  }

  #at(row: number): PinholeGroup {
    const [pinholes, idOf] = [this.#members, this.#idOf];
    return {
      ...this.#factsAt(row),
      size: this.#sizes[row] ?? 0,
      get members(): ReadonlySet<string> {
        return new Set([...pinholes.of(row)].map((pinhole) => idOf(pinhole) ?? ""));
      },
    };
  }

  #enter(group: GroupFacts, pinhole: number): void {
    const row = this.#byNumber.find(group.number) ?? this.#file(group);
    this.#sizes[row] = (this.#sizes[row] ?? 0) + 1;
    this.#members.add(row, pinhole);
  }

  #leave(number: number, pinhole: number): boolean {
    const row = this.#byNumber.find(number);
    invariant(row !== undefined, "a group lives as long as it has members");
    this.#members.delete(row, pinhole);
    const size = (this.#sizes[row] ?? 0) - 1;
    this.#sizes[row] = size;
    if (size === 0) this.#unfile(row);
    return size === 0;
  }

  #file({ id, number, owner }: GroupFacts): number {
    const row = this.#rows.take();
    this.#numbers = grown(this.#numbers, row + 1);
    this.#sizes = grown(this.#sizes, row + 1);
    this.#numbers[row] = number;
    this.#sizes[row] = 0;
    this.#owners[row] = this.#textOf(owner);
    this.#byNumber.add(number, row);
    if (numberIn(id) === undefined) {
      this.#names.set(row, id);
      this.#named.set(nameOf(owner, id), row);
    }
    return row;
  }

  #textOf(owner: string): string {
    const text = this.#ownerTexts.get(owner) ?? owner;
    this.#ownerTexts.set(text, text);
    return text;
  }

  #unfile(row: number): void {
    const { id, number, owner } = this.#factsAt(row);
    this.#byNumber.delete(number, row);
    if (this.#names.delete(row)) this.#named.delete(nameOf(owner, id));
    this.#rows.giveBack(row);
  }
}
