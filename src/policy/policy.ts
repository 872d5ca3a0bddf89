/**
 * A policy that has been found valid.
 *
 * Only the compiler makes one, so whoever holds a Policy need not check it again: every target exists, no
 * walk through the chains is endless, every argument has its type. It is plain data; rules with a memory of
 * their own are made from it by {@link Policy.instantiate}, once for each worker.
 */
import { type Hook, hookName, type Verdict } from "../base/index.ts";
import type { Recogniser } from "../recognise/index.ts";
import type { AddressTable } from "../tables/index.ts";
import { type RuleDefinition, type RuleSetup, sharedMemory } from "./registry.ts";
import type { Rule } from "./rule.ts";
import type { Settings } from "./settings.ts";
import { tableName } from "./table-declaration.ts";
import { attachTable, createTable, tableMemoryKey } from "./table-memory.ts";

/** Where a packet goes when a rule matches, or when a chain ends. */
export type Target =
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "chain"; readonly chain: number }
  /** Back to the rule behind the jump. */
  | { readonly kind: "return" }
  /** Where the rule itself says. */
  | { readonly kind: "own" }
  /** To the next rule, as if it had not matched. */
  | { readonly kind: "next" };

/** A rule as the file states it. */
export interface PolicyRule {
  /** Registered name of its kind. */
  readonly name: string;
  readonly definition: RuleDefinition;
  /** Values of its arguments, with defaults. */
  readonly values: { readonly [name: string]: unknown };
  readonly not: boolean;
  /** It judges and reports, and does not act. */
  readonly shadow: boolean;
  readonly comment: string | undefined;
  /** The action in force, as the file would write it. */
  readonly action: string | undefined;
  readonly target: Target;
  /** Key of its shared memory, stable while the rule's text and chain stay the same. */
  readonly memoryKey: string;
  readonly memoryBytes: number;
  /** JSON path in the file. */
  readonly path: string;
  /** Line in the file, from 1. */
  readonly line: number;
}

/** A list of rules with a name. */
export interface Chain {
  readonly name: string;
  /** Its index in {@link Policy.chains}. */
  readonly index: number;
  readonly rules: readonly PolicyRule[];
}

/** Shared memory that a policy's rules need. */
export interface MemoryNeed {
  readonly key: string;
  readonly bytes: number;
}

/** Memory that the rules of one policy share between all workers, by key. */
export type RuleMemory = Readonly<Record<string, SharedArrayBuffer>>;

/** What a policy is made of. */
export interface PolicyParts {
  readonly file: string;
  readonly chains: readonly Chain[];
  /** A verdict or a chain. */
  readonly defaultTarget: Target;
  readonly settings: Settings;
  readonly recognisers: readonly Recogniser[];
}

/** A rule where it stands, and the tables it may name. */
interface RuleSite {
  readonly chain: Chain;
  readonly index: number;
  readonly rule: PolicyRule;
  readonly tables: ReadonlyMap<string, AddressTable>;
}

/** A valid policy. */
export class Policy {
  readonly file: string;
  /** All chains; one named INPUT is always among them. */
  readonly chains: readonly Chain[];
  /** Where a packet goes at the end of any chain: a verdict or a chain. */
  readonly defaultTarget: Target;
  readonly settings: Settings;
  /** Recognisers that its modules have registered. */
  readonly recognisers: readonly Recogniser[];
  /** True when a rule asks for the packet's state in the kernel's connection tracking. */
  readonly asksConntrack: boolean;
  /** True when a rule reads bytes behind the packet's headers, or may: modules may do anything. */
  readonly readsBytes: boolean;

  private constructor(parts: PolicyParts) {
    this.file = parts.file;
    this.chains = parts.chains;
    this.defaultTarget = parts.defaultTarget;
    this.settings = parts.settings;
    this.recognisers = parts.recognisers;
    const definitions = parts.chains.flatMap(({ rules }) => rules.map(({ definition }) => definition));
    this.asksConntrack = definitions.some(({ asksConntrack }) => asksConntrack === true);
    const hasModules = parts.settings.modules.length > 0;
    this.readsBytes = hasModules || definitions.some(({ readsBytes }) => readsBytes === true);
  }

  /** For the compiler: these parts have passed all checks. */
  static fromChecked(parts: PolicyParts): Policy {
    return new Policy(parts);
  }

  /** The chain where packets of this hook start; `undefined` when the hook is not filtered. */
  hookChain(hook: Hook): Chain | undefined {
    const name = hookName(hook);
    return this.chains.find((chain) => chain.name === name);
  }

  /** Memory the rules share between workers. */
  get memoryNeeds(): readonly MemoryNeed[] {
    const rules = this.chains.flatMap((chain) => chain.rules).filter((rule) => rule.memoryBytes > 0);
    return rules.map((rule) => ({ key: rule.memoryKey, bytes: rule.memoryBytes }));
  }

  /**
   * Makes the rules of all chains, in the order of {@link Policy.chains}.
   *
   * @param memory - from {@link allocateMemory}; a rule or a table whose key is missing gets memory of its
   *   own
   */
  instantiate(memory: RuleMemory): Rule[][] {
    const tables = new Map(this.attachTables(memory).map((table) => [table.name, table]));
    return this.chains.map((chain) =>
      chain.rules.map((rule, index) => this.#make({ chain, index, rule, tables }, memory)),
    );
  }

  /** The tables that the policy declares, in the order of the file. */
  attachTables(memory: RuleMemory): AddressTable[] {
    return this.settings.tables.map((declaration) => {
      const buffer = memory[tableMemoryKey(declaration)];
      return buffer === undefined ? createTable(declaration) : attachTable(declaration, buffer);
    });
  }

  /** How many rules name a table. */
  tableUses(table: string): number {
    const names = ({ definition, values }: PolicyRule): boolean =>
      Object.entries(definition.arguments).some(
        ([argument, { type }]) => type === tableName && values[argument] === table,
      );
    return this.chains.flatMap(({ rules }) => rules).filter(names).length;
  }

  #make({ chain, index, rule, tables }: RuleSite, memory: RuleMemory): Rule {
    const own = memory[rule.memoryKey];
    const setup: RuleSetup = {
      chain: chain.name,
      index,
      action: rule.action,
      compatibility: this.settings.compatibility,
      limits: this.settings.limits,
      memory: own?.byteLength === rule.memoryBytes ? own : sharedMemory(rule.memoryBytes),
      tables,
    };
    return rule.definition.create(rule.values, setup);
  }
}

/**
 * Memory for a policy's rules and tables. What `previous` holds under the same key and in the same size is
 * kept, so that knocks, token buckets and tables survive the change of other rules. A table that is made here
 * holds what the policy itself names; entries from files are the caller's to add.
 */
export function allocateMemory(policy: Policy, previous: RuleMemory = {}): RuleMemory {
  const memory: Record<string, SharedArrayBuffer> = {};
  for (const { key, bytes } of policy.memoryNeeds) {
    const old = previous[key];
    memory[key] = old?.byteLength === bytes ? old : sharedMemory(bytes);
  }
  for (const declaration of policy.settings.tables) {
    const key = tableMemoryKey(declaration);
    memory[key] = previous[key] ?? createTable(declaration).memory.buffer;
  }
  return memory;
}
