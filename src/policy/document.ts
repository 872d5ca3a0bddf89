/**
 * A JSON text with comments, read into values that know their place.
 *
 * Comments and trailing commas are accepted, since people explain their rules. Everything else is strict:
 * what the parser would repair by guessing is an error here.
 */
import {
  createScanner,
  type Node,
  type ParseError,
  type ParseErrorCode,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";
import type { Place, ProblemList } from "./problem.ts";

/** Deepest nesting that is read. The format needs five levels; the parser beneath recurses. */
const DEEPEST = 64;

/** One `"name": value` of an object. */
export interface JsonMember extends Place {
  readonly name: string;
  readonly value: JsonValue;
}

/** A JSON value with its place. */
export interface JsonValue extends Place {
  readonly kind: "object" | "array" | "string" | "number" | "boolean" | "null";
  /** The value itself when it is a string, a number or a boolean, otherwise null. */
  readonly scalar: string | number | boolean | null;
  /** Elements of an array. */
  readonly items: readonly JsonValue[];
  /** Members of an object in the order of the file. */
  readonly members: readonly JsonMember[];
}

const SYNTAX_WORDS: Readonly<Record<string, string>> = {
  InvalidSymbol: "this is no JSON value; strings need double quotes",
  InvalidNumberFormat: "this is no JSON number",
  PropertyNameExpected: "a member name in double quotes is missing here",
  ValueExpected: "a value is missing here",
  ColonExpected: "a colon is missing here",
  CommaExpected: "a comma is missing here",
  CloseBraceExpected: "a closing brace } is missing here",
  CloseBracketExpected: "a closing bracket ] is missing here",
  EndOfFileExpected: "the policy ends before this: a file holds exactly one JSON value",
  UnexpectedEndOfComment: "this comment is not closed",
  UnexpectedEndOfString: "this string is not closed",
  UnexpectedEndOfNumber: "this number is not complete",
  InvalidUnicode: "this Unicode escape is not complete",
  InvalidEscapeCharacter: "this escape is unknown; a backslash itself is written \\\\",
  InvalidCharacter: "a control character must be escaped",
  InvalidCommentToken: "comments are // to the end of the line or /* to */",
};

/** Path of an object's member: `.name` when that is a plain word, `["name"]` otherwise. */
function memberPath(parent: string, name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? `${parent}.${name}` : `${parent}[${JSON.stringify(name)}]`;
}

/** True when brackets and braces nest deeper than {@link DEEPEST} anywhere. */
function nestsTooDeep(text: string): number | undefined {
  const scanner = createScanner(text, true);
  let depth = 0;
  // Token numbers of the scanner: 1 and 3 open, 2 and 4 close, 17 ends the file.
  for (let token: number = scanner.scan(); token !== 17; token = scanner.scan()) {
    if (token === 1 || token === 3) depth += 1;
    else if (token === 2 || token === 4) depth -= 1;
    if (depth > DEEPEST) return scanner.getTokenOffset();
  }
  return undefined;
}

const NO_ITEMS: readonly JsonValue[] = [];
const NO_MEMBERS: readonly JsonMember[] = [];

class TreeReader {
  readonly #problems: ProblemList;

  constructor(problems: ProblemList) {
    this.#problems = problems;
  }

  /** Values are many, so each is made in one piece and holds no empty list of its own. */
  read(node: Node, path: string): JsonValue {
    const { offset: at, type } = node;
    switch (type) {
      case "object":
        return { at, path, kind: type, scalar: null, items: NO_ITEMS, members: this.#members(node, path) };
      case "array":
        return { at, path, kind: type, scalar: null, items: this.#items(node, path), members: NO_MEMBERS };
      case "string":
      case "number":
      case "boolean": {
        const scalar = node.value as string | number | boolean;
        return { at, path, kind: type, scalar, items: NO_ITEMS, members: NO_MEMBERS };
      }
      default:
        return { at, path, kind: "null", scalar: null, items: NO_ITEMS, members: NO_MEMBERS };
    }
  }

  #items(node: Node, path: string): JsonValue[] {
    return (node.children ?? []).map((child, index) => this.read(child, `${path}[${index}]`));
  }

  #members(node: Node, path: string): JsonMember[] {
    const members: JsonMember[] = [];
    const seen = new Set<string>();
    for (const property of node.children ?? []) {
      const [key, value] = property.children ?? [];
      if (key === undefined || value === undefined) continue;
      const name = String(key.value);
      const own = memberPath(path, name);
      const member = { name, at: key.offset, path: own, value: this.read(value, own) };
      if (seen.has(name)) {
        this.#problems.error(
          member,
          "duplicate-key",
          `"${name}" stands here a second time: remove one of the two`,
        );
      }
      seen.add(name);
      members.push(member);
    }
    return members;
  }
}

/** Errors after which the tree is still what the author meant. */
function isHarmless(code: ParseErrorCode): boolean {
  return printParseErrorCode(code) === "CommaExpected";
}

/** Reports the errors; true when the tree can be relied on all the same. */
function reportSyntax(errors: readonly ParseError[], problems: ProblemList): boolean {
  let reliable = true;
  let reportedTo = -1;
  for (const { error, offset, length } of errors) {
    reliable &&= isHarmless(error);
    // The parser complains about what follows a word it has not understood as well.
    if (offset <= reportedTo) continue;
    reportedTo = offset + length;
    const name = printParseErrorCode(error);
    problems.error({ at: offset, path: "$" }, "syntax", SYNTAX_WORDS[name] ?? `not JSON (${name})`);
  }
  return reliable;
}

/**
 * Reads a JSON text. Never throws.
 *
 * @param text - the text; a byte order mark at its start is ignored
 * @param problems - takes the syntax errors and duplicate keys
 * @returns the value, or `undefined` when the text is too broken to say more about it
 */
export function readDocument(text: string, problems: ProblemList): JsonValue | undefined {
  const clean = text.startsWith("\uFEFF") ? ` ${text.slice(1)}` : text;
  const tooDeep = nestsTooDeep(clean);
  if (tooDeep !== undefined) {
    problems.error({ at: tooDeep, path: "$" }, "too-deep", `nested deeper than ${DEEPEST} levels`);
    return undefined;
  }
  const errors: ParseError[] = [];
  const tree = parseTree(clean, errors, { allowTrailingComma: true });
  const reliable = reportSyntax(errors, problems);
  if (tree === undefined) {
    if (errors.length === 0) problems.error({ at: 0, path: "$" }, "syntax", "the file is empty");
    return undefined;
  }
  return reliable ? new TreeReader(problems).read(tree, "$") : undefined;
}

/** Words for what a value is, for messages. */
export function kindWords(value: JsonValue): string {
  switch (value.kind) {
    case "object":
      return "an object";
    case "array":
      return "a list";
    case "null":
      return "null";
    default:
      return `the ${value.kind} ${JSON.stringify(value.scalar)?.slice(0, 60)}`;
  }
}
