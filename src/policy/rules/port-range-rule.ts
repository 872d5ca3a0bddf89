/** PortRangeRule and IPPortRule: ranges of ports, alone or together with networks. */
import { type Prefix, PROTOCOL } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { type ArgumentValues, optional, required } from "../argument.ts";
import type { AddressTest, Condition } from "../condition.ts";
import { protocolName } from "../packet-text.ts";
import { defineRule, type RuleCheck, type RuleDefinition } from "../registry.ts";
import { type Gate, makeGate, NEEDS, Rule, type RuleContext } from "../rule.ts";
import { network, port, portProtocol } from "../value-types.ts";
import { explainAddress } from "./address-rule.ts";
import { announced } from "./announced-rule.ts";

const RANGE_ARGUMENTS = {
  protocol: required(portProtocol, "Transport protocol."),
  src_lo: optional(port, "Lowest source port; needs src_hi."),
  src_hi: optional(port, "Highest source port, included."),
  dst_lo: optional(port, "Lowest destination port; needs dst_hi."),
  dst_hi: optional(port, "Highest destination port, included."),
};

type RangeValues = ArgumentValues<typeof RANGE_ARGUMENTS>;

const LOWEST_PORT = 0;
const HIGHEST_PORT = 65_535;

class PortRangeRule extends Rule {
  override readonly needs: number = NEEDS.TRANSPORT;
  override readonly gate: Gate;
  override readonly condition: Condition;
  readonly #protocol: number;
  readonly #sourceLow: number;
  readonly #sourceHigh: number;
  readonly #destinationLow: number;
  readonly #destinationHigh: number;

