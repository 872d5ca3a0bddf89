/**
 * A plan in nftables' language: chains that stand beside those of table-text.ts in our table.
 *
 * Each plan has a number, and its chains carry it in their names. So a new plan is built beside the one in
 * force, and one transaction leads the hooks to it and takes the old one away.
 *
 * The way of a packet at a hook: it is *vouched for* (see vouching-text.ts), then it walks the chains of the
 * policy.
 *
 * *Sealed flows* come first where something goes up at all. The verdict of a seal is that of the whole policy
 * for every packet of the flow, so nothing in front of it need be asked.
 *
 * *Lines of the log.* Where dropped packets are to be logged, up to {@link LOGGED_PER_SECOND} of them a
 * second go up, are judged and logged there, and the others are dropped silently.
 */
import type { HookName } from "../../base/index.ts";
import { judgedPriority, REJECT_KIND, type RejectKind, RejectMarks } from "../../netlink/index.ts";
import type { RejectWith } from "../../policy/index.ts";
import { hexadecimal } from "../hexadecimal.ts";
import { PASSED_ANSWERS } from "../answer-text.ts";
import { SEALED_CHAIN } from "../seal-text.ts";
import type {
  HookPlan,
  KernelPlan,
  LineAction,
  Origin,
  PlanChain,
  PlanLine,
  RegionName,
} from "./kernel-plan.ts";
import { type KnockSets, sourceText } from "./knock-sets.ts";
import { DOOR_PART, knockChains } from "./knock-text.ts";
import { matchText } from "./match-text.ts";
import type { Meter } from "./meter.ts";
import { tableSetTexts } from "./table-set.ts";
import { VOUCHING_CHAIN, vouchingRules } from "./vouching-text.ts";
import { elementText, groupLines, hasRanges, isRun, type LineRun, runKeyText } from "./line-run.ts";

/** The chain that sends packets up. */
export const QUEUEING_CHAIN = "queueing";

/** The last one on that way: it holds the queueing rule, or leads to those of the classes. */
export const USERSPACE_CHAIN = "to-userspace";

/** Dropped packets that go up to be logged, each second; a worker writes as many lines at most. */
const LOGGED_PER_SECOND = 1000;

/** Longest comment of a rule, in characters; nftables takes 128 bytes. */
const COMMENT_MAX = 120;

/** How a plan is put into the kernel. */
export interface PlanForm {
  /** Number of the plan; names of chains begin with it. */
  readonly number: number;
  /** Revision of its policy. */
  readonly revision: number;
  /** Whether the kernel tracks connections. */
  readonly tracksConnections: boolean;
  /** Whether dropped and refused packets are to be logged one by one. */
  readonly logsDrops: boolean;
  /** Whether flows can be sealed. */
  readonly seals: boolean;
  /** Bits of the packet mark that are ours. */
  readonly markMask: number;
}

/** What is asked by the chains below, for packets that go up in between. */
const REFUSAL_KINDS: Readonly<Record<string, RejectKind>> = {
  "refuse-reset": REJECT_KIND.RESET,
  "refuse-port": REJECT_KIND.PORT_UNREACHABLE,
  "refuse-host": REJECT_KIND.HOST_UNREACHABLE,
  "refuse-prohibited": REJECT_KIND.ADMIN_PROHIBITED,
};

const REFUSAL_CHAINS: Readonly<Record<RejectWith | "auto", string>> = {
  auto: "refuse-reset",
  "tcp-reset": "refuse-reset",
  "port-unreachable": "refuse-port",
  "host-unreachable": "refuse-host",
  "admin-prohibited": "refuse-prohibited",
};

function tallyText(tallies: readonly string[]): string {
  return tallies.map((name) => `counter name "${name}" `).join("");
}

/** Words that nftables takes as a comment. */
function comment(words: string): string {
  return `comment "${words.replaceAll(/[^\x20-\x7e]|["\\]/g, "?").slice(0, COMMENT_MAX)}"`;
}

function hookChain(hook: HookName): string {
  return `hook-${hook.toLowerCase()}`;
}

/** Of the chain for packets of a hook that can surely be read. */
function readableChain(hook: HookName): string {
  return `readable-${hook.toLowerCase()}`;
}

/** True when packets of flows go up by a line; those to be logged are not of a flow that could be sealed. */
function goesUp({ action, except }: PlanLine): boolean {
  return action.kind === "userspace" || except !== undefined;
}

