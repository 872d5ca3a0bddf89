/** Filters as predicates, and as far as possible as filters of the kernel. */
import { type AddressWords, familyBits, type Prefix } from "../base/index.ts";
import type { ConntrackFilter, MaskedValue } from "../netlink/index.ts";
import type { FilterEnd, FilterNode, FlagField, NumberField, NumberMatch, TextField } from "./filter-node.ts";
import { conditionNodes, conditionText, type FilterConditions } from "./filter-conditions.ts";
import { type FilterNames, parseFilter } from "./filter-parser.ts";
import { fitsPattern } from "./pattern.ts";
import type { FlowFacts, KeySide } from "./flow-facts.ts";
import { DATAGRAM_LEVEL, levelName, TCP_LEVEL } from "./level.ts";
import { STATE_END } from "./state.ts";

/** Whether a flow is chosen. */
export type FlowPredicate = (facts: FlowFacts) => boolean;

const TCP = 6;

/** A parsed filter. */
export class StateFilter {
  readonly node: FilterNode;
  /** The filter as it was written. */
  readonly text: string;
  /** Whether a flow is chosen. Allocates nothing on flows of our tracker and of the kernel's, texts aside. */
  readonly matches: FlowPredicate;

  private constructor(text: string, node: FilterNode) {
    this.text = text;
    this.node = node;
    this.matches = compile(node);
  }

  /**
   * Parses a filter; see filter-parser.ts for the language.
   *
   * @throws {FirewallError} `FILTER_INVALID` whose message points at the place
   * @example
   * const filter = StateFilter.parse("tcp from 10.0.0.0/8 to any port 22 age > 1h");
   */
  static parse(text: string, names?: FilterNames): StateFilter {
    return new StateFilter(text, parseFilter(text, names));
  }

  /**
   * Makes a filter of named conditions that must all hold.
   *
   * @throws {FirewallError} `FILTER_INVALID` when one of the texts is not understood
   * @example
   * const filter = StateFilter.of({ protocol: "tcp", to: "198.51.100.0/24 port 443", olderThanMs: 60_000 });
   */
  static of(conditions: FilterConditions): StateFilter {
    const nodes = conditionNodes(conditions);
    const text = conditionText(conditions);
    return new StateFilter(text, nodes.length === 0 ? { kind: "all" } : { kind: "and", nodes });
  }

  /** Chooses every flow. */
  static readonly ALL: StateFilter = new StateFilter("", { kind: "all" });

  /** True when the filter chooses every flow, whatever it is. */
  get isAll(): boolean {
    return this.node.kind === "all";
  }

  /**
   * The part of the filter that the kernel can apply in a dump. What it lets through must still be asked
   * {@link StateFilter.matches}; what it holds back would be refused there, too.
   */
  kernelFilter(): ConntrackFilter {
    let filter: ConntrackFilter = {};
    const nodes = this.node.kind === "and" ? this.node.nodes : [this.node];
    for (const node of nodes) filter = { ...filter, ...kernelPart(node) };
    const protocol = nodes.find((node) => node.kind === "protocol")?.protocol;
    // The kernel compares protocols only where it knows the family.
    if (filter.family === undefined || protocol === undefined) return filter;
    return { ...filter, original: { protocol } };
  }
}

/** What the kernel can be asked of one condition that must hold. */
function kernelPart(node: FilterNode): ConntrackFilter {
  if (node.kind === "family") return { family: node.family };
  if (node.kind === "mark") return { mark: { value: node.value, mask: node.mask } satisfies MaskedValue };
  if (node.kind === "end" && !node.negated && node.prefix !== undefined)
    return { family: node.prefix.family };
  return {};
}

function compile(node: FilterNode): FlowPredicate {
  switch (node.kind) {
    case "all":
      return () => true;
    case "and":
      return every(node.nodes.map(compile));
    case "or":
      return some(node.nodes.map(compile));
    case "not": {
      const inner = compile(node.node);
      return (facts) => !inner(facts);
    }
    case "protocol":
      return (facts) => facts.protocol === node.protocol;
    case "family":
      return (facts) => facts.family === node.family;
    case "direction":
      return (facts) => facts.direction === node.direction;
    case "source":
      return (facts) => facts.source === node.source;
    case "end":
      return compileEnd(node);
    default:
      return compileField(node);
  }
}

type FieldNode = Extract<
  FilterNode,
  { readonly kind: "number" | "text" | "rule" | "level" | "mark" | "id" | "flag" }
>;

function compileField(node: FieldNode): FlowPredicate {
  switch (node.kind) {
    case "number":
      return compileNumber(node.field, node.match);
    case "text":
      return compileText(node.field, node.pattern);
    case "rule":
      return (facts) => facts.rule === node.index;
    case "level":
      return compileLevel(node.local, node.remote, node.either);
    case "mark":
      return (facts) => ((facts.mark ^ node.value) & node.mask) === 0;
    case "id":
      return (facts) => facts.id === node.id;
    case "flag":
      return compileFlag(node.flag);
  }
}

function every(predicates: readonly FlowPredicate[]): FlowPredicate {
  return (facts) => {
    for (const predicate of predicates) if (!predicate(facts)) return false;
    return true;
  };
}

function some(predicates: readonly FlowPredicate[]): FlowPredicate {
  return (facts) => {
    for (const predicate of predicates) if (predicate(facts)) return true;
    return false;
  };
}

/**
 * Compares as pf does: `><` is inside without the bounds, `<>` outside without them, `:` inside with them.
 */
