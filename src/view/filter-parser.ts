/**
 * The language in which states are chosen for lists, kills and watches.
 *
 *     filter  = or                                     the empty filter, and `all`, choose every state
 *     or      = and { "or" and }
 *     and     = not { [ "and" ] not }                  side by side means both
 *     not     = ( "not" | "!" ) not | "(" or ")" | condition
 *
 *     condition:
 *       tcp, udp, icmp, icmp6, sctp …, proto NAME|NUMBER       transport protocol
 *       inet, inet6                                            address family
 *       in, out                                                direction
 *       END [ "!" ] ADDRESS[/LENGTH|/MASK] [ port PORTS ]      END: local, remote, from, to (src, dst), host
 *       END port PORTS, port PORTS                             host, or no END: either end
 *       on INTERFACE   chain NAME (anchor)   label TEXT   rule NUMBER|CHAIN:NUMBER
 *       age SPAN   expires SPAN   bytes SIZE   packets NUMBER  with an operator: age > 5m, bytes >= 10M
 *       app NAME   sni NAME   user NAME|NUMBER   state LEVEL[:LEVEL]
 *       zone NUMBER   mark VALUE[/MASK]   id ID
 *       own, kernel, both, nat, offloaded, sloppy, half-open, established
 *
 *     PORTS: 80   = 80   != 80   < 80   <= 80   > 80   >= 80
 *            80:90 (inclusive)   80 >< 90 (inside)   80 <> 90 (outside)
 *
 * `from` and `to` are who spoke first and who was spoken to, as in pf's kill command; `local` and `remote`
 * are the ends of a state. An address is looked for on both sides of translation. Names may hold `*`. Text
 * with blanks is quoted.
 */
import { Prefix } from "../base/index.ts";
import type { Comparison, FilterEnd, FilterNode, NumberField, NumberMatch } from "./filter-node.ts";
import { COMPARISONS } from "./filter-node.ts";
import { type FilterToken, filterProblem, tokenizeFilter } from "./filter-tokens.ts";
import {
  ENDS,
  FLAGS,
  NUMBER_MAX,
  NUMBERS,
  PORT_MAX,
  SINGLES,
  SIZE_UNITS,
  SPAN_UNITS,
  TEXTS,
} from "./filter-words.ts";
import { isLevelName } from "./level.ts";
import { PROTOCOL_NAMES, protocolNumber } from "./protocol-name.ts";

/** Names that the parser itself does not know. */
export interface FilterNames {
  /** Port of a service, such as 443 for `https`. */
  service?(name: string): number | undefined;
  /** Id of a user. */
  user?(name: string): number | undefined;
}

/**
 * Parses a filter.
 *
 * @param text - the filter, see above
 * @param names - services and users
 * @throws {FirewallError} `FILTER_INVALID` whose message points at the place
 */
export function parseFilter(text: string, names: FilterNames = {}): FilterNode {
  return new FilterParser(text, names).parse();
}

class FilterParser {
  readonly #text: string;
  readonly #names: FilterNames;
  readonly #tokens: readonly FilterToken[];
  #next = 0;

  constructor(text: string, names: FilterNames) {
    this.#text = text;
    this.#names = names;
    this.#tokens = tokenizeFilter(text);
  }

