/**
 * From the text of a policy file to a valid {@link Policy}, or to everything that is wrong with it.
 *
 * The file is PyWall's: one object in which `default_chain` is a string and any other list is a chain. Two
 * members are Postern's own: `$schema`, which editors use, and `settings`. Nothing stops at the first
 * problem.
 */
import { VERDICT } from "../base/index.ts";
import type { Reading, UserLookup } from "./argument.ts";
import { BUILT_IN_TARGETS, ChainGraph, type TargetName } from "./chain-graph.ts";
import { type JsonMember, type JsonValue, kindWords, readDocument } from "./document.ts";
import { type Chain, Policy, type PolicyRule, type Target } from "./policy.ts";
import { type Place, type Problem, ProblemList } from "./problem.ts";
import type { RuleRegistry } from "./registry.ts";
import { type DraftChain, type DraftRule, RuleReader } from "./rule-reader.ts";
import { createRegistry } from "./rules/catalogue.ts";
import { recognisableProtocols } from "./rules/recognition-rules.ts";
import { readSettings, type Settings } from "./settings.ts";

/** What the compiler needs besides the text. */
export interface CompileOptions {
  /** Name of the file, for messages. */
  readonly file: string;
  /** Rules that the file may name; by default Postern's own. */
  readonly registry?: RuleRegistry;
  /** Looks up users and groups; without it UserRule takes numbers only. */
  readonly users?: UserLookup;
  /** Why a module's rules are not in the registry, by its index in `settings.modules`; an error each. */
  readonly moduleFaults?: ReadonlyMap<number, string>;
}

/** A module that a policy names. */
export interface ModuleReference {
  /** Index in `settings.modules`. */
  readonly index: number;
  /** As the file writes it, relative to the file. */
  readonly path: string;
}

/** What the compiler made of a text. */
export interface Compilation {
  /** Present when no problem is an error. */
  readonly policy?: Policy;
  /** Errors and warnings in the order of the file. */
  readonly problems: Problem[];
}

const OWN_MEMBERS: readonly string[] = ["$schema", "settings", "default_chain"];

function isChainMember(member: JsonMember): boolean {
  return !OWN_MEMBERS.includes(member.name);
}

/** `default_chain`; ACCEPT when the file has none. */
function readDefault(root: JsonValue, problems: ProblemList): TargetName {
  const value = root.members.find((member) => member.name === "default_chain")?.value;
  if (value === undefined) return { at: root.at, path: "$.default_chain", name: "ACCEPT" };
  if (typeof value.scalar === "string") return { at: value.at, path: value.path, name: value.scalar };
  const message = `default_chain is the name of a chain, ACCEPT, DROP or REJECT; found ${kindWords(value)}`;
  problems.error(value, "wrong-type", message);
  return { at: value.at, path: value.path, name: "DROP" };
}

function checkSchemaMember(root: JsonValue, problems: ProblemList): void {
  const value = root.members.find((member) => member.name === "$schema")?.value;
  if (value !== undefined && value.kind !== "string") {
    problems.error(value, "wrong-type", `"$schema" is the address of a schema; found ${kindWords(value)}`);
  }
}

function checkChainName(member: JsonMember, settings: Settings, problems: ProblemList): void {
  const { name } = member;
  if (!BUILT_IN_TARGETS.includes(name)) return;
  const isChainInPyWall = name === "REJECT" || name === "RETURN";
  if (isChainInPyWall && settings.compatibility === "pywall") {
    const message = `in PyWall ${name} is this chain, here it is a built-in target: give the chain another name`;
    problems.error(member, "reserved-chain", message);
    return;
  }
  const message =
    `a chain cannot be called ${name}: wherever ${name} is ` +
    "named it is the built-in target; the chain is ignored";
  problems.warning(member, "reserved-chain", message);
  if (isChainInPyWall && !settings.compatibilityStated) {
    const difference = `in PyWall ${name} would be this chain; choose another name for it`;
    problems.warning(member, "pywall-difference", difference);
  }
}

/** Elements of `settings.modules`. */
function moduleValues(root: JsonValue | undefined): readonly JsonValue[] {
  const settings = root?.members.find((member) => member.name === "settings")?.value;
  return settings?.members.find((member) => member.name === "modules")?.value.items ?? [];
}

