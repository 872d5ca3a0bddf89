/** Reads a whole object of arguments: each by its type, the missing and the unknown ones by name. */
import type { Argument, ArgumentSet, ArgumentValues, JsonSchema, Reading, ValueType } from "./argument.ts";
import { reportWrongType } from "./argument.ts";
import type { JsonMember, JsonValue } from "./document.ts";
import { didYouMean } from "./suggestion.ts";

/** What is said of members that no argument declares. */
export interface UnknownMembers {
  /** Names that are read elsewhere. */
  readonly known: readonly string[];
  /** Called for every member that is neither declared nor known. */
  report(member: JsonMember, suggestion: string): void;
}

/** `undefined` stands for a value that could not be read and was reported. */
function readArgument(
  argument: Argument<unknown>,
  member: JsonMember | undefined,
  reading: Reading,
): unknown {
  // PyWall's defaults are null, so a file may say null where it means nothing.
  const absent = member === undefined || (member.value.kind === "null" && !argument.required);
  return absent ? argument.fallback : argument.type.read(member.value, reading);
}

/**
 * Reads the members of an object as arguments.
 *
 * @param object - a value of kind object
 * @param declared - the arguments it may have
 * @param reading - takes the problems
 * @param unknown - what else may stand in the object, and what to do with the rest
 * @returns the values, or `undefined` when one of them is missing or wrong
 */
export function readArguments<S extends ArgumentSet>(
  object: JsonValue,
  declared: S,
  reading: Reading,
  unknown: UnknownMembers,
): ArgumentValues<S> | undefined {
  const before = reading.problems.errors;
  const values: [string, unknown][] = [];
  for (const [name, argument] of Object.entries(declared)) {
    const member = object.members.find((entry) => entry.name === name);
    if (member === undefined && argument.required) {
      reading.problems.error(object, "missing-argument", `"${name}" is missing: ${argument.summary}`);
    }
    values.push([name, readArgument(argument, member, reading)]);
  }
  const names = [...Object.keys(declared), ...unknown.known];
  for (const member of object.members) {
    if (!names.includes(member.name)) unknown.report(member, didYouMean(member.name, names));
  }
  return reading.problems.errors === before ? (Object.fromEntries(values) as ArgumentValues<S>) : undefined;
}

/** JSON Schema of one argument. */
export function argumentSchema(argument: Argument<unknown>): JsonSchema {
  const { summary, type, fallback } = argument;
  const base = { description: summary, ...type.schema };
  return fallback === undefined || typeof fallback === "object" ? base : { ...base, default: fallback };
}

/** JSON Schema of each argument, by name. */
export function argumentSchemas(declared: ArgumentSet): Record<string, JsonSchema> {
  return Object.fromEntries(
    Object.entries(declared).map(([name, argument]) => [name, argumentSchema(argument)]),
  );
}

/** Names of the arguments that must be given. */
export function requiredNames(declared: ArgumentSet): string[] {
  return Object.keys(declared).filter((name) => declared[name]?.required);
}

/** An object whose members are declared like arguments. */
export function objectOf<S extends ArgumentSet>(declared: S, noun: string): ValueType<ArgumentValues<S>> {
  const type: ValueType<ArgumentValues<S>> = {
    words: `an object of ${noun}s`,
    members: declared,
    schema: {
      type: "object",
      properties: argumentSchemas(declared),
      required: requiredNames(declared),
      additionalProperties: false,
    },
    read(value, reading) {
      if (value.kind !== "object") return reportWrongType(value, type.words, reading);
      return readArguments(value, declared, reading, {
        known: [],
        report: (member, suggestion) =>
          reading.problems.error(
            member,
            "unknown-setting",
            `there is no ${noun} "${member.name}".${suggestion}`,
          ),
      });
    },
  };
  return type;
}
