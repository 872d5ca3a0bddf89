/**
 * Long runs of similar lines as one lookup.
 *
 * Lines that ask for the same parts of a packet and each end its way become a *run*: one map from these parts
 * to verdicts, in which the kernel finds ten thousand lines as fast as ten. They need not stand one behind
 * the other: a line joins an earlier run when no packet fits both it and a line between, for then it does not
 * matter which of the two is asked first. Lines with the same verdict that a packet may both fit keep their
 * order: the first of them counts it.
 *
 * Among lines the first that fits wins; in a map no packet may fit two. Two forms keep that the same:
 *
 * - Lines that ask for one address alone. Networks lie in each other or apart, so what a line adds to those
 *   before it is its network less theirs: a few ranges.
 * - Lines that ask for several parts. A line that lies wholly within an earlier one adds nothing. One that
 *   overlaps an earlier one otherwise begins a new run.
 */
import {
  type AddressWords,
  type Family,
  familyBits,
  formatAddress,
  MAPPED_WORD,
  type Prefix,
} from "../../base/index.ts";
import type { PlanLine } from "./kernel-plan.ts";
import type { KernelTest, Match } from "./kernel-test.ts";

/** Fewest lines that are worth a map. */
const RUN_MIN = 4;

/**
 * Comparisons of lines with those of a run after which it takes no more: a second's work, were each so long.
 */
const COMPARISONS_MAX = 2_000_000;

/** Fields that maps can be asked by. */
type KeyField = "source" | "destination" | "protocol" | "sourcePort" | "destinationPort";

const KEY_FIELDS: readonly KeyField[] = [
  "source",
  "destination",
  "protocol",
  "sourcePort",
  "destinationPort",
];

/** Values of one field, the bounds included. Addresses as numbers of 32 or 128 bits. */
export interface KeyRange {
  readonly low: bigint;
  readonly high: bigint;
}

/** What one line matches in a map: a range of each field of the run. */
export interface RunElement {
  readonly ranges: readonly KeyRange[];
  readonly line: PlanLine;
}

/** Lines that are one lookup. */
export interface LineRun {
  readonly fields: readonly KeyField[];
  /** Of its addresses; 4 when it has none. */
  readonly family: Family;
  readonly elements: readonly RunElement[];
  readonly lines: readonly PlanLine[];
}

/** A line, or many as one. */
export type PlanStep = PlanLine | LineRun;

/** True when a step is a run. */
export function isRun(step: PlanStep): step is LineRun {
  return "elements" in step;
}

type KeyTest = Extract<KernelTest, { field: KeyField }>;

function isAddressField(field: KeyField | undefined): boolean {
  return field === "source" || field === "destination";
}

function isKeyTest(test: KernelTest): test is KeyTest {
  return (KEY_FIELDS as readonly string[]).includes(test.field);
}

/** An address as a number of 32 or 128 bits. */
export function wordsToNumber(family: Family, words: AddressWords): bigint {
  if (family === 4) return BigInt(words[3] ?? 0);
  return words.reduce((number, word) => (number << 32n) | BigInt(word), 0n);
}

/** An address as text, from its number. */
export function addressText(family: Family, number: bigint): string {
  const word = (shift: bigint): number => Number((number >> shift) & 0xffff_ffffn);
  const words =
    family === 4
      ? Uint32Array.of(0, 0, MAPPED_WORD, word(0n))
      : Uint32Array.of(word(96n), word(64n), word(32n), word(0n));
  return formatAddress(family, words);
}

function prefixRange({ family, words, length }: Prefix): KeyRange {
  const low = wordsToNumber(family, words);
  return { low, high: low + (1n << BigInt(familyBits(family) - length)) - 1n };
}

function rangeOf(test: KeyTest): KeyRange | undefined {
  if (test.negated) return undefined;
  if ("prefix" in test) return prefixRange(test.prefix);
  if ("low" in test) return { low: BigInt(test.low), high: BigInt(test.high) };
  const [protocol, ...others] = test.protocols;
  if (protocol === undefined || others.length > 0) return undefined;
  return { low: BigInt(protocol), high: BigInt(protocol) };
}

