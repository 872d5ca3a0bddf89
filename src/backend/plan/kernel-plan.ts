/**
 * The plan: what of a policy the kernel judges by itself, and where it asks userspace.
 *
 * The chains of each hook are walked as the interpreter walks them, and become chains of our table. A rule
 * that says as data what it matches (its condition) stands there at its place and ends as the policy says. At
 * a rule that only userspace can judge, every packet that may meet it goes up, and the others go on: what
 * surely does not meet the rule can neither get its verdict nor cause its side effects. A packet that goes up
 * is judged there by the whole policy from the start, as if the kernel had not looked at it; so the order of
 * the rules is kept to the letter, and a plan may send up more than it must.
 *
 * Three things bind the kernel besides:
 *
 * - *Flows.* An accepted packet steps the state table. The kernel accepts only what no rule of the policy can
 *   ask the state table about, in either direction (see flow-region.ts). Dropped and refused packets step
 *   nothing; but where a rule asks for the bytes of flows, those of dropped packets count too, and so there
 *   the kernel judges nothing at all.
 * - *Lines of the log.* A firewall that logs every packet needs every packet. One that logs what it drops
 *   gets so many of them a second (see plan-text.ts), and the kernel drops the rest alone.
 * - *Depth.* The kernel nests chains sixteen deep; a jump beyond goes to userspace.
 *
 * A plan is a value: nothing here talks to the kernel.
 */
import { type HookName, HOOK, HOOK_NAMES, VERDICT } from "../../base/index.ts";
import {
  type Chain,
  type Policy,
  type PolicyRule,
  type RejectWith,
  type Rule,
  type RuleMemory,
  type Target,
} from "../../policy/index.ts";
import { AskedFlows } from "./asked-flows.ts";
import { countedRules, type Counts, isKnock, standing } from "./counted-rules.ts";
import type { FlowRegion } from "./flow-region.ts";
import { chainLevels } from "./chain-levels.ts";
import type { Match } from "./kernel-test.ts";
import { groupLines } from "./line-run.ts";
import { IPV6_DATAGRAMS, type KnockSets, knockMatches, knockPackets } from "./knock-sets.ts";
import { asksMore, type Meter } from "./meter.ts";
import { type Judgement, judgeRule, targetAction } from "./rule-judgement.ts";
import { type Passing, tableLines, tableObstacle } from "./table-lines.ts";
import { checkCounts, type PlanOptions } from "./whole-judgement.ts";

/**
 * Deepest level of a chain of the policy below its hook. The kernel nests sixteen chains; two or three of
 * ours stand before the policy's, up to seven behind: of what is told, what is logged, and the way up.
 */
const LEVELS_MAX = 6;

/** Chains that lie behind a rule about knocks, beside those behind every rule. */
const KNOCK_LEVELS = 4;

/**
 * Steps of a chain that a packet walks in the kernel, a run of similar rules being one. Ten thousand cost a
 * packet 0.4 ms, and userspace looks all of them up at once.
 */
const STEPS_MAX = 128;

/** What becomes of packets that fit a line. */
export type LineAction =
  | { readonly kind: "accept" }
  | { readonly kind: "drop" }
  | { readonly kind: "reject"; readonly rejectWith: RejectWith | "auto" }
  /** To a chain of the policy, and back when that returns. */
  | { readonly kind: "jump"; readonly chain: number }
  /** To a chain of the policy from which nothing leads back. */
  | { readonly kind: "goto"; readonly chain: number }
  | { readonly kind: "return" }
  | { readonly kind: "userspace" };

/** A rule of the policy, or the end of a chain. */
export interface Origin {
  /** Index in the policy. */
  readonly chain: number;
  /** Index in the chain; -1 for its end. */
  readonly rule: number;
}

/** Flows that userspace must see: those in the state table, or those whose bytes count. */
export type RegionName = "tracked" | "inspected";

/** One rule of the kernel. */
export interface PlanLine {
  readonly match: Match;
  readonly action: LineAction;
  readonly origin: Origin;
  /** Packets of this region go up first. */
  readonly except?: RegionName;
  /** Names of counters beside its own. */
  readonly tallies?: readonly string[];
  /** Behind it: packets that count and go on. */
  readonly passing?: readonly Passing[];
  /** Asked of packets that fit the match: which of them fit the line. */
  readonly meter?: Meter;
  /** As above: who has knocked. The line is about the protected port, or about a door. */
  readonly knock?: KnockSets;
  /** Why packets go up here, all or those of a region. */
  readonly reason?: string;
}

/** True when every packet that comes to a line ends its way there. */
function takesAll(line: PlanLine | undefined): line is PlanLine {
  return line?.match.length === 0 && line.action.kind !== "jump" && !asksMore(line);
}

