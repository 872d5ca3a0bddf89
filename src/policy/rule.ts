/**
 * What a rule is: the interface between the chains and everything that can look at a packet.
 *
 * A rule answers one question, "does this packet meet me?". What follows from a yes (its `action`), the
 * inversion by `not`, and chains are none of its business. Rules are made once per worker and asked for every
 * packet, so {@link Rule.match} allocates nothing and keeps no packet.
 */
import type { Milliseconds, Verdict } from "../base/index.ts";
import type { Packet } from "../wire/index.ts";
import type { Condition } from "./condition.ts";
import type { FlowContent } from "./content.ts";

/** How a sender is told that its packet was rejected. */
export type RejectWith = "tcp-reset" | "port-unreachable" | "host-unreachable" | "admin-prohibited";

/** Levels of a log line, the least urgent first. */
export const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const;

/** A level of a log line. */
export type RuleLogLevel = (typeof LOG_LEVELS)[number];

/** Where the words of rules go. */
export interface RuleReport {
  /** False when nobody reads printed lines; rules then spare themselves the making of them. */
  readonly printing: boolean;
  /** One line for standard output. */
  print(line: string): void;
  /**
   * One line for the log.
   *
   * @param prefix - the rule's own words
   * @param packet - valid during the call only
   * @param level - how urgent it is
   * @param suppressed - lines the rule's rate limit has swallowed since the last one
   */
  log(prefix: string, packet: Packet, level: RuleLogLevel, suppressed: number): void;
  /**
   * A rule threw. Called a bounded number of times per second.
   *
   * @param chain - name of the rule's chain
   * @param rule - index of the rule in it, from 0
   * @param error - what was thrown
   * @param suppressed - errors that were counted and not reported since the last call
   */
  ruleError(chain: string, rule: number, error: unknown, suppressed: number): void;
}

/** What is known of a packet's flow. */
export const FLOW = {
  /** Nothing: no packet of it was accepted, or too long ago. */
  NEW: -1,
  /** The packet goes the way of the flow's first packet. */
  ORIGINAL: 0,
  /** The packet answers. */
  REPLY: 1,
} as const;

/** What a rule may know of the packet it is asked about. One reused object per worker; keep nothing of it. */
export interface RuleContext {
  readonly packet: Packet;
  /** Monotonic time, the same clock for all workers. */
  readonly now: Milliseconds;
  /** Time since 1970 in UTC, in milliseconds; `undefined` where there is none. */
  readonly wallClock?: Milliseconds | undefined;
  /** State of the packet's connection before this packet, an index into TCP_STATES. Valid for TCP. */
  readonly tcpState: number;
  /** What is known of the packet's flow before this packet, a value of {@link FLOW}; NEW when absent. */
  readonly flow?: number | undefined;
  /**
   * What is known of the bytes of the packet's flow; `undefined` for what has none, and when no rule wants
   * it.
   */
  readonly content?: FlowContent | undefined;
  /** Name of a network interface by its index, `""` when unknown. Does not allocate. */
  interfaceName(index: number): string;
  readonly report: RuleReport;
}

/** What is known when a rule is asked about packets to come. */
export interface ForesightContext extends RuleContext {
  /** True when segments outside the window are seen in the state INVALID. */
  readonly strictTcp: boolean;
}

/** Parts that a packet may lack. A rule that needs one of them then matches neither way, inverted or not. */
export const NEEDS = {
  /** Addresses and protocol: every packet that rules see has them. */
  NETWORK: 0,
  /** Ports, TCP flags, ICMP type: later fragments have none. */
  TRANSPORT: 1,
  /** The local socket's owner: only packets from a socket of this host have one. */
  OWNER: 2,
} as const;

/**
 * What every packet that meets a rule surely has. The evaluator compares it in one row of numbers and does
 * not even ask a rule whose gate is shut: that costs less than half as much (bench/policy.mjs).
 */
export interface Gate {
  /** IANA number, -1 for any. */
  readonly protocol: number;
  readonly sourceLow: number;
  /** Included. */
  readonly sourceHigh: number;
  readonly destinationLow: number;
  /** Included. */
  readonly destinationHigh: number;
}

const HIGHEST_PORT = 65_535;

