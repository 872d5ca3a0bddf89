/**
 * An address table as pf has them: a named set of addresses and networks, some of them negated, that rules
 * ask and commands change while packets flow.
 *
 * *Longest prefix wins*: with `10.0.0.0/8` and `!10.1.0.0/16` in the table, 10.1.2.3 is not in it. Deleting,
 * adding and replacing follow pf: an entry is known by its prefix, and one that is there with the other sign
 * is a *conflict* for adding and deleting, a *change* for replacing.
 *
 * One thread, the table's owner, changes it while any thread looks addresses up and counts (see
 * SequenceLock). A change of at most {@link ATOMIC_CHANGES} entries is seen at once or not at all; a larger
 * one is seen in steps of that size.
 */
import {
  ADDRESS_WORDS,
  type AddressWords,
  type Family,
  FirewallError,
  invariant,
  LIMITS,
  type Milliseconds,
} from "../base/index.ts";
import { type EntryStatistics, TABLE_OPERATION, TableCounters, type TableStatistics } from "./counters.ts";
import { EntryList, entryOf, type TableEntry } from "./entry-list.ts";
import { ExpiryWheel } from "./expiry-wheel.ts";
import { SequenceLock } from "./lock.ts";
import { attachTable, HEADER, META, reserveTable, type TableArrays, type TableMemory } from "./memory.ts";
import { PrefixTrie, type TableClock } from "./prefix-trie.ts";

/** Entries changed at most before readers get their turn: about a millisecond. */
export const ATOMIC_CHANGES = 256;

/** What became of one entry of a request. */
export const OUTCOME = {
  /** It is there already (add, set) or not there at all (delete). */
  NONE: 0,
  ADDED: 1,
  DELETED: 2,
  /** It was there with the other sign and has the requested one (set). */
  CHANGED: 3,
  /** It is there with the other sign and was left alone (add, delete). */
  CONFLICT: 4,
  /** The request names it twice. */
  DUPLICATE: 5,
} as const;

/** What a request did. */
export interface TableChange {
  readonly added: number;
  readonly deleted: number;
  readonly changed: number;
  /** One value of {@link OUTCOME} per requested entry, in order. */
  readonly outcomes: Uint8Array;
}

/** How a table is made. */
export interface TableOptions {
  readonly name: string;
  /** Most entries; the default of the limit `tableEntries` when left out. */
  readonly capacity?: number;
  /** Whether each entry counts its packets (64 bytes per entry); the table itself always does. */
  readonly counters?: boolean;
}

/** An entry with what the table knows of it. */
export interface TableEntryView extends TableEntry {
  /** When it was added or its counters were cleared, in milliseconds on the caller's clock. */
  readonly since: Milliseconds;
  /** When it ends by itself, in milliseconds on the caller's clock. */
  readonly deadline?: Milliseconds;
  readonly statistics?: EntryStatistics;
}

/** One address table. */
export class AddressTable {
  /** What other threads need to attach to this table. */
  readonly memory: TableMemory;
  readonly #arrays: TableArrays;
  readonly #trie: PrefixTrie;
  readonly #wheel: ExpiryWheel;
  readonly #counters: TableCounters;
  readonly #lock: SequenceLock;
  readonly #scratch: AddressWords = new Uint32Array(ADDRESS_WORDS);

  /** @param memory - of a table made by {@link AddressTable.create}, in this thread or another */
  constructor(memory: TableMemory) {
    this.memory = memory;
    this.#arrays = attachTable(memory);
    this.#trie = new PrefixTrie(this.#arrays);
    this.#wheel = new ExpiryWheel(this.#arrays);
    this.#counters = new TableCounters(this.#arrays);
    this.#lock = new SequenceLock(this.#arrays.header, HEADER.SEQUENCE);
  }

