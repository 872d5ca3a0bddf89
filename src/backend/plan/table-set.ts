/**
 * An address table in the kernel: for each family two sets of ranges beside the chains of a plan.
 *
 * In a table the longest entry that covers an address decides, and sets of ranges know no longer and shorter:
 * so the table is told as what follows from its entries. The set `in` holds the addresses that are surely in
 * the table; the set `ask` those whose entry ends by itself at some time, about which only userspace knows at
 * any moment. A table that makes more ranges than {@link RANGES_MAX} is asked in userspace altogether.
 */
import { type AddressWords, type Family, familyBits } from "../../base/index.ts";
import { addressText, type KeyRange, wordsToNumber } from "./line-run.ts";

/** Most ranges of a table that the kernel is told; a change of the table costs time with their number. */
export const RANGES_MAX = 65_536;

/** Which of a table's sets. */
export type TableList = "in" | "ask";

/** An entry of a table. */
export interface TableEntryFacts {
  readonly family: Family;
  readonly words: AddressWords;
  /** Length of its prefix, in bits. */
  readonly length: number;
  readonly negated: boolean;
  /** Present when it ends by itself. */
  readonly deadline?: number;
}

/** What is in a table: IPv4 first, by address, shorter prefixes before longer ones. */
export interface TableContents {
  readonly name: string;
  readonly entries: Iterable<TableEntryFacts>;
}

/** A set and what it holds: ranges as nftables writes them. */
export interface TableSetContents {
  readonly set: string;
  readonly ranges: ReadonlySet<string>;
}

interface OpenEntry {
  readonly high: bigint;
  readonly list: TableList | "out";
}

interface ListedRange extends KeyRange {
  readonly list: TableList | "out";
}

function listOf({ negated, deadline }: TableEntryFacts): ListedRange["list"] {
  if (deadline !== undefined) return "ask";
  return negated ? "out" : "in";
}

/** What follows from the entries of one family, in order; neighbours of one list are one range. */
class RangeSweep {
  readonly ranges: ListedRange[] = [];
  readonly #open: OpenEntry[] = [];
  #from = 0n;

  /** Goes on to an entry, which begins behind the one before or within it. */
  enter(low: bigint, high: bigint, list: ListedRange["list"]): void {
    this.#closeBefore(low);
    if (this.#open.length > 0) this.#tell(low - 1n);
    this.#from = low;
    this.#open.push({ high, list });
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
    const list = this.#open.at(-1)?.list ?? "out";
    const low = this.#from;
    this.#from = high + 1n;
    if (low > high || list === "out") return;
    const last = this.ranges.at(-1);
    if (last?.list === list && last.high + 1n === low)
      this.ranges.push({ ...this.ranges.pop(), list, low: last.low, high });
    else this.ranges.push({ list, low, high });
  }
}

function sweep(entries: Iterable<TableEntryFacts>, family: Family): ListedRange[] {
  const found = new RangeSweep();
  for (const entry of entries) {
    if (entry.family !== family) continue;
    const low = wordsToNumber(family, entry.words);
    const size = 1n << BigInt(familyBits(family) - entry.length);
    found.enter(low, low + size - 1n, listOf(entry));
  }
  found.end();
  return found.ranges;
}

const EVERYTHING: Readonly<Record<Family, KeyRange>> = {
  4: { low: 0n, high: (1n << 32n) - 1n },
  6: { low: 0n, high: (1n << 128n) - 1n },
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
      return `\tset ${name} {\n\t\ttype ${type}\n\t\tflags interval\n\t}`;
    }),
  );
}

/** What the sets of a table of a plan shall hold. */
export function tableSetContents(plan: number, { name, entries }: TableContents): TableSetContents[] {
  const all = [...entries];
  const swept = FAMILIES.map((family) => [family, sweep(all, family)] as const);
  const isLarge = swept.reduce((sum, [, ranges]) => sum + ranges.length, 0) > RANGES_MAX;
  return swept.flatMap(([family, ranges]) => {
    const told = isLarge ? [{ ...EVERYTHING[family], list: "ask" as const }] : ranges;
    const text = ({ low, high }: KeyRange): string => {
      const from = addressText(family, low);
      return low === high ? from : `${from}-${addressText(family, high)}`;
    };
    return LISTS.map((list) => ({
      set: tableSetName(plan, name, list, family),
      ranges: new Set(told.filter((range) => range.list === list).map(text)),
    }));
  });
}

/**
 * The commands that lead a set from what it holds to what it shall hold. All that goes goes before anything
 * comes: ranges of a set may not overlap.
 */
export function tableSetChange(
  table: string,
  before: ReadonlySet<string>,
  after: TableSetContents,
): string[] {
  const gone = [...before].filter((range) => !after.ranges.has(range));
  const come = [...after.ranges].filter((range) => !before.has(range));
  const command = (verb: string, ranges: readonly string[]): string[] =>
    ranges.length === 0 ? [] : [`${verb} element inet ${table} ${after.set} { ${ranges.join(", ")} }`];
  const isOther = gone.length > 0 && gone.length === before.size;
  const removal = isOther ? [`flush set inet ${table} ${after.set}`] : command("delete", gone);
  return [...removal, ...command("add", come)];
}
