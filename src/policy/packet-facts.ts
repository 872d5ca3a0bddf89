/**
 * A packet as a row of 32-bit words: what conditions ask of it, so that whole conditions become values under
 * masks.
 */
import type { Packet } from "../wire/index.ts";
import type { RuleContext } from "./rule.ts";

/** Words of the row; addresses have four each. */
export const FACT = {
  SOURCE: 0,
  DESTINATION: 4,
  /** Family, protocol, ICMP type and code, a byte each from the highest. */
  KIND: 8,
  /** Source port in the high half, destination port in the low one. */
  PORTS: 9,
  /** Number of the interface's name, 0 for one that no condition names. */
  IN_INTERFACE: 10,
  OUT_INTERFACE: 11,
  USER: 12,
  GROUP: 13,
} as const;

/** Words of the row. */
export const FACT_WORDS = 14;

/** The names of interfaces that conditions mention, numbered from 1. */
export class InterfaceNumbers {
  readonly #numbers = new Map<string, number>();

  get size(): number {
    return this.#numbers.size;
  }

  /** The number of a name, given out when it is first asked for. */
  assign(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.#numbers.set(name, this.#numbers.size + 1);
    return this.#numbers.size;
  }

  /** The number of a name; 0 when no condition mentions it. */
  of(name: string): number {
    return this.#numbers.get(name) ?? 0;
  }
}

/** The row of the packet under judgement; one per evaluator, filled anew for each packet. */
export class PacketFacts {
  readonly words: Int32Array = new Int32Array(FACT_WORDS);
  readonly interfaces: InterfaceNumbers = new InterfaceNumbers();

  bind(packet: Packet, context: RuleContext): void {
    const { words } = this;
    const { source, destination } = packet;
    for (let at = 0; at < 4; at += 1) {
      words[FACT.SOURCE + at] = source[at] as number;
      words[FACT.DESTINATION + at] = destination[at] as number;
    }
    words[FACT.KIND] =
      (packet.family << 24) | (packet.protocol << 16) | (packet.icmpType << 8) | packet.icmpCode;
    words[FACT.PORTS] = (packet.sourcePort << 16) | packet.destinationPort;
    words[FACT.USER] = packet.userId;
    words[FACT.GROUP] = packet.groupId;
    if (this.interfaces.size === 0) return;
    words[FACT.IN_INTERFACE] = this.interfaces.of(context.interfaceName(packet.inInterface));
    words[FACT.OUT_INTERFACE] = this.interfaces.of(context.interfaceName(packet.outInterface));
  }
}
