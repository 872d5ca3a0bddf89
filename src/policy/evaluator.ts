/**
 * The way of one packet through the chains.
 *
 * The policy is laid out flat when the evaluator is made, see rule-row.ts. A packet then costs a walk along
 * that row, and where many rules say as data what they match, a lookup in place of many questions, see
 * rule-lookup.ts; both come to the same rule, and the walk is what is meant. A jump notes where it came from
 * on a small stack, for RETURN; the stack cannot overflow, because the compiler admits no loop of jumps and
 * so no walk is deeper than there are chains.
 */
import {
  invariant,
  type Milliseconds,
  PROTOCOL,
  SECOND,
  type Verdict,
  VERDICT,
  verdictName,
} from "../base/index.ts";
import { FRAGMENT, NO_USER, type Packet } from "../wire/index.ts";
import { CONTENT } from "./content.ts";
import { Foresight } from "./foresight.ts";
import { PacketFacts } from "./packet-facts.ts";
import type { Policy, RuleMemory } from "./policy.ts";
import { NEEDS, type RejectWith, type Rule, type RuleContext, type VerdictRule } from "./rule.ts";
import { firstAt, LOOKUP_FROM, NOT_FOUND, type RuleLookup } from "./rule-lookup.ts";
import { isGateShut, RuleRow, TARGET, verdictCode } from "./rule-row.ts";

/** Why a packet got its verdict. */
export type VerdictReason =
  /** A rule gave it. */
  | "rule"
  /** A chain ended and the default is a verdict. */
  | "default"
  /** The packet cannot be read: `outcomes.malformed`. */
  | "malformed"
  /** A rule threw: `outcomes.ruleError`. */
  | "rule-error"
  /** The policy has no chain for the packet's hook. */
  | "no-chain"
  /** A rule needs bytes of the flow that have not come yet: `settings.pending`. */
  | "pending"
  /** The packet belongs to a connection that was ended on request. */
  | "killed"
  /** The kernel gave it, and it is not known by which rule. */
  | "untold";

const { NEXT, ACCEPT, DROP, REJECT, RETURN, OWN, END } = TARGET;

// What may become of a packet once a rule that waits for bytes has them; bits.
const MAY_PASS = 1;
const MAY_BE_BLOCKED = 2;
const MAY_GO_ON = 4;

function outcomeOf(target: number): number {
  if (target === ACCEPT) return MAY_PASS;
  return target === DROP || target === REJECT ? MAY_BE_BLOCKED : MAY_GO_ON;
}

/** Errors of rules that are reported in one second; more are only counted. */
const REPORTS_PER_SECOND = 10;

/** Bits of {@link NEEDS} that this packet has not. */
export function missingParts(packet: Packet): number {
  const transport = packet.fragment === FRAGMENT.LATER ? NEEDS.TRANSPORT : 0;
  const owner = packet.userId === NO_USER && packet.groupId === NO_USER ? NEEDS.OWNER : 0;
  return transport | owner;
}

/** How a rejected packet is answered, given the wish of the rule: only TCP can be reset. */
export function rejectKind(wish: RejectWith | "auto", packet: Packet): RejectWith {
  if (wish !== "auto" && wish !== "tcp-reset") return wish;
  return packet.protocol === PROTOCOL.TCP && packet.fragment !== FRAGMENT.LATER
    ? "tcp-reset"
    : "port-unreachable";
}

/** Judges packets by a policy, one at a time, without allocation. One per worker. */
export class Evaluator {
  /** What became of the packet evaluated last. */
  verdict: Verdict = VERDICT.ACCEPT;
  /** Index of the chain that gave the verdict; -1 when none did. */
  chain = -1;
  /** Index, in that chain, of the rule that gave the verdict; -1 when none did. */
  rule = -1;
  reason: VerdictReason = "no-chain";
  /** How to answer. Valid when `verdict` is REJECT. */
  rejectWith: RejectWith = "port-unreachable";
  /** Times that a rule threw. */
  ruleErrors = 0;
  /** Packets that each rule matched, by its place in the row; see {@link Evaluator.matchCount}. */
  readonly #matches: Float64Array;

