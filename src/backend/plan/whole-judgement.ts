/**
 * Which rules that count may do so in the kernel: those whose packets the kernel judges wholly.
 *
 * What goes up is judged in userspace by the whole policy, from the start. A rule that counts and stands in
 * the kernel would be met a second time there, or by other packets than those that the kernel counts; two
 * buckets would let twice the rate pass. So such a rule stays in userspace unless none of the packets that
 * can meet it may go up, before it or behind it, at any hook.
 *
 * Packets are told by what they surely fit on their way: a *class* is a match that all of them fit. It may
 * hold more packets than come there, never fewer.
 *
 * - *Who can meet the rule* is found in the chains of the policy, since userspace walks them all.
 * - *What goes up* of these is found in the plan, from the start of the hook: each line that sends packets up
 *   and does not surely lie apart from the class.
 * - *What is to be logged* behind the rule goes up with its verdict, and is not judged again (see
 *   judged-priority.ts in the netlink layer).
 * - *What the kernel does not vouch for* goes up before all rules (see vouching-text.ts). IPv4 packets that
 *   can be read come back from there, and connection tracking has put fragments together, unless a program of
 *   this host forbids it for its raw socket (IP_NODEFRAG). IPv6 packets stay in userspace: it walks through
 *   extension headers where the kernel sees the end of the way, and could not say what it has found behind.
 */
import { HOOK, HOOK_NAMES, type HookName } from "../../base/index.ts";
import { JUDGED_CHAIN_MAX, JUDGED_RULE_MAX } from "../../netlink/index.ts";
import type { Policy, PolicyRule, Rule } from "../../policy/index.ts";
import type { KernelPlan, Origin, PlanChain, PlanLine, RegionName } from "./kernel-plan.ts";
import type { KernelTest, Match } from "./kernel-test.ts";
import { areApart, implies } from "./match-relation.ts";
import { asksMore } from "./meter.ts";
import { type Judgement, judgeRule } from "./rule-judgement.ts";

/** Lines behind such rules of which the kernel tells what it has dropped; each needs a chain of its own. */
const TOLD_MAX = 256;

/** Lines that are looked at for one policy; beyond that nobody is sure. */
const VISITS_MAX = 200_000;

const TOO_MANY = "there are too many ways to it to be sure that none of its packets goes up";

const IPV4: KernelTest = { field: "family", family: 4 };

/** A rule that counts, as it would stand in the kernel. */
export interface Counting {
  readonly row: PolicyRule;
  readonly origin: Origin;
  /** What it counts; every packet fits one of these. */
  readonly packets: readonly Match[];
  /** All packets in one bucket, those of each source in one, or who has knocked. */
  readonly kind: "packets" | "sources" | "knocks";
}

/** What such rules do, for people. */
const WORDS: Readonly<Record<Counting["kind"], string>> = {
  packets: "counts every packet",
  sources: "counts every packet",
  knocks: "remembers every knock",
};

/** What the kernel does besides judging. */
export interface PlanOptions {
  /** Whether it tracks connections. */
  readonly tracksConnections: boolean;
  /** Whether dropped and refused packets go up to be logged. */
  readonly logsDrops: boolean;
}

function narrowed(packets: Match, match: Match): Match {
  return [...packets, ...match.filter((test) => !implies(packets, [test]))];
}

/** Thrown when enough has been looked at. */
class Exhausted extends Error {}

class Patience {
  #left = VISITS_MAX;

  spend(): void {
    this.#left -= 1;
    if (this.#left < 0) throw new Exhausted();
  }
}

/** Ends the way of every packet that fits a sure piece. */
function isEnd({ action }: Judgement): boolean {
  return action?.kind === "accept" || action?.kind === "drop" || action?.kind === "reject";
}

/** Finds the classes of packets that can meet rules. */
class Arrivals {
  readonly #policy: Policy;
  readonly #rules: readonly (readonly Rule[])[];
  readonly #hook: HookName;
  readonly #wanted: ReadonlySet<PolicyRule>;
  readonly #patience: Patience;
  readonly found = new Map<PolicyRule, Match[]>();

  // oxlint-disable-next-line max-params -- what is walked, where, for which rules, and how far
  constructor(
    policy: Policy,
    rules: readonly (readonly Rule[])[],
    hook: HookName,
    wanted: ReadonlySet<PolicyRule>,
    patience: Patience,
  ) {
    this.#policy = policy;
    this.#rules = rules;
    this.#hook = hook;
    this.#wanted = wanted;
    this.#patience = patience;
  }

