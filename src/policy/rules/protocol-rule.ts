/** TCPRule, UDPRule and TrueRule: the protocol alone, or nothing at all. */
import { PROTOCOL } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { protocolName } from "../packet-text.ts";
import type { Condition } from "../condition.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { type Gate, makeGate, Rule } from "../rule.ts";

class ProtocolRule extends Rule {
  override readonly gate: Gate;
  override readonly condition: Condition;
  readonly #protocol: number;

  constructor(protocol: number) {
    super();
    this.gate = makeGate({ protocol });
    this.condition = [{ field: "protocol", protocols: [protocol] }];
    this.#protocol = protocol;
  }

  override match(packet: Packet): boolean {
    return packet.protocol === this.#protocol;
  }

  override explain(packet: Packet): string {
    const relation = packet.protocol === this.#protocol ? "is" : "is not";
    return `protocol ${protocolName(packet.protocol)} ${relation} ${protocolName(this.#protocol)}`;
  }
}

/** Matches every packet. */
export class EveryPacketRule extends Rule {
  override readonly condition: Condition = [];

  override match(): boolean {
    return true;
  }

  override explain(): string {
    return "matches every packet";
  }
}

/** `TCPRule`. */
export const tcpRule: RuleDefinition = defineRule({
  summary: "Matches TCP packets.",
  arguments: {},
  action: "required",
  difference: "In PyWall a rule without `action` loads and never acts.",
  create: () => new ProtocolRule(PROTOCOL.TCP),
});

/** `UDPRule`. */
export const udpRule: RuleDefinition = defineRule({
  summary: "Matches UDP packets.",
  arguments: {},
  action: "required",
  create: () => new ProtocolRule(PROTOCOL.UDP),
});

/** `TrueRule`. */
export const trueRule: RuleDefinition = defineRule({
  summary: "Matches every packet.",
  arguments: {},
  action: "required",
  matchesAll: true,
  difference: "In PyWall a rule without `action` loads and never acts.",
  create: () => new EveryPacketRule(),
});
