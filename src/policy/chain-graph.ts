/**
 * Checks that concern chains as a whole: no endless walk, nothing out of reach.
 *
 * Chains are the nodes of a graph. A rule whose target is a chain is an edge; so is the end of a chain, which
 * leads to the default chain, unless a rule that matches every packet stands before it. A walk can be endless
 * exactly when the graph has a cycle. RETURN is no edge: it leads back along a jump, and behind it.
 */
import { didYouMean } from "./suggestion.ts";
import type { Place, ProblemList } from "./problem.ts";

/** Where a rule or the default leads, as the file writes it, and where it says so. */
export interface TargetName extends Place {
  readonly name: string;
}

/** A rule as the graph sees it. */
export interface RuleNode extends Place {
  /** `undefined` when the rule leads nowhere or decides itself. */
  readonly target: TargetName | undefined;
  /** True when it matches every packet and its target is in force. */
  readonly terminal: boolean;
  /** False when something is wrong with it, so that nobody knows what it matches. */
  readonly readable: boolean;
}

/** A chain as the graph sees it. */
export interface ChainNode extends Place {
  readonly name: string;
  readonly rules: readonly RuleNode[];
  /** False when it is no list of rules, which has been reported. */
  readonly readable: boolean;
}

/** Names that are verdicts or RETURN wherever a target is named. */
export const BUILT_IN_TARGETS: readonly string[] = ["ACCEPT", "DROP", "REJECT", "RETURN"];

/** Start chains. */
const START_CHAINS: readonly string[] = ["INPUT", "OUTPUT", "FORWARD"];

/** Chains of one policy; walks through them nest this deep at most. */
const MOST_CHAINS = 1024;

/** Rules that one packet may meet at most; more than that would hold up the queue for milliseconds. */
const MOST_STEPS = 100_000;

interface Edge extends Place {
  readonly to: string;
  /** How a message shows the step. */
  readonly words: string;
}

/** A chain on the way down, and how many of its edges were followed. */
interface TrailStep {
  readonly name: string;
  readonly edges: readonly Edge[];
  next: number;
}

/** The graph of one file. */
export class ChainGraph {
  readonly #chains: ReadonlyMap<string, ChainNode>;
  readonly #default: TargetName;
  readonly #problems: ProblemList;
  readonly #steps = new Map<string, number>();

  constructor(chains: readonly ChainNode[], defaultTarget: TargetName, problems: ProblemList) {
    this.#chains = new Map(chains.map((chain) => [chain.name, chain]));
    this.#default = defaultTarget;
    this.#problems = problems;
  }

  /** Makes all checks. */
  check(): void {
    const before = this.#problems.errors;
    if (this.#chains.size > MOST_CHAINS) {
      const message = `${this.#chains.size} chains are too many: at most ${MOST_CHAINS}`;
      this.#problems.error(this.#default, "out-of-range", message);
      return;
    }
    this.#checkTargets();
    this.#checkRulesBehindTerminal();
    this.#checkLoops();
    this.#checkReach();
    if (this.#problems.errors === before) this.#checkSteps();
  }

  #checkTargets(): void {
    const candidates = new Set([...BUILT_IN_TARGETS, ...this.#chains.keys()]);
    const targets = [...this.#chains.values()].flatMap((chain) => chain.rules.map((rule) => rule.target));
    for (const target of [this.#default, ...targets]) {
      if (target === undefined || candidates.has(target.name)) continue;
      const hint =
        didYouMean(target.name, candidates) || " Chains are named exactly, upper and lower case count.";
      this.#problems.error(
        target,
        "unknown-chain",
        `there is no chain ${JSON.stringify(target.name)}.${hint}`,
      );
    }
    if (this.#default.name === "RETURN") {
      const message =
        "default_chain cannot be RETURN: there is nothing to return to; name ACCEPT, DROP, REJECT or a chain";
      this.#problems.error(this.#default, "loop", message);
    }
  }

  #checkRulesBehindTerminal(): void {
    for (const chain of this.#chains.values()) {
      const terminal = chain.rules.findIndex((rule) => rule.terminal);
      const next = terminal < 0 ? undefined : chain.rules[terminal + 1];
      if (next === undefined) continue;
      const message = `no packet comes here: rule ${terminal} of chain ${chain.name} matches every packet`;
      this.#problems.warning(next, "unreachable-rule", message);
    }
  }

  /** Rules that can be reached: those behind one that matches every packet cannot. */
  #liveRules(chain: ChainNode): readonly RuleNode[] {
    const terminal = chain.rules.findIndex((rule) => rule.terminal);
    return terminal < 0 ? chain.rules : chain.rules.slice(0, terminal + 1);
  }

  /**
   * True when a packet can come from the end of the chain to the default chain. RETURN does that where
   * nothing is to return to: in a start chain and in the default chain.
   */
  #canEnd(chain: ChainNode): boolean {
    const rules = this.#liveRules(chain);
    if (rules.some((rule) => !rule.readable)) return false;
    const isTop = START_CHAINS.includes(chain.name) || chain.name === this.#default.name;
    if (isTop && rules.some((rule) => rule.target?.name === "RETURN")) return true;
    return !rules.some((rule) => rule.terminal);
  }

