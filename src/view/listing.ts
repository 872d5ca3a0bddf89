/** States for people: aligned columns, sizes and spans in short words, colour where it helps. */
import { averageRate, type RateOf, totalBytes, totalPackets } from "./order.ts";
import { STATE_END, type State } from "./state.ts";
import { endText, interfaceText, levelsText } from "./verbose.ts";

/** How a list looks. */
export interface ListingOptions {
  /** Whether to colour; true only for a terminal. */
  readonly colour?: boolean;
  /** Columns of the screen: columns of the list are left out until lines fit, then lines are cut. */
  readonly width?: number;
  /** How fast a state is, in bytes per second; over its whole life when left out. */
  readonly rateOf?: RateOf;
}

interface Column {
  readonly title: string;
  readonly right?: boolean;
  readonly text: (state: State, rateOf: RateOf) => string;
}

const COLUMNS: readonly Column[] = [
  { title: "IF", text: interfaceText },
  { title: "PROTO", text: (state) => state.protocolName },
  { title: "LOCAL", text: (state) => sideText(state, STATE_END.LOCAL) },
  { title: "", text: (state) => (state.direction === "out" ? "->" : "<-") },
  { title: "REMOTE", text: (state) => sideText(state, STATE_END.REMOTE) },
  { title: "STATE", text: levelsText },
  { title: "AGE", right: true, text: (state) => (state.ageMs === null ? "-" : spanText(state.ageMs)) },
  {
    title: "EXPIRES",
    right: true,
    text: (state) => (state.expiresInMs === null ? "-" : spanText(state.expiresInMs)),
  },
  {
    title: "PKTS",
    right: true,
    text: (state) => (state.packets === null ? "-" : sizeText(totalPackets(state), 1000)),
  },
  {
    title: "BYTES",
    right: true,
    text: (state) => (state.bytes === null ? "-" : sizeText(totalBytes(state), 1024)),
  },
  {
    title: "RATE",
    right: true,
    text: (state, rateOf) => (state.bytes === null ? "-" : `${sizeText(rateOf(state), 1024)}/s`),
  },
  { title: "RULE", text: ruleText },
  { title: "NOTES", text: notesText },
];

/** Titles of the columns that are left out one after the other where lines would not fit. */
const EXPENDABLE = ["NOTES", "RULE", "EXPIRES", "IF", "AGE", "PKTS", "STATE", "BYTES"];

const GAP = "  ";

const ESCAPE = "\u001b[";
const RESET = `${ESCAPE}0m`;
const COLOUR = { title: "1", open: "32", opening: "33", closing: "90" } as const;

/** One end, with the other side of translation behind a slash when it differs. */
function sideText(state: State, end: number): string {
  const far = endText(state.nk, end);
  const near = endText(state.sk, end);
  return far === near ? far : `${far}/${near}`;
}

function ruleText({ rule }: State): string {
  if (rule === null) return "-";
  return `${rule.chain}:${rule.index ?? "default"}${rule.label === "" ? "" : ` "${rule.label}"`}`;
}

function notesText(state: State): string {
  const notes = [
    state.application,
    state.serverName,
    state.userId === null ? "" : `uid ${state.userId}`,
    state.offload === "none" ? "" : `offloaded: ${state.offload}`,
    state.flags.sloppy ? "sloppy" : "",
    state.nk.zone === 0 ? "" : `zone ${state.nk.zone}`,
    state.source,
  ];
  return printable(notes.filter((note) => note !== "").join(", "));
}

/** A server's name comes off the wire: nothing in it may steer the terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a1-\uffff]/g, "?");
}

/** A number in at most four digits and a unit: 950, 9.3K, 1.5M. @param base - 1000 or 1024 */
export function sizeText(value: number, base: 1000 | 1024): string {
  let scaled = value;
  let unit = 0;
  while (Math.round(scaled) >= base && unit < 5) {
    scaled /= base;
    unit += 1;
  }
  const digits = unit > 0 && scaled < 9.95 ? scaled.toFixed(1) : String(Math.round(scaled));
  return digits + "BKMGTP".charAt(unit).replace("B", "");
}

/** A span in its two largest units: 58s, 3m12s, 2h05m, 4d07h. */
export function spanText(spanMs: number): string {
  const seconds = Math.floor(spanMs / 1000);
  const pair = (large: number, unit: string, small: number, smallUnit: string): string =>
    `${large}${unit}${String(small).padStart(2, "0")}${smallUnit}`;
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return pair(Math.floor(seconds / 60), "m", seconds % 60, "s");
  if (seconds < 86_400) return pair(Math.floor(seconds / 3600), "h", Math.floor(seconds / 60) % 60, "m");
  return pair(Math.floor(seconds / 86_400), "d", Math.floor(seconds / 3600) % 24, "h");
}

/** How far a state has come, as a colour: open, opening, closing. */
function colourOf({ src, dst }: State): string {
  const names = [src.levelName, dst.levelName];
  if (names.every((name) => name === "ESTABLISHED" || name === "MULTIPLE")) return COLOUR.open;
  const opening = ["SYN_SENT", "SYN_RCVD", "SINGLE", "NO_TRAFFIC", "LISTEN"];
  return names.some((name) => opening.includes(name)) ? COLOUR.opening : COLOUR.closing;
}

/** One column of a list, as text. */
interface Filled {
  readonly column: Column;
  readonly cells: readonly string[];
  readonly width: number;
}

function fill(column: Column, states: readonly State[], rateOf: RateOf): Filled {
  const cells = states.map((state) => column.text(state, rateOf));
  const width = cells.reduce((widest, cell) => Math.max(widest, cell.length), column.title.length);
  return { column, cells, width };
}

/** Leaves columns out until the others fit. */
function fitting(filled: readonly Filled[], room: number): readonly Filled[] {
  let left = filled;
  for (const title of EXPENDABLE) {
    const needed = left.reduce((sum, { width }) => sum + width + GAP.length, -GAP.length);
    if (needed <= room) break;
    left = left.filter(({ column }) => column.title !== title);
  }
  return left;
}

/** Puts cells side by side and takes trailing blanks off. */
function lineOf(filled: readonly Filled[], textOf: (one: Filled) => string): string {
  const padded = filled.map((one) =>
    one.column.right === true ? textOf(one).padStart(one.width) : textOf(one).padEnd(one.width),
  );
  return padded.join(GAP).trimEnd();
}

/**
 * Prints states as a table with a heading.
 *
 * @param states - in the order in which they shall stand
 * @returns lines without line ends; the heading alone when there are none
 */
export function listingLines(states: readonly State[], options: ListingOptions = {}): string[] {
  const { width = Number.POSITIVE_INFINITY, rateOf = averageRate } = options;
  const filled = fitting(
    COLUMNS.map((column) => fill(column, states, rateOf)),
    width,
  );
  const finish = (line: string, colour: string): string => {
    const cut = line.slice(0, width);
    return options.colour === true ? `${ESCAPE}${colour}m${cut}${RESET}` : cut;
  };
  const body = states.map((state, at) =>
    finish(
      lineOf(filled, ({ cells }) => cells[at] ?? ""),
      colourOf(state),
    ),
  );
  const title = lineOf(filled, ({ column }) => column.title);
  return [finish(title, COLOUR.title), ...body];
}
