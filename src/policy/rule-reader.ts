/** Reads the rules of a chain: their kind, their common members, their arguments, their target. */
import { AddressTable } from "../tables/index.ts";
import type { Reading } from "./argument.ts";
import { readArguments } from "./argument-set.ts";
import type { ChainNode, RuleNode, TargetName } from "./chain-graph.ts";
import { type JsonMember, type JsonValue, kindWords } from "./document.ts";
import type { Place, ProblemCode } from "./problem.ts";
import {
  COMMON_MEMBERS,
  takesAction,
  type RuleCheck,
  type RuleDefinition,
  type RuleRegistry,
  sharedMemory,
} from "./registry.ts";
import type { Settings } from "./settings.ts";
import { didYouMean } from "./suggestion.ts";

/** A rule that has been read and found good by itself. */
export interface DraftRule extends RuleNode {
  readonly name: string;
  readonly definition: RuleDefinition;
  readonly values: { readonly [name: string]: unknown };
  readonly not: boolean;
  readonly shadow: boolean;
  readonly comment: string | undefined;
  readonly memoryBytes: number;
  /** The rule's arguments as text, the same however the file is laid out. */
  readonly text: string;
  readonly line: number;
}

/** A chain that has been read. */
export interface DraftChain extends ChainNode {
  /** Those of its rules that are good; all of them when there is no error. */
  readonly drafts: readonly DraftRule[];
}

/** Where one rule stands while it is read. */
interface Site {
  readonly value: JsonValue;
  readonly chain: string;
  readonly index: number;
  /** As the file writes it, an old name included. */
  readonly name: string;
  readonly definition: RuleDefinition;
}

/** Text of a value that does not depend on layout, order of members, or comments. */
function canonicalText(value: JsonValue): string {
  if (value.kind === "array") return `[${value.items.map(canonicalText).join()}]`;
  if (value.kind !== "object") return JSON.stringify(value.scalar);
  const members = value.members.filter(({ name }) => name !== "comment");
  const texts = members.map((member) => `${JSON.stringify(member.name)}:${canonicalText(member.value)}`);
  return `{${texts.toSorted().join()}}`;
}

function findMember(value: JsonValue, name: string): JsonMember | undefined {
  return value.members.find((member) => member.name === name);
}

/** True when an object is what a chain can ask; its class may come from another copy of this package. */
function isRule(made: unknown, decides: boolean): boolean {
  if (typeof made !== "object" || made === null) return false;
  if (typeof Reflect.get(made, "needs") !== "number" || typeof Reflect.get(made, "gate") !== "object")
    return false;
  const methods = decides
    ? ["match", "peek", "explain", "decide", "peekVerdict"]
    : ["match", "peek", "explain"];
  return methods.every((name) => typeof Reflect.get(made, name) === "function");
}

/**
 * True when no packet comes past a rule of this kind with this target, unless it is inverted or in the
 * shadow.
 */
function endsEveryWay({ action, matchesAll }: RuleDefinition, target: TargetName | undefined): boolean {
  return matchesAll === true && (action === "own" || target !== undefined);
}

/** Why an argument has no effect. The name comes from the file, and an object also knows `constructor`. */
function ignoredReason({ ignored }: RuleDefinition, name: string): string | undefined {
  return ignored !== undefined && Object.hasOwn(ignored, name) ? ignored[name] : undefined;
}

/** Stands for every table while rules are tried. */
const EMPTY_TABLE = AddressTable.create({ name: "empty", capacity: 1 });

/** Reads the chains of one file. */
export class RuleReader {
  readonly #registry: RuleRegistry;
  readonly #settings: Settings;
  readonly #reading: Reading;
  readonly #tables: ReadonlyMap<string, AddressTable>;

  constructor(registry: RuleRegistry, settings: Settings, reading: Reading) {
    this.#registry = registry;
    this.#settings = settings;
    this.#reading = reading;
    this.#tables = new Map(settings.tables.map(({ name }) => [name, EMPTY_TABLE]));
  }

  /** Reads one member of the file as a chain. */
  readChain(member: JsonMember): DraftChain {
    const { name, value, at, path } = member;
    if (value.kind !== "array") {
      const hint =
        name === "comment"
          ? " Comments stand behind //, and in rules."
          : didYouMean(name, ["$schema", "settings", "default_chain"]);
      const found = `found ${kindWords(value)}.${hint}`;
      const message = `chain ${JSON.stringify(name)} must be a list of rules, ${found}`;
      this.#error(value, "wrong-type", message);
    }
    const rules = value.items.map((item, index) => this.#readRule(item, name, index));
    const drafts = rules.filter((rule) => "definition" in rule);
    return { name, at, path, rules, drafts, readable: value.kind === "array" };
  }

  #error(place: Place, code: ProblemCode, message: string): void {
    this.#reading.problems.error(place, code, message);
  }