  readonly policy: Policy;
  /** Bits of CONTENT that some rule of the policy wants. */
  readonly wants: number;
  /** Tells when no later packet of a flow need be judged. */
  readonly foresight: Foresight;
  readonly #row: RuleRow;
  readonly #rules: readonly Rule[];
  readonly #verdictRules: readonly (VerdictRule | undefined)[];
  readonly #settles: Uint8Array;
  readonly #needs: Uint8Array;
  readonly #gates: Int32Array;
  readonly #not: Uint8Array;
  readonly #targets: Int32Array;
  readonly #wants: Uint8Array;
  readonly #shadow: Uint8Array;
  readonly #starts: Int32Array;
  readonly #hookChains: Int32Array;
  readonly #default: number;
  /** The lookup of each chain that has one. */
  readonly #lookups: readonly (RuleLookup | undefined)[];
  readonly #hasLookups: boolean;
  readonly #facts: PacketFacts = new PacketFacts();
  /** Places of rules that want to know what became of the packet and that it has met, each once. */
  readonly #met: Int32Array;
  #metCount = 0;
  /** What may become of the packet once the rules that wait have their bytes; 0 when none waits. */
  #outcomes = 0;
  /** The first rule that waits, by chain and index. */
  #waitingChain = -1;
  #waitingRule = -1;
  readonly #returns: Int32Array;
  readonly #callers: Int32Array;
  /** The rule being asked, by its place in the row. */
  #at = 0;
  /** The rule to ask next, by its place in the row. */
  #next = 0;
  #chain = 0;
  #depth = 0;
  #missing = 0;
  #reportsFrom: Milliseconds = Number.NEGATIVE_INFINITY;
  #reports = 0;
  #suppressed = 0;

