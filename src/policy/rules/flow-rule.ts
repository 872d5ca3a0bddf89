/** FlowRule: whether a packet belongs to something that is under way, whatever its protocol. */
import type { Packet } from "../../wire/index.ts";
import { choice, required } from "../argument.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { FLOW, NEEDS, Rule, type RuleContext } from "../rule.ts";

/** Flows that each word means. */
const MEANINGS = {
  new: [FLOW.NEW],
  known: [FLOW.ORIGINAL, FLOW.REPLY],
  original: [FLOW.ORIGINAL],
  reply: [FLOW.REPLY],
} as const satisfies Record<string, readonly number[]>;

type FlowWord = keyof typeof MEANINGS;

class FlowRule extends Rule {
  override readonly isPure: boolean = true;
  override readonly needs: number = NEEDS.TRANSPORT;
  readonly #word: FlowWord;
  readonly #meanings: readonly number[];

  constructor(word: FlowWord) {
    super();
    this.#word = word;
    this.#meanings = MEANINGS[word];
  }

  override match(_packet: Packet, context: RuleContext): boolean {
    return this.#meanings.includes(context.flow ?? FLOW.NEW);
  }

  override foresee(packet: Packet, context: RuleContext): boolean {
    return this.match(packet, context);
  }

  override explain(_packet: Packet, context: RuleContext): string {
    const { flow = FLOW.NEW } = context;
    const words = flow === FLOW.NEW ? "new" : `known (${flow === FLOW.REPLY ? "reply" : "original"})`;
    return `the flow is ${words}, wanted is ${this.#word}`;
  }
}

/** `FlowRule`. */
export const flowRule: RuleDefinition = defineRule({
  summary:
    "Matches packets by what the state table knows of their flow, for every protocol: the answer to a DNS " +
    "query or to a ping is the reply of a known flow.",
  arguments: {
    is: required(
      choice(["new", "known", "original", "reply"]),
      "`new`: not in the table; `known`: in the table; `original`, `reply`: known, and the packet goes the " +
        "way of the flow's first packet, or answers it.",
    ),
  },
  action: "required",
  create: (values) => new FlowRule(values.is),
});
