/**
 * What the kernel can ask of a packet, and conditions of rules in these terms.
 *
 * A *match* is a list of kernel tests that must all hold. A condition becomes a list of matches of which no
 * packet fits two, so that a rule may stand as several lines in the kernel, one behind the other, and still
 * acts once. That is how `not` is said: "not (A and B)" is "not A" or "A and not B".
 *
 * The packets that these tests meet have been vouched for (see plan-text.ts): they are whole and no
 * fragments, so what a rule needs of the transport header is there.
 */
import { type ConntrackState, type Family, type HookName, type Prefix, PROTOCOL } from "../../base/index.ts";
import type { Condition, Gate, Test } from "../../policy/index.ts";
import type { TableList } from "./table-set.ts";

/** One thing that the kernel asks of a packet. `negated` turns the answer of a packet that has the part. */
export type KernelTest =
  | { readonly field: "family"; readonly family: Family }
  | { readonly field: "protocol"; readonly protocols: readonly number[]; readonly negated: boolean }
  /** Negated: an address of the same family outside the network. */
  | { readonly field: "source" | "destination"; readonly prefix: Prefix; readonly negated: boolean }
  /** Behind a test for protocols with ports. */
  | {
      readonly field: "sourcePort" | "destinationPort";
      readonly low: number;
      readonly high: number;
      readonly negated: boolean;
    }
  | {
      readonly field: "inInterface" | "outInterface";
      readonly name: string;
      readonly isOpen: boolean;
      readonly negated: boolean;
    }
  | { readonly field: "userId" | "groupId"; readonly id: number; readonly negated: boolean }
  /** All of these bits are set; negated: one of them is not. */
  | { readonly field: "mark"; readonly bits: number; readonly negated: boolean }
  | { readonly field: "conntrack"; readonly states: readonly ConntrackState[]; readonly negated: boolean }
  /** An address is in a set of an address table, see table-set.ts; negated: one of the family that is not. */
  | {
      readonly field: "table";
      readonly table: string;
      readonly side: "source" | "destination";
      readonly family: Family;
      readonly list: TableList;
      readonly negated: boolean;
    }
  /** Behind a test for the message's protocol. */
  | { readonly field: "icmpType" | "icmpCode"; readonly value: number; readonly negated: boolean };

/** Tests that must all hold; an empty list holds for every packet. */
export type Match = readonly KernelTest[];

/** A match, and whether userspace surely says the same of the packets that fit it. */
export interface Piece {
  readonly match: Match;
  /** False: the packet may meet the rule, and only userspace can tell. */
  readonly sure: boolean;
}

const HIGHEST_PORT = 65_535;

/** Protocols whose packets have ports. */
const PORT_PROTOCOLS: readonly number[] = [PROTOCOL.TCP, PROTOCOL.UDP, PROTOCOL.SCTP, PROTOCOL.UDPLITE];

/** Names of interfaces that can be written in nftables' language without a doubt. */
const PLAIN_NAME = /^[A-Za-z0-9_.:@-]*$/;

/** What fits a test, and what does not: matches of which no packet fits two. */
interface Halves {
  readonly yes: readonly Match[];
  readonly no: readonly Match[];
}

const ALWAYS: Halves = { yes: [[]], no: [] };
const NEVER: Halves = { yes: [], no: [[]] };

function otherFamily(family: Family): KernelTest {
  return { field: "family", family: family === 4 ? 6 : 4 };
}

function addressHalves(field: "source" | "destination", prefix: Prefix): Halves {
  const { family } = prefix;
  const others: Match = [otherFamily(family)];
  if (prefix.length === 0) return { yes: [[{ field: "family", family }]], no: [others] };
  return {
    yes: [[{ field, prefix, negated: false }]],
    no: [others, [{ field, prefix, negated: true }]],
  };
}

function portHalves(field: "sourcePort" | "destinationPort", low: number, high: number): Halves {
  if (low <= 0 && high >= HIGHEST_PORT) return ALWAYS;
  return { yes: [[{ field, low, high, negated: false }]], no: [[{ field, low, high, negated: true }]] };
}

/** Whether packets of a hook have such an interface. */
function hasInterface(field: "inInterface" | "outInterface", hook: HookName): boolean {
  return hook === "FORWARD" || (field === "inInterface") === (hook === "INPUT");
}

function interfaceHalves(
  test: Extract<Test, { field: "inInterface" | "outInterface" }>,
  hook: HookName,
): Halves {
  const { field, name, isOpen } = test;
  if (!hasInterface(field, hook)) return NEVER;
  if (isOpen && name === "") return ALWAYS;
  const kernel = { field, name, isOpen };
  return { yes: [[{ ...kernel, negated: false }]], no: [[{ ...kernel, negated: true }]] };
}

