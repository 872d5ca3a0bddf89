/**
 * Whether the fate of a flow is sealed: whether all its later packets that go the same way get the same
 * verdict, whatever else is in them.
 *
 * The chains are walked as for a packet, but each rule is asked what it will say from now on. Its answer
 * depends on
 *
 * - *what is constant for a flow*: addresses, ports, protocol. A rule whose condition speaks of nothing else
 *   gives its answer now.
 * - *what is known of the flow*: its state, who spoke first, address tables, its bytes once they are settled.
 *   Such a rule says so itself (Rule.foresee); that the flow stays in this state, and tables and policy as
 *   they are, is the asker's to see to.
 * - *the packet*, but without any effect: interfaces, the sending socket's owner. A later packet may meet the
 *   rule or not, so both ways are followed: the walk goes on, and what the rule would do joins the outcomes.
 * - *the packet, or with an effect*: limits, knocks, logs, rules of one's own that say nothing. If a packet
 *   could come so far, it has to: nothing is sealed.
 *
 * The fate is sealed when all outcomes are the same, ACCEPT or DROP. A REJECT has to be answered each time.
 */
import { type Verdict, VERDICT } from "../base/index.ts";
import type { Packet } from "../wire/index.ts";
import type { Condition, Test } from "./condition.ts";
import { type ForesightContext, NEEDS, type Rule } from "./rule.ts";
import { GATE_WORDS, type RuleRow, TARGET } from "./rule-row.ts";

/** What a rule will say. */
const ANSWER = { NO: 0, YES: 1, EITHER: 2, UNKNOWN: 3 } as const;

const ANY = -1;

// Outcomes, as bits.
const PASSES = 1;
const IS_DROPPED = 2;

function isConstant({ field }: Test): boolean {
  return !(field === "inInterface" || field === "outInterface" || field === "userId" || field === "groupId");
}

/** True when a packet passes a test of what is constant for its flow. */
function holds(test: Test, packet: Packet): boolean {
  switch (test.field) {
    case "protocol":
      return test.protocols.includes(packet.protocol);
    case "source":
    case "destination":
      return packet.family !== 0 && test.prefix.contains(packet.family, packet[test.field]);
    case "sourcePort":
    case "destinationPort":
      return test.low <= packet[test.field] && packet[test.field] <= test.high;
    default:
      // Messages of ICMP: flows whose fate may be sealed are of TCP or UDP.
      return false;
  }
}

function answerOf(condition: Condition, needs: number, packet: Packet): number {
  if (!condition.every((test) => !isConstant(test) || holds(test, packet))) return ANSWER.NO;
  const isSure = (needs & NEEDS.OWNER) === 0 && condition.every(isConstant);
  return isSure ? ANSWER.YES : ANSWER.EITHER;
}

/** Foresees verdicts by one policy. Made for one evaluator, with its rules. */
export class Foresight {
  readonly #row: RuleRow;
  readonly #returns: number[] = [];
  #outcomes = 0;

  constructor(row: RuleRow) {
    this.#row = row;
  }