function compileMatch({ comparison, low, high }: NumberMatch): (value: number) => boolean {
  switch (comparison) {
    case "=":
      return (value) => value === low;
    case "!=":
      return (value) => value !== low;
    case "<":
      return (value) => value < low;
    case "<=":
      return (value) => value <= low;
    case ">":
      return (value) => value > low;
    case ">=":
      return (value) => value >= low;
    case "><":
      return (value) => value > low && value < high;
    case "<>":
      return (value) => value < low || value > high;
    case ":":
      return (value) => value >= low && value <= high;
  }
}

/** Indices of the ends that a condition may be true of. */
function endsOf(end: FilterEnd, facts: FlowFacts): number {
  const { LOCAL, REMOTE } = STATE_END;
  const spokeFirst = facts.direction === "out" ? LOCAL : REMOTE;
  switch (end) {
    case "local":
      return LOCAL;
    case "remote":
      return REMOTE;
    case "from":
      return spokeFirst;
    case "to":
      return spokeFirst === LOCAL ? REMOTE : LOCAL;
    case "either":
      return -1;
  }
}

function compileEnd(node: Extract<FilterNode, { readonly kind: "end" }>): FlowPredicate {
  const { prefix, negated } = node;
  const port = node.port === undefined ? undefined : compileMatch(node.port);
  const sideFits = (facts: FlowFacts, side: KeySide, end: number): boolean => {
    if (port !== undefined && !port(facts.port(side, end))) return false;
    return prefix === undefined || negated || covers(prefix, facts, facts.address(side, end));
  };
  // A negated network must hold neither side's address; that is not the same as some side being outside of
  // it.
  const isBarred = (facts: FlowFacts, end: number): boolean =>
    negated &&
    (prefix === undefined ||
      covers(prefix, facts, facts.address("nk", end)) ||
      covers(prefix, facts, facts.address("sk", end)));
  const fits = (facts: FlowFacts, end: number): boolean =>
    !isBarred(facts, end) && (sideFits(facts, "nk", end) || sideFits(facts, "sk", end));
  return (facts) => {
    const end = endsOf(node.end, facts);
    if (end >= 0) return fits(facts, end);
    const { LOCAL, REMOTE } = STATE_END;
    // "host ! network": no end may be in it.
    if (negated && (isBarred(facts, LOCAL) || isBarred(facts, REMOTE))) return false;
    return fits(facts, LOCAL) || fits(facts, REMOTE);
  };
}

function covers(prefix: Prefix, facts: FlowFacts, words: AddressWords): boolean {
  return prefix.length <= familyBits(prefix.family) && prefix.contains(facts.family, words);
}

function compileNumber(field: NumberField, match: NumberMatch): FlowPredicate {
  const fits = compileMatch(match);
  const fitsKnown = (value: number | null): boolean => value !== null && fits(value);
  switch (field) {
    case "age":
      return (facts) => fitsKnown(facts.ageMs);
    case "expires":
      return (facts) => fitsKnown(facts.expiresInMs);
    case "packets":
      return (facts) => fitsKnown(facts.packets);
    case "bytes":
      return (facts) => fitsKnown(facts.bytes);
    case "user":
      return (facts) => fitsKnown(facts.userId);
    case "zone":
      return (facts) => fits(facts.zone);
  }
}

/** Case counts for labels and chains only. */
function compileText(field: TextField, pattern: string): FlowPredicate {
  if (field === "label" || field === "chain") return (facts) => fitsPattern(pattern, facts[field]);
  const folded = pattern.toLowerCase();
  return (facts) => fitsPattern(folded, facts[field].toLowerCase());
}

function compileLevel(local: string, remote: string, either: boolean): FlowPredicate {
  const isAt = (facts: FlowFacts, end: number, name: string): boolean =>
    name === "*" || levelName(facts.protocol, facts.level(end)) === name;
  const { LOCAL, REMOTE } = STATE_END;
  if (either) return (facts) => isAt(facts, LOCAL, local) || isAt(facts, REMOTE, local);
  return (facts) => isAt(facts, LOCAL, local) && isAt(facts, REMOTE, remote);
}

function compileFlag(flag: FlagField): FlowPredicate {
  switch (flag) {
    case "translated":
      return (facts) => facts.isTranslated;
    case "offloaded":
      return (facts) => facts.offload !== "none";
    case "sloppy":
      return (facts) => facts.isSloppy;
    case "half-open":
      return isHalfOpen;
    case "established":
      return isEstablished;
  }
}

/** A TCP connection that has not been established, or a flow that nobody has answered. */
function isHalfOpen(facts: FlowFacts): boolean {
  const local = facts.level(STATE_END.LOCAL);
  const remote = facts.level(STATE_END.REMOTE);
  if (facts.protocol !== TCP)
    return local === DATAGRAM_LEVEL.NO_TRAFFIC || remote === DATAGRAM_LEVEL.NO_TRAFFIC;
  return isOpening(local) || isOpening(remote);
}

function isOpening(level: number): boolean {
  return level === TCP_LEVEL.SYN_SENT || level === TCP_LEVEL.SYN_RCVD;
}

/** Both ends have come as far as they can while the flow is in use. */
function isEstablished(facts: FlowFacts): boolean {
  const wanted = facts.protocol === TCP ? TCP_LEVEL.ESTABLISHED : DATAGRAM_LEVEL.MULTIPLE;
  return facts.level(STATE_END.LOCAL) === wanted && facts.level(STATE_END.REMOTE) === wanted;
}
