/** SourceIPRule and DestinationIPRule: an address lies in a network. */
import { formatAddress, type Prefix } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { required } from "../argument.ts";
import type { Condition } from "../condition.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { Rule } from "../rule.ts";
import { network } from "../value-types.ts";

/** Which of a packet's addresses is meant. */
export type AddressSide = "source" | "destination";

/** Why an address lies in a network or not. */
export function explainAddress(packet: Packet, side: AddressSide, prefix: Prefix): string {
  const { family } = packet;
  const words = packet[side];
  const address = family === 0 ? "?" : formatAddress(family, words);
  const inside = family !== 0 && prefix.contains(family, words);
  return `${side} ${address} is ${inside ? "in" : "not in"} ${prefix.toString()}`;
}

class SourceRule extends Rule {
  override readonly condition: Condition;
  readonly #prefix: Prefix;

  constructor(prefix: Prefix) {
    super();
    this.condition = [{ field: "source", prefix }];
    this.#prefix = prefix;
  }

  override match(packet: Packet): boolean {
    return packet.family !== 0 && this.#prefix.contains(packet.family, packet.source);
  }

  override explain(packet: Packet): string {
    return explainAddress(packet, "source", this.#prefix);
  }
}

class DestinationRule extends Rule {
  override readonly condition: Condition;
  readonly #prefix: Prefix;

  constructor(prefix: Prefix) {
    super();
    this.condition = [{ field: "destination", prefix }];
    this.#prefix = prefix;
  }

  override match(packet: Packet): boolean {
    return packet.family !== 0 && this.#prefix.contains(packet.family, packet.destination);
  }

  override explain(packet: Packet): string {
    return explainAddress(packet, "destination", this.#prefix);
  }
}

const difference = "In PyWall a rule without `action` loads and never acts, and IPv6 is never filtered.";

/** `SourceIPRule`. */
export const sourceIpRule: RuleDefinition = defineRule({
  summary: "Matches packets whose source address lies in a network, whatever the protocol.",
  arguments: { cidr_range: required(network, "The network; an address alone is a network of one.") },
  action: "required",
  difference,
  create: ({ cidr_range }) => new SourceRule(cidr_range),
});

/** `DestinationIPRule`. */
export const destinationIpRule: RuleDefinition = defineRule({
  summary: "Matches packets whose destination address lies in a network, whatever the protocol.",
  arguments: { cidr_range: required(network, "The network; an address alone is a network of one.") },
  action: "required",
  difference,
  create: ({ cidr_range }) => new DestinationRule(cidr_range),
});