function reportModules(root: JsonValue, options: CompileOptions, problems: ProblemList): void {
  for (const [index, value] of moduleValues(root).entries()) {
    const fault = options.moduleFaults?.get(index);
    if (fault !== undefined) problems.error(value, "module-unloadable", fault);
  }
}

/** Everything the file says, still by names. */
interface Draft {
  readonly settings: Settings;
  readonly defaultTarget: TargetName;
  readonly chains: readonly DraftChain[];
}

function readDraft(root: JsonValue, options: CompileOptions, problems: ProblemList): Draft {
  const registry = options.registry ?? createRegistry();
  const strict: Reading = { problems, lenient: false, users: options.users, tables: [], protocols: [] };
  const settings = readSettings(root.members.find((member) => member.name === "settings")?.value, strict);
  const reading: Reading = {
    ...strict,
    lenient: settings.compatibility === "pywall",
    tables: settings.tables.map(({ name }) => name),
    protocols: recognisableProtocols(registry.recognisers),
  };
  checkSchemaMember(root, problems);
  reportModules(root, options, problems);
  const rules = new RuleReader(registry, settings, reading);
  const chains: DraftChain[] = [];
  for (const member of root.members.filter(isChainMember)) {
    checkChainName(member, settings, problems);
    chains.push(rules.readChain(member));
  }
  return { settings, defaultTarget: readDefault(root, problems), chains };
}

/** Rules that need a local socket's owner match nothing where no packet of this host passes. */
function checkOutputOnly(draft: Draft, graph: ChainGraph, problems: ProblemList): void {
  const outgoing = graph.reachable(["OUTPUT"]);
  for (const chain of draft.chains.filter(({ name }) => !outgoing.has(name))) {
    for (const rule of chain.drafts.filter(({ name }) => name === "UserRule")) {
      const message =
        "UserRule never matches here: only packets that " +
        "this host sends have an owner; use it from chain OUTPUT";
      problems.warning(rule, "never-matches", message);
    }
  }
}

const STATE_IT = 'say that it is meant with "settings": {"compatibility": "strict"} or "pywall"';

/** Chains that rules lead to and that are hooks here; in PyWall they are chains like any other. */
function reportHookChains({ chains, defaultTarget }: Draft, problems: ProblemList): void {
  const targets = [defaultTarget, ...chains.flatMap(({ rules }) => rules.map(({ target }) => target))];
  for (const chain of chains) {
    if (chain.name !== "OUTPUT" && chain.name !== "FORWARD") continue;
    if (!targets.some((target) => target?.name === chain.name)) continue;
    const packets = chain.name === "OUTPUT" ? "that this host sends" : "that cross this host";
    const message =
      `packets ${packets} start in chain ${chain.name}; in PyWall they are not filtered, and ` +
      `${chain.name} is a chain like any other; give it another name, or ${STATE_IT}`;
    problems.warning(chain, "pywall-difference", message);
  }
}

/** Where the file refuses whatever is left over: its default, or a rule that takes every packet. */
function refusesTheRest({ chains, defaultTarget }: Draft, graph: ChainGraph): Place | undefined {
  const refuses = (name: string | undefined): boolean => name === "DROP" || name === "REJECT";
  if (refuses(defaultTarget.name)) return defaultTarget;
  const reached = graph.reachable(["INPUT"]);
  return chains
    .filter(({ name }) => reached.has(name))
    .map(({ rules }) => rules.find(({ terminal }) => terminal))
    .find((last) => refuses(last?.target?.name));
}

/** What the file as a whole does and did not do in PyWall; rules say for themselves what differs. */
function reportDifferences(draft: Draft, graph: ChainGraph, problems: ProblemList): void {
  reportHookChains(draft, problems);
  const refusal = refusesTheRest(draft, graph);
  if (refusal === undefined) return;
  const message =
    "IPv6 packets that no rule accepts are refused too, neighbour discovery included, without " +
    `which IPv6 stops; PyWall never filters IPv6; accept what is needed (ICMPRule), or ${STATE_IT}`;
  problems.warning(refusal, "pywall-difference", message);
}