  /**
   * Makes an empty table.
   *
   * @throws {FirewallError} `TABLE_CAPACITY` when the capacity is outside the limit `tableEntries`
   */
  static create(options: TableOptions): AddressTable {
    const capacity = options.capacity ?? LIMITS.tableEntries.default;
    return new AddressTable(reserveTable(options.name, capacity, options.counters ?? false));
  }

  get name(): string {
    return this.memory.name;
  }

  /** Most entries the table can hold. */
  get capacity(): number {
    return this.memory.capacity;
  }

  /** How many entries there are, negated and overdue ones included. */
  get size(): number {
    return this.#arrays.header[HEADER.SIZE] ?? 0;
  }

  /**
   * Finds the entry that decides about an address: the longest that covers it. At most 8 steps for IPv4 and
   * 32 for IPv6 whatever the size of the table; allocates nothing.
   *
   * @param clock - entries past their deadline do not count
   * @returns a number for {@link AddressTable.isNegated} and {@link AddressTable.count}, -1 when none covers
   *   it
   */
  find(family: Family, words: AddressWords, clock: TableClock): number {
    for (;;) {
      const sequence = this.#lock.begin();
      const entry = this.#trie.longest(family, words, clock);
      if (!this.#lock.moved(sequence)) return entry;
    }
  }

  /** True when the entry that {@link AddressTable.find} returned is negated. */
  isNegated(entry: number): boolean {
    return ((this.#arrays.meta[entry] ?? 0) & META.NEGATED) !== 0;
  }

  /** True when the entry that {@link AddressTable.find} returned ends by itself at some time. */
  mayEnd(entry: number): boolean {
    return entry >= 0 && this.#arrays.deadline[entry] !== 0;
  }

  /**
   * True when the address is in the table: some entry covers it and the longest that does is not negated.
   * Allocates nothing.
   */
  contains(family: Family, words: AddressWords, clock: TableClock): boolean {
    let found: boolean;
    let sequence: number;
    do {
      sequence = this.#lock.begin();
      const entry = this.#trie.longest(family, words, clock);
      found = entry >= 0 && !this.isNegated(entry);
    } while (this.#lock.moved(sequence));
    this.#counters.countMatch(found);
    return found;
  }

  /**
   * Counts a packet that a rule with this table judged. Allocates nothing.
   *
   * @param entry - what {@link AddressTable.find} returned
   * @param direction - 0 in, 1 out
   * @param passed - whether the packet passed
   * @param bytes - length of the packet, 0 to 4294967295
   */
  count(entry: number, direction: 0 | 1, passed: boolean, bytes: number): void {
    const { BLOCK, PASS, XPASS } = TABLE_OPERATION;
    const positive = entry >= 0 && !this.isNegated(entry);
    this.#counters.count(entry, direction, !passed ? BLOCK : positive ? PASS : XPASS, bytes);
  }

  /**
   * Adds entries. One that is there keeps its counters; it takes the new deadline when one is given.
   *
   * @param now - milliseconds
   * @param lifetime - the entries end by themselves after this many milliseconds
   * @throws {FirewallError} `TABLE_FULL` when they do not all fit; nothing is changed
   */
  add(list: EntryList, now: Milliseconds, lifetime?: Milliseconds): TableChange {
    const outcomes = new Uint8Array(list.length);
    const marks = this.#judge(list, outcomes, {
      absent: OUTCOME.ADDED,
      there: OUTCOME.NONE,
      opposite: OUTCOME.CONFLICT,
    });
    this.#requireRoom(count(outcomes, OUTCOME.ADDED));
    const deadline = lifetime === undefined ? 0 : now + lifetime;
    this.#inSteps(list.length, (index) => {
      const outcome = outcomes[index];
      const entry = outcome === OUTCOME.ADDED ? this.#insert(list, index, now) : (marks[index] ?? 0) - 1;
      if (deadline !== 0 && entry >= 0 && outcome !== OUTCOME.CONFLICT) this.#setDeadline(entry, deadline);
    });
    return summary(outcomes, 0);
  }

