import type { Repository } from "./repository.ts";

/** Something that breaks a rule of docs/STYLE.md. */
export interface Finding {
  /** Name of the rule, as docs/STYLE.md gives it. */
  readonly rule: string;
  readonly path: string;
  /** Line number, counted from 1. */
  readonly line: number;
  /** What to do about it. */
  readonly fix: string;
}

/** A rule looks at the whole repository and returns what breaks it. */
export type Rule = (repository: Repository) => Finding[];