/** A line that may stand in a run. */
interface Candidate {
  /** Lines of one run have the same. */
  readonly form: string;
  readonly fields: readonly KeyField[];
  readonly family: Family;
  readonly element: RunElement;
}

function familyOf(match: Match): Family | undefined {
  for (const test of match) if ("prefix" in test) return test.prefix.family;
  return undefined;
}

/** True when a line ends the way of its packets, whatever else is known of them. */
function endsAlone({ action, except, meter, knock }: PlanLine): boolean {
  const isEnd = action.kind !== "jump" && action.kind !== "goto" && action.kind !== "return";
  return isEnd && except === undefined && meter === undefined && knock === undefined;
}

/** What a line would be in a run; `undefined` when it cannot be in one. */
function candidateOf(line: PlanLine): Candidate | undefined {
  const { match } = line;
  if (!endsAlone(line) || match.length === 0 || !match.every(isKeyTest)) return undefined;
  const tests = KEY_FIELDS.flatMap((field) => match.filter((test) => test.field === field));
  const fields = tests.map(({ field }) => field);
  if (new Set(fields).size < fields.length || fields.join() === "protocol") return undefined;
  const ranges = tests.map(rangeOf);
  if (!ranges.every((range) => range !== undefined)) return undefined;
  const family = familyOf(match);
  return {
    form: `${family ?? ""} ${fields.join()}`,
    fields,
    family: family ?? 4,
    element: { ranges, line },
  };
}

function overlaps(one: RunElement, other: RunElement): boolean {
  return one.ranges.every(({ low, high }, at) => {
    const range = other.ranges[at];
    return range !== undefined && low <= range.high && high >= range.low;
  });
}

function contains(outer: RunElement, inner: RunElement): boolean {
  return outer.ranges.every(({ low, high }, at) => {
    const range = inner.ranges[at];
    return range !== undefined && low <= range.low && high >= range.high;
  });
}

function keyOf({ ranges }: RunElement): string {
  return ranges.map(({ low, high }) => `${low}-${high}`).join();
}

function isExact({ ranges }: RunElement): boolean {
  return ranges.every(({ low, high }) => low === high);
}

/** Elements in order of the beginnings of one field's ranges; networks there lie in each other or apart. */
class NetworkIndex {
  readonly #sorted: { low: bigint; element: RunElement }[] = [];
  readonly #byRange = new Map<string, RunElement[]>();
  readonly #sizes = new Set<bigint>();

  /** Elements whose network has an address in common with a range. */
  *meeting({ low, high }: KeyRange): Generator<RunElement> {
    const size = high - low + 1n;
    for (const larger of this.#sizes) {
      if (larger > size) yield* this.#byRange.get(`${low - (low % larger)} ${larger}`) ?? [];
    }
    for (let at = this.#place(low); at < this.#sorted.length; at += 1) {
      const entry = this.#sorted[at];
      if (entry === undefined || entry.low > high) return;
      const range = entry.element.ranges[0];
      if (range !== undefined && range.high <= high) yield entry.element;
    }
  }

  add(element: RunElement, { low, high }: KeyRange): void {
    const size = high - low + 1n;
    const key = `${low} ${size}`;
    this.#sizes.add(size);
    this.#byRange.set(key, [...(this.#byRange.get(key) ?? []), element]);
    this.#sorted.splice(this.#place(low), 0, { low, element });
  }