  #edges(chain: ChainNode): Edge[] {
    const edges: Edge[] = [];
    for (const { target } of this.#liveRules(chain)) {
      if (target === undefined || BUILT_IN_TARGETS.includes(target.name)) continue;
      edges.push({ ...target, to: target.name, words: `${chain.name} -> ${target.name}` });
    }
    if (this.#canEnd(chain) && !BUILT_IN_TARGETS.includes(this.#default.name)) {
      const words = `${chain.name} -> (end of chain) -> ${this.#default.name}`;
      edges.push({ ...this.#default, to: this.#default.name, words });
    }
    return edges;
  }

  /** Depth-first; a chain met again on the way down closes a cycle. Each chain is gone through once. */
  #checkLoops(): void {
    const done = new Set<string>();
    for (const start of this.#chains.values()) {
      const trail: TrailStep[] = done.has(start.name) ? [] : [this.#trailStep(start)];
      for (let step = trail.at(-1); step !== undefined; step = trail.at(-1)) {
        const edge = step.edges[step.next];
        step.next += 1;
        if (edge === undefined) done.add(trail.pop()?.name ?? "");
        else if (!done.has(edge.to)) this.#follow(edge, trail);
      }
    }
  }

  #trailStep(chain: ChainNode): TrailStep {
    return { name: chain.name, edges: this.#edges(chain), next: 0 };
  }

  #follow(edge: Edge, trail: TrailStep[]): void {
    const from = trail.findIndex((step) => step.name === edge.to);
    const chain = this.#chains.get(edge.to);
    if (from >= 0)
      this.#reportLoop(
        trail.slice(from).map((step) => step.edges[step.next - 1]),
        edge,
      );
    else if (chain !== undefined) trail.push(this.#trailStep(chain));
  }

  #reportLoop(edges: readonly (Edge | undefined)[], closing: Edge): void {
    const words = edges.map((edge) => edge?.words ?? "").join(", ");
    const advice =
      closing.words.includes("(end of chain)") && edges.length === 1
        ? `end chain ${closing.to} with a rule that takes every ` +
          `packet, such as {"name": "TrueRule", "action": "DROP"}`
        : "take out one of these steps";
    this.#problems.error(closing, "loop", `packets would go round for ever: ${words}; ${advice}`);
  }

  #checkReach(): void {
    const chains = [...this.#chains.values()];
    // A rule that cannot be read may lead anywhere.
    if (chains.some((chain) => chain.rules.some((rule) => !rule.readable))) return;
    const reached = this.reachable(START_CHAINS);
    for (const chain of chains) {
      if (!chain.readable || reached.has(chain.name) || BUILT_IN_TARGETS.includes(chain.name)) continue;
      const message =
        `no packet comes to chain "${chain.name}": no rule ` +
        `names it, and it is none of ${START_CHAINS.join(", ")}`;
      this.#problems.warning(chain, "unreachable-chain", message);
    }
  }

  /** Names of the chains that can be reached from some of them, these included. */
  reachable(starts: readonly string[]): Set<string> {
    const reached = new Set<string>();
    const waiting = starts.filter((name) => this.#chains.has(name) || name === "INPUT");
    // INPUT is an empty chain when the file has none.
    if (waiting.includes("INPUT") && !this.#chains.has("INPUT")) waiting.push(this.#default.name);
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const chain = this.#chains.get(name);
      if (chain === undefined || reached.has(name)) continue;
      reached.add(name);
      waiting.push(...this.#edges(chain).map((edge) => edge.to));
    }
    return reached;
  }

  #returns(name: string): boolean {
    const chain = this.#chains.get(name);
    return chain !== undefined && this.#liveRules(chain).some((rule) => rule.target?.name === "RETURN");
  }

  /**
   * Most rules that a packet can meet from a chain on. Of the jumps that do not come back it takes one; of
   * those that may come back it can take all, one after the other.
   */
  #mostSteps(name: string): number {
    const chain = this.#chains.get(name);
    if (chain === undefined) return 0;
    const known = this.#steps.get(name);
    if (known !== undefined) return known;
    let returning = 0;
    let longest = 0;
    for (const { to } of this.#edges(chain)) {
      const steps = this.#mostSteps(to);
      if (this.#returns(to)) returning += steps;
      else longest = Math.max(longest, steps);
    }
    const steps = chain.rules.length + returning + longest;
    this.#steps.set(name, steps);
    return steps;
  }

  #checkSteps(): void {
    for (const name of START_CHAINS) {
      const chain = this.#chains.get(name);
      const steps = this.#mostSteps(name);
      if (chain === undefined || steps <= MOST_STEPS) continue;
      const message = `a packet could meet ${steps} rules (at most ${MOST_STEPS}): let fewer chains return`;
      this.#problems.error(chain, "too-many-steps", message);
    }
  }
}
