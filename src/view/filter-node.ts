/**
 * A filter as a tree: what the parser makes of text, and what predicates and the kernel's filters are made
 * of.
 */
import type { Family, Prefix } from "../base/index.ts";
import type { StateDirection, StateSource } from "./state.ts";

/** pf's operators for ports; they serve all numbers. */
export const COMPARISONS = ["=", "!=", "<", "<=", ">", ">=", "><", "<>", ":"] as const;

/** One of {@link COMPARISONS}. */
export type Comparison = (typeof COMPARISONS)[number];

/** What a number is compared with. `high` is used by the three operators with two numbers. */
export interface NumberMatch {
  readonly comparison: Comparison;
  readonly low: number;
  readonly high: number;
}

/** Which end is meant: by where it is, by who spoke first, or either. */
export type FilterEnd = "local" | "remote" | "from" | "to" | "either";

/** Numbers that can be compared. */
export type NumberField = "age" | "expires" | "packets" | "bytes" | "user" | "zone";

/** Yes-or-no questions. */
export type FlagField = "translated" | "offloaded" | "sloppy" | "half-open" | "established";

/** Texts that must be equal, or fit a pattern with `*`. */
export type TextField = "interface" | "chain" | "label" | "application" | "serverName";

/** One condition, or several joined. */
export type FilterNode =
  | { readonly kind: "all" }
  | { readonly kind: "and" | "or"; readonly nodes: readonly FilterNode[] }
  | { readonly kind: "not"; readonly node: FilterNode }
  | { readonly kind: "protocol"; readonly protocol: number }
  | { readonly kind: "family"; readonly family: Family }
  | { readonly kind: "direction"; readonly direction: StateDirection }
  | { readonly kind: "source"; readonly source: StateSource }
  | {
      readonly kind: "end";
      readonly end: FilterEnd;
      readonly negated: boolean;
      readonly prefix: Prefix | undefined;
      readonly port: NumberMatch | undefined;
    }
  | { readonly kind: "number"; readonly field: NumberField; readonly match: NumberMatch }
  | { readonly kind: "text"; readonly field: TextField; readonly pattern: string }
  | { readonly kind: "rule"; readonly index: number }
  | { readonly kind: "level"; readonly local: string; readonly remote: string; readonly either: boolean }
  | { readonly kind: "mark"; readonly value: number; readonly mask: number }
  | { readonly kind: "id"; readonly id: string }
  | { readonly kind: "flag"; readonly flag: FlagField };