  parse(): FilterNode {
    if (this.#peek().kind === "end") return { kind: "all" };
    const node = this.#or();
    const rest = this.#peek();
    if (rest.kind !== "end") throw this.#problem(rest, `${JSON.stringify(rest.text)} is not expected here`);
    return node;
  }

  #or(): FilterNode {
    const nodes = [this.#and()];
    while (this.#takeWord("or")) nodes.push(this.#and());
    return nodes.length === 1 && nodes[0] !== undefined ? nodes[0] : { kind: "or", nodes };
  }

  #and(): FilterNode {
    const nodes = [this.#not()];
    while (!this.#atBoundary()) {
      this.#takeWord("and");
      nodes.push(this.#not());
    }
    return nodes.length === 1 && nodes[0] !== undefined ? nodes[0] : { kind: "and", nodes };
  }

  /** True where a chain of conditions ends. */
  #atBoundary(): boolean {
    const { kind, text } = this.#peek();
    return kind === "end" || (kind === "sign" && text === ")") || (kind === "word" && lower(text) === "or");
  }

  #not(): FilterNode {
    if (this.#takeWord("not") || this.#takeSign("!")) return { kind: "not", node: this.#not() };
    if (!this.#takeSign("(")) return this.#condition();
    const node = this.#or();
    if (!this.#takeSign(")")) throw this.#problem(this.#peek(), "a closing parenthesis is missing");
    return node;
  }

  #condition(): FilterNode {
    const token = this.#take();
    if (token.kind === "end") throw this.#problem(token, "a condition is missing");
    const key = lower(token.text);
    const single = SINGLES.get(key);
    if (token.kind !== "word") throw this.#problem(token, "a condition begins with a word");
    if (single !== undefined) return single;
    const flag = FLAGS.get(key);
    if (flag !== undefined) return { kind: "flag", flag };
    const end = ENDS.get(key);
    if (end !== undefined) return this.#end(end);
    const field = TEXTS.get(key);
    if (field !== undefined) return { kind: "text", field, pattern: this.#value("a name").text };
    const number = NUMBERS.get(key);
    if (number !== undefined) return this.#number(number);
    return this.#special(key, token);
  }

  #special(key: string, token: FilterToken): FilterNode {
    switch (key) {
      case "port":
        return { kind: "end", end: "either", negated: false, prefix: undefined, port: this.#ports() };
      case "proto":
        return { kind: "protocol", protocol: this.#protocol(this.#value("a protocol")) };
      case "rule":
        return this.#rule();
      case "state":
        return this.#levels();
      case "mark":
        return this.#mark();
      case "id":
        return this.#id();
      default: {
        const protocol = protocolNumber(key);
        if (protocol !== undefined) return { kind: "protocol", protocol };
        throw this.#problem(token, `${JSON.stringify(token.text)} begins no condition`);
      }
    }
  }

  #protocol(token: FilterToken): number {
    const protocol = protocolNumber(token.text) ?? numberIn(token.text, 255);
    if (protocol !== undefined) return protocol;
    const known = PROTOCOL_NAMES.join(", ");
    throw this.#problem(token, `no protocol ${JSON.stringify(token.text)}: known are ${known}, or 0 to 255`);
  }

  #end(end: FilterEnd): FilterNode {
    if (this.#takeWord("port"))
      return { kind: "end", end, negated: false, prefix: undefined, port: this.#ports() };
    const negated = this.#takeSign("!");
    const token = this.#value("an address or `port`");
    const isAny = lower(token.text) === "any";
    const prefix = isAny ? undefined : Prefix.parse(token.text);
    if (!isAny && prefix === undefined) {
      throw this.#problem(token, `${JSON.stringify(token.text)} is no address or network`);
    }
    const port = this.#takeWord("port") ? this.#ports() : undefined;
    return { kind: "end", end, negated, prefix, port };
  }

  #ports(): NumberMatch {
    return this.#match("a port", (token) => {
      const port = numberIn(token.text, PORT_MAX) ?? this.#names.service?.(token.text);
      if (port !== undefined) return port;
      throw this.#problem(token, `${JSON.stringify(token.text)} is no port: 0 to ${PORT_MAX}`);
    });
  }

  #number(field: NumberField): FilterNode {
    return { kind: "number", field, match: this.#match("a number", (token) => this.#amount(field, token)) };
  }

  #amount(field: NumberField, token: FilterToken): number {
    const text = lower(token.text);
    if (field === "age" || field === "expires")
      return this.#scaled(token, SPAN_UNITS, "a span such as 30s, 5m");
    if (field === "bytes") return this.#scaled(token, SIZE_UNITS, "a size such as 1500, 64K, 10M");
    const number = numberIn(text, field === "packets" ? Number.MAX_SAFE_INTEGER : NUMBER_MAX);
    const known = number ?? (field === "user" ? this.#names.user?.(token.text) : undefined);
    if (known !== undefined) return known;
    const what = field === "user" ? "no user known here" : "no number";
    throw this.#problem(token, `${JSON.stringify(token.text)} is ${what}`);
  }

  #scaled(token: FilterToken, units: ReadonlyMap<string, number>, what: string): number {
    const [, digits, unit] = /^(\d+(?:\.\d+)?)([a-z]*)$/.exec(lower(token.text)) ?? [];
    const factor = unit === undefined ? undefined : units.get(unit);
    if (factor !== undefined) return Number(digits) * factor;
    throw this.#problem(token, `${JSON.stringify(token.text)} is not ${what}`);
  }

  /** Reads an operator and its numbers, or a number or range alone. */
  #match(what: string, read: (token: FilterToken) => number): NumberMatch {
    const sign = this.#comparison();
    const first = this.#value(what);
    if (sign !== undefined) {
      const low = read(first);
      return { comparison: sign, low, high: low };
    }
    const [from, to, more] = first.text.split(":");
    if (to !== undefined && more === undefined) {
      const low = read(part(first, 0, from ?? ""));
      return this.#ordered(first, ":", low, read(part(first, (from ?? "").length + 1, to)));
    }
    const low = read(first);
    const between = this.#peek();
    if (between.kind === "sign" && (between.text === "><" || between.text === "<>")) {
      this.#take();
      return this.#ordered(first, between.text, low, read(this.#value(what)));
    }
    return { comparison: "=", low, high: low };
  }

