/** PrintRule: two lines about every packet, and on to the next rule. */
import type { Packet } from "../../wire/index.ts";
import { networkLine, transportLine } from "../packet-text.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { Rule, type RuleContext } from "../rule.ts";

class PrintRule extends Rule {
  override readonly asksFlow: boolean = false;
  override match(packet: Packet, context: RuleContext): boolean {
    const { report } = context;
    if (report.printing) {
      report.print(networkLine(packet));
      report.print(transportLine(packet));
    }
    return false;
  }

  override peek(): boolean {
    return false;
  }

  override explain(): string {
    return "prints the packet and never matches";
  }
}

/** `PrintRule`. */
export const printRule: RuleDefinition = defineRule({
  summary:
    "Prints two lines about each packet on standard output, `IP " +
    "Packet A => B, proto=NAME` and `TCP from S to D`; never matches.",
  arguments: {},
  action: "none",
  ignored: { action: "it prints and never matches, in PyWall too" },
  difference: "The same; an `action` has no effect and is named in a warning.",
  create: () => new PrintRule(),
});
