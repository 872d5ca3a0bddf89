/**
 * An address table in the kernel: for each family two sets of ranges beside the chains of a plan.
 *
 * In a table the longest entry that covers an address decides, and sets of ranges know no longer and shorter:
 * so the table is told as what follows from its entries. The set `in` holds the addresses that are surely in
 * the table; the set `ask` those whose entry ends by itself at some time. Of these, what is in the table
 * until then is in `in` too, with a lifetime that ends {@link MARGIN_MS} before: in that last second
 * userspace says which packet is the first that the entry does not meet. The kernel counts lifetimes from
 * when it takes them, so writing them may last as long as that margin and no longer (see withoutLateRanges).
 * A table of more than {@link RANGES_MAX} entries or ranges is asked in userspace altogether.
 */
import { type AddressWords, type Family, familyBits } from "../../base/index.ts";
import { addressText, type KeyRange, wordsToNumber } from "./line-run.ts";

/**
 * Most entries and most ranges of a table that the kernel is told; a change of the table costs time and
 * memory with their number.
 */
export const RANGES_MAX = 65_536;

/** How long before an entry ends by itself userspace is asked about it, in milliseconds. */
export const MARGIN_MS = 1000;

/** Which of a table's sets. */
export type TableList = "in" | "ask";

/** An entry of a table. */
export interface TableEntryFacts {
  readonly family: Family;
  readonly words: AddressWords;
  /** Length of its prefix, in bits. */
  readonly length: number;
  readonly negated: boolean;
  /** When it ends by itself, in milliseconds; absent when it does not. */
  readonly deadline?: number;
}

/** What is in a table. */
export interface TableContents {
  readonly name: string;
  /** How many entries it has. */
  readonly size: number;
  /**
   * IPv4 first, by address, shorter prefixes before longer ones. Not looked at where there are more than
   * {@link RANGES_MAX}.
   */
  readonly entries: Iterable<TableEntryFacts>;
  /** The clock of their deadlines, in milliseconds. */
  readonly clock: () => number;
}

/** A set and what it holds. */
export interface TableSetContents {
  readonly set: string;
  /** Ranges as nftables writes them, each with when it is to end, in milliseconds; 0 when it stays. */
  readonly ranges: ReadonlyMap<string, number>;
  /** When that was, in milliseconds. */
  readonly now: number;
  readonly clock: () => number;
}

interface OpenEntry {
  readonly high: bigint;
  readonly list: ListedRange["list"];
  readonly deadline: number;
}

interface ListedRange extends KeyRange {
  /** `ending`: in the table until the deadline. */
  readonly list: TableList | "out" | "ending";
  /** 0 for none. */
  readonly deadline: number;
}

function listOf({ negated, deadline }: TableEntryFacts): ListedRange["list"] {
  if (deadline !== undefined) return negated ? "ask" : "ending";
  return negated ? "out" : "in";
}

/** What follows from the entries of one family, in order; neighbours of one list are one range. */
class RangeSweep {
  readonly ranges: ListedRange[] = [];
  readonly #open: OpenEntry[] = [];
  #from = 0n;

  /** Goes on to an entry, which begins behind the one before or within it. */
  enter({ low, ...entry }: KeyRange & OpenEntry): void {
    this.#closeBefore(low);
    if (this.#open.length > 0) this.#tell(low - 1n);
    this.#from = low;
    this.#open.push(entry);
  }

  end(): void {
    this.#closeBefore(undefined);
  }

  #closeBefore(low: bigint | undefined): void {
    for (
      let last = this.#open.at(-1);
      last !== undefined && (low === undefined || last.high < low);
      last = this.#open.at(-1)
    ) {
      this.#tell(last.high);
      this.#open.pop();
    }
  }

  #tell(high: bigint): void {
    const { list = "out", deadline = 0 } = this.#open.at(-1) ?? {};
    const low = this.#from;
    this.#from = high + 1n;
    if (low > high || list === "out") return;
    const last = this.ranges.at(-1);
    const isSame = last?.list === list && last.deadline === deadline && last.high + 1n === low;
    if (isSame) this.ranges.pop();
    this.ranges.push({ list, deadline, low: isSame ? last.low : low, high });
  }
}

type FamilyRanges = Readonly<Record<Family, readonly ListedRange[]>>;

function sweep(entries: Iterable<TableEntryFacts>): FamilyRanges {
  const found = { 4: new RangeSweep(), 6: new RangeSweep() };
  for (const entry of entries) {
    const { family, words, length, deadline = 0 } = entry;
    const low = wordsToNumber(family, words);
    const size = 1n << BigInt(familyBits(family) - length);
    found[family].enter({ low, high: low + size - 1n, list: listOf(entry), deadline });
  }
  for (const each of [found[4], found[6]]) each.end();
  return { 4: found[4].ranges, 6: found[6].ranges };
}

