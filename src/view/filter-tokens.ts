/** A filter's text cut into words and signs, each with its place, and the failure that points at one. */
import { FirewallError } from "../base/index.ts";

/** One word, string or sign. */
export interface FilterToken {
  readonly kind: "word" | "string" | "sign" | "end";
  /** The text; of a string what stands between the quotes. */
  readonly text: string;
  /** Place in the filter, counted from 0. */
  readonly at: number;
  readonly length: number;
}

// Longer signs first. A word holds what addresses, names, numbers and ranges are made of.
const TOKEN = /\s*(?:(><|<>|<=|>=|!=|[()!=<>])|"([^"]*)"|([A-Za-z0-9_.:/*%@+-]+))/y;

/**
 * The failure for a filter that cannot be understood. Its message shows the filter and points at the place.
 *
 * @param text - the filter
 * @param token - what is wrong
 * @param message - why
 */
export function filterProblem(
  text: string,
  token: Pick<FilterToken, "at" | "length">,
  message: string,
): FirewallError {
  const line = text.replace(/\s/g, " ");
  const pointer = " ".repeat(token.at) + "^".repeat(Math.max(1, token.length));
  return new FirewallError("FILTER_INVALID", `${message}\n  ${line}\n  ${pointer}`, {
    details: { filter: text, at: token.at, length: token.length, reason: message },
  });
}

/**
 * Cuts a filter into tokens; the last one is the end.
 *
 * @throws {FirewallError} `FILTER_INVALID` at a character that begins none
 */
export function tokenizeFilter(text: string): FilterToken[] {
  const tokens: FilterToken[] = [];
  TOKEN.lastIndex = 0;
  let at = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const [, sign, quoted, word] = match;
    const kind = sign !== undefined ? "sign" : quoted !== undefined ? "string" : "word";
    const value = sign ?? quoted ?? word ?? "";
    const length = quoted === undefined ? value.length : value.length + 2;
    at = TOKEN.lastIndex;
    tokens.push({ kind, text: value, at: at - length, length });
  }
  const rest = text.slice(at);
  const blanks = rest.length - rest.trimStart().length;
  const end = at + blanks;
  if (blanks < rest.length) {
    const reason =
      rest[blanks] === '"' ? "this string does not end" : `a filter has no ${JSON.stringify(rest[blanks])}`;
    throw filterProblem(text, { at: end, length: 1 }, reason);
  }
  return [...tokens, { kind: "end", text: "", at: text.trimEnd().length, length: 1 }];
}