  constructor(values: RangeValues) {
    super();
    this.#protocol = PROTOCOL[values.protocol];
    this.#sourceLow = values.src_lo ?? LOWEST_PORT;
    this.#sourceHigh = values.src_hi ?? HIGHEST_PORT;
    this.#destinationLow = values.dst_lo ?? LOWEST_PORT;
    this.#destinationHigh = values.dst_hi ?? HIGHEST_PORT;
    this.gate = makeGate({
      protocol: this.#protocol,
      sourceLow: this.#sourceLow,
      sourceHigh: this.#sourceHigh,
      destinationLow: this.#destinationLow,
      destinationHigh: this.#destinationHigh,
    });
    this.condition = [
      { field: "protocol", protocols: [this.#protocol] },
      { field: "destinationPort", low: this.#destinationLow, high: this.#destinationHigh },
      { field: "sourcePort", low: this.#sourceLow, high: this.#sourceHigh },
    ];
  }

  // A bound that is no number makes every comparison false: such a rule never matches.
  #sourceFits(packet: Packet): boolean {
    return this.#sourceLow <= packet.sourcePort && packet.sourcePort <= this.#sourceHigh;
  }

  #destinationFits(packet: Packet): boolean {
    return this.#destinationLow <= packet.destinationPort && packet.destinationPort <= this.#destinationHigh;
  }

  override match(packet: Packet): boolean {
    return packet.protocol === this.#protocol && this.#destinationFits(packet) && this.#sourceFits(packet);
  }

  override explain(packet: Packet): string {
    const { protocol, sourcePort, destinationPort } = packet;
    const name = protocolName(protocol);
    if (protocol !== this.#protocol) return `protocol ${name} is not ${protocolName(this.#protocol)}`;
    if (!this.#destinationFits(packet)) {
      return `destination port ${destinationPort} is not in ${this.#destinationLow}-${this.#destinationHigh}`;
    }
    if (!this.#sourceFits(packet)) {
      return `source port ${sourcePort} is not in ${this.#sourceLow}-${this.#sourceHigh}`;
    }
    return `${name} from port ${sourcePort} to port ${destinationPort}`;
  }
}

function addressTests(field: AddressTest["field"], prefix: Prefix | undefined): AddressTest[] {
  return prefix === undefined ? [] : [{ field, prefix }];
}

/** A port range and networks: all that are given must hold. */
class AddressPortRule extends Rule {
  override readonly needs: number = NEEDS.TRANSPORT;
  override readonly gate: Gate;
  override readonly condition: Condition | undefined;
  readonly #ports: Rule;
  readonly #source: Prefix | undefined;
  readonly #destination: Prefix | undefined;

  constructor(ports: Rule, source: Prefix | undefined, destination: Prefix | undefined) {
    super();
    this.gate = ports.gate;
    this.condition = ports.condition && [
      ...ports.condition,
      ...addressTests("source", source),
      ...addressTests("destination", destination),
    ];
    this.#ports = ports;
    this.#source = source;
    this.#destination = destination;
  }

  #addressesFit(packet: Packet): boolean {
    const { family } = packet;
    if (family === 0) return false;
    if (this.#source !== undefined && !this.#source.contains(family, packet.source)) return false;
    return this.#destination === undefined || this.#destination.contains(family, packet.destination);
  }

  override match(packet: Packet, context: RuleContext): boolean {
    return this.#ports.match(packet, context) && this.#addressesFit(packet);
  }

  override peek(packet: Packet, context: RuleContext): boolean {
    return this.#ports.peek(packet, context) && this.#addressesFit(packet);
  }

  override explain(packet: Packet, context: RuleContext): string {
    const clauses = [this.#ports.explain(packet, context)];
    if (!this.#ports.peek(packet, context)) return clauses.join();
    if (this.#source !== undefined) clauses.push(explainAddress(packet, "source", this.#source));
    if (this.#destination !== undefined)
      clauses.push(explainAddress(packet, "destination", this.#destination));
    return clauses.join(", ");
  }
}

function checkPair(low: number | undefined, high: number | undefined, side: string, check: RuleCheck): void {
  const half = (low === undefined) !== (high === undefined);
  const noun = side === "src" ? "source" : "destination";
  if (half)
    check.error(undefined, `Invalid ${noun} port range: give both ${side}_lo and ${side}_hi, or neither`);
  if (low !== undefined && high !== undefined && low > high) {
    check.error(`${side}_lo`, `Invalid ${noun} port range: ${low} is above ${high}`);
  }
}

function checkRanges(values: RangeValues, check: RuleCheck): void {
  const { src_lo, src_hi, dst_lo, dst_hi } = values;
  if ([src_lo, src_hi, dst_lo, dst_hi].every((bound) => bound === undefined)) {
    check.error(
      undefined,
      "a port range is missing: give src_lo and src_hi, or dst_lo and dst_hi, or all four",
    );
  }
  checkPair(src_lo, src_hi, "src", check);
  checkPair(dst_lo, dst_hi, "dst", check);
}

/** `PortRangeRule`. */
export const portRangeRule: RuleDefinition = defineRule({
  summary:
    "Matches TCP or UDP packets whose ports lie in ranges, " +
    "bounds included; both ranges must hold when both are given.",
  arguments: RANGE_ARGUMENTS,
  action: { fallback: "DROP" },
  difference:
    'With `"compatibility": "pywall"` it prints `PortRangeRule: ACTION` when it matches, as PyWall does.',
  check: (values, check) => checkRanges(values, check),
  create: (values, setup) => announced(new PortRangeRule(values), "PortRangeRule", setup),
});

/** `IPPortRule`. */
export const ipPortRule: RuleDefinition = defineRule({
  summary:
    "Matches TCP or UDP packets whose ports lie in ranges and " +
    "whose addresses lie in networks: all that are given must hold.",
  arguments: {
    ...RANGE_ARGUMENTS,
    src_ip: optional(network, "Network of the source address; any when absent."),
    dst_ip: optional(network, "Network of the destination address; any when absent."),
  },
  action: "required",
  difference:
    "In PyWall a rule without `action` loads and never " +
    "acts, and `PortRangeRule: ACTION` is printed as soon as the " +
    "ports match, whatever the addresses.",
  check: (values, check) => checkRanges(values, check),
  create(values, setup) {
    // PyWall's inner port rule has a default action of its own, and prints it.
    const ports = announced(new PortRangeRule(values), "PortRangeRule", {
      ...setup,
      action: setup.action ?? "DROP",
    });
    return new AddressPortRule(ports, values.src_ip, values.dst_ip);
  },
});
