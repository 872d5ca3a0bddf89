/**
 * The rules of a policy laid out flat: all rules of all chains in one row, a chain being a start and an end,
 * and a target being one number.
 *
 * A rule's *place* is its index in the row. Everything about rules that the way of a packet needs stands in
 * arrays by place.
 */
import { type Hook, HOOK, HOOK_NAMES, type Verdict, VERDICT } from "../base/index.ts";
import type { Packet } from "../wire/index.ts";
import { CONTENT, wantedContent } from "./content.ts";
import type { Policy, PolicyRule, RuleMemory, Target } from "./policy.ts";
import type { InterfaceNumbers } from "./packet-facts.ts";
import { type Gate, isVerdictRule, makeGate, type Rule, type VerdictRule } from "./rule.ts";
import { type LookupRule, RuleLookup } from "./rule-lookup.ts";

/** Targets as numbers: a chain by its index, everything else below zero. */
export const TARGET = {
  NEXT: -1,
  ACCEPT: -2,
  DROP: -3,
  REJECT: -4,
  RETURN: -5,
  /** Where the rule itself says. */
  OWN: -6,
  /** No target: the chain has no more rules. */
  END: -7,
} as const;

/** Numbers of a gate in the row of gates: protocol, destination ports, source ports. */
const GATE_WORDS = 5;
const ANY = -1;

/** Of an inverted rule: there a shut gate would mean a match. */
const OPEN_GATE = makeGate();

function gateWords(gate: Gate): number[] {
  return [gate.protocol, gate.destinationLow, gate.destinationHigh, gate.sourceLow, gate.sourceHigh];
}

/**
 * True when a packet cannot meet a rule, going by its gate alone.
 *
 * @param gates - of all rules, see {@link RuleRow.gates}
 * @param place - of the rule in the row
 */
export function isGateShut(gates: Int32Array, place: number, packet: Packet): boolean {
  const gate = place * GATE_WORDS;
  const protocol = gates[gate] ?? ANY;
  const { destinationPort, sourcePort } = packet;
  return (
    (protocol !== ANY && protocol !== packet.protocol) ||
    destinationPort < (gates[gate + 1] ?? 0) ||
    destinationPort > (gates[gate + 2] ?? 0) ||
    sourcePort < (gates[gate + 3] ?? 0) ||
    sourcePort > (gates[gate + 4] ?? 0)
  );
}

/** A verdict as a target. */
export function verdictCode(verdict: Verdict): number {
  if (verdict === VERDICT.ACCEPT) return TARGET.ACCEPT;
  return verdict === VERDICT.DROP ? TARGET.DROP : TARGET.REJECT;
}

function targetCode(target: Target): number {
  switch (target.kind) {
    case "chain":
      return target.chain;
    case "verdict":
      return verdictCode(target.verdict);
    case "return":
      return TARGET.RETURN;
    case "own":
      return TARGET.OWN;
    case "next":
      return TARGET.NEXT;
  }
}

/** See the head of this file. */
export class RuleRow {
  readonly rules: readonly Rule[];
  /** The same row; `undefined` where a rule does not decide itself. */
  readonly verdictRules: readonly (VerdictRule | undefined)[];
  /** 1 where a rule wants to know what became of the packets it met. */
  readonly settles: Uint8Array;
  readonly needs: Uint8Array;
  /** {@link GATE_WORDS} numbers for each rule. */
  readonly gates: Int32Array;
  readonly not: Uint8Array;
  /** Values of {@link TARGET}. */
  readonly targets: Int32Array;
  /** Bits of CONTENT that each rule wants. */
  readonly wants: Uint8Array;
  readonly shadow: Uint8Array;
  /** Start of each chain in the row; the last entry is the end of the last chain. */
  readonly starts: Int32Array;
  /** Index of the chain at which a hook's packets begin, by hook; -1 where there is none. */
  readonly hookChains: Int32Array;
  /** Where a packet goes at the end of a chain: a verdict or a chain. */
  readonly defaultTarget: number;

  /** @param memory - the memory that all rows of this policy share, see {@link allocateMemory} */
  constructor(policy: Policy, memory: RuleMemory) {
    const rows: readonly PolicyRule[] = policy.chains.flatMap((chain) => chain.rules);
    this.rules = policy.instantiate(memory).flat();
    this.verdictRules = this.rules.map((rule) => (isVerdictRule(rule) ? rule : undefined));
    this.settles = Uint8Array.from(this.rules, (rule) => (rule.settle === undefined ? 0 : 1));
    this.needs = Uint8Array.from(this.rules, (rule) => rule.needs);
    this.gates = Int32Array.from(
      this.rules.flatMap((rule, at) => gateWords(rows[at]?.not ? OPEN_GATE : rule.gate)),
    );
    this.not = Uint8Array.from(rows, (rule) => (rule.not ? 1 : 0));
    this.targets = Int32Array.from(rows, (rule) => targetCode(rule.target));
    this.wants = Uint8Array.from(this.rules, wantedContent);
    this.shadow = Uint8Array.from(rows, (rule) => (rule.shadow ? 1 : 0));
    this.starts = new Int32Array(policy.chains.length + 1);
    for (const { index, rules } of policy.chains) {
      this.starts[index + 1] = (this.starts[index] ?? 0) + rules.length;
    }
    const hookChain = (hook: Hook): number => policy.hookChain(hook)?.index ?? -1;
    this.hookChains = new Int32Array(8).fill(-1);
    for (const name of HOOK_NAMES) this.hookChains[HOOK[name]] = hookChain(HOOK[name]);
    this.defaultTarget = targetCode(policy.defaultTarget);
  }

  /**
   * A chain's lookup; `undefined` where walking the chain is as fast.
   *
   * @param numbers - gives numbers to the interfaces that conditions name
   * @param from - a value of LOOKUP_FROM
   */
  lookup(chain: number, numbers: InterfaceNumbers, from: number): RuleLookup | undefined {
    const { rules, stops } = this.lookedUp(chain);
    return RuleLookup.build(rules, stops, numbers, from);
  }

  /** The rules of a chain that may be looked up, and the places of the others, both in order. */
  lookedUp(chain: number): { readonly rules: LookupRule[]; readonly stops: number[] } {
    const rules: LookupRule[] = [];
    const stops: number[] = [];
    const end = this.starts[chain + 1] ?? 0;
    for (let place = this.starts[chain] ?? 0; place < end; place += 1) {
      const condition = this.rules[place]?.condition;
      if (condition === undefined || !this.#mayBeLookedUp(place)) stops.push(place);
      else {
        const isLast = (this.targets[place] ?? TARGET.NEXT) < 0;
        rules.push({ place, condition, needs: this.needs[place] ?? 0, isLast });
      }
    }
    return { rules, stops };
  }

  /** True when all that follows from a match is that it is counted and the packet goes to the target. */
  #mayBeLookedUp(place: number): boolean {
    const isPlain = this.not[place] === 0 && this.shadow[place] === 0 && this.settles[place] === 0;
    const target = this.targets[place];
    return (
      isPlain && this.wants[place] === CONTENT.NOTHING && target !== TARGET.NEXT && target !== TARGET.OWN
    );
  }

  /** Index of the chain in which a rule stands. @param place - of the rule */
  chainOf(place: number): number {
    return this.starts.findLastIndex((start) => start <= place);
  }

  /** Bits of CONTENT that some rule wants. */
  get allWants(): number {
    return this.wants.reduce((bits, each) => bits | each, CONTENT.NOTHING);
  }
}
