/** Filters as programs write them: named conditions instead of text. */
import { type Family, FirewallError } from "../base/index.ts";
import type { FilterNode } from "./filter-node.ts";
import { parseFilter } from "./filter-parser.ts";
import type { StateDirection, StateSource } from "./state.ts";

/** Conditions that must all hold; those left out do not count. */
export interface FilterConditions {
  readonly family?: Family;
  /** Name or IANA number. */
  readonly protocol?: string | number;
  /** End that spoke first: address, network, `!` in front, `port` with an operator behind (pf: src). */
  readonly from?: string;
  /** End that was spoken to, likewise (pf: dst). */
  readonly to?: string;
  readonly local?: string;
  readonly remote?: string;
  /** Name of an interface, may hold `*` (pf: ifname). */
  readonly interface?: string;
  readonly direction?: StateDirection;
  /** Name of a chain, may hold `*`. */
  readonly chain?: string;
  /** Index of a rule in its chain. */
  readonly rule?: number;
  /** Label of a rule, may hold `*`. */
  readonly label?: string;
  /** Milliseconds. */
  readonly olderThanMs?: number;
  /** Milliseconds. */
  readonly youngerThanMs?: number;
  /** Recognised protocol, may hold `*`. */
  readonly application?: string;
  /** Name of the server, may hold `*`. */
  readonly serverName?: string;
  readonly userId?: number;
  /** Zone of the kernel's tracker (pf: rdomain). */
  readonly zone?: number;
  readonly source?: StateSource;
}

const ENDS = ["from", "to", "local", "remote"] as const;
const TEXTS = ["interface", "chain", "label", "application", "serverName"] as const;

/** The conditions as nodes. @throws {FirewallError} `FILTER_INVALID` */
export function conditionNodes(conditions: FilterConditions): FilterNode[] {
  const nodes: FilterNode[] = [];
  const { family, protocol, direction, rule, source } = conditions;
  if (family !== undefined) nodes.push({ kind: "family", family });
  if (protocol !== undefined) nodes.push(parseFilter(`proto "${protocol}"`));
  if (direction !== undefined) nodes.push({ kind: "direction", direction });
  if (source !== undefined) nodes.push({ kind: "source", source });
  if (rule !== undefined) nodes.push({ kind: "rule", index: rule });
  for (const end of ENDS) {
    const text = conditions[end];
    if (text !== undefined) nodes.push(endNode(end, text));
  }
  for (const field of TEXTS) {
    const pattern = conditions[field];
    if (pattern !== undefined) nodes.push({ kind: "text", field, pattern });
  }
  return [...nodes, ...numberNodes(conditions)];
}

function numberNodes(conditions: FilterConditions): FilterNode[] {
  const { olderThanMs, youngerThanMs, userId, zone } = conditions;
  const nodes: FilterNode[] = [];
  const add = (
    field: "age" | "user" | "zone",
    comparison: "=" | "<" | ">",
    value: number | undefined,
  ): void => {
    if (value === undefined) return;
    nodes.push({ kind: "number", field, match: { comparison, low: value, high: value } });
  };
  add("age", ">", olderThanMs);
  add("age", "<", youngerThanMs);
  add("user", "=", userId);
  add("zone", "=", zone);
  return nodes;
}

/** An end's text must be an end and nothing else, or it could widen the filter. */
function endNode(end: (typeof ENDS)[number], text: string): FilterNode {
  const node = parseFilter(`${end} ${text}`);
  if (node.kind === "end") return node;
  throw new FirewallError("FILTER_INVALID", `${JSON.stringify(text)} is more than an address and a port`, {
    details: { filter: text, at: 0, length: text.length },
  });
}

/** The conditions in words, for messages and logs. */
export function conditionText(conditions: FilterConditions): string {
  return Object.entries(conditions)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(" ");
}
