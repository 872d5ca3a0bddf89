/**
 * Whether the fate of a flow is sealed: whether all its later packets that go the same way get the same
 * verdict, whatever else is in them.
 *
 * The chains are walked as for a packet, but each rule is asked what it will say from now on. Its answer
 * depends on
 *
 * - *what is constant for a flow*: addresses, ports, protocol. A rule whose condition speaks of nothing else
 *   gives its answer now.
 * - *what is known of the flow*: its state, also the kernel's, who spoke first, address tables, its bytes
 *   once they are settled. Such a rule says so itself (Rule.foresee); that the flow stays in this state, and
 *   tables and policy as they are, is the asker's to see to.
 * - *the packet*, but without any effect: interfaces, the sending socket's owner, the mark. A later packet
 *   may meet the rule or not, so both ways are followed: the walk goes on, and what the rule would do joins
 *   the outcomes.
 * - *the packet, or with an effect*: limits, knocks, logs, rules of one's own that say nothing. If a packet
 *   could come so far, it has to: nothing is sealed.
 *
 * The fate is sealed when all outcomes are the same, ACCEPT or DROP. A REJECT has to be answered each time.
 *
 * The same walk tells whether bytes matter at all ({@link Foresight.passesWhateverItSays}): then rules about
 * bytes may say either, and so may those that ask what can change, state and tables. Behind the first rule
 * about bytes all outcomes must be ACCEPT; what is dropped before it is dropped whatever the bytes are.
 *
 * Where a chain has a lookup (rule-lookup.ts) it finds the first rule that surely matches, and another one
 * the rules that may match, by what of their conditions is constant. So a chain costs what its rules without
 * a condition cost, however long it is.
 */
import { type Verdict, VERDICT } from "../base/index.ts";
import type { Condition, Test } from "./condition.ts";
import { isInState } from "./conntrack-state.ts";
import { CONTENT } from "./content.ts";
import { type InterfaceNumbers, PacketFacts } from "./packet-facts.ts";
import { type ForesightContext, NEEDS, type Rule } from "./rule.ts";
import { firstAt, LOOKUP_FROM, type LookupRule, NOT_FOUND, RuleLookup } from "./rule-lookup.ts";
import { isGateShut, type RuleRow, TARGET } from "./rule-row.ts";

/** What a rule will say. */
const ANSWER = { NO: 0, YES: 1, EITHER: 2, UNKNOWN: 3 } as const;

// Outcomes, as bits.
const PASSES = 1;
const IS_DROPPED = 2;

/** Answer of a search for the first rule that surely matches when that cannot be told. */
const UNTOLD = -1;

function isConstant({ field }: Test): boolean {
  switch (field) {
    case "inInterface":
    case "outInterface":
    case "userId":
    case "groupId":
    case "mark":
      return false;
    default:
      return true;
  }
}

/** True when a packet passes a test of what is constant for its flow. */
function holds(test: Test, context: ForesightContext): boolean {
  const { packet } = context;
  switch (test.field) {
    case "protocol":
      return test.protocols.includes(packet.protocol);
    case "source":
    case "destination":
      return packet.family !== 0 && test.prefix.contains(packet.family, packet[test.field]);
    case "sourcePort":
    case "destinationPort":
      return test.low <= packet[test.field] && packet[test.field] <= test.high;
    case "conntrack":
      return isInState(test.states, packet, context);
    default:
      // Messages of ICMP: flows whose fate may be sealed are of TCP or UDP.
      return false;
  }
}

/** True when a packet that fits what is constant of a condition surely meets it. */
function isSure(condition: Condition, needs: number): boolean {
  return (needs & NEEDS.OWNER) === 0 && condition.every(isConstant);
}

function answerOf(condition: Condition, needs: number, context: ForesightContext): number {
  if (!condition.every((test) => !isConstant(test) || holds(test, context))) return ANSWER.NO;
  return isSure(condition, needs) ? ANSWER.YES : ANSWER.EITHER;
}

/** What is constant of a condition, in words: equal words, equal answers. */
function constantWords(condition: Condition): string {
  const words = condition
    .filter(isConstant)
    .map((test) => JSON.stringify("prefix" in test ? { ...test, prefix: test.prefix.toString() } : test));
  return words.join(" ");
}

/** How the rules of one chain are found. */
class ForeseenChain {
  /** Finds the first rule that surely matches, but for stops. */
  readonly sure: RuleLookup;
  /** Places of rules that are asked one by one, in order. */
  readonly stops: Int32Array;
  /** Finds rules that may match, by what is constant of their conditions. */
  readonly doubtful: RuleLookup | undefined;
  /** Places of rules that may match and that it does not hold, in order. */
  readonly doubts: Int32Array;

  /** @param sure - the evaluator's lookup */
  constructor(row: RuleRow, chain: number, sure: RuleLookup, numbers: InterfaceNumbers) {
    const doubtful = row.lookedUp(chain).rules.filter(({ condition, needs }) => !isSure(condition, needs));
    const places = new Set(doubtful.map(({ place }) => place));
    this.sure = sure;
    this.stops = sure.stops.filter((place) => !places.has(place));
    const rules = firstOfEach(doubtful, row).map(({ place, condition }) => ({
      place,
      condition: condition.filter(isConstant),
      needs: NEEDS.NETWORK,
      isLast: false,
    }));
    this.doubtful = RuleLookup.build(rules, [], numbers, LOOKUP_FROM.ALWAYS);
    this.doubts = this.doubtful?.stops ?? Int32Array.from(rules, ({ place }) => place);
  }
}