  /**
   * @param policy - the policy; its rules are made anew
   * @param memory - the memory that all evaluators of this policy share, see {@link allocateMemory}
   * @param lookupFrom - a value of LOOKUP_FROM: when rules are looked up instead of asked one by one
   */
  constructor(policy: Policy, memory: RuleMemory, lookupFrom: number = LOOKUP_FROM.WHERE_FASTER) {
    this.policy = policy;
    const row = new RuleRow(policy, memory);
    this.#row = row;
    this.#rules = row.rules;
    this.#verdictRules = row.verdictRules;
    this.#settles = row.settles;
    this.#met = new Int32Array(row.settles.reduce((sum, each) => sum + each, 0));
    this.#needs = row.needs;
    this.#gates = row.gates;
    this.#not = row.not;
    this.#targets = row.targets;
    this.#wants = row.wants;
    this.#shadow = row.shadow;
    this.wants = row.allWants;
    this.#matches = new Float64Array(row.rules.length);
    this.#starts = row.starts;
    this.#hookChains = row.hookChains;
    this.#default = row.defaultTarget;
    this.#lookups = policy.chains.map(({ index }) => row.lookup(index, this.#facts.interfaces, lookupFrom));
    this.#hasLookups = this.#lookups.some((lookup) => lookup !== undefined);
    this.foresight = new Foresight(row, this.#lookups);
    this.#returns = new Int32Array(policy.chains.length);
    this.#callers = new Int32Array(policy.chains.length);
  }

  /**
   * Judges the packet of the context. The fields of this object then say what, by which rule and why.
   *
   * Rules see the connection as it is before the packet. A packet with a fault meets no rule.
   *
   * @param context - the packet and what rules may know besides
   * @returns the verdict
   */
  evaluate(context: RuleContext): Verdict {
    const { packet } = context;
    const start = this.#hookChains[packet.hook] ?? -1;
    if (start < 0) return this.#end(VERDICT.ACCEPT, "no-chain", -1, -1);
    if (packet.fault !== undefined) {
      return this.#end(VERDICT[this.policy.settings.outcomes.malformed], "malformed", -1, -1);
    }
    this.#missing = missingParts(packet);
    if (this.#hasLookups) this.#facts.bind(packet, context);
    this.#enter(start);
    this.#metCount = 0;
    this.#outcomes = 0;
    try {
      this.#walk(context);
      if (this.#outcomes !== 0) this.#suspend(packet);
      if (this.#metCount > 0) this.#settle(context);
      return this.verdict;
    } catch (error) {
      return this.#fail(error, context);
    }
  }

  /** Drops the packet without asking a rule: its connection was ended on request. */
  dropKilled(): Verdict {
    return this.#end(VERDICT.DROP, "killed", -1, -1);
  }

  /**
   * Gives the packet the verdict that its flow has for good.
   *
   * @param verdict - DROP or REJECT
   * @param chain - of the rule that gave it
   * @param rule - its index
   */
  repeat(verdict: Verdict, chain: number, rule: number): Verdict {
    return this.#end(verdict, "rule", chain, rule);
  }

  /**
   * Takes over what the kernel has judged.
   *
   * @param verdict - DROP or REJECT
   * @param chain - that gave it; -1 when that is not known
   * @param rule - index of the rule; -1 for the end of the chain
   */
  adopt(verdict: Verdict, chain: number, rule: number): Verdict {
    if (chain < 0) return this.#end(verdict, "untold", -1, -1);
    return this.#end(verdict, rule < 0 ? "default" : "rule", chain, rule);
  }

  /** True when a rule about the bytes of flows gave the last verdict. */
  get isByContent(): boolean {
    if (this.reason !== "rule") return false;
    return (this.#wants[(this.#starts[this.chain] ?? 0) + this.rule] ?? 0) !== CONTENT.NOTHING;
  }

  /** Packets that a rule has matched since the evaluator was made. */
  matchCount(chain: number, rule: number): number {
    return this.#matches[(this.#starts[chain] ?? 0) + rule] ?? 0;
  }

  #walk(context: RuleContext): Verdict {
    for (;;) {
      const target = this.#firstMatch(context);
      if (target >= 0) this.#jump(target);
      else if (target === RETURN && this.#depth > 0) this.#return();
      else if (target !== RETURN && target !== END) return this.#conclude(target, context, this.#at);
      else if (this.#default < 0) return this.#conclude(this.#default, context, -1);
      else this.#enter(this.#default);
    }
  }

  /** The target of the chain's first rule that matches, from where it stands, or {@link TARGET.END}. */
  #firstMatch(context: RuleContext): number {
    const lookup = this.#lookups[this.#chain];
    if (lookup !== undefined) return this.#lookUp(lookup, context);
    const end = this.#starts[this.#chain + 1] ?? 0;
    for (let at = this.#next; at < end; at += 1) {
      if (isGateShut(this.#gates, at, context.packet)) continue;
      this.#at = at;
      const target = this.#ask(at, context);
      if (target === NEXT) continue;
      this.#next = at + 1;
      return target;
    }
    return END;
  }

  /** The same: looks rules up, and asks those before the one found that cannot be looked up. */
  #lookUp(lookup: RuleLookup, context: RuleContext): number {
    const found = lookup.find(this.#facts, context, this.#missing, this.#next);
    const { stops } = lookup;
    for (let index = firstAt(stops, this.#next); index < stops.length; index += 1) {
      const at = stops[index] as number;
      if (at >= found) break;
      if (isGateShut(this.#gates, at, context.packet)) continue;
      this.#at = at;
      const target = this.#ask(at, context);
      if (target === NEXT) continue;
      this.#next = at + 1;
      return target;
    }
    if (found === NOT_FOUND) return END;
    this.#at = found;
    this.#next = found + 1;
    this.#noteMatch(found);
    return this.#targets[found] as number;
  }

  /** Starts a chain from which nothing leads back. */
  #enter(chain: number): void {
    this.#depth = 0;
    this.#chain = chain;
    this.#next = this.#starts[chain] ?? 0;
  }

  #jump(chain: number): void {
    this.#callers[this.#depth] = this.#chain;
    this.#returns[this.#depth] = this.#next;
    this.#depth += 1;
    this.#chain = chain;
    this.#next = this.#starts[chain] ?? 0;
  }

  #return(): void {
    this.#depth -= 1;
    this.#chain = this.#callers[this.#depth] ?? 0;
    this.#next = this.#returns[this.#depth] ?? 0;
  }

  /** Asks one rule; {@link NEXT} when it does not match, otherwise the target. */
  #ask(at: number, context: RuleContext): number {
    if (((this.#needs[at] ?? 0) & this.#missing) !== 0) return NEXT;
    const rule = this.#rules[at];
    const target = this.#targets[at] ?? NEXT;
    if (rule === undefined) return NEXT;
    if (target === OWN) return this.#askForVerdict(at, context);
    const matched: unknown = rule.match(context.packet, context);
    if (this.#wants[at] !== CONTENT.NOTHING && this.#waits(at, target, context)) return NEXT;
    if (matched === (this.#not[at] === 1)) return NEXT;
    // A rule of somebody's own may answer with anything, a promise for instance.
    invariant(typeof matched === "boolean", "match must return true or false");
    this.#noteMatch(at);
    return this.#shadow[at] === 1 ? this.#onlyReport(target, context) : target;
  }

  #askForVerdict(at: number, context: RuleContext): number {
    const rule = this.#verdictRules[at];
    if (rule === undefined) return NEXT;
    const verdict = rule.decide(context.packet, context);
    if (this.#wants[at] !== CONTENT.NOTHING && this.#waits(at, OWN, context)) return NEXT;
    if (verdict === undefined) return NEXT;
    invariant(
      verdict >= VERDICT.ACCEPT && verdict <= VERDICT.REJECT,
      "decide must return a verdict or undefined",
    );
    this.#noteMatch(at);
    if (this.#shadow[at] === 1) return this.#onlyReport(verdictCode(verdict), context);
    if (verdict === VERDICT.REJECT) this.rejectWith = rejectKind(rule.rejectWith, context.packet);
    return verdictCode(verdict);
  }

  /** True when the rule asked last needs bytes not yet seen; what it could still do is noted. */
  #waits(at: number, target: number, context: RuleContext): boolean {
    if (context.content?.takeWait() !== true) return false;
    if (this.#shadow[at] === 1 || target === NEXT) return true;
    if (this.#outcomes === 0) {
      this.#waitingChain = this.#chain;
      this.#waitingRule = at - (this.#starts[this.#chain] ?? 0);
    }
    this.#outcomes |= outcomeOf(target);
    return true;
  }

  /** Lets the packet wait for rules that need more bytes, unless their answers cannot change its verdict. */
  #suspend(packet: Packet): void {
    const outcomes = this.#outcomes | (this.verdict === VERDICT.ACCEPT ? MAY_PASS : MAY_BE_BLOCKED);
    if (outcomes === MAY_PASS || outcomes === MAY_BE_BLOCKED) return;
    const isHeld = this.policy.settings.pending.mode === "hold" && packet.payloadBytes > 0;
    const verdict = isHeld ? VERDICT.DROP : VERDICT.ACCEPT;
    this.#end(verdict, "pending", this.#waitingChain, this.#waitingRule);
  }

  /** Says what a rule in the shadow would have done; the packet goes on to the next rule. */
  #onlyReport(target: number, context: RuleContext): number {
    const { content } = context;
    const rule = this.#rules[this.#at];
    // Once for a flow whose bytes are known, otherwise for every packet.
    const isNews = content === undefined || rule === undefined || content.noteShadow(rule);
    if (isNews) {
      const index = this.#at - (this.#starts[this.#chain] ?? 0);
      const row = this.policy.chains[this.#chain]?.rules[index];
      const words = `shadow: rule ${index} of ${this.policy.chains[this.#chain]?.name} (${row?.name}) would `;
      const isNamed = target === OWN || row?.action === undefined;
      const action = isNamed ? verdictName(target === ACCEPT ? VERDICT.ACCEPT : VERDICT.DROP) : row.action;
      context.report.log(`${words}${action}:`, context.packet, "INFO", 0);
    }
    return NEXT;
  }

  #noteMatch(at: number): void {
    this.#matches[at] = (this.#matches[at] ?? 0) + 1;
    if (this.#settles[at] === 1) this.#noteMet(at);
  }

  /** A chain that is jumped to twice shows the packet to its rules twice. */
  #noteMet(at: number): void {
    for (let index = 0; index < this.#metCount; index += 1) if (this.#met[index] === at) return;
    this.#met[this.#metCount] = at;
    this.#metCount += 1;
  }

  #settle(context: RuleContext): void {
    const passed = this.verdict === VERDICT.ACCEPT;
    for (let index = 0; index < this.#metCount; index += 1) {
      this.#at = this.#met[index] ?? 0;
      this.#rules[this.#at]?.settle?.(context.packet, context, passed);
    }
  }

  /** Ends with a verdict; `at` is the rule that gave it, -1 for the default. */
  #conclude(target: number, context: RuleContext, at: number): Verdict {
    const reason = at < 0 ? "default" : "rule";
    const rule = at < 0 ? -1 : at - (this.#starts[this.#chain] ?? 0);
    if (target === ACCEPT) return this.#end(VERDICT.ACCEPT, reason, this.#chain, rule);
    if (target === DROP) return this.#end(VERDICT.DROP, reason, this.#chain, rule);
    // A rule that decides itself has left its own wish here.
    if (at < 0 || this.#targets[at] !== OWN) this.rejectWith = rejectKind("auto", context.packet);
    return this.#end(VERDICT.REJECT, reason, this.#chain, rule);
  }

  #end(verdict: Verdict, reason: VerdictReason, chain: number, rule: number): Verdict {
    this.verdict = verdict;
    this.reason = reason;
    this.chain = chain;
    this.rule = rule;
    return verdict;
  }

  #fail(error: unknown, context: RuleContext): Verdict {
    const chain = this.#row.chainOf(this.#at);
    const rule = this.#at - (this.#starts[chain] ?? 0);
    this.ruleErrors += 1;
    if (context.now - this.#reportsFrom >= SECOND) {
      this.#reportsFrom = context.now;
      this.#reports = 0;
    }
    if (this.#reports < REPORTS_PER_SECOND) {
      this.#reports += 1;
      const name = this.policy.chains[chain]?.name ?? "";
      context.report.ruleError(name, rule, error, this.#suppressed);
      this.#suppressed = 0;
    } else {
      this.#suppressed += 1;
    }
    return this.#end(VERDICT[this.policy.settings.outcomes.ruleError], "rule-error", chain, rule);
  }
}
