/** Groups of pinholes: made with their first member, gone with their last (RFC 5189 section 2.3.3). */
import { NumberSource } from "./identifier.ts";
import type { PinholeGroup } from "./pinhole.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { UndoLog } from "./undo-log.ts";

interface Group extends PinholeGroup {
  readonly members: Set<string>;
}

const NUMBERED = /^gr_(\d{1,10})$/;

function nameOf(owner: string, id: string): string {
  return NUMBERED.test(id) ? id : `${owner}\0${id}`;
}

/** All groups. */
export class GroupRegistry {
  readonly #groups: Map<string, Group> = new Map();
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
    return this.#groups.get(nameOf(owner, id));
  }

  byNumber(number: number): PinholeGroup | undefined {
    return this.#numbers.get(number);
  }

  all(): Iterable<PinholeGroup> {
    return this.#groups.values();
  }

  /**
   * The group for a pinhole: the one that is named, a new one of that name, or a new one without a name.
   *
   * @throws {PinholeRefusal} `NO_SUCH_GROUP`, `GROUP_FORBIDDEN`
   */
  choose(owner: string, id: string | undefined): PinholeGroup {
    const found = id === undefined ? undefined : this.#groups.get(nameOf(owner, id));
    // "All members of a group have one owner": also an administrator makes groups of his own.
    if (found !== undefined && found.owner !== owner) {
      throw new PinholeRefusal("GROUP_FORBIDDEN", `The group ${id} is somebody else's.`, { field: "group" });
    }
    if (found !== undefined) return found;
    if (id !== undefined && NUMBERED.test(id)) {
      throw new PinholeRefusal("NO_SUCH_GROUP", `There is no group ${id}.`, { field: "group" });
    }
    const number = this.#source.next((taken) => this.#numbers.has(taken));
    return this.#enter({ id: id ?? `gr_${number}`, number, owner, members: new Set() });
  }

  /** Takes a group of a former run. */
  restore(facts: Omit<PinholeGroup, "members">): PinholeGroup {
    return this.#groups.get(nameOf(facts.owner, facts.id)) ?? this.#enter({ ...facts, members: new Set() });
  }

  /** A pinhole comes in. */
  join(group: PinholeGroup, pinhole: string): void {
    const known = this.#numbers.get(group.number);
    known?.members.add(pinhole);
    this.#undo.note(() => known?.members.delete(pinhole));
  }

  /**
   * A pinhole leaves.
   *
   * @returns true when it was the last, and the group is gone
   */
  leave(owner: string, id: string, pinhole: string): boolean {
    const group = this.#groups.get(nameOf(owner, id));
    if (group === undefined) return false;
    group.members.delete(pinhole);
    const isGone = group.members.size === 0;
    if (isGone) this.#drop(group);
    this.#undo.note(() => {
      group.members.add(pinhole);
      if (isGone) this.#file(group);
    });
    return isGone;
  }

  #enter(group: Group): Group {
    this.#file(group);
    this.#undo.note(() => this.#drop(group));
    return group;
  }

  #file(group: Group): void {
    this.#groups.set(nameOf(group.owner, group.id), group);
    this.#numbers.set(group.number, group);
  }

  #drop(group: Group): void {
    this.#groups.delete(nameOf(group.owner, group.id));
    this.#numbers.delete(group.number);
  }
}