  walk(chain: number, packets: Match): void {
    for (const [at, row] of (this.#policy.chains[chain]?.rules ?? []).entries()) {
      this.#patience.spend();
      const rule = this.#rules[chain]?.[at];
      if (rule === undefined) continue;
      if (this.#wanted.has(row)) this.found.set(row, [...(this.found.get(row) ?? []), packets]);
      if (this.#meet(row, judgeRule(row, rule, this.#hook), packets)) return;
    }
    const { defaultTarget } = this.#policy;
    if (defaultTarget.kind === "chain") this.walk(defaultTarget.chain, packets);
  }

  /** @returns whether all of the packets end their way at the rule */
  #meet({ target }: PolicyRule, judgement: Judgement, packets: Match): boolean {
    const pieces = judgement.pieces.filter(({ match }) => !areApart(packets, match));
    if (target.kind === "chain") {
      for (const { match } of pieces) this.walk(target.chain, narrowed(packets, match));
    }
    return isEnd(judgement) && pieces.some(({ match, sure }) => sure && implies(packets, match));
  }
}

/** A plan whose counts have yet to be checked. */
type OpenPlan = Omit<KernelPlan, "told">;

/** Looks for a line of a hook that sends packets of a class up. */
class UpSearch {
  readonly #plan: OpenPlan;
  readonly #chains: readonly PlanChain[];
  readonly #options: PlanOptions;
  readonly #patience: Patience;
  readonly #counting: Counting;
  /** Whether packets may have met the rule; lines are gone through in the order of their way. */
  #hasMet = false;
  readonly #told: Set<PlanLine>;
  /** Why they go up. */
  reason: string | undefined;

  // oxlint-disable-next-line max-params -- what is searched, for what, and how far
  constructor(
    plan: OpenPlan,
    chains: readonly PlanChain[],
    counting: Counting,
    { options, patience, told }: SearchParts,
  ) {
    this.#told = told;
    this.#plan = plan;
    this.#chains = chains;
    this.#counting = counting;
    this.#options = options;
    this.#patience = patience;
  }

  search(packets: Match): void {
    const [start] = this.#chains;
    if (start !== undefined && this.#walk(start.chain, packets)) this.#step(start.end, packets);
  }

  /** @returns whether packets may come back out of the chain */
  #walk(index: number, packets: Match): boolean {
    let returns = false;
    for (const line of this.#chains.find(({ chain }) => chain === index)?.lines ?? []) {
      this.#patience.spend();
      const { chain, rule } = line.origin;
      const { origin } = this.#counting;
      if (chain === origin.chain && rule === origin.rule) this.#hasMet = true;
      if (areApart(packets, line.match)) continue;
      const after = this.#step(line, narrowed(packets, line.match));
      if (after.returns) returns = true;
      const isAll = !asksMore(line) && implies(packets, line.match);
      if (isAll && !after.goesOn) return returns;
    }
    return true;
  }

  #step(line: PlanLine, packets: Match): { goesOn: boolean; returns: boolean } {
    const { action } = line;
    this.#checkUp(line, packets);
    if (action.kind === "jump") return { goesOn: this.#walk(action.chain, packets), returns: false };
    if (action.kind === "goto") return { goesOn: false, returns: this.#walk(action.chain, packets) };
    const isBlocked = action.kind === "drop" || action.kind === "reject";
    if (isBlocked && this.#hasMet && this.#options.logsDrops) this.#tell(line);
    return { goesOn: false, returns: action.kind === "return" };
  }

  /** Notes when packets may go up by a line. */
  #checkUp(line: PlanLine, packets: Match): void {
    const { action, except, meter, knock, origin, reason } = line;
    const isIn = (region: RegionName): boolean =>
      this.#plan.regions[region].parts.some((part) => !areApart(packets, part));
    if (action.kind === "userspace" || (except !== undefined && isIn(except))) this.#note(line, reason);
    const isOther =
      origin.chain !== this.#counting.origin.chain || origin.rule !== this.#counting.origin.rule;
    const lacksRoom =
      knock === undefined ? meter?.by === "source" && this.#counting.kind !== "sources" : isOther;
    if (lacksRoom) this.#note(line, "a source for which there is no room is judged in userspace");
  }

  #tell(line: PlanLine): void {
    const { chain, rule } = line.origin;
    this.#told.add(line);
    if (this.#told.size > TOLD_MAX || chain > JUDGED_CHAIN_MAX || rule > JUDGED_RULE_MAX) {
      this.#note(line, "the log is told of no more rules behind it");
    }
  }

  #note({ origin: { chain, rule } }: PlanLine, why = "only userspace can judge it there"): void {
    const found = this.#plan.policy.chains[chain];
    const row = found?.rules[rule];
    const place = row === undefined ? "at its end" : `line ${row.line}`;
    this.reason ??= `it ${WORDS[this.#counting.kind]}, and some may go to userspace in ${found?.name}, ${place}: ${why}`;
  }
}

/** What a search works with. */
interface SearchParts {
  readonly options: PlanOptions;
  readonly patience: Patience;
  /** Takes the lines of which the kernel tells. */
  readonly told: Set<PlanLine>;
}

/** Why packets of a class may come up before all rules, to be judged; `undefined` when none does. */
function unvouched(packets: Match, { kind }: Counting): string | undefined {
  // As a knock an IPv6 packet with extension headers means nothing, in userspace neither.
  if (kind === "knocks" || implies(packets, [IPV4])) return undefined;
  return `it ${WORDS[kind]}, and IPv6 packets with extension headers go to userspace`;
}

/** Judges the rules of one plan. */
class Search {
  readonly #plan: OpenPlan;
  readonly #rules: readonly (readonly Rule[])[];
  readonly #counting: readonly Counting[];
  readonly #parts: SearchParts;

