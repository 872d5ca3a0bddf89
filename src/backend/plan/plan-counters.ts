/** Counters of a plan's rules, as the kernel tells them, for the rules of the policy. */
import type { LineAction, Origin, PlanLine } from "./kernel-plan.ts";

/** What the kernel judged by one line. */
export interface LineCount extends Origin {
  readonly action: LineAction["kind"];
  readonly packets: number;
  readonly bytes: number;
}

interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

interface ListedRule {
  readonly chain: string;
  /** A counter of its own, or the name of another. */
  readonly expr?: readonly { readonly counter?: Counter | string | null }[];
}

interface ListedElement {
  readonly elem?: { readonly comment?: string; readonly counter?: Counter };
}

interface ListedMap {
  readonly name: string;
  readonly elem?: readonly (readonly [ListedElement, unknown])[];
}

/** A table as libnftables lists it. */
interface Listing {
  readonly nftables: readonly { readonly rule?: ListedRule; readonly map?: ListedMap }[];
}

/** What a counter with a name says. */
export interface Tally {
  readonly packets: number;
  readonly bytes: number;
}

/** Reads counters with names. @param json - as libnftables lists the counters of our table */
export function readTallies(json: string): ReadonlyMap<string, Tally> {
  const { nftables } = JSON.parse(json) as {
    nftables: readonly { readonly counter?: Tally & { readonly name: string } }[];
  };
  const found = nftables.flatMap(({ counter }) => (counter === undefined ? [] : [counter]));
  return new Map(found.map(({ name, packets, bytes }) => [name, { packets, bytes }]));
}

/**
 * Listings at most until one shows all elements. While Linux gives a map more room, and that it does behind
 * the command that fills it, a listing may leave elements out and show others twice.
 */
const LISTINGS_MAX = 5;

/** See PlanText. */
type Counted = ReadonlyMap<string, readonly (PlanLine | undefined)[]>;

/** Counters of a map's elements by their numbers; each says its own in its comment. */
function elementCounters(map: ListedMap): Map<number, Counter> {
  return new Map(
    (map.elem ?? []).flatMap(([{ elem }]): [number, Counter][] =>
      elem?.counter === undefined ? [] : [[Number.parseInt(elem.comment ?? "", 10), elem.counter]],
    ),
  );
}

function elementCounts(map: ListedMap, lines: readonly (PlanLine | undefined)[]): LineCount[] {
  return Array.from(elementCounters(map)).flatMap(([number, counter]) => {
    const line = lines[number];
    return line === undefined ? [] : countOf(line, counter);
  });
}

/** True when the listing shows all elements of the maps that count. */
function isComplete({ nftables }: Listing, counted: Counted): boolean {
  return nftables.every(({ map }) => {
    const lines = map === undefined ? undefined : counted.get(map.name);
    return map === undefined || lines === undefined || elementCounters(map).size >= lines.length;
  });
}

function countOf({ origin, action }: PlanLine, { packets, bytes }: Counter): LineCount {
  return { ...origin, action: action.kind, packets, bytes };
}

/**
 * Reads the counters out of a listing.
 *
 * @param list - lists our table, as libnftables does in JSON; called again when elements are missing
 * @param counted - see PlanText
 */
export function readCounts(list: () => string, counted: Counted): LineCount[] {
  let listing = JSON.parse(list()) as Listing;
  for (let listings = 1; listings < LISTINGS_MAX && !isComplete(listing, counted); listings += 1) {
    listing = JSON.parse(list()) as Listing;
  }
  const places = new Map<string, number>();
  return listing.nftables.flatMap(({ rule, map }) => {
    if (map !== undefined) return elementCounts(map, counted.get(map.name) ?? []);
    if (rule === undefined) return [];
    const place = places.get(rule.chain) ?? 0;
    places.set(rule.chain, place + 1);
    const line = counted.get(rule.chain)?.[place];
    const counter = rule.expr
      ?.map((expression) => expression.counter ?? undefined)
      .find((each) => typeof each === "object");
    return line === undefined || counter === undefined ? [] : [countOf(line, counter)];
  });
}