/** A rule of the kernel with a counter. */
interface CountedRule {
  readonly text: string;
  readonly line: PlanLine;
}

/** Writes one plan. */
class PlanWriter {
  readonly #plan: KernelPlan;
  readonly #form: PlanForm;
  /** Chains of single lines of the hook that is being written. */
  readonly #chains: string[] = [];
  /** Rules about knocks whose chains have been written. */
  readonly #knockPrefixes = new Set<string>();
  /** Maps that the chains written so far look packets up in. */
  readonly maps: string[] = [];
  /** See {@link PlanText.entries}. */
  readonly entries = new Map<HookName, HookEntry>();
  /** See {@link PlanText.counted}. */
  readonly counted = new Map<string, readonly (PlanLine | undefined)[]>();

  constructor(plan: KernelPlan, form: PlanForm) {
    this.#plan = plan;
    this.#form = form;
  }

  /** All chains of the plan. */
  chains(): string[] {
    const { hooks } = this.#plan;
    return [
      ...this.#regionChain("tracked"),
      ...this.#regionChain("inspected"),
      ...this.#vouchingChains(),
      ...this.#loggingChains(),
      ...hooks.flatMap((hook) => this.#hookChains(hook)),
    ];
  }

  #name(rest: string): string {
    return `plan${this.#form.number}-${rest}`;
  }

