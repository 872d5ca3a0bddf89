/**
 * Many rules found at once: which is the first of a chain that the packet meets, without asking them one
 * after the other.
 *
 * It is a tuple space search (Srinivasan, Suri, Varghese, "Packet classification using tuple space search",
 * SIGCOMM 1999). Rules that compare the same bits of a packet (the same prefix lengths, protocol or not,
 * ports or not) form a *group*, and within a group the compared bits are a key: one probe of a hash table
 * finds all rules that ask for exactly these values. Behind a key stands a *list* of rules in their order;
 * where they differ by ranges of ports, a list for each elementary interval between the ranges' bounds. A
 * list ends with the first rule that surely ends the walk: what comes behind it under the same key no packet
 * reaches.
 *
 * A lookup probes one group after the other, those with the earliest rule first, and stops when no later
 * group can have an earlier rule than the one found. What a lookup cannot hold is a *stop*: rules without a
 * condition, and those that would make lists long or groups too many. The evaluator asks them at their place.
 */
import type { Packet } from "../wire/index.ts";
import type { Condition, Test } from "./condition.ts";
import { isInState } from "./conntrack-state.ts";
import { type LookupEntry, lookupEntries } from "./lookup-entry.ts";
import { AddressFilter } from "./address-filter.ts";
import { FACT, type InterfaceNumbers, type PacketFacts } from "./packet-facts.ts";
import type { RuleContext } from "./rule.ts";

/** A rule that may be looked up. */
export interface LookupRule {
  readonly place: number;
  readonly condition: Condition;
  /** Bits of NEEDS. */
  readonly needs: number;
  /** True when a packet that meets it does not come to a later rule of the chain. */
  readonly isLast: boolean;
}

/** Answer of {@link RuleLookup.find} when the packet meets no rule. */
export const NOT_FOUND = 0x7fff_ffff;

/** Rules in one list; one more is asked at its place. */
const LIST_MAX = 8;
/** Groups of one chain; the rules of smaller ones are asked at their place. */
const GROUPS_MAX = 96;

/**
 * Rules of a chain that can be looked up, from which on they are: where that is faster than walking the chain
 * (bench/policy.mjs), always, or never.
 */
export const LOOKUP_FROM = { WHERE_FASTER: 16, ALWAYS: 1, NEVER: Number.POSITIVE_INFINITY } as const;

/** Shares of a list's items: place, and index of what else must hold, -1 for nothing. */
const ITEM_WORDS = 2;
const LIST_END = -1;
const NO_REST = -1;
const EMPTY = -1;

interface Item {
  readonly rule: LookupRule;
  readonly entry: LookupEntry;
}

/** Rules that compare the same bits. */
class GroupDraft {
  readonly items: Item[] = [];
  readonly places = new Set<number>();

  add(item: Item): void {
    this.items.push(item);
    this.places.add(item.rule.place);
  }
}

function groupKey({ rule, entry }: Item): string {
  return `${rule.needs} ${entry.ranged} ${entry.masks.join(" ")}`;
}

/** Items of a group by their values. */
function byValues(items: readonly Item[]): Item[][] {
  const found = new Map<string, Item[]>();
  for (const item of items) {
    const key = item.entry.values.join(" ");
    const same = found.get(key);
    if (same === undefined) found.set(key, [item]);
    else same.push(item);
  }
  return [...found.values()];
}

/** Growing memory for lists, and what is left over of conditions. */
class Pool {
  readonly words: number[] = [];
  readonly rests: (readonly Test[])[] = [];
  readonly #stop: (place: number) => void;

  /** @param stop - told of each rule for which a list has no room */
  constructor(stop: (place: number) => void) {
    this.#stop = stop;
  }