function toTarget(name: string, chainIndex: ReadonlyMap<string, number>): Target {
  switch (name) {
    case "ACCEPT":
    case "DROP":
    case "REJECT":
      return { kind: "verdict", verdict: VERDICT[name] };
    case "RETURN":
      return { kind: "return" };
    default: {
      const chain = chainIndex.get(name);
      return chain === undefined ? { kind: "next" } : { kind: "chain", chain };
    }
  }
}

function ruleTarget(rule: DraftRule, chainIndex: ReadonlyMap<string, number>): Target {
  if (rule.definition.action === "own") return { kind: "own" };
  return rule.target === undefined ? { kind: "next" } : toTarget(rule.target.name, chainIndex);
}

/** Keys of shared memory: the same for the same text in the same chain; equal rules differ by a number. */
class MemoryKeys {
  readonly #used = new Map<string, number>();

  next(chain: string, rule: DraftRule): string {
    const base = `${chain}/${rule.name}/${rule.text}`;
    const count = this.#used.get(base) ?? 0;
    this.#used.set(base, count + 1);
    return `${base}#${count}`;
  }
}

function build(draft: Draft, options: CompileOptions): Policy {
  const chains = new Map(draft.chains.map((chain) => [chain.name, chain]));
  const names = [...chains.keys()].filter((name) => !BUILT_IN_TARGETS.includes(name));
  if (!names.includes("INPUT")) names.push("INPUT");
  const chainIndex = new Map(names.map((name, index) => [name, index]));
  const keys = new MemoryKeys();
  const built = names.map((name, index): Chain => {
    const rules = chains.get(name)?.drafts ?? [];
    return { name, index, rules: rules.map((rule) => buildRule(rule, keys.next(name, rule), chainIndex)) };
  });
  const defaultTarget = toTarget(draft.defaultTarget.name, chainIndex);
  const recognisers = [...(options.registry?.recognisers ?? [])];
  const { settings } = draft;
  return Policy.fromChecked({ file: options.file, chains: built, defaultTarget, settings, recognisers });
}

function buildRule(rule: DraftRule, memoryKey: string, chainIndex: ReadonlyMap<string, number>): PolicyRule {
  return {
    name: rule.name,
    definition: rule.definition,
    values: rule.values,
    not: rule.not,
    shadow: rule.shadow,
    comment: rule.comment,
    action: rule.target?.name,
    target: ruleTarget(rule, chainIndex),
    memoryKey,
    memoryBytes: rule.memoryBytes,
    path: rule.path,
    line: rule.line,
  };
}

/**
 * Reads a policy file. Never throws, whatever the text.
 *
 * @param text - the file's text: JSON, with comments and trailing commas if you like
 * @param options - the file's name, the rules it may use, and how users are looked up
 * @returns the policy when there is no error, and all errors and warnings
 *
 * @example
 * ```ts
 * const { policy, problems } = compilePolicy('{"INPUT": []}', { file: "policy.json" });
 * ```
 */
export function compilePolicy(text: string, options: CompileOptions): Compilation {
  const problems = new ProblemList(options.file, text);
  const root = readDocument(text, problems);
  if (root === undefined) return { problems: problems.sorted() };
  if (root.kind !== "object") {
    problems.error(root, "wrong-type", `a policy is one JSON object; found ${kindWords(root)}`);
    return { problems: problems.sorted() };
  }
  const draft = readDraft(root, options, problems);
  const graph = new ChainGraph(draft.chains, draft.defaultTarget, problems);
  graph.check();
  checkOutputOnly(draft, graph, problems);
  if (!draft.settings.compatibilityStated) reportDifferences(draft, graph, problems);
  if (problems.errors > 0) return { problems: problems.sorted() };
  return { policy: build(draft, options), problems: problems.sorted() };
}

/**
 * The modules in `settings.modules`, so that their rules can be registered before the file is compiled. A
 * text that cannot be read has none; {@link compilePolicy} says why.
 */
export function policyModules(text: string): ModuleReference[] {
  return [...moduleValues(readDocument(text, new ProblemList("", text))).entries()].flatMap(
    ([index, { scalar }]) => (typeof scalar === "string" ? [{ index, path: scalar }] : []),
  );
}