  #ordered(token: FilterToken, comparison: Comparison, low: number, high: number): NumberMatch {
    if (low <= high) return { comparison, low, high };
    throw this.#problem(token, "the first number of a range is larger than the second");
  }

  #comparison(): Comparison | undefined {
    const { kind, text } = this.#peek();
    const comparison = COMPARISONS.find((candidate) => candidate === text);
    if (kind !== "sign" || comparison === undefined) return undefined;
    const token = this.#take();
    if (text === "><" || text === "<>") throw this.#problem(token, `a number is missing in front of ${text}`);
    return comparison;
  }

  #rule(): FilterNode {
    const token = this.#value("a rule");
    const colon = token.text.lastIndexOf(":");
    const index = numberIn(token.text.slice(colon + 1), 65_535);
    if (index === undefined)
      throw this.#problem(token, `${JSON.stringify(token.text)} is no NUMBER or CHAIN:NUMBER`);
    const rule: FilterNode = { kind: "rule", index };
    if (colon < 0) return rule;
    const pattern = token.text.slice(0, colon);
    return { kind: "and", nodes: [{ kind: "text", field: "chain", pattern }, rule] };
  }

  #levels(): FilterNode {
    const token = this.#value("a level");
    const names = token.text.toUpperCase().split(":");
    const [local = "*", remote] = names;
    const isKnown = names.length <= 2 && names.every((name) => name === "*" || isLevelName(name));
    if (isKnown) return { kind: "level", local, remote: remote ?? local, either: remote === undefined };
    throw this.#problem(
      token,
      `${JSON.stringify(token.text)} is no level or pair of levels such as ESTABLISHED:FIN_WAIT_1`,
    );
  }

  #mark(): FilterNode {
    const token = this.#value("a mark");
    const [value, mask, more] = token.text.split("/").map((text) => maskNumber(text));
    const isWhole = more === undefined && !token.text.endsWith("/");
    if (value !== undefined && isWhole && (mask !== undefined || !token.text.includes("/"))) {
      return { kind: "mark", value, mask: mask ?? 0xffffffff };
    }
    throw this.#problem(token, `${JSON.stringify(token.text)} is no VALUE or VALUE/MASK of 32 bits`);
  }

  #id(): FilterNode {
    const token = this.#value("an id");
    if (!/^(?:0x)?[0-9a-f]{1,16}$/i.test(token.text)) {
      throw this.#problem(token, `${JSON.stringify(token.text)} is no id: up to 16 hexadecimal digits`);
    }
    return { kind: "id", id: lower(token.text).replace(/^0x/, "").padStart(16, "0") };
  }

  /** The next word or string, which must be there. */
  #value(what: string): FilterToken {
    const token = this.#peek();
    if (token.kind === "word" || token.kind === "string") return this.#take();
    throw this.#problem(token, `${what} is expected here`);
  }

  #peek(): FilterToken {
    return this.#tokens[this.#next] ?? { kind: "end", text: "", at: this.#text.length, length: 1 };
  }

  #take(): FilterToken {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }

  #takeWord(word: string): boolean {
    const { kind, text } = this.#peek();
    if (kind !== "word" || lower(text) !== word) return false;
    this.#next += 1;
    return true;
  }

  #takeSign(sign: string): boolean {
    const { kind, text } = this.#peek();
    if (kind !== "sign" || text !== sign) return false;
    this.#next += 1;
    return true;
  }

  #problem(token: FilterToken, message: string): Error {
    return filterProblem(this.#text, token, message);
  }
}

function lower(text: string): string {
  return text.toLowerCase();
}

/** A decimal number from 0 to `max`. */
function numberIn(text: string, max: number): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined;
  const number = Number(text);
  return number <= max ? number : undefined;
}

/** A decimal or hexadecimal number of 32 bits. */
function maskNumber(text: string): number | undefined {
  if (!/^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text)) return undefined;
  const number = Number(text);
  return number <= NUMBER_MAX ? number : undefined;
}

/** Part of a word as a token of its own, so that a problem points at that part only. */
function part(token: FilterToken, offset: number, text: string): FilterToken {
  return { kind: token.kind, text, at: token.at + offset, length: text.length };
}
