/** Rules by name: what a policy file may say, and how a rule is made from it. */
import { FirewallError, type LimitValues } from "../base/index.ts";
import { checkRecogniser, type Recogniser } from "../recognise/index.ts";
import type { AddressTable } from "../tables/index.ts";
import type { ArgumentSet, ArgumentValues } from "./argument.ts";
import type { Rule } from "./rule.ts";
import type { Compatibility } from "./settings.ts";

/**
 * What follows when a rule matches:
 * - `required`: the file must name an action;
 * - `{ fallback }`: the file may name one, otherwise this one is taken;
 * - `{ fixed }`: always this one, the file names none;
 * - `own`: the rule is a {@link VerdictRule} and decides itself;
 * - `none`: the rule never matches, it only watches.
 */
export type ActionUse =
  | "required"
  | "own"
  | "none"
  | { readonly fallback: string }
  | { readonly fixed: string };

/** True when a file may name an action for such a rule. */
export function takesAction(use: ActionUse): use is "required" | { readonly fallback: string } {
  return use === "required" || (typeof use === "object" && "fallback" in use);
}

/** Where a rule stands, and what it is given besides its arguments. */
export interface RuleSetup {
  /** Name of its chain. */
  readonly chain: string;
  /** Its index in the chain, from 0. */
  readonly index: number;
  /** The action in force, `undefined` when there is none. */
  readonly action: string | undefined;
  readonly compatibility: Compatibility;
  readonly limits: LimitValues;
  /** Zero-filled when first used, shared by all workers; of the length that `memoryBytes` asked for. */
  readonly memory: SharedArrayBuffer;
  /** The tables that the policy declares, by name; while a file is read, they are empty. */
  readonly tables: ReadonlyMap<string, AddressTable>;
}

/** Memory of a rule that needs none. */
const NO_MEMORY = new SharedArrayBuffer(0);

/** Zero-filled memory to share between workers. */
export function sharedMemory(bytes: number): SharedArrayBuffer {
  return bytes === 0 ? NO_MEMORY : new SharedArrayBuffer(bytes);
}

/** Takes what a definition's own check finds. */
export interface RuleCheck<Names extends string = string> {
  readonly compatibility: Compatibility;
  /** The rule cannot mean anything. `name` is the argument meant, `undefined` the rule as a whole. */
  error(name: Names | undefined, message: string): void;
  /** The rule never does what it seems to. */
  warning(name: Names | undefined, message: string): void;
  /** PyWall would do something else. Not reported when the file states its compatibility. */
  difference(message: string): void;
}

/** How one kind of rule is written in a policy file, checked and made. */
export interface RuleDefinition<S extends ArgumentSet = ArgumentSet> {
  /** One sentence: what it matches. */
  readonly summary: string;
  readonly arguments: S;
  readonly action: ActionUse;
  /** True when it reads the packet's `conntrackState`; only where a rule does, the kernel is asked for it. */
  readonly asksConntrack?: boolean;
  /** True when it reads bytes behind the packet's headers; only where a rule does, they come to userspace. */
  readonly readsBytes?: boolean;
  /** True when it matches every packet. */
  readonly matchesAll?: boolean;
  /** Arguments that PyWall reads and does not use: the reason, by name. */
  readonly ignored?: { readonly [name: string]: string };
  /** More than fits into a sentence, for the manual. */
  readonly notes?: string;
  /** What differs from PyWall, for the manual. Absent for rules that PyWall has not. */
  readonly difference?: string;
  /** Checks what concerns several arguments at once. */
  check?(values: ArgumentValues<S>, check: RuleCheck<keyof S & string>): void;
  /** Shared memory the rule needs, in bytes. */
  memoryBytes?(values: ArgumentValues<S>, limits: LimitValues): number;
  /** Makes a rule. Called several times: once to try it when the file is read, and once per worker. */
  create(values: ArgumentValues<S>, setup: RuleSetup): Rule;
}

/** Writes a definition so that the types of its arguments reach its functions. */
export function defineRule<S extends ArgumentSet>(definition: RuleDefinition<S>): RuleDefinition {
  return definition;
}