  /** Writes a list. @returns where it begins */
  list(items: readonly Item[]): number {
    const at = this.words.length;
    let held = 0;
    for (const { rule, entry } of items) {
      if (held === LIST_MAX) this.#stop(rule.place);
      else {
        const hasRest = entry.rest.length > 0;
        this.words.push(rule.place, hasRest ? this.rests.push(entry.rest) - 1 : NO_REST);
        held += 1;
        if (rule.isLast && !hasRest) break;
      }
    }
    this.words.push(LIST_END);
    return at;
  }

  /** Writes a list for each elementary interval of ports: their number, their lower bounds, their lists. */
  intervals(items: readonly Item[]): number {
    const bounds = [...new Set([0, ...items.flatMap(({ entry: { range } }) => [range.low, range.high + 1])])];
    bounds.sort((a, b) => a - b);
    const lists = spread(items, bounds).map((list) => this.list(list));
    const at = this.words.length;
    this.words.push(bounds.length, ...bounds, ...lists);
    return at;
  }
}

/**
 * The items of each elementary interval, in order. An item that finds an interval full is put there all the
 * same, so that it is stopped, and nowhere behind; intervals that are at an end are passed over.
 */
function spread(items: readonly Item[], bounds: readonly number[]): Item[][] {
  const lists: Item[][] = bounds.map(() => []);
  const numbers = new Map(bounds.map((bound, index) => [bound, index]));
  /** For each interval the next one that is not at an end, itself perhaps. */
  const open = Int32Array.from({ length: bounds.length + 1 }, (_, index) => index);
  const nextOpen = (from: number): number => {
    let found = from;
    while (open[found] !== found) found = open[found] as number;
    for (let at = from; at !== found; ) {
      const next = open[at] as number;
      open[at] = found;
      at = next;
    }
    return found;
  };
  for (const item of items) {
    const { range, rest } = item.entry;
    const end = numbers.get(range.high + 1) as number;
    for (let at = nextOpen(numbers.get(range.low) as number); at < end; at = nextOpen(at + 1)) {
      const list = lists[at] as Item[];
      list.push(item);
      if (list.length > LIST_MAX) break;
      if (item.rule.isLast && rest.length === 0) open[at] = at + 1;
    }
  }
  return lists;
}

/** What tells from an address which groups are of interest. */
interface Filters {
  readonly source: AddressFilter;
  readonly destination: AddressFilter;
}

/** Length of the prefix that the masks of an address's words stand for; 0 for none. */
function prefixLength(masks: Int32Array, word: number): number {
  let bits = 0;
  for (let at = 0; at < 4; at += 1) bits += Math.clz32(~(masks[word + at] ?? 0));
  return bits;
}

/** Enters the networks of a group into a filter. @returns the bit to look for, 0 when the group has none */
function enter(filter: AddressFilter, items: readonly Item[], word: number): number {
  let bit = 0;
  for (const { entry } of items) {
    const length = prefixLength(entry.masks, word);
    if (length === 0) return 0;
    const words = entry.values.subarray(word, word + 4);
    bit = filter.enter({ family: (entry.values[FACT.KIND] ?? 0) >>> 24 === 4 ? 4 : 6, words, length });
  }
  return bit;
}

/** A group ready for lookups. */
class Group {
  readonly first: number;
  readonly last: number;
  readonly needs: number;
  readonly ranged: LookupEntry["ranged"];
  /** Bits of the filters that an address must have for the group to be of interest. */
  readonly sourceBit: number;
  readonly destinationBit: number;
  /** The words that count, and their masks. */
  readonly #words: Uint8Array;
  readonly #masks: Int32Array;
  /** Slots of the hash table: values of the words, and where the list or the intervals stand. */
  readonly #slots: Int32Array;
  readonly #stride: number;
  readonly #slotMask: number;

