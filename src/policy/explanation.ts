/** Why a packet gets its verdict, step by step, in words. Nothing is printed, counted or learnt by it. */
import { invariant, VERDICT, type VerdictName, verdictName } from "../base/index.ts";
import { missingParts, rejectKind, type VerdictReason } from "./evaluator.ts";
import type { Chain, Policy, PolicyRule, RuleMemory, Target } from "./policy.ts";
import { isVerdictRule, NEEDS, type RejectWith, type Rule, type RuleContext } from "./rule.ts";

/** A chain begins. */
export interface ChainStep {
  readonly kind: "chain";
  readonly chain: string;
  /** What led here: the hook, a jump, a return, or the end of a chain. */
  readonly reason: string;
}

/** A rule is asked. */
export interface RuleStep {
  readonly kind: "rule";
  readonly chain: string;
  /** Index in the chain, from 0. */
  readonly rule: number;
  /** Registered name of its kind. */
  readonly name: string;
  readonly comment?: string;
  /** True when the packet meets it, `not` taken into account. */
  readonly matched: boolean;
  /** Why, such as `destination port 443 is not 22`. */
  readonly reason: string;
  /** Where it sends the packet; `next` when it does not match or has no action. */
  readonly target: string;
  /** Line of the rule in the policy file, from 1. */
  readonly line: number;
}

/** The end. */
export interface VerdictStep {
  readonly kind: "verdict";
  readonly verdict: VerdictName;
  /** How a rejected packet is answered. Present when `verdict` is REJECT. */
  readonly rejectWith?: RejectWith;
  readonly cause: VerdictReason;
  /** Chain that gave the verdict, `null` when none did. */
  readonly chain: string | null;
  /** Index of the rule that gave it, `null` for the default. */
  readonly rule: number | null;
  readonly reason: string;
}

/** One step of a packet's way. The last one is a {@link VerdictStep}. */
export type ExplainStep = ChainStep | RuleStep | VerdictStep;

/** What a rule said. */
interface Answer {
  readonly matched: boolean;
  readonly reason: string;
  readonly target: Target;
  readonly rejectWith: RejectWith | "auto";
}

const NO_MATCH: Target = { kind: "next" };

function missingReason(needs: number, context: RuleContext): string | undefined {
  const missing = needs & missingParts(context.packet);
  if ((missing & NEEDS.TRANSPORT) !== 0)
    return "a later fragment has no ports, flags or ICMP type: matches neither way";
  if ((missing & NEEDS.OWNER) !== 0)
    return "the packet has no owner known to the kernel: matches neither way";
  return undefined;
}

function ask(rule: PolicyRule, made: Rule, context: RuleContext): Answer {
  const { packet } = context;
  const missing = missingReason(made.needs, context);
  if (missing !== undefined) return { matched: false, reason: missing, target: NO_MATCH, rejectWith: "auto" };
  const reason = made.explain(packet, context);
  if (rule.target.kind === "own" && isVerdictRule(made)) {
    const verdict = made.peekVerdict(packet, context);
    const target: Target = verdict === undefined ? NO_MATCH : { kind: "verdict", verdict };
    return { matched: verdict !== undefined, reason, target, rejectWith: made.rejectWith };
  }
  const met = made.peek(packet, context);
  const matched = met !== rule.not;
  const plain = reason || (met ? "the packet meets it" : "the packet does not meet it");
  const inverted = rule.not ? `${plain}, inverted by "not"` : plain;
  const words = rule.shadow ? `${inverted}; in the shadow: it does not act` : inverted;
  if (rule.shadow) return { matched, reason: words, target: NO_MATCH, rejectWith: "auto" };
  return { matched, reason: words, target: matched ? rule.target : NO_MATCH, rejectWith: "auto" };
}

/** Walks the chains as {@link Evaluator} does, one step object per step. */
class Walk {
  readonly steps: ExplainStep[] = [];
  readonly #policy: Policy;
  readonly #rules: readonly (readonly Rule[])[];
  readonly #context: RuleContext;
  readonly #returns: { chain: Chain; next: number }[] = [];
  #chain: Chain;
  #next = 0;

  constructor(policy: Policy, memory: RuleMemory, context: RuleContext, start: Chain) {
    this.#policy = policy;
    this.#rules = policy.instantiate(memory);
    this.#context = context;
    this.#chain = start;
  }

  run(): void {
    this.#enter(this.#chain, "the packet's hook");
    for (let ended = false; !ended; ) {
      const rule = this.#chain.rules[this.#next];
      ended = rule === undefined ? this.#toDefault(`chain ${this.#chain.name} ends`) : this.#step(rule);
    }
  }

