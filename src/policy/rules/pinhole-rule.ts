/**
 * PinholeRule: packets that a pinhole permits.
 *
 * The kernel knows: the chain that holds the pinholes comes before our queue and marks what it permits. So
 * the rule costs the same for one pinhole and for a hundred thousand, a pinhole counts from the moment its
 * commit is answered, and its limits and counters hold as without a policy.
 */
import { PINHOLE_MARK } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import type { Condition } from "../condition.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { Rule } from "../rule.ts";

class PinholeRule extends Rule {
  override readonly condition: Condition = [{ field: "mark", bits: PINHOLE_MARK }];

  override match(packet: Packet): boolean {
    return (packet.mark & PINHOLE_MARK) !== 0;
  }

  override explain(packet: Packet): string {
    const relation = this.match(packet) ? "says" : "does not say";
    return `the packet's mark 0x${packet.mark.toString(16)} ${relation} that a pinhole permits it`;
  }
}

/** `PinholeRule`. */
export const pinholeRule: RuleDefinition = defineRule({
  summary: "Matches packets that a pinhole permits.",
  arguments: {},
  action: "required",
  notes:
    "Pinholes are opened and closed by programs while the policy is in force: start the firewall with " +
    "`postern up --pinholes`, and see [PINHOLES.md](PINHOLES.md). Without pinholes the rule never matches.\n\n" +
    "The kernel marks such packets before they are queued, with the bit `0x08000000`. What a pinhole of kind " +
    "block stops does not come as far as the policy.",
  create: () => new PinholeRule(),
});