/** A chain of the policy in the kernel. */
export interface PlanChain {
  /** Index in the policy. */
  readonly chain: number;
  readonly lines: readonly PlanLine[];
  /** What becomes of packets at its end: the last line, where they can come there. */
  readonly end: PlanLine;
}

/** What happens at one hook. */
export interface HookPlan {
  readonly hook: HookName;
  /** The start chain first; none when the policy has none for this hook. */
  readonly chains: readonly PlanChain[];
}

/** Where a rule is judged. */
export type Place = "kernel" | "userspace" | "both";

/** What becomes of one rule of the policy. */
export interface RulePlace extends Origin {
  readonly place: Place;
  /** Why not, or not always, in the kernel; empty when it is there. */
  readonly reasons: readonly string[];
}

/** The plan of a policy. */
export interface KernelPlan {
  readonly policy: Policy;
  readonly hooks: readonly HookPlan[];
  readonly regions: Readonly<Record<RegionName, FlowRegion>>;
  /** Names of the address tables that the kernel is asked about. */
  readonly tables: readonly string[];
  /** Limits that the kernel holds, each once. */
  readonly meters: readonly Meter[];
  /** Knocks that the kernel remembers, each rule's once. */
  readonly knocks: readonly KnockSets[];
  /** Lines behind limits that drop or refuse: their packets are not judged again to be logged. */
  readonly told: ReadonlySet<PlanLine>;
  /** In the order of the policy, those of chains that no packet comes to left out. */
  readonly places: readonly RulePlace[];
}

const USERSPACE: LineAction = { kind: "userspace" };

/** The action of the default target, which is a verdict or a chain. */
function endAction(target: Target): LineAction {
  if (target.kind === "chain") return { kind: "goto", chain: target.chain };
  const verdict = target.kind === "verdict" ? target.verdict : VERDICT.DROP;
  if (verdict === VERDICT.ACCEPT) return { kind: "accept" };
  return verdict === VERDICT.DROP ? { kind: "drop" } : { kind: "reject", rejectWith: "auto" };
}

/** Collects what is found out about each rule. */
class PlaceBook {
  readonly #found = new Map<
    string,
    { origin: Origin; kernel: boolean; userspace: boolean; reasons: Set<string> }
  >();

  note(origin: Origin, inKernel: boolean, reason?: string): void {
    const key = `${origin.chain} ${origin.rule}`;
    const entry = this.#found.get(key) ?? {
      origin,
      kernel: false,
      userspace: false,
      reasons: new Set<string>(),
    };
    this.#found.set(key, entry);
    if (inKernel) entry.kernel = true;
    else entry.userspace = true;
    if (!inKernel && reason !== undefined) entry.reasons.add(reason);
  }

  places(): RulePlace[] {
    const all = [...this.#found.values()].map(({ origin, kernel, userspace, reasons }): RulePlace => {
      const place = kernel && userspace ? "both" : userspace ? "userspace" : "kernel";
      return { ...origin, place, reasons: [...reasons] };
    });
    // The end of a chain stands behind its rules.
    const at = ({ rule }: Origin): number => (rule < 0 ? Number.POSITIVE_INFINITY : rule);
    return all.toSorted((one, other) => one.chain - other.chain || at(one) - at(other));
  }
}

/** The lines of a chain; where they are too many to walk, the first of them, and all other packets go up. */
function cutShort(lines: readonly PlanLine[]): PlanLine[] {
  const { fitting } = groupLines(lines, STEPS_MAX);
  const rest = lines[fitting];
  if (rest === undefined) return [...lines];
  const reason =
    "the kernel would walk from here on rule by rule, where userspace looks all of them up at once";
  return [...lines.slice(0, fitting), { match: [], action: USERSPACE, origin: rest.origin, reason }];
}

/** Makes the plan of one policy. */
class Planner {
  readonly #policy: Policy;
  readonly #rules: readonly (readonly Rule[])[];
  readonly #book = new PlaceBook();
  readonly #tables = new Set<string>();
  readonly #counts: Counts;
  readonly #meters = new Map<string, Meter>();
  readonly #knocks = new Map<string, KnockSets>();
  readonly #asked: AskedFlows;

  /**
   * @param asked - flows that its rules can ask about
   * @param counts - rules that count: their limits, or why they have none in the kernel
   */
  // oxlint-disable-next-line max-params -- the policy, what is made of it, and what is known of it
  constructor(policy: Policy, rules: readonly (readonly Rule[])[], asked: AskedFlows, counts: Counts) {
    this.#policy = policy;
    this.#rules = rules;
    this.#counts = counts;
    this.#asked = asked;
  }