/** What a definition lacks; modules in JavaScript have no compiler that would say so. */
function definitionFault(definition: RuleDefinition): string | undefined {
  if (typeof definition !== "object" || definition === null) return "the definition must be an object";
  const { summary, arguments: declared, action } = definition;
  if (typeof summary !== "string") return '"summary" must say in a sentence what the rule matches';
  if (typeof declared !== "object" || declared === null) return '"arguments" must be an object, {} for none';
  const isOwnAction = typeof action === "object" && action !== null;
  if (!isOwnAction && !["required", "own", "none"].includes(action)) {
    return '"action" must be "required", "own", "none", {"fallback": …} or {"fixed": …}';
  }
  if (typeof definition.create !== "function") return '"create" must be a function that makes the rule';
  const wrong = Object.keys(declared).find((name) => typeof declared[name]?.type?.read !== "function");
  return wrong === undefined
    ? undefined
    : `argument "${wrong}" must be made with required, optional or withDefault`;
}

/** Member names that every rule has. */
export const COMMON_MEMBERS: readonly string[] = ["name", "action", "not", "comment", "shadow"];

/** The rules a policy may name, and recognisers of one's own. */
export class RuleRegistry {
  readonly #recognisers: Recogniser[] = [];
  readonly #definitions = new Map<string, RuleDefinition>();
  readonly #aliases = new Map<string, string>();

  /**
   * Adds a kind of rule.
   *
   * @param name - as policy files write it, case-sensitive
   * @param definition - its arguments and how it is made
   * @throws {FirewallError} `RULE_DEFINITION` when the definition is not one, `RULE_NAME_TAKEN` when there is
   *   such a rule, `RULE_ARGUMENT_TAKEN` when an argument bears the name of a member that every rule has
   */
  register<S extends ArgumentSet>(name: string, definition: RuleDefinition<S>): void {
    const fault = definitionFault(definition);
    if (fault !== undefined) throw new FirewallError("RULE_DEFINITION", `rule "${name}": ${fault}`);
    if (this.#definitions.has(name) || this.#aliases.has(name)) {
      throw new FirewallError(
        "RULE_NAME_TAKEN",
        `a rule "${name}" is registered already: choose another name`,
      );
    }
    const taken = Object.keys(definition.arguments).find((argument) => COMMON_MEMBERS.includes(argument));
    if (taken !== undefined) {
      throw new FirewallError(
        "RULE_ARGUMENT_TAKEN",
        `rule "${name}": every rule has a member "${taken}"; rename yours`,
      );
    }
    this.#definitions.set(name, definition);
  }

  /**
   * Adds a recogniser: it is asked before those that ship, and rules may name its protocol.
   *
   * @param recogniser - of one protocol, which may be one that is recognised already
   * @throws {FirewallError} `RECOGNISER_DEFINITION` when it is none, `RECOGNISER_NAME_TAKEN` when one of that
   *   protocol was registered before
   */
  registerRecogniser(recogniser: Recogniser): void {
    checkRecogniser(recogniser);
    const { protocol } = recogniser;
    if (this.#recognisers.some((other) => other.protocol.toLowerCase() === protocol.toLowerCase())) {
      const message = `a recogniser of "${protocol}" is registered already: choose another name`;
      throw new FirewallError("RECOGNISER_NAME_TAKEN", message);
    }
    this.#recognisers.push(recogniser);
  }

  /** Recognisers of one's own, in the order of registration. */
  get recognisers(): readonly Recogniser[] {
    return this.#recognisers;
  }

  /** Adds an old name of a registered rule. */
  alias(oldName: string, name: string): void {
    this.#aliases.set(oldName, name);
  }

  /** The definition by its registered name. */
  get(name: string): RuleDefinition | undefined {
    return this.#definitions.get(name);
  }

  /** The registered name that an old name stands for. */
  registeredName(oldName: string): string | undefined {
    return this.#aliases.get(oldName);
  }

  /** Registered names in the order of registration. */
  names(): string[] {
    return [...this.#definitions.keys()];
  }

  /** Old names. */
  oldNames(): string[] {
    return [...this.#aliases.keys()];
  }
}
