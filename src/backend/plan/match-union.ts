/**
 * Unions of matches, bounded: packets that fit one of so many.
 *
 * What there is no room for is rounded up, so a union may hold more packets than were put into it, never
 * fewer.
 */
import type { KernelTest, Match } from "./kernel-test.ts";
import { areApart, implies } from "./match-relation.ts";

/** Matches that a union keeps apart. */
const PARTS_MAX = 32;

/** Tests of a match in a union; the last are left out. */
const TESTS_MAX = 8;

function familyTest(test: KernelTest): KernelTest[] {
  return "prefix" in test ? [{ field: "family", family: test.prefix.family }] : [test];
}

/** What is left out first where there are too many matches, and what then. */
const WIDENINGS: readonly ((match: Match) => Match)[] = [
  (match) => match,
  (match) => match.flatMap(familyTest),
  (match) => match.filter(({ field }) => field === "protocol"),
  () => [],
];

/** What others rely on stands before them. */
function rank({ field }: KernelTest): number {
  return field === "protocol" ? 0 : 1;
}

/** A match without tests that follow from others. */
function simplified(match: Match): Match {
  const kept = match.reduce<Match>(
    (tests, test) =>
      implies(tests, [test]) ? tests : [...tests.filter((each) => !implies([test], [each])), test],
    [],
  );
  return kept.toSorted((one, other) => rank(one) - rank(other)).slice(0, TESTS_MAX);
}

/** Packets that fit both; `undefined` when surely none does. */
export function intersection(one: Match, other: Match): Match | undefined {
  return areApart(one, other) ? undefined : simplified([...one, ...other]);
}

/** See above. */
export class MatchUnion {
  #parts: readonly Match[] = [];
  #width = 0;

  /** @param matches - to begin with */
  constructor(matches: readonly Match[] = []) {
    for (const match of matches) this.add(match);
  }

  /** Matches of which every packet of the union fits one; none of them holds another. */
  get parts(): readonly Match[] {
    return this.#parts;
  }

  /** True when every packet that fits a match is surely in it already. */
  has(match: Match): boolean {
    const wide = this.#widened(match);
    return this.#parts.some((part) => implies(wide, part));
  }

  /** Puts packets into it. */
  add(match: Match): void {
    if (this.has(match)) return;
    const wide = this.#widened(match);
    this.#parts = [...this.#parts.filter((part) => !implies(part, wide)), wide];
    if (this.#parts.length <= PARTS_MAX) return;
    const all = this.#parts;
    this.#parts = [];
    this.#width += 1;
    for (const part of all) this.add(part);
  }

  #widened(match: Match): Match {
    return simplified(WIDENINGS[this.#width]?.(match) ?? []);
  }
}