  /**
   * The verdict of all packets that share flow, direction, hook and state with the context's.
   *
   * @param context - its packet is of TCP or UDP, whole, and its ends are the flow's
   * @returns ACCEPT, DROP, or `undefined` when verdicts may differ or each packet has to be judged
   */
  verdict(context: ForesightContext): Verdict | undefined {
    const start = this.#row.hookChains[context.packet.hook] ?? -1;
    if (start < 0) return VERDICT.ACCEPT;
    this.#outcomes = 0;
    this.#returns.length = 0;
    try {
      if (!this.#walk(start, context)) return undefined;
    } catch {
      // A rule of somebody's own that throws now throws again when it is asked.
      return undefined;
    }
    if (this.#outcomes === PASSES) return VERDICT.ACCEPT;
    return this.#outcomes === IS_DROPPED ? VERDICT.DROP : undefined;
  }

  /** Collects the outcomes. @returns false when not all of them can be told */
  #walk(start: number, context: ForesightContext): boolean {
    let from = this.#row.starts[start] ?? 0;
    let chain = start;
    for (;;) {
      const end = this.#row.starts[chain + 1] ?? 0;
      const place = this.#nextMatch(from, end, context);
      if (place < 0) return false;
      const target = place < end ? (this.#row.targets[place] ?? TARGET.END) : TARGET.END;
      const back = target === TARGET.RETURN ? this.#returns.pop() : undefined;
      if (back !== undefined) {
        chain = this.#row.chainOf(back - 1);
        from = back;
        continue;
      }
      const next = this.#next(target, place);
      if (next < 0) return this.#note(next);
      chain = next;
      from = this.#row.starts[chain] ?? 0;
    }
  }

  /** Where the walk goes on: at a chain, or it ends with a verdict. */
  #next(target: number, place: number): number {
    if (target >= 0) this.#returns.push(place + 1);
    if (target !== TARGET.END && target !== TARGET.RETURN) return target;
    // A chain has ended, from which nothing leads back.
    this.#returns.length = 0;
    return this.#row.defaultTarget;
  }

  /** Notes an outcome. @returns false for one that cannot be sealed */
  #note(target: number): boolean {
    if (target !== TARGET.ACCEPT && target !== TARGET.DROP) return false;
    this.#outcomes |= target === TARGET.ACCEPT ? PASSES : IS_DROPPED;
    return true;
  }

  /**
   * Place of the first rule that surely matches, `end` when there is none, -1 when that cannot be told.
   * Verdicts of rules before it that may match are noted.
   */
  #nextMatch(from: number, end: number, context: ForesightContext): number {
    const { targets, shadow } = this.#row;
    for (let place = from; place < end; place += 1) {
      const answer = this.#answer(place, context);
      if (answer === ANSWER.NO) continue;
      // What is met in the shadow is reported, packet by packet.
      if (answer === ANSWER.UNKNOWN || shadow[place] === 1) return -1;
      const target = targets[place] ?? TARGET.NEXT;
      if (target === TARGET.NEXT) continue;
      if (answer === ANSWER.YES) return place;
      if (!this.#note(target)) return -1;
    }
    return end;
  }

  #answer(place: number, context: ForesightContext): number {
    const { rules, needs, not, verdictRules } = this.#row;
    const rule = rules[place];
    if (rule === undefined || this.#isShut(place, context.packet)) return ANSWER.NO;
    if (verdictRules[place] !== undefined) return ANSWER.UNKNOWN;
    const { condition } = rule;
    const answer =
      condition === undefined
        ? foresee(rule, context)
        : answerOf(condition, needs[place] ?? 0, context.packet);
    return not[place] === 1 ? inverted(answer, needs[place] ?? 0) : answer;
  }

  /** True when the packet cannot meet the rule, going by its gate alone. */
  #isShut(place: number, packet: Packet): boolean {
    const { gates } = this.#row;
    const gate = place * GATE_WORDS;
    const protocol = gates[gate] ?? ANY;
    if (protocol !== ANY && protocol !== packet.protocol) return true;
    const { destinationPort, sourcePort } = packet;
    const fitsDestination =
      destinationPort >= (gates[gate + 1] ?? 0) && destinationPort <= (gates[gate + 2] ?? 0);
    return !fitsDestination || sourcePort < (gates[gate + 3] ?? 0) || sourcePort > (gates[gate + 4] ?? 0);
  }
}

/**
 * The answer of a rule with `not`: where the packet may lack what the rule needs, it may match neither way.
 */
function inverted(answer: number, needs: number): number {
  if (answer !== ANSWER.NO && answer !== ANSWER.YES) return answer;
  if ((needs & NEEDS.OWNER) !== 0) return ANSWER.EITHER;
  return answer === ANSWER.NO ? ANSWER.YES : ANSWER.NO;
}

/** A module may bring its own copy of the base class, older than the question. */
function foresee(rule: Rule, context: ForesightContext): number {
  const { foresee: ask } = rule as Partial<Rule>;
  const foreseen = ask?.call(rule, context.packet, context);
  if (foreseen === undefined) return ANSWER.UNKNOWN;
  return foreseen ? ANSWER.YES : ANSWER.NO;
}