  constructor(draft: GroupDraft, pool: Pool, filters: Filters) {
    const { rule, entry } = draft.items[0] as Item;
    const places = [...draft.places];
    this.first = places.reduce((least, place) => Math.min(least, place));
    this.last = places.reduce((most, place) => Math.max(most, place));
    this.needs = rule.needs;
    this.ranged = entry.ranged;
    this.sourceBit = enter(filters.source, draft.items, FACT.SOURCE);
    this.destinationBit = enter(filters.destination, draft.items, FACT.DESTINATION);
    this.#words = Uint8Array.from([...entry.masks.keys()].filter((word) => entry.masks[word] !== 0));
    this.#masks = Int32Array.from(this.#words, (word) => entry.masks[word] ?? 0);
    this.#stride = this.#words.length + 1;
    const keys = byValues(draft.items);
    let size = 2;
    while (size < 2 * keys.length) size *= 2;
    this.#slotMask = size - 1;
    this.#slots = new Int32Array(size * this.#stride).fill(EMPTY);
    for (const items of keys) this.#insert(items, pool);
  }

  /** Where the packet's list or intervals stand in the pool, -1 when there is none. */
  probe(facts: Int32Array): number {
    const slots = this.#slots;
    const stride = this.#stride;
    for (let slot = this.#hash(facts); ; slot = (slot + 1) & this.#slotMask) {
      const at = slot * stride;
      const found = slots[at + stride - 1] as number;
      if (found === EMPTY || this.#isAt(at, facts)) return found;
    }
  }

  #hash(facts: Int32Array): number {
    const words = this.#words;
    let hash = 0;
    for (let index = 0; index < words.length; index += 1) {
      hash = Math.imul(
        hash ^ ((facts[words[index] as number] as number) & (this.#masks[index] as number)),
        0x9e3779b1,
      );
      hash ^= hash >>> 15;
    }
    return hash & this.#slotMask;
  }

  #isAt(at: number, facts: Int32Array): boolean {
    const words = this.#words;
    for (let index = 0; index < words.length; index += 1) {
      const value = (facts[words[index] as number] as number) & (this.#masks[index] as number);
      if (this.#slots[at + index] !== value) return false;
    }
    return true;
  }

  #insert(items: readonly Item[], pool: Pool): void {
    const { values } = (items[0] as Item).entry;
    let slot = this.#hash(values);
    while (this.#slots[slot * this.#stride + this.#stride - 1] !== EMPTY) slot = (slot + 1) & this.#slotMask;
    const at = slot * this.#stride;
    for (const [index, word] of this.#words.entries()) this.#slots[at + index] = values[word] ?? 0;
    this.#slots[at + this.#stride - 1] = this.ranged === "" ? pool.list(items) : pool.intervals(items);
  }
}

/** True when a packet passes a test that no key can hold. */
function passes(test: Test, packet: Packet, context: RuleContext): boolean {
  switch (test.field) {
    case "sourcePort":
    case "destinationPort":
      return test.low <= packet[test.field] && packet[test.field] <= test.high;
    case "mark":
      return (~packet.mark & test.bits) === 0;
    case "conntrack":
      return isInState(test.states, packet, context);
    case "inInterface":
    case "outInterface": {
      const name = context.interfaceName(packet[test.field]);
      return name !== "" && name.startsWith(test.name);
    }
    default:
      return false;
  }
}

/** Index of the first place that is not before another; places are in order. */
export function firstAt(places: Int32Array, from: number): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((places[middle] as number) < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Rules of one chain, ready to be looked up. */
export class RuleLookup {
  /** Places of the chain's rules that are not looked up, in order. */
  readonly stops: Int32Array;
  readonly #groups: readonly Group[];
  readonly #words: Int32Array;
  readonly #rests: readonly (readonly Test[])[];

  readonly #filters: Filters;

  private constructor(stops: readonly number[], groups: readonly Group[], pool: Pool, filters: Filters) {
    this.#filters = filters;
    this.stops = Int32Array.from(stops).sort();
    this.#groups = [...groups].sort((a, b) => a.first - b.first);
    this.#words = Int32Array.from(pool.words);
    this.#rests = pool.rests;
  }

  /**
   * Makes the lookup of a chain.
   *
   * @param rules - those that have a condition and a target of their own
   * @param stops - places of the others
   * @param numbers - gives numbers to the interfaces that are named
   * @param from - a value of {@link LOOKUP_FROM}
   * @returns `undefined` when walking the chain is as fast
   */
  static build(
    rules: readonly LookupRule[],
    stops: readonly number[],
    numbers: InterfaceNumbers,
    from: number,
  ): RuleLookup | undefined {
    if (rules.length < from) return undefined;
    const stopped = new Set(stops);
    const drafts = draftGroups(rules, numbers, stopped).sort((a, b) => b.places.size - a.places.size);
    const kept = drafts.slice(0, GROUPS_MAX);
    for (const draft of drafts.slice(GROUPS_MAX)) {
      for (const place of draft.places) stopped.add(place);
    }
    const pool = new Pool((place) => stopped.add(place));
    const filters = {
      source: new AddressFilter(rules.length),
      destination: new AddressFilter(rules.length),
    };
    const groups = kept.map((draft) => new Group(draft, pool, filters));
    if (rules.filter(({ place }) => !stopped.has(place)).length < from) return undefined;
    return new RuleLookup([...stopped], groups, pool, filters);
  }

  /**
   * The first rule that the packet meets, stops left out.
   *
   * @param facts - the packet's
   * @param missing - bits of NEEDS that it has not
   * @param from - no rule before this place
   * @returns its place, or {@link NOT_FOUND}
   */
  find(facts: PacketFacts, context: RuleContext, missing: number, from: number): number {
    const { packet } = context;
    const groups = this.#groups;
    const { source, destination } = this.#filters;
    const noSource = ~source.bitsOf(packet.family, packet.source);
    const noDestination = ~destination.bitsOf(packet.family, packet.destination);
    let best = NOT_FOUND;
    for (let index = 0; index < groups.length; index += 1) {
      const group = groups[index] as Group;
      if (group.first >= best) break;
      if (((group.sourceBit & noSource) | (group.destinationBit & noDestination)) !== 0) continue;
      if (group.last < from || (group.needs & missing) !== 0) continue;
      let at = group.probe(facts.words);
      if (at === EMPTY) continue;
      if (group.ranged !== "") at = this.#interval(at, packet[group.ranged]);
      best = this.#firstOf(at, context, from, best);
    }
    return best;
  }

  /** The list of the elementary interval in which a port lies. */
  #interval(at: number, port: number): number {
    const words = this.#words;
    const count = words[at] as number;
    let low = 0;
    let high = count;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((words[at + 1 + middle] as number) <= port) low = middle;
      else high = middle;
    }
    return words[at + 1 + count + low] as number;
  }

  /**
   * The first rule of a list that is not before `from` and whose rest holds, or `best` if that is earlier.
   */
  #firstOf(list: number, context: RuleContext, from: number, best: number): number {
    const words = this.#words;
    for (let at = list; ; at += ITEM_WORDS) {
      const place = words[at] as number;
      if (place === LIST_END || place >= best) return best;
      if (place >= from && this.#restHolds(words[at + 1] as number, context)) return place;
    }
  }

  #restHolds(rest: number, context: RuleContext): boolean {
    if (rest === NO_REST) return true;
    const tests = this.#rests[rest] as readonly Test[];
    for (let index = 0; index < tests.length; index += 1) {
      if (!passes(tests[index] as Test, context.packet, context)) return false;
    }
    return true;
  }
}

/** Puts rules into groups; those with too many alternatives are stopped. */
function draftGroups(
  rules: readonly LookupRule[],
  numbers: InterfaceNumbers,
  stopped: Set<number>,
): GroupDraft[] {
  const groups = new Map<string, GroupDraft>();
  for (const rule of rules) {
    const entries = lookupEntries(rule.condition, numbers);
    if (entries === undefined) stopped.add(rule.place);
    for (const entry of entries ?? []) {
      const item = { rule, entry };
      const key = groupKey(item);
      const group = groups.get(key) ?? new GroupDraft();
      groups.set(key, group);
      group.add(item);
    }
  }
  return [...groups.values()];
}
