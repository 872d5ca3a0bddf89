/** Groups of pinholes: made with their first member, gone with their last (RFC 5189 section 2.3.3). */
import { Bag } from "./bag.ts";
import { NumberSource } from "./identifier.ts";
import type { PinholeGroup } from "./pinhole.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { UndoLog } from "./undo-log.ts";

class Group implements PinholeGroup {
  readonly id: string;
  readonly number: number;
  readonly owner: string;
  readonly bag: Bag<string> = new Bag();

  constructor({ id, number, owner }: Omit<PinholeGroup, "members">) {
    this.id = id;
    this.number = number;
    this.owner = owner;
  }

  get members(): ReadonlySet<string> {
    const members: string[] = [];
    this.bag.collect(members);
    return new Set(members);
  }
}

const NUMBERED = /^gr_(\d{1,10})$/;

function nameOf(owner: string, id: string): string {
  return `${owner}\0${id}`;
}

/** The number in an id of ours; undefined for an owner's own name. */
function numberIn(id: string): number | undefined {
  const number = id.startsWith("gr_") ? NUMBERED.exec(id)?.[1] : undefined;
  return number === undefined ? undefined : Number(number);
}

/** All groups. */
export class GroupRegistry {
  /** Those with a name of their owner's. */
  readonly #named: Map<string, Group> = new Map();
  readonly #numbers: Map<number, Group> = new Map();
  readonly #undo: UndoLog;
  #source: NumberSource;

  /**
   * @param source - gives numbers
   * @param undo - where every change is noted
   */
  constructor(source: NumberSource, undo: UndoLog) {
    this.#source = source;
    this.#undo = undo;
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
    return this.#lookUp(owner, id);
  }

  byNumber(number: number): PinholeGroup | undefined {
    return this.#numbers.get(number);
  }

  all(): Iterable<PinholeGroup> {
    return this.#numbers.values();
  }

  /**
   * The group for a pinhole: the one that is named, a new one of that name, or a new one without a name.
   *
   * @throws {PinholeRefusal} `NO_SUCH_GROUP`, `GROUP_FORBIDDEN`
   */
  choose(owner: string, id: string | undefined): PinholeGroup {
    const found = id === undefined ? undefined : this.#lookUp(owner, id);
    // "All members of a group have one owner": also an administrator makes groups of his own.
    if (found !== undefined && found.owner !== owner) {
      throw new PinholeRefusal("GROUP_FORBIDDEN", `The group ${id} is somebody else's.`, { field: "group" });
    }
    if (found !== undefined) return found;
    if (id !== undefined && NUMBERED.test(id)) {
      throw new PinholeRefusal("NO_SUCH_GROUP", `There is no group ${id}.`, { field: "group" });
    }
    const number = this.#source.next((taken) => this.#numbers.has(taken));
    return this.#enter(new Group({ id: id ?? `gr_${number}`, number, owner }));
  }

  /** Takes a group of a former run. */
  restore(facts: Omit<PinholeGroup, "members">): PinholeGroup {
    return this.#lookUp(facts.owner, facts.id) ?? this.#enter(new Group(facts));
  }

  /** A pinhole comes in. */
  join(group: PinholeGroup, pinhole: string): void {
    const known = this.#numbers.get(group.number);
    known?.bag.add(pinhole);
    this.#undo.note(() => known?.bag.delete(pinhole));
  }

  /**
   * A pinhole leaves.
   *
   * @returns true when it was the last, and the group is gone
   */
  leave(owner: string, id: string, pinhole: string): boolean {
    const group = this.#lookUp(owner, id);
    if (group === undefined) return false;
    group.bag.delete(pinhole);
    const isGone = group.bag.size === 0;
    if (isGone) this.#drop(group);
    this.#undo.note(() => {
      group.bag.add(pinhole);
      if (isGone) this.#file(group);
    });
    return isGone;
  }

  #lookUp(owner: string, id: string): Group | undefined {
    const number = numberIn(id);
    if (number === undefined) return this.#named.get(nameOf(owner, id));
    const group = this.#numbers.get(number);
    return group?.id === id ? group : undefined;
  }

  #enter(group: Group): Group {
    this.#file(group);
    this.#undo.note(() => this.#drop(group));
    return group;
  }

  #file(group: Group): void {
    this.#numbers.set(group.number, group);
    if (numberIn(group.id) === undefined) this.#named.set(nameOf(group.owner, group.id), group);
  }

  #drop(group: Group): void {
    this.#numbers.delete(group.number);
    if (numberIn(group.id) === undefined) this.#named.delete(nameOf(group.owner, group.id));
  }
}