const EVERYTHING: FamilyRanges = {
  4: [{ low: 0n, high: (1n << 32n) - 1n, list: "ask", deadline: 0 }],
  6: [{ low: 0n, high: (1n << 128n) - 1n, list: "ask", deadline: 0 }],
};

/** Name of a set of a plan. */
export function tableSetName(plan: number, table: string, list: TableList, family: Family): string {
  return `plan${plan}-${list}-${table}-${family}`;
}

const LISTS: readonly TableList[] = ["in", "ask"];
const FAMILIES: readonly Family[] = [4, 6];

/** The sets of a table, empty, to stand in a table block. */
export function tableSetTexts(plan: number, table: string): string[] {
  return LISTS.flatMap((list) =>
    FAMILIES.map((family) => {
      const type = family === 4 ? "ipv4_addr" : "ipv6_addr";
      const name = tableSetName(plan, table, list, family);
      const flags = list === "in" ? "interval,timeout" : "interval";
      return `\tset ${name} {\n\t\ttype ${type}\n\t\tflags ${flags}\n\t}`;
    }),
  );
}

/** What the sets of a table of a plan shall hold. */
export function tableSetContents(
  plan: number,
  { name, size, entries, clock }: TableContents,
): TableSetContents[] {
  const swept = size > RANGES_MAX ? EVERYTHING : sweep(entries);
  const isLarge = swept[4].length + swept[6].length > RANGES_MAX;
  const now = clock();
  return FAMILIES.flatMap((family) => {
    const told = (isLarge ? EVERYTHING : swept)[family];
    const text = ({ low, high }: KeyRange): string => {
      const from = addressText(family, low);
      return low === high ? from : `${from}-${addressText(family, high)}`;
    };
    const isIn = ({ list, deadline }: ListedRange): boolean =>
      list === "in" || (list === "ending" && deadline > now + MARGIN_MS);
    const sets = {
      in: told.filter(isIn).map((range) => [text(range), range.deadline] as const),
      ask: told
        .filter(({ list }) => list === "ask" || list === "ending")
        .map((range) => [text(range), 0] as const),
    };
    return LISTS.map((list) => ({
      set: tableSetName(plan, name, list, family),
      ranges: new Map(sets[list]),
      now,
      clock,
    }));
  });
}

/**
 * The commands that lead a set from what it holds to what it shall hold. All that goes goes before anything
 * comes: ranges of a set may not overlap. What has ended by itself has left; what may have ended just now
 * cannot be taken out by name, so then the set is emptied.
 */
export function tableSetChange(
  table: string,
  before: ReadonlyMap<string, number>,
  { set, ranges, now }: Omit<TableSetContents, "clock">,
): string[] {
  const hasEnded = (deadline: number): boolean => deadline !== 0 && deadline <= now;
  const gone = [...before].filter(
    ([range, deadline]) => ranges.get(range) !== deadline && !hasEnded(deadline),
  );
  const isEmptied =
    gone.some(([, deadline]) => deadline !== 0) || (gone.length > 0 && gone.length === before.size);
  const come = isEmptied
    ? [...ranges]
    : [...ranges].filter(([range, deadline]) => before.get(range) !== deadline);
  const command = (verb: string, elements: readonly string[]): string[] =>
    elements.length === 0 ? [] : [`${verb} element inet ${table} ${set} { ${elements.join(", ")} }`];
  const removed = gone.map(([range]) => range);
  const added = come.map(([range, deadline]) =>
    deadline === 0 ? range : `${range} timeout ${Math.ceil(deadline - now - MARGIN_MS)}ms`,
  );
  return [
    ...(isEmptied ? [`flush set inet ${table} ${set}`] : command("delete", removed)),
    ...command("add", added),
  ];
}

/**
 * What a set holds when the ranges that end by themselves are taken out again, because writing them took
 * longer than {@link MARGIN_MS}: in the kernel they might outlive their entries. Userspace is asked about
 * them.
 *
 * @param contents - what was written
 * @returns `undefined` when it was written in time
 */
export function withoutLateRanges(contents: TableSetContents): TableSetContents | undefined {
  const { ranges, now, clock } = contents;
  if (clock() - now <= MARGIN_MS) return undefined;
  const lasting = [...ranges].filter(([, deadline]) => deadline === 0);
  return lasting.length === ranges.size ? undefined : { ...contents, ranges: new Map(lasting) };
}