/**
 * Of rules with the same constants and the same target the first: a walk that is behind it has noted its
 * outcome.
 */
function firstOfEach(rules: readonly LookupRule[], row: RuleRow): LookupRule[] {
  const known = new Set<string>();
  return rules.filter(({ place, condition }) => {
    const words = `${row.targets[place]} ${constantWords(condition)}`;
    const isFirst = !known.has(words);
    known.add(words);
    return isFirst;
  });
}

/** Foresees verdicts by one policy. Made for one evaluator, with its rules. */
export class Foresight {
  readonly #row: RuleRow;
  /** Each chain that has a lookup. */
  readonly #chains: readonly (ForeseenChain | undefined)[];
  /** Of the packet: no interface has a number here, so that none is met for sure. */
  readonly #facts = new PacketFacts();
  readonly #returns: number[] = [];
  readonly #callers: number[] = [];
  #outcomes = 0;
  /** True while it is asked whether bytes matter. */
  #isForAnyBytes = false;
  /** True once the walk has met a rule about bytes. */
  #hasMetBytes = false;

  /** @param lookups - of the evaluator, by chain */
  constructor(row: RuleRow, lookups: readonly (RuleLookup | undefined)[]) {
    this.#row = row;
    this.#chains = lookups.map((lookup, chain) =>
      lookup === undefined ? undefined : new ForeseenChain(row, chain, lookup, this.#facts.interfaces),
    );
  }

  /**
   * The verdict of all packets that share flow, direction, hook and state with the context's.
   *
   * @param context - its packet is of TCP or UDP and whole, and says of itself nothing but hook and ends: no
   *   interface, no owner, no mark
   * @returns ACCEPT, DROP, or `undefined` when verdicts may differ or each packet has to be judged
   */
  verdict(context: ForesightContext): Verdict | undefined {
    const start = this.#row.hookChains[context.packet.hook] ?? -1;
    if (start < 0) return VERDICT.ACCEPT;
    this.#isForAnyBytes = false;
    if (!this.#collect(start, context)) return undefined;
    return this.#outcomes === PASSES ? VERDICT.ACCEPT : VERDICT.DROP;
  }

  /**
   * True when no byte of the flow changes what becomes of it, whatever its state is and address tables hold:
   * wherever a rule asks for bytes, the flow's packets pass whatever the answer. As long as the policy stays.
   *
   * @param context - as for {@link Foresight.verdict}; the policy asks nothing of the kernel's tracker
   */
  passesWhateverItSays(context: ForesightContext): boolean {
    const start = this.#row.hookChains[context.packet.hook] ?? -1;
    if (start < 0) return true;
    this.#isForAnyBytes = true;
    this.#hasMetBytes = false;
    return this.#collect(start, context) && (this.#outcomes & IS_DROPPED) === 0;
  }

  /** Collects the outcomes. @returns false when not all of them can be told, or when they differ */
  #collect(start: number, context: ForesightContext): boolean {
    this.#outcomes = 0;
    this.#clearReturns();
    this.#facts.bind(context.packet, context);
    try {
      return this.#walk(start, context);
    } catch {
      // A rule of somebody's own that throws now throws again when it is asked.
      return false;
    }
  }

  #walk(start: number, context: ForesightContext): boolean {
    let from = this.#row.starts[start] ?? 0;
    let chain = start;
    for (;;) {
      const place = this.#nextMatch(chain, from, context);
      if (place === UNTOLD) return false;
      const target = place === NOT_FOUND ? TARGET.END : (this.#row.targets[place] ?? TARGET.END);
      const back = target === TARGET.RETURN ? this.#returns.pop() : undefined;
      if (back !== undefined) {
        chain = this.#callers.pop() ?? 0;
        from = back;
        continue;
      }
      const next = this.#next(target, chain, place);
      if (next < 0) return this.#note(next);
      chain = next;
      from = this.#row.starts[chain] ?? 0;
    }
  }

