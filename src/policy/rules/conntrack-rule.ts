/** ConntrackRule: the state that the kernel's own connection tracking gives a packet. */
import { type ConntrackState, CONNTRACK_STATES } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { choice, listOf, required } from "../argument.ts";
import type { Condition } from "../condition.ts";
import { conntrackState, isInState } from "../conntrack-state.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { Rule, type RuleContext } from "../rule.ts";

class ConntrackRule extends Rule {
  override readonly condition: Condition;
  readonly #states: readonly ConntrackState[];

  constructor(states: readonly ConntrackState[]) {
    super();
    this.#states = states;
    this.condition = [{ field: "conntrack", states }];
  }

  override match(packet: Packet, context: RuleContext): boolean {
    return isInState(this.#states, packet, context);
  }

  override explain(packet: Packet, context: RuleContext): string {
    const state = CONNTRACK_STATES[conntrackState(packet, context) - 1] ?? "new";
    const relation = this.match(packet, context) ? "is" : "is not";
    const source = packet.conntrackState === 0 ? " (not told by the kernel: inferred from the flow)" : "";
    return `conntrack state ${state}${source} ${relation} among ${this.#states.join(", ")}`;
  }
}

/** `ConntrackRule`. */
export const conntrackRule: RuleDefinition = defineRule({
  summary:
    "Matches packets by their state in the kernel's connection tracking, nftables' `ct state`. The kernel can " +
    "judge by it alone, so that no packet of a connection comes to userspace.",
  arguments: {
    states: required(
      listOf(choice(CONNTRACK_STATES), { min: 1, max: CONNTRACK_STATES.length }),
      "Matches in one of these states.",
    ),
  },
  action: "required",
  asksConntrack: true,
  notes:
    "`new`: of a connection of which only one end has spoken; `established`: both ends have; `related`: an ICMP " +
    "error about a connection, or one that a helper of the kernel expects; `invalid`: fits none; `untracked`: " +
    "exempt from tracking, as neighbour discovery of IPv6 is. What FlowRule knows is our own table, in which " +
    "every flow has begun in userspace; what this rule knows is the kernel's.\n\n" +
    "While a policy has such a rule, the packet mark's bits `0x07000000` are Postern's. `postern replay` and " +
    "`postern explain` ask no kernel: there the state follows from what our own table knows of the flow, and " +
    "`established` begins with the second packet; to `postern explain` it can be told (`ct established`).",
  create: ({ states }) => new ConntrackRule(states),
});
