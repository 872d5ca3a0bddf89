/** PortRule: single ports, as PyWall has it. */
import { PROTOCOL } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { type ArgumentValues, optional, required } from "../argument.ts";
import type { Condition, PortTest } from "../condition.ts";
import { protocolName } from "../packet-text.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { type Gate, makeGate, NEEDS, Rule } from "../rule.ts";
import { port, portProtocol } from "../value-types.ts";
import { announced } from "./announced-rule.ts";

/** Stands for any port: no packet has it. */
const ANY = -1;

const PORT_ARGUMENTS = {
  protocol: required(portProtocol, "Transport protocol."),
  src_port: optional(port, "Source port; any when absent."),
  dst_port: optional(port, "Destination port; any when absent."),
};

type PortValues = ArgumentValues<typeof PORT_ARGUMENTS>;

function portTests(field: PortTest["field"], port: number | undefined): PortTest[] {
  return port === undefined ? [] : [{ field, low: port, high: port }];
}

class PortRule extends Rule {
  override readonly needs: number = NEEDS.TRANSPORT;
  override readonly gate: Gate;
  override readonly condition: Condition;
  readonly #protocol: number;
  /** PyWall's rule takes the other protocol as well; otherwise the same as `#protocol`. */
  readonly #otherProtocol: number;
  readonly #sourcePort: number;
  readonly #destinationPort: number;

  constructor(values: PortValues, bothProtocols: boolean) {
    super();
    const other = values.protocol === "TCP" ? "UDP" : "TCP";
    this.#protocol = PROTOCOL[values.protocol];
    this.#otherProtocol = bothProtocols ? PROTOCOL[other] : this.#protocol;
    this.#sourcePort = values.src_port ?? ANY;
    this.#destinationPort = values.dst_port ?? ANY;
    const destination =
      values.dst_port === undefined
        ? {}
        : { destinationLow: values.dst_port, destinationHigh: values.dst_port };
    const source =
      values.src_port === undefined ? {} : { sourceLow: values.src_port, sourceHigh: values.src_port };
    this.gate = makeGate({
      ...(bothProtocols ? {} : { protocol: this.#protocol }),
      ...destination,
      ...source,
    });
    this.condition = [
      { field: "protocol", protocols: [...new Set([this.#protocol, this.#otherProtocol])] },
      ...portTests("destinationPort", values.dst_port),
      ...portTests("sourcePort", values.src_port),
    ];
  }

  override match(packet: Packet): boolean {
    const { protocol } = packet;
    if (protocol !== this.#protocol && protocol !== this.#otherProtocol) return false;
    if (this.#destinationPort !== ANY && packet.destinationPort !== this.#destinationPort) return false;
    return this.#sourcePort === ANY || packet.sourcePort === this.#sourcePort;
  }

  override explain(packet: Packet): string {
    const { protocol, sourcePort, destinationPort } = packet;
    const name = protocolName(protocol);
    if (protocol !== this.#protocol && protocol !== this.#otherProtocol) {
      return `protocol ${name} is not ${protocolName(this.#protocol)}`;
    }
    if (this.#destinationPort !== ANY && destinationPort !== this.#destinationPort) {
      return `destination port ${destinationPort} is not ${this.#destinationPort}`;
    }
    if (this.#sourcePort !== ANY && sourcePort !== this.#sourcePort) {
      return `source port ${sourcePort} is not ${this.#sourcePort}`;
    }
    return `${name} from port ${sourcePort} to port ${destinationPort}`;
  }
}

/** `PortRule`. */
export const portRule: RuleDefinition = defineRule({
  summary: "Matches TCP or UDP packets from or to a port.",
  arguments: PORT_ARGUMENTS,
  action: { fallback: "DROP" },
  difference:
    "PyWall overwrites its protocol test, so a UDP rule also " +
    "matches TCP and a TCP rule UDP whenever the ports match; " +
    'here the protocol counts. With `"compatibility": ' +
    '"pywall"` both match, and `PortRule: ACTION` is printed.',
  check(values, check) {
    if (values.src_port === undefined && values.dst_port === undefined) {
      check.error(undefined, 'give "src_port" or "dst_port" or both: a PortRule without a port cannot be');
    }
    const other = values.protocol === "TCP" ? "UDP" : "TCP";
    check.difference(
      `PyWall would match ${other} packets with these ` +
        `ports too; here this rule matches ${values.protocol} only`,
    );
  },
  create: (values, setup) =>
    announced(new PortRule(values, setup.compatibility === "pywall"), "PortRule", setup),
});