function icmpHalves(test: Extract<Test, { field: "icmp" }>): Halves {
  const { messages } = test;
  const yes: Match[] = [];
  const no: Match[] = [
    [{ field: "protocol", protocols: messages.map(({ protocol }) => protocol), negated: true }],
  ];
  for (const { protocol, type, code } of messages) {
    const parts: KernelTest[] = [{ field: "protocol", protocols: [protocol], negated: false }];
    for (const [field, value] of [
      ["icmpType", type],
      ["icmpCode", code],
    ] as const) {
      if (value < 0) continue;
      no.push([...parts, { field, value, negated: true }]);
      parts.push({ field, value, negated: false });
    }
    yes.push(parts);
  }
  return { yes, no };
}

function halvesOf(test: Test, hook: HookName): Halves {
  switch (test.field) {
    case "source":
    case "destination":
      return addressHalves(test.field, test.prefix);
    case "sourcePort":
    case "destinationPort":
      return portHalves(test.field, test.low, test.high);
    case "inInterface":
    case "outInterface":
      return interfaceHalves(test, hook);
    case "icmp":
      return icmpHalves(test);
    default:
      return { yes: [[{ ...test, negated: false }]], no: [[{ ...test, negated: true }]] };
  }
}

function familyOf(test: KernelTest): Family | undefined {
  if (test.field === "family" || test.field === "table") return test.family;
  return "prefix" in test ? test.prefix.family : undefined;
}

/** False when a match asks for two families at once; nftables refuses to ask that. */
function isPossible(match: Match): boolean {
  return new Set(match.map(familyOf).filter((family) => family !== undefined)).size <= 1;
}

/** All pairs, one of each, that a packet can fit. */
function product(heads: readonly Match[], tails: readonly Match[]): Match[] {
  return heads.flatMap((head) => tails.map((tail) => [...head, ...tail])).filter(isPossible);
}

/** Why a test cannot be said in nftables' language; `undefined` when it can. */
function unspeakable(test: Test): string | undefined {
  const isName = test.field === "inInterface" || test.field === "outInterface";
  if (isName && !PLAIN_NAME.test(test.name))
    return `nftables cannot write the name ${JSON.stringify(test.name)}`;
  return undefined;
}

function isOwnerTest(test: Test): boolean {
  return test.field === "userId" || test.field === "groupId";
}

/**
 * The kernel knows the owner of some packets for which a queue names none: of answers that a listening socket
 * sends before there is a connection, and of arriving packets whose socket is known early. Where both surely
 * agree, at OUTPUT for anything but TCP, the kernel may judge.
 */
function ownerPieces(match: Match, hook: HookName): Piece[] {
  if (hook !== "OUTPUT") return [{ match, sure: false }];
  const protocols = [PROTOCOL.TCP];
  return [
    { match: [{ field: "protocol", protocols, negated: true }, ...match], sure: true },
    { match: [{ field: "protocol", protocols, negated: false }, ...match], sure: false },
  ];
}

/** Tests for protocols first: what stands behind them relies on them. */
function inOrder(condition: Condition): Condition {
  const isFirst = (test: Test): boolean => test.field === "protocol";
  return [...condition.filter(isFirst), ...condition.filter((test) => !isFirst(test))];
}

/** Matches for packets that meet a condition, or that do not. */
export interface SpokenCondition {
  readonly pieces: readonly Piece[];
  /** Why the kernel cannot judge all of it, for people. */
  readonly reason?: string;
}

/**
 * A condition as the kernel can ask it at a hook.
 *
 * @param isInverted - the packets that do not meet the condition are meant
 * @returns matches of which no packet fits two
 */
export function speakCondition(condition: Condition, isInverted: boolean, hook: HookName): SpokenCondition {
  const reason = condition.map(unspeakable).find((words) => words !== undefined);
  if (reason !== undefined) return { pieces: [{ match: [], sure: false }], reason };
  let yes: readonly Match[] = [[]];
  const no: Match[] = [];
  for (const test of inOrder(condition)) {
    const halves = halvesOf(test, hook);
    no.push(...product(yes, halves.no));
    yes = product(yes, halves.yes);
  }
  const matches = isInverted ? no : yes;
  if (!condition.some(isOwnerTest)) return { pieces: matches.map((match) => ({ match, sure: true })) };
  return {
    pieces: matches.flatMap((match) => ownerPieces(match, hook)),
    reason: "who sends a TCP packet is not always the same to the kernel and to its queue",
  };
}

/** What every packet surely fits that is not shut out by a gate. */
export function speakGate(gate: Gate): Match {
  const { protocol, sourceLow, sourceHigh, destinationLow, destinationHigh } = gate;
  // A packet without ports counts as one with port 0.
  const hasPorts = protocol < 0 ? sourceLow > 0 || destinationLow > 0 : PORT_PROTOCOLS.includes(protocol);
  const protocols = protocol >= 0 ? [protocol] : hasPorts ? PORT_PROTOCOLS : [];
  const match: KernelTest[] = [];
  if (protocols.length > 0) match.push({ field: "protocol", protocols, negated: false });
  if (!hasPorts) return match;
  const ports = [
    ["destinationPort", destinationLow, destinationHigh],
    ["sourcePort", sourceLow, sourceHigh],
  ] as const;
  for (const [field, low, high] of ports) {
    if (low > 0 || high < HIGHEST_PORT) match.push({ field, low, high, negated: false });
  }
  return match;
}
