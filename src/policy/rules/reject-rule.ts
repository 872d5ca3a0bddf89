/** RejectRule and ReturnRule: the ends of a chain that PyWall has not. */
import { type Verdict, VERDICT } from "../../base/index.ts";
import { choice, withDefault } from "../argument.ts";
import type { Condition } from "../condition.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { type RejectWith, VerdictRule } from "../rule.ts";
import { EveryPacketRule } from "./protocol-rule.ts";

class RejectRule extends VerdictRule {
  override readonly rejectWith: RejectWith | "auto";
  override readonly condition: Condition = [];

  constructor(rejectWith: RejectWith | "auto") {
    super();
    this.rejectWith = rejectWith;
  }

  override decide(): Verdict {
    return VERDICT.REJECT;
  }

  override explain(): string {
    return `rejects every packet (${this.rejectWith})`;
  }
}

/** `RejectRule`. */
export const rejectRule: RuleDefinition = defineRule({
  summary: "Rejects every packet: it is dropped and its sender is told.",
  arguments: {
    with: withDefault(
      choice(["auto", "tcp-reset", "port-unreachable", "host-unreachable", "admin-prohibited"]),
      "auto",
      "The answer: a TCP reset or an ICMP error. `auto` is a " +
        "reset for TCP and port unreachable for everything else; " +
        "a reset is never sent for anything but TCP, port unreachable takes its place.",
    ),
  },
  action: "own",
  matchesAll: true,
  create: (values) => new RejectRule(values.with),
});

/** `ReturnRule`. */
export const returnRule: RuleDefinition = defineRule({
  summary:
    "Sends every packet back to the rule behind the jump that " +
    "led into this chain; where nothing jumped, to default_chain. " +
    'To return only some packets, give another rule the action "RETURN".',
  arguments: {},
  action: { fixed: "RETURN" },
  matchesAll: true,
  create: () => new EveryPacketRule(),
});