  #enter(chain: Chain, reason: string): void {
    this.#chain = chain;
    this.#next = 0;
    this.steps.push({ kind: "chain", chain: chain.name, reason });
  }

  #targetName(target: Target): string {
    if (target.kind === "verdict") return verdictName(target.verdict);
    if (target.kind === "chain") return this.#policy.chains[target.chain]?.name ?? "";
    return target.kind === "return" ? "RETURN" : "next";
  }

  /** Asks one rule; true when that was the end. */
  #step(rule: PolicyRule): boolean {
    const index = this.#next;
    const made = this.#rules[this.#chain.index]?.[index];
    invariant(made !== undefined, "every rule of a policy is made");
    let answer: Answer;
    try {
      answer = ask(rule, made, this.#context);
    } catch (error) {
      return this.#threw(rule, index, error);
    }
    this.steps.push(this.#ruleStep(rule, index, answer));
    this.#next += 1;
    const { target } = answer;
    switch (target.kind) {
      case "verdict":
        return this.#conclude(target, index, answer);
      case "chain":
        return this.#jump(target.chain, index);
      case "return":
        return this.#return();
      default:
        return false;
    }
  }

  #ruleStep(rule: PolicyRule, index: number, answer: Answer): RuleStep {
    return {
      kind: "rule",
      chain: this.#chain.name,
      rule: index,
      name: rule.name,
      ...(rule.comment === undefined ? {} : { comment: rule.comment }),
      matched: answer.matched,
      reason: answer.reason,
      target: this.#targetName(answer.target),
      line: rule.line,
    };
  }

  #jump(index: number, rule: number): boolean {
    const chain = this.#policy.chains[index];
    invariant(chain !== undefined, "every target of a policy exists");
    this.#returns.push({ chain: this.#chain, next: this.#next });
    this.#enter(chain, `rule ${rule} of ${this.#chain.name} jumps here`);
    return false;
  }

  #return(): boolean {
    const caller = this.#returns.pop();
    if (caller === undefined)
      return this.#toDefault(`there is nothing to return to from ${this.#chain.name}`);
    const reason = `back from ${this.#chain.name}`;
    this.#enter(caller.chain, reason);
    this.#next = caller.next;
    return false;
  }

  #toDefault(why: string): boolean {
    const target = this.#policy.defaultTarget;
    this.#returns.length = 0;
    if (target.kind === "chain") {
      const chain = this.#policy.chains[target.chain];
      invariant(chain !== undefined, "every target of a policy exists");
      this.#enter(chain, `${why}: default_chain`);
      return false;
    }
    invariant(target.kind === "verdict", "the default is a verdict or a chain");
    const verdict = verdictName(target.verdict);
    const reject =
      target.verdict === VERDICT.REJECT ? { rejectWith: rejectKind("auto", this.#context.packet) } : {};
    const chain = this.#chain.name;
    this.steps.push({
      kind: "verdict",
      verdict,
      ...reject,
      cause: "default",
      chain,
      rule: null,
      reason: `${why}: default_chain is ${verdict}`,
    });
    return true;
  }

  #conclude(target: Target & { kind: "verdict" }, rule: number, answer: Answer): boolean {
    const verdict = verdictName(target.verdict);
    const kind = rejectKind(answer.rejectWith, this.#context.packet);
    const reject = target.verdict === VERDICT.REJECT ? { rejectWith: kind } : {};
    const chain = this.#chain.name;
    this.steps.push({
      kind: "verdict",
      verdict,
      ...reject,
      cause: "rule",
      chain,
      rule,
      reason: `rule ${rule} of ${chain}`,
    });
    return true;
  }

  #threw(rule: PolicyRule, index: number, error: unknown): boolean {
    const verdict = this.#policy.settings.outcomes.ruleError;
    const words = error instanceof Error ? error.message : String(error);
    const reason = `${rule.name} failed: ${words}; outcomes.ruleError is ${verdict}`;
    this.steps.push({
      kind: "verdict",
      verdict,
      cause: "rule-error",
      chain: this.#chain.name,
      rule: index,
      reason,
    });
    return true;
  }
}

/**
 * Explains what a policy does with a packet. Nothing is printed, logged, counted or remembered, so that a
 * running firewall can be asked.
 *
 * @param policy - the policy
 * @param memory - the memory in use, or `{}`
 * @param context - the packet and what rules may know besides
 * @returns every chain entered, every rule asked and why it matched or not; the verdict last
 */
export function explainPacket(policy: Policy, memory: RuleMemory, context: RuleContext): ExplainStep[] {
  const { packet } = context;
  const start = policy.hookChain(packet.hook);
  if (start === undefined) {
    const reason = "the policy has no chain for this hook: packets are tracked, not filtered";
    return [{ kind: "verdict", verdict: "ACCEPT", cause: "no-chain", chain: null, rule: null, reason }];
  }
  if (packet.fault !== undefined) {
    const verdict = policy.settings.outcomes.malformed;
    const reason = `the packet cannot be read (${packet.fault}); outcomes.malformed is ${verdict}`;
    return [{ kind: "verdict", verdict, cause: "malformed", chain: null, rule: null, reason }];
  }
  const walk = new Walk(policy, memory, context, start);
  walk.run();
  return walk.steps;
}