  /** Index of the first entry that does not begin before an address. */
  #place(low: bigint): number {
    let from = 0;
    let to = this.#sorted.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#sorted[middle]?.low ?? 0n) < low) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** True when no packet fits both: in some field that both ask for they have no value in common. */
function areApart(one: Candidate, other: Pick<Candidate, "fields" | "family" | "element">): boolean {
  const { fields, family, element } = one;
  if (fields.some(isAddressField) && other.fields.some(isAddressField) && family !== other.family)
    return true;
  return fields.some((field, at) => {
    const place = other.fields.indexOf(field);
    const range = element.ranges[at];
    const wanted = other.element.ranges[place];
    if (range === undefined || wanted === undefined) return false;
    return range.high < wanted.low || range.low > wanted.high;
  });
}

/** A run that lines may still join: those of its form that may stand before all that came since. */
class OpenRun {
  readonly #form: Candidate;
  readonly #byNetwork: boolean;
  readonly #isAddress: boolean;
  readonly #elements: RunElement[] = [];
  readonly #lines: PlanLine[] = [];
  readonly #keys = new Set<string>();
  /** Elements by network; those behind `#indexed` have yet to be entered. */
  readonly #index = new NetworkIndex();
  #indexed = 0;
  #comparisons = 0;

  constructor(first: Candidate) {
    this.#form = first;
    this.#byNetwork = isAddressField(first.fields[0]);
    this.#isAddress = this.#byNetwork && first.fields.length === 1;
    this.add(first);
  }

  get form(): string {
    return this.#form.form;
  }

  /** Steps that its lines are. */
  get steps(): number {
    return this.#lines.length < RUN_MIN ? this.#lines.length : 1;
  }

  /** Puts a line behind the others. @returns false when it overlaps one of them and must begin a new run */
  add({ element }: Candidate): boolean {
    if (!this.#isAddress) {
      const key = keyOf(element);
      const found = this.#keys.has(key) ? "within" : this.#place(element);
      if (found === "across") return false;
      this.#keys.add(key);
      if (found === "apart") this.#elements.push(element);
    } else this.#elements.push(element);
    this.#lines.push(element.line);
    return true;
  }