  #chain(rest: string, rules: readonly (string | CountedRule)[]): string {
    const name = this.#name(rest);
    const texts = rules.map((rule) => (typeof rule === "string" ? rule : rule.text));
    if (rules.some((rule) => typeof rule !== "string")) {
      this.counted.set(
        name,
        rules.map((rule) => (typeof rule === "string" ? undefined : rule.line)),
      );
    }
    return `\tchain ${name} {\n${texts.map((text) => `\t\t${text}\n`).join("")}\t}`;
  }

  #ruleChain(hook: HookName, chain: number): string {
    return `${hook.toLowerCase()}-${chain}`;
  }

  #regionChain(region: RegionName): string[] {
    const { parts } = this.#plan.regions[region];
    return [
      this.#chain(
        region,
        parts.map((part) => `${matchText(part, this.#form.number)}goto ${QUEUEING_CHAIN}`),
      ),
    ];
  }

  /** True when rules count, so that datagrams come back, see vouching-text.ts. */
  get #counts(): boolean {
    return this.#plan.meters.length > 0 || this.#plan.knocks.length > 0;
  }

  /** Our bits of the mark, set to what is asked, or cleared. */
  #setMark(kind?: RejectKind): string {
    const marks = new RejectMarks(this.#form.markMask);
    const rest = `meta mark set meta mark & ${hexadecimal(~marks.mask)}`;
    return kind === undefined ? rest : `${rest} | ${hexadecimal(marks.bits(kind))}`;
  }

  #vouchingChains(): string[] {
    const up = `goto ${QUEUEING_CHAIN}`;
    return vouchingRules({
      name: (rest) => this.#name(rest),
      tracksConnections: this.#form.tracksConnections,
      up,
      ...(this.#counts && { ask: `${this.#setMark(REJECT_KIND.VOUCHED)} ${up}` }),
    }).map(([rest, rules]) => this.#chain(rest, rules));
  }

  #hookChains({ hook, chains }: HookPlan): string[] {
    const [start] = chains;
    if (start === undefined) {
      const line: PlanLine = { match: [], action: { kind: "accept" }, origin: { chain: -1, rule: -1 } };
      const checks = this.#checks({ except: "tracked" });
      const lead = [...this.#seals(checks.length > 0), ...PASSED_ANSWERS[hook]];
      this.entries.set(hook, { chain: this.#name(hookChain(hook)) });
      return [this.#chain(hookChain(hook), [...lead, ...checks, { text: "counter accept", line }])];
    }
    const first = start.lines[0];
    const isAllUp = first?.match.length === 0 && first.action.kind === "userspace";
    const form =
      hook === "OUTPUT"
        ? [`ip version != 4 goto ${QUEUEING_CHAIN}`, `ip hdrlength < 5 goto ${QUEUEING_CHAIN}`]
        : [];
    const asks = chains.some(({ lines }) => lines.some(goesUp));
    const lead = [...this.#seals(isAllUp || asks), ...PASSED_ANSWERS[hook]];
    const judging = [`jump ${this.#name(this.#ruleChain(hook, start.chain))}`, ...this.#endOfHook(hook)];
    const walked = chains.map((chain) =>
      this.#chain(this.#ruleChain(hook, chain.chain), this.#stepTexts(hook, chain)),
    );
    const mayComeBack = this.#counts && !isAllUp;
    const judged = mayComeBack ? [`goto ${this.#name(readableChain(hook))}`] : judging;
    const vouched = [...form, `jump ${this.#name(VOUCHING_CHAIN)}`, ...judged];
    this.entries.set(hook, {
      chain: this.#name(hookChain(hook)),
      ...(mayComeBack && { readable: this.#name(readableChain(hook)) }),
    });
    return [
      ...walked,
      ...(mayComeBack ? [this.#chain(readableChain(hook), judging)] : []),
      this.#chain(hookChain(hook), [...lead, ...(isAllUp ? [`goto ${QUEUEING_CHAIN}`] : vouched)]),
      ...this.#chains.splice(0),
    ];
  }

  /** Asks seals first where packets of flows go up: most packets are of flows whose fate is sealed. */
  #seals(goUp: boolean): string[] {
    return this.#form.seals && goUp ? [`jump ${SEALED_CHAIN}`] : [];
  }

  /** A RETURN where nothing is to return to ends the chain, as its last line would have. */
  #endOfHook(hook: HookName): (string | CountedRule)[] {
    const start = this.#plan.hooks.find((plan) => plan.hook === hook)?.chains[0];
    const end = start?.end;
    return end === undefined ? [] : this.#lineTexts(hook, end);
  }

  #checks({ except }: Pick<PlanLine, "except">): string[] {
    if (except === undefined || this.#plan.regions[except].isEmpty) return [];
    return [`jump ${this.#name(except)}`];
  }

  /** Chains that let so many packets go up to be logged, and then end the way of the others. */
  #loggingChains(): string[] {
    const { markMask } = this.#form;
    const marks = new RejectMarks(markMask);
    const kinds = Object.values(REFUSAL_KINDS).map((kind) => hexadecimal(marks.bits(kind)));
    const told = `meta mark & ${hexadecimal(markMask)} { ${kinds.join(", ")} } goto ${USERSPACE_CHAIN}`;
    const rules = [
      `limit rate over ${LOGGED_PER_SECOND}/second burst ${LOGGED_PER_SECOND} packets return`,
      ...(this.#plan.told.size > 0 ? [told] : []),
      `goto ${QUEUEING_CHAIN}`,
    ];
    const ends = ["drop", ...new Set(Object.values(REFUSAL_CHAINS).map((name) => `goto ${name}`))];
    const logging = ends.map((end) => {
      const jump = `jump ${this.#name("log-drop")}`;
      return this.#chain(`logged-${end.replace("goto ", "")}`, [jump, end]);
    });
    const tellings = [...this.#plan.told].map((line) => this.#tellingChain(line));
    return [this.#chain("log-drop", rules), ...logging, ...new Set(tellings)];
  }

  /** Where packets of a line behind a limit end: those that are logged go up with their verdict. */
  #tellingChain({ action, origin }: PlanLine): string {
    const refusal = action.kind === "reject" ? REFUSAL_CHAINS[action.rejectWith] : undefined;
    const kind = REFUSAL_KINDS[refusal ?? ""] ?? REJECT_KIND.PORT_UNREACHABLE;
    const place = { isRefused: refusal !== undefined, ...origin, revision: this.#form.revision };
    return this.#chain(this.#tellingName({ action, origin }), [
      `meta priority set ${judgedPriority(place)}`,
      this.#setMark(kind),
      `jump ${this.#name("log-drop")}`,
      this.#setMark(),
      refusal === undefined ? "drop" : `goto ${refusal}`,
    ]);
  }

  #tellingName({ action, origin: { chain, rule } }: Pick<PlanLine, "action" | "origin">): string {
    return `told-${action.kind}-${chain}-${rule < 0 ? "end" : rule}`;
  }

  /** The lines of a chain, long runs of them as one. */
  #stepTexts(hook: HookName, { chain, lines }: PlanChain): (string | CountedRule)[] {
    return groupLines(lines).steps.flatMap((step) => {
      if (!isRun(step)) return this.#lineTexts(hook, step);
      const name = this.#name(`map-${this.#ruleChain(hook, chain)}-${this.maps.length}`);
      this.maps.push(this.#mapText(name, step));
      return [`${runKeyText(step)} vmap @${name}`];
    });
  }

  #mapText(name: string, run: LineRun): string {
    const flags = hasRanges(run) ? "\t\tflags interval\n" : "";
    const elements = run.elements.map((element, at) => {
      const words = comment(`${at} ${this.#originWords(element.line.origin)}`);
      return `\t\t\t${elementText(run, element)} ${words} : ${this.#mapVerdict(element.line)}`;
    });
    this.counted.set(
      name,
      run.elements.map(({ line }) => (line.action.kind === "userspace" ? undefined : line)),
    );
    const words = `${this.#originWords(run.lines[0]?.origin)} and ${run.lines.length - 1} more`;
    const head = `\t\ttypeof ${runKeyText(run)} : verdict\n${flags}\t\tcounter\n\t\t${comment(words)}\n`;
    return `\tmap ${name} {\n${head}\t\telements = {\n${elements.join(",\n")}\n\t\t}\n\t}`;
  }

  /** The verdict of a map's element; nothing can be done beside it. */
  #mapVerdict(line: PlanLine): string {
    const { logsDrops } = this.#form;
    const { action } = line;
    if (logsDrops && this.#plan.told.has(line)) return `goto ${this.#name(this.#tellingName(line))}`;
    if (action.kind === "drop") return logsDrops ? `goto ${this.#name("logged-drop")}` : "drop";
    if (action.kind === "reject") {
      const refusal = REFUSAL_CHAINS[action.rejectWith];
      return `goto ${logsDrops ? this.#name(`logged-${refusal}`) : refusal}`;
    }
    return action.kind === "userspace" ? `goto ${QUEUEING_CHAIN}` : "accept";
  }

  #lineTexts(hook: HookName, line: PlanLine): (string | CountedRule)[] {
    const { match, action, origin, tallies = [], passing = [] } = line;
    const tests = matchText(match, this.#form.number);
    const isTold = this.#form.logsDrops && this.#plan.told.has(line);
    const isLogged = this.#form.logsDrops && !isTold && (action.kind === "drop" || action.kind === "reject");
    const log = isLogged ? [`jump ${this.#name("log-drop")}`] : [];
    const before = [...this.#checks(line), ...log].map((check) => `${tests}${check}`);
    const words = comment(this.#originWords(origin));
    if (line.knock !== undefined) return [...this.#checks(line), ...this.#knockTexts(hook, line, line.knock)];
    if (line.meter !== undefined) return [...before, ...this.#meterTexts(hook, line, line.meter)];
    const text = `${tests}${tallyText(tallies)}${this.#actionText(hook, line)} ${words}`;
    const behind = passing.map(
      (each) => `${matchText(each.match, this.#form.number)}${tallyText(each.tallies)}`,
    );
    return [...before, action.kind === "userspace" ? text : { text, line }, ...behind];
  }

  /**
   * A line with a limit. Where sources have one each, the kernel can tell a source over its limit, and by
   * looking again one for which there is no room; so for what is under it there is a chain of its own.
   */
  #meterTexts(hook: HookName, line: PlanLine, meter: Meter): (string | CountedRule)[] {
    const { match, action, origin } = line;
    const tests = matchText(match, this.#form.number);
    const words = comment(this.#originWords(origin));
    const counted = (before: string, to: LineAction): CountedRule => ({
      text: `${before}${this.#actionText(hook, line, to)} ${words}`,
      line,
    });
    if (meter.by === "overall") return [counted(`${tests}limit name "${meter.name}" `, action)];
    const over = `update @${meter.name} { ip saddr limit rate over ${meter.words} }`;
    const full = `ip saddr != @${meter.name} goto ${QUEUEING_CHAIN}`;
    if (meter.fits === "over") return [counted(`${tests}${over} `, action), `${tests}${full}`];
    const chain = `${this.#ruleChain(hook, origin.chain)}-under-${origin.rule}`;
    const to: LineAction = action.kind === "jump" ? { kind: "goto", chain: action.chain } : action;
    this.#chains.push(this.#chain(chain, [`${over} return`, full, counted("", to)]));
    return [`${tests}jump ${this.#name(chain)}`];
  }

  /**
   * Packets to the protected port are told by the set of sources for which it is open. Those to doors go to
   * chains of their own, which stand in the hook once.
   */
  #knockTexts(hook: HookName, line: PlanLine, knock: KnockSets): (string | CountedRule)[] {
    const { match, action, origin } = line;
    const tests = matchText(match, this.#form.number);
    const words = comment(this.#originWords(origin));
    if (action.kind === "accept") {
      return [
        { text: `${tests}${sourceText(knock)} @${knock.name}-open counter accept ${words}`, line },
        `${tests}meta nfproto @${knock.name}-full goto ${QUEUEING_CHAIN}`,
      ];
    }
    const prefix = `${this.#ruleChain(hook, origin.chain)}-knock${knock.family}-${origin.rule}`;
    const nameOf = (part: string): string => this.#name(`${prefix}-${part}`);
    const drop = (before: string): CountedRule => ({
      text: `${before}${this.#actionText(hook, line)} ${words}`,
      line,
    });
    if (!this.#knockPrefixes.has(prefix)) {
      this.#knockPrefixes.add(prefix);
      for (const { part, rules } of knockChains(knock, { nameOf, drop, up: QUEUEING_CHAIN })) {
        this.#chains.push(this.#chain(`${prefix}-${part}`, rules));
      }
    }
    return [`${tests}jump ${nameOf(DOOR_PART)}`];
  }

  #actionText(hook: HookName, line: PlanLine, action: LineAction = line.action): string {
    if (this.#form.logsDrops && this.#plan.told.has(line)) {
      return `counter goto ${this.#name(this.#tellingName(line))}`;
    }
    switch (action.kind) {
      case "accept":
      case "drop":
        return `counter ${action.kind}`;
      case "reject":
        return `counter goto ${REFUSAL_CHAINS[action.rejectWith]}`;
      case "jump":
      case "goto":
        return `counter ${action.kind} ${this.#name(this.#ruleChain(hook, action.chain))}`;
      case "return":
        return "counter return";
      case "userspace":
        return `goto ${QUEUEING_CHAIN}`;
    }
  }

  #originWords({ chain, rule }: Origin = { chain: -1, rule: -1 }): string {
    const found = this.#plan.policy.chains[chain];
    const row = found?.rules[rule];
    if (row === undefined) return `${found?.name ?? ""} default`;
    const file = this.#plan.policy.file.replace(/^.*\//, "");
    const words = row.comment === undefined ? "" : `: ${row.comment}`;
    return `${found?.name} rule ${rule}, ${file}:${row.line}${words}`;
  }
}

/** Where a hook leads. */
export interface HookEntry {
  /** Name of the chain that takes the hook's packets. */
  readonly chain: string;
  /** Of the one for packets that have come back, since they can be read; absent where none come back. */
  readonly readable?: string;
}

/** A plan as text. */
export interface PlanText {
  /** Chains and maps, to stand in a table block. */
  readonly text: string;
  /** Where each hook leads. */
  readonly entries: ReadonlyMap<HookName, HookEntry>;
  /** Names of the chains. */
  readonly chains: readonly string[];
  /** Names of the maps. */
  readonly maps: readonly string[];
  /** Names of the sets of address tables; they are empty. */
  readonly sets: readonly string[];
  /**
   * Lines by the counters that stand for them: for each chain by the place of the rule in it, for each map by
   * the number at the beginning of the element's comment.
   */
  readonly counted: ReadonlyMap<string, readonly (PlanLine | undefined)[]>;
}

/** Writes the chains and maps of a plan. */
export function planText(plan: KernelPlan, form: PlanForm): PlanText {
  const writer = new PlanWriter(plan, form);
  const chains = writer.chains();
  const sets = plan.tables.flatMap((table) => tableSetTexts(form.number, table));
  const nameOf = (text: string): string => /^\t(?:chain|map|set) (\S+)/.exec(text)?.[1] ?? "";
  return {
    text: [...sets, ...writer.maps, ...chains].join("\n"),
    entries: writer.entries,
    chains: chains.map(nameOf),
    maps: writer.maps.map(nameOf),
    sets: sets.map(nameOf),
    counted: writer.counted,
  };
}