  // oxlint-disable-next-line max-params -- see checkCounts
  constructor(
    plan: OpenPlan,
    rules: readonly (readonly Rule[])[],
    counting: readonly Counting[],
    parts: SearchParts,
  ) {
    this.#plan = plan;
    this.#rules = rules;
    this.#counting = counting;
    this.#parts = parts;
  }

  reasons(): Map<PolicyRule, string> {
    const reasons = new Map<PolicyRule, string>();
    const wanted = new Set(this.#counting.map(({ row }) => row));
    for (const hook of HOOK_NAMES) {
      const { policy, hooks } = this.#plan;
      const start = policy.hookChain(HOOK[hook]);
      if (start === undefined) continue;
      const arrivals = new Arrivals(policy, this.#rules, hook, wanted, this.#parts.patience);
      arrivals.walk(start.index, []);
      const chains = hooks.find((each) => each.hook === hook)?.chains ?? [];
      for (const counting of this.#counting) {
        const found = (arrivals.found.get(counting.row) ?? []).flatMap((packets) =>
          counting.packets.flatMap(
            (match) => this.#reason(hook, chains, counting, narrowed(packets, match)) ?? [],
          ),
        );
        if (found[0] !== undefined && !reasons.has(counting.row)) reasons.set(counting.row, found[0]);
      }
    }
    return reasons;
  }

  // oxlint-disable-next-line max-params -- which packets of which rule, and where
  #reason(
    hook: HookName,
    chains: readonly PlanChain[],
    counting: Counting,
    counted: Match,
  ): string | undefined {
    if (areApart(counted, counted)) return undefined;
    const search = new UpSearch(this.#plan, chains, counting, this.#parts);
    search.search(counted);
    return search.reason ?? unvouched(counted, counting);
  }
}

/** What was found out about the rules of a plan that count. */
export interface CheckedCounts {
  /** Those that must not count in the kernel, and why, for people. */
  readonly broken: ReadonlyMap<PolicyRule, string>;
  /** See KernelPlan. */
  readonly told: ReadonlySet<PlanLine>;
}

/**
 * Finds the rules of a plan that must not count in the kernel.
 *
 * @param rules - of the policy
 * @param counting - those that stand in the kernel
 */
// oxlint-disable-next-line max-params -- the plan, what it was made of, and what it is asked about
export function checkCounts(
  plan: OpenPlan,
  rules: readonly (readonly Rule[])[],
  counting: readonly Counting[],
  options: PlanOptions,
): CheckedCounts {
  const told = new Set<PlanLine>();
  const all = (reason: (words: string) => string): CheckedCounts => ({
    broken: new Map(counting.map(({ row, kind }) => [row, reason(WORDS[kind])])),
    told,
  });
  if (counting.length === 0) return { broken: new Map(), told };
  if (!options.tracksConnections) {
    return all((words) => `it ${words}, and without connection tracking fragments go to userspace`);
  }
  try {
    const parts = { options, patience: new Patience(), told };
    return { broken: new Search(plan, rules, counting, parts).reasons(), told };
  } catch (error) {
    if (!(error instanceof Exhausted)) throw error;
    return all(() => TOO_MANY);
  }
}