  plan(): Omit<KernelPlan, "told"> {
    const hooks = HOOK_NAMES.map((hook): HookPlan => {
      const start = this.#policy.hookChain(HOOK[hook]);
      return { hook, chains: start === undefined ? [] : this.#hookChains(hook, start) };
    });
    return {
      policy: this.#policy,
      hooks,
      regions: this.#asked.regions,
      tables: [...this.#tables],
      meters: [...this.#meters.values()],
      knocks: [...this.#knocks.values()],
      places: this.#book.places(),
    };
  }

  #hookChains(hook: HookName, start: Chain): PlanChain[] {
    const levels = chainLevels(this.#policy, start);
    const indices = [...levels].filter(([, level]) => level <= LEVELS_MAX).map(([index]) => index);
    return indices.map((chain) => this.#planChain(hook, chain, levels));
  }

  #planChain(hook: HookName, chain: number, levels: ReadonlyMap<number, number>): PlanChain {
    const end = this.#endLine(chain, levels);
    const lines = this.#ruleLines(hook, chain, levels);
    const last = lines.at(-1);
    const isOver = takesAll(last);
    for (const line of lines) this.#noteLine(line);
    if (isOver) this.#noteRest(last);
    if (!isOver || lines.some(({ action }) => action.kind === "return")) this.#noteLine(end);
    return { chain, lines: isOver ? lines : [...lines, end], end };
  }

  /** The rules of a chain, up to the first that leaves no packet in it. */
  #ruleLines(hook: HookName, index: number, levels: ReadonlyMap<number, number>): PlanLine[] {
    const lines: PlanLine[] = [];
    const rows = this.#policy.chains[index]?.rules ?? [];
    for (const [at, row] of rows.entries()) {
      const rule = this.#rules[index]?.[at];
      if (rule === undefined) continue;
      lines.push(...this.#rowLines(row, rule, { chain: index, rule: at }, { hook, levels }));
      if (takesAll(lines.at(-1))) break;
    }
    return cutShort(lines);
  }

  // oxlint-disable-next-line max-params -- the rule as the policy and as the evaluator has it, and where
  #rowLines(
    row: PolicyRule,
    rule: Rule,
    origin: Origin,
    { hook, levels }: { readonly hook: HookName; readonly levels: ReadonlyMap<number, number> },
  ): PlanLine[] {
    const counted = this.#counts.get(row);
    if (typeof counted === "object" && isKnock(counted))
      return this.#knockLines(row, counted, origin, levels);
    const judgement = this.#judge(row, rule, hook, counted);
    if (judgement.pieces.length === 0) this.#book.note(origin, true);
    return this.#pieceLines(judgement, origin, levels);
  }

  /** A rule about knocks: packets to the protected port, then those to doors. */
  // oxlint-disable-next-line max-params -- the rule, what it is in the kernel, and where
  #knockLines(
    row: PolicyRule,
    knocks: readonly KnockSets[],
    origin: Origin,
    levels: ReadonlyMap<number, number>,
  ): PlanLine[] {
    const up = (match: Match, reason: string): PlanLine => ({ match, action: USERSPACE, origin, reason });
    if ((levels.get(origin.chain) ?? 0) + KNOCK_LEVELS > LEVELS_MAX) {
      return knockMatches(row).map((match) => up(match, "the kernel does not nest chains so deep"));
    }
    const others = ([4, 6] as const).filter((family) => knocks.every((knock) => knock.family !== family));
    const ups = others.flatMap((family) =>
      knockMatches(row).map((match) => up([{ field: "family", family }, ...match], IPV6_DATAGRAMS)),
    );
    const lines = knocks.flatMap((knock) => {
      this.#knocks.set(knock.name, knock);
      const line = (match: Match, action: LineAction): PlanLine =>
        this.#line({ match, action, origin, knock }, levels);
      const { opened, doors } = knockPackets(knock);
      return [line(opened, { kind: "accept" }), ...doors.map((match) => line(match, { kind: "drop" }))];
    });
    return [...ups, ...lines];
  }

  // oxlint-disable-next-line max-params -- the rule as the policy and as the evaluator has it, and where
  #judge(row: PolicyRule, rule: Rule, hook: HookName, meter: Meter | string | undefined): Judgement {
    if (meter !== undefined) return this.#judgeCount(row, rule, hook, meter);
    if (row.name !== "TableRule") return judgeRule(row, rule, hook);
    const action = targetAction(row.target, rule);
    const name = String(row.values["table"]);
    const declared = this.#policy.settings.tables.find((table) => table.name === name);
    const obstacle = tableObstacle(row, action, declared?.counters === true);
    if (obstacle !== undefined || action === undefined) {
      return { ...judgeRule(row, rule, hook), ...(obstacle !== undefined && { reason: obstacle }) };
    }
    this.#tables.add(name);
    return {
      ...tableLines(row, hook, action),
      action,
      reason: "in the last second of an entry that ends by itself userspace is asked",
    };
  }

  /** A rule with a limit, or why it has none here. */
  // oxlint-disable-next-line max-params -- the rule as the policy and as the evaluator has it, and where
  #judgeCount(row: PolicyRule, rule: Rule, hook: HookName, meter: Meter | string): Judgement {
    if (typeof meter === "string") return { ...judgeRule(row, rule, hook), reason: meter };
    this.#meters.set(meter.name, meter);
    const action = targetAction(row.target, rule);
    if (meter.by === "overall") return { pieces: [{ match: [], sure: true }], action, meter };
    const pieces = ([4, 6] as const).map((family): Judgement["pieces"][number] => ({
      match: [{ field: "family", family }],
      sure: family === 4,
    }));
    return { pieces, action, meter, reason: "it has a limit for each IPv6 source in userspace" };
  }