/** A gate; what is not given is open. Bounds are ports, 0 to 65535. */
export function makeGate(known: Partial<Gate> = {}): Gate {
  const open = { protocol: -1, sourceLow: 0, destinationLow: 0 };
  return { ...open, sourceHigh: HIGHEST_PORT, destinationHigh: HIGHEST_PORT, ...known };
}

const OPEN_GATE = makeGate();

/**
 * Base class of all rules, and of your own.
 *
 * @example
 * ```ts
 * class HopRule extends Rule {
 *   match(packet: Packet): boolean {
 *     return packet.timeToLive < 5;
 *   }
 * }
 * export default function register(registry: RuleRegistry): void {
 *   registry.register("HopRule", {
 *     summary: "Matches packets that have come a long way.",
 *     arguments: {},
 *     action: "required",
 *     create: () => new HopRule(),
 *   });
 * }
 * ```
 */
export abstract class Rule {
  /** Bits of {@link NEEDS}: what must be there before the rule is asked at all. */
  readonly needs: number = NEEDS.NETWORK;

  /** A necessary condition, see {@link Gate}; open unless a rule knows better. */
  readonly gate: Gate = OPEN_GATE;

  /**
   * Exactly what {@link Rule.match} answers, see condition.ts; `undefined` when it depends on more than the
   * packet's header or when matching has an effect. With a condition the rule may never be asked.
   */
  readonly condition: Condition | undefined = undefined;

  /**
   * False when the answer never depends on what is known of the packet's flow: its state, its direction, its
   * bytes. Packets that no such rule can ask about need not be told to the state table.
   */
  readonly asksFlow: boolean = true;

  /**
   * True when asking has no effect but on what is counted and reported, and never throws, so that the rule
   * need not be asked where its answer changes no verdict.
   */
  readonly isPure: boolean = false;

  /**
   * True when the packet meets the rule. Must not allocate, keep the packet, or wait.
   *
   * @param packet - the packet; it has no fault, and the parts named by {@link Rule.needs}
   * @param context - time, connection state, where words go
   */
  abstract match(packet: Packet, context: RuleContext): boolean;

  /** The same answer without a lasting effect. Override it where {@link Rule.match} has one. */
  peek(packet: Packet, context: RuleContext): boolean {
    return this.match(packet, context);
  }

  /**
   * Told what became of a packet that met the rule, `not` taken into account, once the chains have ended; not
   * told when a rule threw. The same duties as {@link Rule.match}. For rules that count.
   *
   * @param passed - whether the verdict is ACCEPT
   */
  settle?(packet: Packet, context: RuleContext, passed: boolean): void;

  /**
   * What the rule will say of every packet that shares flow, direction and state with this one, whatever else
   * is in it, as long as policy and tables stay; then those packets need not be shown to it. A rule that has
   * a condition need not say. No lasting effect.
   *
   * @returns `undefined`, as by default, when it depends on more, or when each packet has to be shown
   */
  foresee(_packet: Packet, _context: ForesightContext): boolean | undefined {
    return undefined;
  }

  /** Why the packet meets the rule or not, for people: `destination port 443 is not 22`. */
  explain(_packet: Packet, _context: RuleContext): string {
    return "";
  }
}

/** A rule that names the verdict itself instead of an action. */
export abstract class VerdictRule extends Rule {
  /** How a REJECT of this rule answers; `auto` is a reset for TCP and port unreachable otherwise. */
  readonly rejectWith: RejectWith | "auto" = "auto";

  /** The verdict, or `undefined` to go on with the next rule. The same duties as {@link Rule.match}. */
  abstract decide(packet: Packet, context: RuleContext): Verdict | undefined;

  /** The same verdict without any lasting effect. Override it where {@link VerdictRule.decide} has one. */
  peekVerdict(packet: Packet, context: RuleContext): Verdict | undefined {
    return this.decide(packet, context);
  }

  match(packet: Packet, context: RuleContext): boolean {
    return this.decide(packet, context) !== undefined;
  }

  override peek(packet: Packet, context: RuleContext): boolean {
    return this.peekVerdict(packet, context) !== undefined;
  }
}

/** True when a rule decides itself. Asks for the method: a module may bring its own copy of the class. */
export function isVerdictRule(rule: Rule): rule is VerdictRule {
  return typeof (rule as Partial<VerdictRule>).decide === "function";
}
