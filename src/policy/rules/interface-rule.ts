/** InterfaceRule: the network interface a packet came in by, or leaves by. */
import type { Packet } from "../../wire/index.ts";
import { optional, reportWrongType, type ValueType } from "../argument.ts";
import type { Condition, InterfaceTest } from "../condition.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { Rule, type RuleContext } from "../rule.ts";

/** Longest name of an interface (IFNAMSIZ less its final zero). */
const LONGEST_NAME = 15;

const pattern: ValueType<string> = {
  words:
    `the name of an interface, at most ${LONGEST_NAME} ` +
    "characters, a * or + at its end standing for any rest",
  schema: { type: "string", pattern: `^(?:[^\\s/*+]{1,${LONGEST_NAME}}|[^\\s/*+]{0,${LONGEST_NAME}}[*+])$` },
  read(value, reading) {
    const { scalar } = value;
    const fits = typeof scalar === "string" && /^(?:[^\s/*+]{1,15}|[^\s/*+]{0,15}[*+])$/.test(scalar);
    return fits ? scalar : reportWrongType(value, pattern.words, reading);
  },
};

/** One name or all names with one beginning. */
class NamePattern {
  readonly text: string;
  /** The whole name, or how it begins. */
  readonly beginning: string;
  readonly isOpen: boolean;

  constructor(text: string) {
    this.text = text;
    this.isOpen = /[*+]$/.test(text);
    this.beginning = this.isOpen ? text.slice(0, -1) : text;
  }

  /** An empty name is that of no interface. */
  fits(name: string): boolean {
    return this.isOpen ? name !== "" && name.startsWith(this.beginning) : name === this.beginning;
  }
}

function interfaceTests(field: InterfaceTest["field"], pattern: NamePattern | undefined): InterfaceTest[] {
  return pattern === undefined ? [] : [{ field, name: pattern.beginning, isOpen: pattern.isOpen }];
}

class InterfaceRule extends Rule {
  override readonly condition: Condition;
  readonly #in: NamePattern | undefined;
  readonly #out: NamePattern | undefined;

  constructor(incoming: string | undefined, outgoing: string | undefined) {
    super();
    this.#in = incoming === undefined ? undefined : new NamePattern(incoming);
    this.#out = outgoing === undefined ? undefined : new NamePattern(outgoing);
    this.condition = [
      ...interfaceTests("inInterface", this.#in),
      ...interfaceTests("outInterface", this.#out),
    ];
  }

  override match(packet: Packet, context: RuleContext): boolean {
    if (this.#in !== undefined && !this.#in.fits(context.interfaceName(packet.inInterface))) return false;
    return this.#out === undefined || this.#out.fits(context.interfaceName(packet.outInterface));
  }

  override explain(packet: Packet, context: RuleContext): string {
    const clause = (side: string, wanted: NamePattern | undefined, index: number): string[] => {
      if (wanted === undefined) return [];
      const name = context.interfaceName(index);
      return [`${side} interface ${name || "(none)"} is ${wanted.fits(name) ? "" : "not "}${wanted.text}`];
    };
    const clauses = [
      ...clause("in", this.#in, packet.inInterface),
      ...clause("out", this.#out, packet.outInterface),
    ];
    return clauses.join(", ");
  }
}

/** `InterfaceRule`. */
export const interfaceRule: RuleDefinition = defineRule({
  summary: "Matches packets by the interface they came in by or leave by; both must fit when both are given.",
  arguments: {
    in: optional(pattern, "Interface the packet came in by; `eth*` and `eth+` are all that begin with eth."),
    out: optional(pattern, "Interface the packet leaves by."),
  },
  action: "required",
  check(values, check) {
    if (values.in === undefined && values.out === undefined)
      check.error(undefined, 'give "in" or "out" or both');
  },
  create: (values) => new InterfaceRule(values.in, values.out),
});