  /** One rule of the policy. */
  #pieceLines(
    { pieces, action, reason, meter, passing = [] }: Judgement,
    origin: Origin,
    levels: ReadonlyMap<number, number>,
  ): PlanLine[] {
    const why = reason === undefined ? {} : { reason };
    return pieces.map(({ match, sure, tallies = [] }, at) => {
      const counts = {
        ...(tallies.length > 0 && { tallies }),
        ...(passing.length > 0 && at === pieces.length - 1 && { passing }),
      };
      return sure && action !== undefined
        ? this.#line({ match, action, origin, ...counts, ...(meter && { meter }) }, levels)
        : { match, action: USERSPACE, origin, ...why, ...counts };
    });
  }

  #noteLine({ action, origin, except, reason }: PlanLine): void {
    const isUp = action.kind === "userspace";
    if (!isUp) this.#book.note(origin, true);
    if (isUp || except !== undefined) this.#book.note(origin, false, reason);
  }

  /** Rules behind one that leaves no packet in the kernel. */
  #noteRest({ action, origin }: PlanLine): void {
    if (action.kind !== "userspace") return;
    const { chain, rule: from } = origin;
    const rows = this.#policy.chains[chain]?.rules ?? [];
    const reason = `every packet has gone to userspace at rule ${from} (line ${rows[from]?.line})`;
    for (let rule = from + 1; rule < rows.length; rule += 1) this.#book.note({ chain, rule }, false, reason);
    this.#book.note({ chain, rule: -1 }, false, reason);
  }

  /** What becomes of packets at the end of a chain. */
  #endLine(index: number, levels: ReadonlyMap<number, number>): PlanLine {
    const { defaultTarget } = this.#policy;
    const origin = { chain: index, rule: -1 };
    const action = endAction(defaultTarget);
    return this.#line({ match: [], action, origin }, levels);
  }

  /** A line that the kernel may act on, as far as userspace can do without its packets. */
  #line(line: PlanLine, levels: ReadonlyMap<number, number>): PlanLine {
    const { match, action, origin } = line;
    if (action.kind === "return") return line;
    if (action.kind === "jump" || action.kind === "goto") {
      const isDeep = (levels.get(action.chain) ?? 0) > LEVELS_MAX;
      return isDeep
        ? { match, action: USERSPACE, origin, reason: "the kernel does not nest chains so deep" }
        : line;
    }
    const { except, overlap, reason } = this.#asked.judge(action.kind, origin.chain, match);
    if (overlap === "outside") return line;
    if (overlap === "across") return { ...line, except, reason };
    const passing = line.passing === undefined ? {} : { passing: line.passing };
    return { match, action: USERSPACE, origin, reason, ...passing };
  }
}

/** What most firewalls have. */
const USUAL: PlanOptions = { tracksConnections: true, logsDrops: true };

/**
 * Makes the plan of a policy. A rule that counts is planned for the kernel first; where that shows that it
 * may not count there, the plan is made anew without it, until all that are left may.
 *
 * @param memory - of the policy's rules, see allocateMemory; they are made and not asked
 */
export function planPolicy(policy: Policy, memory: RuleMemory, options: PlanOptions = USUAL): KernelPlan {
  const rules = policy.instantiate(memory);
  const asked = new AskedFlows(policy, rules);
  const counts = countedRules(policy);
  for (;;) {
    const plan = new Planner(policy, rules, asked, counts).plan();
    const { broken, told } = checkCounts(plan, rules, standing(policy, counts), options);
    if (broken.size === 0) return { ...plan, told };
    for (const [row, reason] of broken) counts.set(row, reason);
  }
}
