/** Output for people and for programs: aligned tables, JSON lines, colour only where a person looks. */

/** Where a command writes and what it may assume of the reader. */
export interface Output {
  /** One JSON object a line in place of text. */
  readonly json: boolean;
  /** ANSI colours: only on a terminal, and not when NO_COLOR is set. */
  readonly colour: boolean;
  write(text: string): void;
}

/** How many columns a text takes; the ANSI sequences in it take none. */
function width(text: string): number {
  return text
    .split("\u001b[")
    .reduce((sum, part, at) => sum + part.length - (at === 0 ? 0 : part.indexOf("m") + 1), 0);
}

/**
 * Lays out rows in aligned columns, two spaces apart. The first row is the head.
 *
 * @param rightAligned - indices of the columns that hold numbers
 */
export function alignTable(
  rows: readonly (readonly string[])[],
  rightAligned: readonly number[] = [],
): string {
  // There may be more rows than a call takes arguments.
  const columns = rows.reduce((most, row) => Math.max(most, row.length), 0);
  const widths = Array.from({ length: columns }, (_, at) =>
    rows.reduce((most, row) => Math.max(most, width(row[at] ?? "")), 0),
  );
  const cell = (text: string, at: number): string => {
    const gap = " ".repeat((widths[at] ?? 0) - width(text));
    return rightAligned.includes(at) ? gap + text : text + gap;
  };
  return rows.map((row) => `${row.map(cell).join("  ").trimEnd()}\n`).join("");
}

const COLOURS = { red: 31, green: 32, yellow: 33, cyan: 36, grey: 90, bold: 1 } as const;

/** A colour or weight of text. */
export type Colour = keyof typeof COLOURS;

/** Colours a text when the output may be coloured. */
export function paint(output: Output, colour: Colour, text: string): string {
  return output.colour ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text;
}

/** Characters gathered before they are written: a capture of a million packets is not a million writes. */
const GATHERED_MAX = 65_536;

/** A writer to standard output that gathers small texts; a person sees every line at once. */
function openWriter(live: boolean): (text: string) => void {
  if (live) return (text) => void process.stdout.write(text);
  let gathered = "";
  const flush = (): void => {
    if (gathered !== "") process.stdout.write(gathered);
    gathered = "";
  };
  process.on("exit", flush);
  return (text) => {
    gathered += text;
    if (gathered.length >= GATHERED_MAX) flush();
  };
}

/** What a command asks of its output. */
interface OutputWish {
  /** As the flag said. */
  readonly json?: boolean | undefined;
  /**
   * The command's contract is a JSON line per item: it writes JSON also unasked, unless a person looks on.
   */
  readonly jsonWhenPiped?: boolean;
  /** Lines are of interest when they come, not only in the end. */
  readonly live?: boolean;
}

/** Opens the output of a command. */
export function openOutput(wanted: OutputWish): Output {
  const terminal = process.stdout.isTTY === true;
  return {
    json: wanted.json ?? (wanted.jsonWhenPiped === true && !terminal),
    colour: terminal && process.env["NO_COLOR"] === undefined,
    write: openWriter(terminal || wanted.live === true),
  };
}
