/**
 * The small language in which rules and settings declare their arguments.
 *
 * A declaration is made once and serves three readers: the validator (with positions and all errors at once),
 * the JSON Schema for editors, and the manual. A {@link ValueType} says what a value may be, an
 * {@link Argument} what it means and whether it must be given.
 */
import { type JsonValue, kindWords } from "./document.ts";
import type { ProblemList } from "./problem.ts";
import { didYouMean } from "./suggestion.ts";

/** A JSON Schema, or a part of one. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** Looks up the names of this system's users and groups. */
export interface UserLookup {
  /** @returns the user's id, `undefined` when there is no such user */
  userId(name: string): number | undefined;
  /** @returns the group's id, `undefined` when there is no such group */
  groupId(name: string): number | undefined;
}

/** What reading a value needs besides the value. */
export interface Reading {
  readonly problems: ProblemList;
  /** PyWall compatibility: what PyWall loads although it never matches is a warning. */
  readonly lenient: boolean;
  /** Absent where names of users cannot be looked up. */
  readonly users: UserLookup | undefined;
  /** Names of the tables that the file declares. */
  readonly tables: readonly string[];
  /** Names of the protocols that can be recognised. */
  readonly protocols: readonly string[];
}

/** What a value may be. */
export interface ValueType<T> {
  /** For messages and the manual, such as `an integer from 0 to 65535`. */
  readonly words: string;
  readonly schema: JsonSchema;
  /** Present when the value is an object: what its members may be. */
  readonly members?: ArgumentSet;
  /** @returns the value, or `undefined` when it is none and the problem has been reported */
  read(value: JsonValue, reading: Reading): T | undefined;
}

/** One argument of a rule, or one setting. */
export interface Argument<T> {
  /** What it means, in one sentence. */
  readonly summary: string;
  readonly type: ValueType<NonNullable<T>>;
  readonly required: boolean;
  /** What holds when it is not given. */
  readonly fallback: T | undefined;
}

/** Arguments by name. */
export type ArgumentSet = { readonly [name: string]: Argument<unknown> };

/** The values that a set of arguments yields. */
export type ArgumentValues<S extends ArgumentSet> = {
  readonly [Name in keyof S]: S[Name] extends Argument<infer T> ? T : never;
};

/** An argument that must be given. */
export function required<T>(type: ValueType<NonNullable<T>>, summary: string): Argument<NonNullable<T>> {
  return { summary, type, required: true, fallback: undefined };
}

/** An argument that may be left out; its value is then `undefined`. */
export function optional<T>(
  type: ValueType<NonNullable<T>>,
  summary: string,
): Argument<NonNullable<T> | undefined> {
  return { summary, type, required: false, fallback: undefined };
}

/** An argument that may be left out; its value is then `fallback`. */
export function withDefault<T>(
  type: ValueType<NonNullable<T>>,
  fallback: NonNullable<T>,
  summary: string,
): Argument<NonNullable<T>> {
  return { summary, type, required: false, fallback };
}

/** Reports that a value is of the wrong kind. */
export function reportWrongType(value: JsonValue, words: string, reading: Reading): undefined {
  reading.problems.error(value, "wrong-type", `expected ${words}, found ${kindWords(value)}`);
  return undefined;
}

/** Bounds of a number, both included. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

function readNumber(
  value: JsonValue,
  type: ValueType<number>,
  bounds: Bounds,
  reading: Reading,
): number | undefined {
  const { scalar } = value;
  if (typeof scalar !== "number") return reportWrongType(value, type.words, reading);
  if (scalar >= bounds.min && scalar <= bounds.max) return scalar;
  reading.problems.error(value, "out-of-range", `${scalar} is out of range: expected ${type.words}`);
  return undefined;
}

/** A whole number within bounds. */
export function integer(bounds: Bounds, unit = ""): ValueType<number> {
  const type: ValueType<number> = {
    words: `an integer from ${bounds.min} to ${bounds.max}${unit && ` ${unit}`}`,
    schema: { type: "integer", minimum: bounds.min, maximum: bounds.max },
    read(value, reading) {
      if (typeof value.scalar === "number" && !Number.isInteger(value.scalar)) {
        return reportWrongType(value, type.words, reading);
      }
      return readNumber(value, type, bounds, reading);
    },
  };
  return type;
}

