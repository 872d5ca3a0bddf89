/** What is wrong with a policy file: one record per finding, with its place and what to do about it. */

/** How much a problem matters: an error keeps the policy from being used, a warning does not. */
export type Severity = "error" | "warning";

/** Kinds of problems; stable across releases, so that programs can tell them apart. */
export type ProblemCode =
  | "syntax"
  | "too-deep"
  | "duplicate-key"
  | "wrong-type"
  | "out-of-range"
  | "unknown-rule"
  | "unknown-argument"
  | "unknown-setting"
  | "unknown-chain"
  | "unknown-state"
  | "unknown-user"
  | "unknown-table"
  | "module-unloadable"
  | "table-entry"
  | "table-unreadable"
  | "table-full"
  | "missing-argument"
  | "missing-action"
  | "invalid-argument"
  | "rule-refused"
  | "loop"
  | "too-many-steps"
  | "reserved-chain"
  | "unreachable-chain"
  | "unreachable-rule"
  | "old-name"
  | "ignored-argument"
  | "never-matches"
  | "pywall-difference";

/** A place in a policy file, as people name it. */
export interface ProblemPlace {
  /** JSON path of the value meant, such as `$.INPUT[2].action`. */
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1, in UTF-16 units. */
  readonly column: number;
}

/** One finding. */
export interface Problem extends ProblemPlace {
  readonly severity: Severity;
  readonly code: ProblemCode;
  /** What is wrong and what to do. */
  readonly message: string;
  readonly file: string;
}

/** A place in the file: an offset in UTF-16 units, and the JSON path that leads there. */
export interface Place {
  readonly at: number;
  readonly path: string;
}

/** Turns an offset into a line and a column. */
export class LineIndex {
  readonly #starts: number[] = [0];

  constructor(text: string) {
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#starts.push(at + 1);
  }

  /** Line and column of an offset, both counted from 1. */
  locate(offset: number): { line: number; column: number } {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (this.#starts[low] ?? 0) + 1 };
  }
}

/** Gathers the problems of one file; nothing stops at the first. */
export class ProblemList {
  readonly #file: string;
  readonly #lines: LineIndex;
  readonly #found: { readonly problem: Problem; readonly at: number }[] = [];
  #errors = 0;

  /**
   * @param file - name of the file, as the messages show it
   * @param text - its text
   */
  constructor(file: string, text: string) {
    this.#file = file;
    this.#lines = new LineIndex(text);
  }

  /** Number of errors so far; warnings do not count. */
  get errors(): number {
    return this.#errors;
  }

  /** Line of a place, from 1. */
  lineOf(place: Place): number {
    return this.#lines.locate(place.at).line;
  }

  /** A place as people name it. */
  placeOf(place: Place): ProblemPlace {
    return { path: place.path, ...this.#lines.locate(place.at) };
  }

  /** Adds an error. */
  error(place: Place, code: ProblemCode, message: string): void {
    this.#errors += 1;
    this.#add("error", place, code, message);
  }

  /** Adds a warning. */
  warning(place: Place, code: ProblemCode, message: string): void {
    this.#add("warning", place, code, message);
  }

  /** All problems in the order of the file. */
  sorted(): Problem[] {
    return this.#found.toSorted((a, b) => a.at - b.at).map((entry) => entry.problem);
  }

  #add(severity: Severity, place: Place, code: ProblemCode, message: string): void {
    const problem = { severity, code, message, file: this.#file, ...this.placeOf(place) };
    this.#found.push({ problem, at: place.at });
  }
}

/** One line for a terminal: `policy.json:4:7: error: … ($.INPUT[0].action)`. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, severity, message, path } = problem;
  return `${file}:${line}:${column}: ${severity}: ${message} (${path})`;
}

/** `1 error`, `2 errors`. */
export function countNoun(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
