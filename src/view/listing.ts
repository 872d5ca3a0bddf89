/** States for people: aligned columns, sizes and spans in short words, colour where it helps. */
import { averageRate, type RateOf, totalBytes, totalPackets } from "./order.ts";
import { STATE_END, type State } from "./state.ts";
import { endText, interfaceText, levelsText } from "./verbose.ts";

/** How a list looks. */
export interface ListingOptions {
  /** Whether to colour; true only for a terminal. */
  readonly colour?: boolean;
  /** Cuts lines at this many columns; not cut when left out. */
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

const GAP = "  ";

const ESCAPE = "\u001b[";
const RESET = `${ESCAPE}0m`;
const COLOUR = { title: "1", open: "32", opening: "33", closing: "90", none: "" } as const;

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

/** Puts cells side by side and takes trailing blanks off. */
function lineOf(cells: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((cell, at) =>
    COLUMNS[at]?.right === true ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
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
  const rateOf = options.rateOf ?? averageRate;
  const titles = COLUMNS.map(({ title }) => title);
  const rows = states.map((state) => COLUMNS.map(({ text }) => text(state, rateOf)));
  const widths = titles.map((title, at) =>
    rows.reduce((widest, row) => Math.max(widest, row[at]?.length ?? 0), title.length),
  );
  const finish = (line: string, colour: string): string => {
    const cut = options.width === undefined ? line : line.slice(0, options.width);
    return options.colour === true && colour !== "" ? `${ESCAPE}${colour}m${cut}${RESET}` : cut;
  };
  const body = rows.map((row, at) => {
    const state = states[at];
    return finish(lineOf(row, widths), state === undefined ? COLOUR.none : colourOf(state));
  });
  return [finish(lineOf(titles, widths), COLOUR.title), ...body];
}