/** A number within bounds; fractions are allowed. */
export function decimal(bounds: Bounds, unit = ""): ValueType<number> {
  const type: ValueType<number> = {
    words: `a number from ${bounds.min} to ${bounds.max}${unit && ` ${unit}`}`,
    schema: { type: "number", minimum: bounds.min, maximum: bounds.max },
    read: (value, reading) => readNumber(value, type, bounds, reading),
  };
  return type;
}

/** `true` or `false`. */
export const flag: ValueType<boolean> = {
  words: "true or false",
  schema: { type: "boolean" },
  read(value, reading) {
    return typeof value.scalar === "boolean" ? value.scalar : reportWrongType(value, flag.words, reading);
  },
};

/** Any string of at most `longest` UTF-16 units. */
export function text(longest = 256): ValueType<string> {
  const type: ValueType<string> = {
    words: `a string of at most ${longest} characters`,
    schema: { type: "string", maxLength: longest },
    read(value, reading) {
      const { scalar } = value;
      if (typeof scalar !== "string" || scalar.length > longest)
        return reportWrongType(value, type.words, reading);
      return scalar;
    },
  };
  return type;
}

/** One of several words, case-sensitive. */
export function choice<const T extends string>(words: readonly T[]): ValueType<T> {
  const type: ValueType<T> = {
    words: words.map((word) => `"${word}"`).join(" or "),
    schema: { enum: words },
    read(value, reading) {
      const { scalar } = value;
      const word = words.find((candidate) => candidate === scalar);
      if (word !== undefined) return word;
      const hint = typeof scalar === "string" ? didYouMean(scalar, words) : "";
      reading.problems.error(
        value,
        "wrong-type",
        `expected ${type.words}, found ${kindWords(value)}.${hint}`,
      );
      return undefined;
    },
  };
  return type;
}

/** Least and greatest number of elements. */
export interface ListBounds {
  readonly min?: number;
  readonly max?: number;
}

/** A list of values of one type. */
export function listOf<T>(item: ValueType<T>, bounds: ListBounds = {}): ValueType<readonly T[]> {
  const { min = 0, max = 4096 } = bounds;
  const type: ValueType<readonly T[]> = {
    words: `a list of ${min} to ${max} elements, each ${item.words}`,
    schema: { type: "array", items: item.schema, minItems: min, maxItems: max },
    read(value, reading) {
      if (value.kind !== "array") return reportWrongType(value, type.words, reading);
      if (value.items.length < min || value.items.length > max) {
        const found = `${value.items.length} elements`;
        reading.problems.error(value, "out-of-range", `expected ${min} to ${max} elements, found ${found}`);
        return undefined;
      }
      const items = value.items.map((entry) => item.read(entry, reading));
      return items.every((entry) => entry !== undefined) ? items : undefined;
    },
  };
  return type;
}

/** A list of exactly two values, each of its own type. */
export function pairOf<A, B>(first: ValueType<A>, second: ValueType<B>): ValueType<readonly [A, B]> {
  const type: ValueType<readonly [A, B]> = {
    words: `a pair [${first.words}, ${second.words}]`,
    schema: { type: "array", prefixItems: [first.schema, second.schema], minItems: 2, maxItems: 2 },
    read(value, reading) {
      const [a, b] = value.items;
      if (a === undefined || b === undefined || value.items.length > 2) {
        return reportWrongType(value, type.words, reading);
      }
      const one = first.read(a, reading);
      const two = second.read(b, reading);
      return one === undefined || two === undefined ? undefined : [one, two];
    },
  };
  return type;
}
