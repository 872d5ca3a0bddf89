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

/** Counts of a map's elements; each says its number in its comment. */
function elementCounts(map: ListedMap, lines: readonly (PlanLine | undefined)[]): LineCount[] {
  return (map.elem ?? []).flatMap(([{ elem }]) => {
    const line = lines[Number.parseInt(elem?.comment ?? "", 10)];
    return line === undefined || elem?.counter === undefined ? [] : countOf(line, elem.counter);
  });
}

function countOf({ origin, action }: PlanLine, { packets, bytes }: Counter): LineCount {
  return { ...origin, action: action.kind, packets, bytes };
}

/**
 * Reads the counters out of a listing.
 *
 * @param json - our table, as libnftables lists it
 * @param counted - see PlanText
 */
export function readCounts(
  json: string,
  counted: ReadonlyMap<string, readonly (PlanLine | undefined)[]>,
): LineCount[] {
  const places = new Map<string, number>();
  return (JSON.parse(json) as Listing).nftables.flatMap(({ rule, map }) => {
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