  /** True when no packet fits the line and one of these. */
  isApart(line: Candidate): boolean {
    const { fields, family } = this.#form;
    for (const element of this.#meeting(line.fields[0], line.element)) {
      if (!this.#isPatient() || !areApart(line, { fields, family, element })) return false;
    }
    return true;
  }

  close(): PlanStep[] {
    if (this.#lines.length < RUN_MIN) return this.#lines;
    const { fields, family } = this.#form;
    const elements = this.#isAddress ? addedRanges(this.#elements) : this.#elements;
    return [{ fields, family, elements, lines: this.#lines }];
  }

  /** How a line lies to those before it: within one, apart from all, or across one. */
  #place(element: RunElement): "within" | "apart" | "across" {
    for (const earlier of this.#meeting(this.#form.fields[0], element)) {
      if (!this.#isPatient()) return "across";
      if (overlaps(earlier, element)) return contains(earlier, element) ? "within" : "across";
    }
    return "apart";
  }

  /** Counts a comparison. @returns false when there were enough */
  #isPatient(): boolean {
    this.#comparisons += 1;
    return this.#comparisons <= COMPARISONS_MAX;
  }

  /** Elements that may have a packet in common with one whose first field is `field`. */
  #meeting(field: KeyField | undefined, { ranges }: RunElement): Iterable<RunElement> {
    const [range] = ranges;
    if (!this.#byNetwork || field !== this.#form.fields[0] || range === undefined) return this.#elements;
    for (; this.#indexed < this.#elements.length; this.#indexed += 1) {
      const element = this.#elements[this.#indexed];
      const network = element?.ranges[0];
      if (element !== undefined && network !== undefined) this.#index.add(element, network);
    }
    return this.#index.meeting(range);
  }
}

/** A range that is not over yet, while ranges are gone through in order of their beginnings. */
interface OpenRange extends RunElement {
  readonly order: number;
  readonly high: bigint;
}

/**
 * What each of many networks adds to those before it, in order of their beginnings.
 *
 * @param elements - of one field, in order of the lines
 */
function addedRanges(elements: readonly RunElement[]): RunElement[] {
  const sorted = elements
    .map((element, order) => ({
      ...element,
      order,
      low: element.ranges[0]?.low ?? 0n,
      high: element.ranges[0]?.high ?? 0n,
    }))
    .toSorted((one, other) =>
      one.low < other.low ? -1 : one.low > other.low ? 1 : one.high > other.high ? -1 : 1,
    );
  const added: RunElement[] = [];
  const open: OpenRange[] = [];
  let from = 0n;
  /** Ends what is told of the addresses up to one. */
  const tell = (to: bigint): void => {
    const last = open.at(-1);
    if (last !== undefined && from <= to) added.push({ line: last.line, ranges: [{ low: from, high: to }] });
    from = to + 1n;
  };
  const closeUntil = (low: bigint | undefined): void => {
    for (
      let last = open.at(-1);
      last !== undefined && (low === undefined || last.high < low);
      last = open.at(-1)
    ) {
      tell(last.high);
      open.pop();
    }
  };
  for (const element of sorted) {
    closeUntil(element.low);
    const outer = open.at(-1);
    // Within an earlier line's network a later line says nothing.
    if (outer !== undefined && outer.order < element.order) continue;
    if (outer === undefined) from = element.low;
    else tell(element.low - 1n);
    open.push(element);
  }
  closeUntil(undefined);
  return added;
}

/** Lines of a chain as steps. */
export interface GroupedLines {
  readonly steps: readonly PlanStep[];
  /** How many of the lines can be walked in so many steps: all, or those before that many. */
  readonly fitting: number;
}

/**
 * Puts lines that can be looked up together into runs. A line joins an earlier run when no packet fits both
 * it and a line between; all others keep their order.
 *
 * @param stepsMax - see {@link GroupedLines.fitting}
 */
export function groupLines(lines: readonly PlanLine[], stepsMax = Number.POSITIVE_INFINITY): GroupedLines {
  const steps: PlanStep[] = [];
  let open: OpenRun[] = [];
  let count = 0;
  let fitting = 0;
  const close = (): void => {
    for (const run of open) steps.push(...run.close());
    open = [];
  };
  for (const [at, line] of lines.entries()) {
    const candidate = candidateOf(line);
    if (candidate === undefined) {
      close();
      steps.push(line);
      count += 1;
    } else {
      const run = joinableRun(open, candidate);
      const before = run?.steps ?? 0;
      if (run?.add(candidate) === true) count += run.steps - before;
      else {
        open.push(new OpenRun(candidate));
        count += 1;
      }
    }
    if (count <= stepsMax) fitting = at + 1;
  }
  close();
  return { steps, fitting };
}

/** The latest run of a line's form, when the line may stand before all runs behind that. */
function joinableRun(open: readonly OpenRun[], line: Candidate): OpenRun | undefined {
  for (let at = open.length - 1; at >= 0; at -= 1) {
    const run = open[at];
    if (run === undefined || run.form === line.form) return run;
    if (!run.isApart(line)) return undefined;
  }
  return undefined;
}

const FIELD_WORDS: Readonly<Record<KeyField, string>> = {
  source: "saddr",
  destination: "daddr",
  protocol: "meta l4proto",
  sourcePort: "th sport",
  destinationPort: "th dport",
};

/** What a map of the run is asked by, in nftables' words. */
export function runKeyText({ fields, family }: LineRun): string {
  const header = family === 4 ? "ip" : "ip6";
  const words = fields.map((field) =>
    isAddressField(field) ? `${header} ${FIELD_WORDS[field]}` : FIELD_WORDS[field],
  );
  return words.join(" . ");
}

/** True when some element of the run is more than one value. */
export function hasRanges({ elements }: LineRun): boolean {
  return !elements.every(isExact);
}

/** The key of an element, in nftables' words. */
export function elementText({ fields, family }: LineRun, { ranges }: RunElement): string {
  const words = ranges.map(({ low, high }, at) => {
    const field = fields[at];
    const value = (number: bigint): string =>
      isAddressField(field) ? addressText(family, number) : String(number);
    return low === high ? value(low) : `${value(low)}-${value(high)}`;
  });
  return words.join(" . ");
}