  /** Where the walk goes on: at a chain, or it ends with a verdict. */
  #next(target: number, chain: number, place: number): number {
    if (target >= 0) {
      this.#returns.push(place + 1);
      this.#callers.push(chain);
    }
    if (target !== TARGET.END && target !== TARGET.RETURN) return target;
    // A chain has ended, from which nothing leads back.
    this.#clearReturns();
    return this.#row.defaultTarget;
  }

  #clearReturns(): void {
    this.#returns.length = 0;
    this.#callers.length = 0;
  }

  /** Notes an outcome. @returns false for one that cannot be sealed, alone or beside the others */
  #note(target: number): boolean {
    if (this.#isForAnyBytes && !this.#hasMetBytes && target === TARGET.REJECT) return true;
    if (target !== TARGET.ACCEPT && target !== TARGET.DROP) return false;
    if (this.#isForAnyBytes && !this.#hasMetBytes) return true;
    this.#outcomes |= target === TARGET.ACCEPT ? PASSES : IS_DROPPED;
    return this.#outcomes !== (PASSES | IS_DROPPED);
  }

  /**
   * Place of the chain's first rule that surely matches, {@link NOT_FOUND} when there is none,
   * {@link UNTOLD} when that cannot be told. Verdicts of rules before it that may match are noted.
   */
  #nextMatch(chain: number, from: number, context: ForesightContext): number {
    const foreseen = this.#chains[chain];
    if (foreseen === undefined) return this.#walkAlong(from, this.#row.starts[chain + 1] ?? 0, context);
    // No packet has an owner for sure.
    const found = foreseen.sure.find(this.#facts, context, NEEDS.OWNER, from);
    const stop = this.#ask(foreseen.stops, from, found, context);
    if (stop === UNTOLD) return UNTOLD;
    const first = Math.min(stop, found);
    return this.#noteDoubts(foreseen, from, first, context) ? first : UNTOLD;
  }

  /** The same, rule by rule. */
  #walkAlong(from: number, end: number, context: ForesightContext): number {
    for (let place = from; place < end; place += 1) {
      const found = this.#askAt(place, context);
      if (found !== NOT_FOUND) return found;
    }
    return NOT_FOUND;
  }

  /** The same for some rules only, from one place to before another. */
  // oxlint-disable-next-line max-params -- some rules, and from where to where
  #ask(places: Int32Array, from: number, end: number, context: ForesightContext): number {
    for (let index = firstAt(places, from); index < places.length; index += 1) {
      const place = places[index] as number;
      if (place >= end) break;
      const found = this.#askAt(place, context);
      if (found !== NOT_FOUND) return found;
    }
    return NOT_FOUND;
  }

  /**
   * Notes verdicts of rules that may match, as behind rules about bytes: it does not come to those of the
   * same kind that stand there, see {@link firstOfEach}.
   *
   * @returns false when one cannot be sealed
   */
  // oxlint-disable-next-line max-params -- a chain, and from where to where
  #noteDoubts(chain: ForeseenChain, from: number, end: number, context: ForesightContext): boolean {
    const hasMetBytes = this.#hasMetBytes;
    this.#hasMetBytes = true;
    const canBeSealed = this.#noteEachDoubt(chain, from, end, context);
    this.#hasMetBytes = hasMetBytes;
    return canBeSealed;
  }

  // oxlint-disable-next-line max-params -- those of noteDoubts
  #noteEachDoubt(chain: ForeseenChain, from: number, end: number, context: ForesightContext): boolean {
    if (this.#ask(chain.doubts, from, end, context) === UNTOLD) return false;
    const find = (behind: number): number =>
      chain.doubtful?.find(this.#facts, context, NEEDS.NETWORK, behind) ?? NOT_FOUND;
    for (let place = find(from); place < end; place = find(place + 1)) {
      if (!this.#note(this.#row.targets[place] ?? TARGET.NEXT)) return false;
    }
    return true;
  }

  /** The place if its rule surely matches, UNTOLD, or {@link NOT_FOUND} to go on. */
  #askAt(place: number, context: ForesightContext): number {
    const { targets, shadow } = this.#row;
    const answer = this.#answer(place, context);
    if (answer === ANSWER.NO) return NOT_FOUND;
    if (answer === ANSWER.UNKNOWN) return UNTOLD;
    // What is met in the shadow is reported, packet by packet; of bytes, what there is to report.
    if (shadow[place] === 1) return this.#isForAnyBytes && this.#asksBytes(place) ? NOT_FOUND : UNTOLD;
    const target = targets[place] ?? TARGET.NEXT;
    if (target === TARGET.NEXT) return NOT_FOUND;
    if (answer === ANSWER.YES) return place;
    return this.#note(target) ? NOT_FOUND : UNTOLD;
  }

  #answer(place: number, context: ForesightContext): number {
    const { rules, needs, not, verdictRules, gates } = this.#row;
    const rule = rules[place];
    if (rule === undefined || isGateShut(gates, place, context.packet)) return ANSWER.NO;
    if (verdictRules[place] !== undefined) return ANSWER.UNKNOWN;
    const { condition } = rule;
    if (this.#isForAnyBytes && condition === undefined) return this.#answerForAnyBytes(place, rule);
    const answer =
      condition === undefined ? foresee(rule, context) : answerOf(condition, needs[place] ?? 0, context);
    return not[place] === 1 ? inverted(answer, needs[place] ?? 0) : answer;
  }

  /**
   * The answer of a rule that asks more than the header. A module may bring an older copy of the base class.
   */
  #answerForAnyBytes(place: number, { isPure }: Partial<Rule>): number {
    if (isPure !== true) return ANSWER.UNKNOWN;
    if (this.#asksBytes(place) && this.#row.shadow[place] !== 1) this.#hasMetBytes = true;
    return ANSWER.EITHER;
  }

  #asksBytes(place: number): boolean {
    return this.#row.wants[place] !== CONTENT.NOTHING;
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