  #warning(place: Place, code: ProblemCode, message: string): void {
    this.#reading.problems.warning(place, code, message);
  }

  #readRule(value: JsonValue, chain: string, index: number): DraftRule | RuleNode {
    const { problems } = this.#reading;
    const before = problems.errors;
    const name = this.#readName(value);
    const definition = name === undefined ? undefined : this.#findDefinition(name);
    if (name === undefined || definition === undefined) {
      return { at: value.at, path: value.path, target: undefined, terminal: false, readable: false };
    }
    const site: Site = { value, chain, index, name: name.registered, definition };
    const not = this.#readNot(site);
    const shadow = this.#readShadow(value);
    const comment = this.#readComment(value);
    const target = this.#readAction(site);
    const values = this.#readValues(site);
    const terminal = !not && !shadow && endsEveryWay(definition, target);
    const { at, path } = value;
    const memoryBytes =
      values === undefined || problems.errors > before ? undefined : this.#try(site, values, target?.name);
    if (values === undefined || memoryBytes === undefined) {
      return { at, path, target, terminal, readable: false };
    }
    return {
      at,
      path,
      target,
      terminal,
      readable: true,
      name: site.name,
      definition,
      values,
      not,
      shadow,
      comment,
      memoryBytes,
      text: canonicalText(value),
      line: problems.lineOf(value),
    };
  }

  /** The name as written and the place where it stands. */
  #readName(value: JsonValue): { registered: string; place: Place } | undefined {
    if (value.kind !== "object") {
      this.#error(
        value,
        "wrong-type",
        `a rule is an object such as {"name": "TrueRule", "action": "DROP"}, found ${kindWords(value)}`,
      );
      return undefined;
    }
    const member = findMember(value, "name");
    if (member === undefined) {
      this.#error(
        value,
        "missing-argument",
        `"name" is missing: which rule is it? There are ${this.#registry.names().join(", ")}`,
      );
      return undefined;
    }
    const { scalar } = member.value;
    if (typeof scalar !== "string") {
      this.#error(
        member.value,
        "wrong-type",
        `"name" is the name of a rule, found ${kindWords(member.value)}`,
      );
      return undefined;
    }
    const registered = this.#registry.registeredName(scalar);
    if (registered !== undefined) {
      this.#warning(member.value, "old-name", `${scalar} is an old name: write ${registered}`);
    }
    return { registered: registered ?? scalar, place: member.value };
  }

  #findDefinition(name: { registered: string; place: Place }): RuleDefinition | undefined {
    const definition = this.#registry.get(name.registered);
    if (definition === undefined) {
      const known = [...this.#registry.names(), ...this.#registry.oldNames()];
      const hint = didYouMean(name.registered, known) || ` There are ${this.#registry.names().join(", ")}`;
      this.#error(name.place, "unknown-rule", `there is no rule ${JSON.stringify(name.registered)}.${hint}`);
    }
    return definition;
  }

  #readNot(site: Site): boolean {
    const member = findMember(site.value, "not");
    if (member === undefined) return false;
    if (typeof member.value.scalar !== "boolean") {
      this.#error(member.value, "wrong-type", `"not" is true or false, found ${kindWords(member.value)}`);
      return false;
    }
    const { action } = site.definition;
    if (member.value.scalar && (action === "own" || action === "none")) {
      const why = action === "own" ? "it decides by itself" : "it never matches";
      this.#warning(member, "ignored-argument", `"not" has no effect on ${site.name}: ${why}`);
    }
    return member.value.scalar;
  }

  #readShadow(value: JsonValue): boolean {
    const member = findMember(value, "shadow");
    if (member === undefined || typeof member.value.scalar === "boolean")
      return member?.value.scalar === true;
    this.#error(member.value, "wrong-type", `"shadow" is true or false, found ${kindWords(member.value)}`);
    return false;
  }

  #readComment(value: JsonValue): string | undefined {
    const member = findMember(value, "comment");
    if (member === undefined) return undefined;
    if (typeof member.value.scalar === "string") return member.value.scalar;
    this.#error(member.value, "wrong-type", `"comment" is a string, found ${kindWords(member.value)}`);
    return undefined;
  }

  #readAction(site: Site): TargetName | undefined {
    const { value, definition } = site;
    const member = findMember(value, "action");
    const { action } = definition;
    const own = { at: value.at, path: value.path };
    if (!takesAction(action)) {
      if (member !== undefined) this.#reportUselessAction(site, member);
      return typeof action === "object" ? { ...own, name: action.fixed } : undefined;
    }
    if (member === undefined && action !== "required") return { ...own, name: action.fallback };
    if (member === undefined || member.value.kind === "null") {
      this.#reportMissingAction(site, member?.value ?? value);
      return undefined;
    }
    return this.#readTarget(member.value);
  }

  #readTarget(value: JsonValue): TargetName | undefined {
    if (typeof value.scalar === "string") return { at: value.at, path: value.path, name: value.scalar };
    const expected = "ACCEPT, DROP, REJECT, RETURN or the name of a chain";
    const message = `"action" is ${expected}; found ${kindWords(value)}`;
    this.#error(value, "wrong-type", message);
    return undefined;
  }

  #reportMissingAction({ name }: Site, place: Place): void {
    if (this.#reading.lenient) {
      this.#warning(place, "missing-action", `${name} has no action, so it never acts (as in PyWall)`);
      return;
    }
    const message = `"action" is missing: name ACCEPT, DROP, REJECT, RETURN or a chain that ${name} leads to`;
    this.#error(place, "missing-action", message);
  }

  #reportUselessAction(site: Site, member: JsonMember): void {
    const { definition, name } = site;
    const why = definition.action === "none" ? "it never matches" : "it always does the same";
    const reason = ignoredReason(definition, "action");
    if (reason !== undefined)
      this.#warning(member, "ignored-argument", `"action" has no effect on ${name}: ${reason}`);
    else this.#error(member, "unknown-argument", `${name} takes no "action": ${why}; take it out`);
  }

  #readValues(site: Site): DraftRule["values"] | undefined {
    const { value, definition, name } = site;
    const values = readArguments(value, definition.arguments, this.#reading, {
      known: COMMON_MEMBERS,
      report: (member, suggestion) => {
        const reason = ignoredReason(definition, member.name);
        if (reason !== undefined) {
          this.#warning(member, "ignored-argument", `"${member.name}" has no effect on ${name}: ${reason}`);
        } else if (this.#reading.lenient) {
          const message = `${name} has no argument "${member.name}": ignored, as in PyWall.${suggestion}`;
          this.#warning(member, "unknown-argument", message);
        } else {
          this.#error(
            member,
            "unknown-argument",
            `${name} has no argument "${member.name}".${suggestion || " Take it out."}`,
          );
        }
      },
    });
    if (values !== undefined) this.#guard(site, () => definition.check?.(values, this.#checkFor(site)));
    return values;
  }

  /** Runs what a definition brings along; what it throws is a problem of the file. */
  #guard<T>(site: Site, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#error(site.value, "rule-refused", `${site.name} cannot be made: ${reason}`);
      return undefined;
    }
  }

  #checkFor(site: Site): RuleCheck {
    const place = (name: string | undefined): Place =>
      (name === undefined ? undefined : findMember(site.value, name)?.value) ?? site.value;
    const { compatibility, compatibilityStated } = this.#settings;
    return {
      compatibility,
      error: (name, message) => this.#error(place(name), "invalid-argument", message),
      warning: (name, message) => this.#warning(place(name), "never-matches", message),
      difference: (message) => {
        if (compatibilityStated) return;
        const advice = 'say which you want with "settings": {"compatibility": "strict"} or "pywall"';
        this.#warning(site.value, "pywall-difference", `${message}; ${advice}`);
      },
    };
  }

  /** Makes the rule once, so that what its maker refuses is found here; the bytes of memory it needs. */
  #try(site: Site, values: DraftRule["values"], action: string | undefined): number | undefined {
    const { definition, value, name, chain, index } = site;
    const { limits, compatibility } = this.#settings;
    return this.#guard(site, () => {
      const bytes = definition.memoryBytes?.(values, limits) ?? 0;
      const memory = sharedMemory(bytes);
      const tables = this.#tables;
      const made = definition.create(values, { chain, index, action, compatibility, limits, memory, tables });
      if (isRule(made, definition.action === "own")) return bytes;
      const base = definition.action === "own" ? "VerdictRule" : "Rule";
      const message = `${name} is badly made: create must return an object of a class that extends ${base}`;
      this.#error(value, "rule-refused", message);
      return undefined;
    });
  }
}