  /** Deletes entries: those with this prefix and this sign. */
  delete(list: EntryList): TableChange {
    const outcomes = new Uint8Array(list.length);
    const marks = this.#judge(list, outcomes, {
      absent: OUTCOME.NONE,
      there: OUTCOME.DELETED,
      opposite: OUTCOME.CONFLICT,
    });
    this.#inSteps(list.length, (index) => {
      if (outcomes[index] === OUTCOME.DELETED) this.#remove((marks[index] ?? 0) - 1);
    });
    return summary(outcomes, count(outcomes, OUTCOME.DELETED));
  }

  /**
   * Makes the table hold exactly these entries. Those that stay keep their counters and deadlines.
   *
   * @param now - milliseconds
   * @throws {FirewallError} `TABLE_FULL` when they do not all fit; nothing is changed
   */
  set(list: EntryList, now: Milliseconds): TableChange {
    const outcomes = new Uint8Array(list.length);
    const marks = this.#judge(list, outcomes, {
      absent: OUTCOME.ADDED,
      there: OUTCOME.NONE,
      opposite: OUTCOME.CHANGED,
    });
    const kept = new Uint8Array(this.capacity);
    for (const mark of marks) if (mark !== 0) kept[mark - 1] = 1;
    const gone = this.#entries((entry) => kept[entry] === 0);
    this.#requireRoom(count(outcomes, OUTCOME.ADDED) - gone.length);
    this.#inSteps(gone.length, (index) => this.#remove(gone[index] ?? 0));
    this.#inSteps(list.length, (index) => {
      if (outcomes[index] === OUTCOME.ADDED) this.#insert(list, index, now);
      if (outcomes[index] === OUTCOME.CHANGED) this.#negate((marks[index] ?? 0) - 1);
    });
    return summary(outcomes, gone.length);
  }

  /**
   * Takes over the entries of another table with their deadlines; counters begin anew. For an empty table.
   *
   * @param now - milliseconds, for `since`
   * @throws {FirewallError} `TABLE_FULL` when they do not all fit; nothing is changed
   */
  takeOver(other: AddressTable, now: Milliseconds): void {
    invariant(this.size === 0, "only an empty table takes over the entries of another");
    this.#requireRoom(other.size);
    const list = other.list();
    const order = other.order();
    this.#inSteps(list.length, (index) => {
      const entry = this.#insert(list, index, now);
      const deadline = other.#arrays.deadline[order[index] ?? 0] ?? 0;
      if (deadline !== 0) this.#setDeadline(entry, deadline);
    });
  }

  /** Deletes every entry. @returns how many there were */
  clear(): number {
    const all = this.#entries(() => true);
    this.#inSteps(all.length, (index) => this.#remove(all[index] ?? 0));
    return all.length;
  }

  /** Deletes the entries whose deadline has come. Call about once a second. @returns how many */
  expire(now: Milliseconds): number {
    const due: number[] = [];
    this.#wheel.advance(now, (entry) => due.push(entry));
    this.#inSteps(due.length, (index) => this.#remove(due[index] ?? 0));
    return due.length;
  }

  /**
   * Deletes the entries whose counters were not cleared for some time, as `pfctl -T expire` does.
   *
   * @param age - milliseconds since the entry was added or its counters were cleared
   * @returns how many
   */
  expireOlder(age: Milliseconds, now: Milliseconds): number {
    const old = this.#entries((entry) => now - (this.#arrays.since[entry] ?? 0) >= age);
    this.#inSteps(old.length, (index) => this.#remove(old[index] ?? 0));
    return old.length;
  }

  /**
   * Says for each address whether it is in the table; counts nothing. Networks count by their first address.
   */
  test(list: EntryList, now: Milliseconds): boolean[] {
    const results: boolean[] = [];
    const clock = { now };
    for (let index = 0; index < list.length; index += 1) {
      list.read(index, this.#scratch);
      const entry = this.find((list.meta(index) & META.IPV6) !== 0 ? 6 : 4, this.#scratch, clock);
      results.push(entry >= 0 && !this.isNegated(entry));
    }
    return results;
  }

  /** All entries: IPv4 first, by address, shorter prefixes before longer ones. */
  show(): TableEntryView[] {
    const views: TableEntryView[] = [];
    this.#trie.walk((entry) => views.push(this.#view(entry)));
    return views;
  }

  /**
   * Numbers of all entries in the order of {@link AddressTable.show}, for lists that are made bit by bit:
   * four bytes an entry, where the entries as objects take hundreds.
   */
  order(): Uint32Array {
    const order = new Uint32Array(this.size);
    let at = 0;
    this.#trie.walk((entry) => {
      order[at] = entry;
      at += 1;
    });
    return order;
  }

  /**
   * The entry with a number.
   *
   * @param entry - from {@link AddressTable.find} or {@link AddressTable.order}
   * @returns `undefined` when it is gone; another entry when its number was given away meanwhile
   */
  entry(entry: number): TableEntryView | undefined {
    return ((this.#arrays.meta[entry] ?? 0) & META.LIVE) === 0 ? undefined : this.#view(entry);
  }

  /** The entries as a list, in the order of {@link AddressTable.show}: what a copy or a file is made from. */
  list(): EntryList {
    const list = new EntryList();
    this.#trie.walk((entry) => {
      const meta = this.#arrays.meta[entry] ?? 0;
      const at = entry * ADDRESS_WORDS;
      for (let word = 0; word < ADDRESS_WORDS; word += 1) {
        this.#scratch[word] = this.#arrays.keys[at + word] ?? 0;
      }
      list.pushPacked(this.#scratch, meta);
    });
    return list;
  }

  /** Counters of the whole table. */
  get statistics(): TableStatistics {
    return this.#counters.table();
  }

  /** Sets all counters to zero, those of the entries too. @param now - milliseconds, for `since` */
  clearStatistics(now: Milliseconds): void {
    this.#counters.clearTable();
    for (const entry of this.#entries(() => true)) {
      this.#counters.clearEntry(entry);
      this.#arrays.since[entry] = now;
    }
  }

  /**
   * Finds each requested entry and writes what is to become of it.
   *
   * @returns entry + 1 for each requested one that is there, 0 for the others
   */
  #judge(list: EntryList, outcomes: Uint8Array, cases: JudgeCases): Uint32Array {
    const marks = new Uint32Array(list.length);
    const firsts = list.firstOccurrences();
    for (let index = 0; index < list.length; index += 1) {
      const entry = this.#exact(list, index);
      marks[index] = entry + 1;
      if (firsts[index] !== index) outcomes[index] = OUTCOME.DUPLICATE;
      else if (entry < 0) outcomes[index] = cases.absent;
      else outcomes[index] = this.#sameSign(entry, list.meta(index)) ? cases.there : cases.opposite;
    }
    return marks;
  }

  #sameSign(entry: number, meta: number): boolean {
    return (((this.#arrays.meta[entry] ?? 0) ^ meta) & META.NEGATED) === 0;
  }

  #exact(list: EntryList, index: number): number {
    const meta = list.meta(index);
    list.read(index, this.#scratch);
    return this.#trie.exact((meta & META.IPV6) !== 0 ? 6 : 4, this.#scratch, meta & META.LENGTH);
  }

  /** Runs `change` for 0 to `length` - 1, letting readers in after every {@link ATOMIC_CHANGES}. */
  #inSteps(length: number, change: (index: number) => void): void {
    for (let start = 0; start < length; start += ATOMIC_CHANGES) {
      const end = Math.min(length, start + ATOMIC_CHANGES);
      this.#lock.acquire();
      try {
        for (let index = start; index < end; index += 1) change(index);
      } finally {
        this.#lock.release();
      }
    }
  }

  #requireRoom(more: number): void {
    if (this.size + more <= this.capacity) return;
    throw new FirewallError(
      "TABLE_FULL",
      `Table ${this.name} holds at most ${this.capacity} entries; ${this.size + more} were asked for`,
      { details: { table: this.name, capacity: this.capacity, entries: this.size + more } },
    );
  }

  #insert(list: EntryList, index: number, now: Milliseconds): number {
    const { header, next, keys, meta, since } = this.#arrays;
    let entry = (header[HEADER.FREE_ENTRY] ?? 0) - 1;
    if (entry >= 0) {
      header[HEADER.FREE_ENTRY] = next[entry] ?? 0;
    } else {
      entry = header[HEADER.FRESH_ENTRY] ?? 0;
      header[HEADER.FRESH_ENTRY] = entry + 1;
    }
    list.read(index, this.#scratch);
    keys.set(this.#scratch, entry * ADDRESS_WORDS);
    meta[entry] = list.meta(index) | META.LIVE;
    next[entry] = 0;
    since[entry] = now;
    this.#counters.clearEntry(entry);
    this.#trie.insert(entry);
    header[HEADER.SIZE] = this.size + 1;
    return entry;
  }

  #remove(entry: number): void {
    const { header, next, meta } = this.#arrays;
    this.#wheel.remove(entry);
    this.#trie.remove(entry);
    meta[entry] = 0;
    next[entry] = header[HEADER.FREE_ENTRY] ?? 0;
    header[HEADER.FREE_ENTRY] = entry + 1;
    header[HEADER.SIZE] = this.size - 1;
  }

  #negate(entry: number): void {
    this.#arrays.meta[entry] = (this.#arrays.meta[entry] ?? 0) ^ META.NEGATED;
  }

  #setDeadline(entry: number, deadline: Milliseconds): void {
    this.#wheel.remove(entry);
    this.#wheel.insert(entry, deadline);
  }

  /** Indices of the entries for which `wanted` is true, in no useful order. */
  #entries(wanted: (entry: number) => boolean): number[] {
    const { header, meta } = this.#arrays;
    const found: number[] = [];
    const end = header[HEADER.FRESH_ENTRY] ?? 0;
    for (let entry = 0; entry < end; entry += 1) {
      if (((meta[entry] ?? 0) & META.LIVE) !== 0 && wanted(entry)) found.push(entry);
    }
    return found;
  }

  #view(entry: number): TableEntryView {
    const { keys, meta, since, deadline } = this.#arrays;
    const words = new Uint32Array(ADDRESS_WORDS);
    const at = entry * ADDRESS_WORDS;
    for (let word = 0; word < ADDRESS_WORDS; word += 1) words[word] = keys[at + word] ?? 0;
    const ends = deadline[entry] ?? 0;
    const statistics = this.#counters.entry(entry);
    const { family, length, negated } = entryOf(meta[entry] ?? 0, words);
    const view = { family, words, length, negated, since: since[entry] ?? 0 };
    // A list of a million entries is made of these: spreading objects would take it half a minute.
    if (statistics === undefined) return ends === 0 ? view : Object.assign(view, { deadline: ends });
    return Object.assign(view, ends === 0 ? { statistics } : { deadline: ends, statistics });
  }
}

/** Outcomes for an entry that is absent, there, or there with the other sign. */
interface JudgeCases {
  readonly absent: number;
  readonly there: number;
  readonly opposite: number;
}

function count(outcomes: Uint8Array, outcome: number): number {
  let found = 0;
  for (const each of outcomes) if (each === outcome) found += 1;
  return found;
}

function summary(outcomes: Uint8Array, deleted: number): TableChange {
  const { ADDED, CHANGED } = OUTCOME;
  return { added: count(outcomes, ADDED), deleted, changed: count(outcomes, CHANGED), outcomes };
}
