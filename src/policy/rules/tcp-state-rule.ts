/** TCPStateRule: the state that the tracker holds of a packet's connection, before the packet counts. */
import { PROTOCOL, TCP_STATES, type TcpState, tcpStateIndex } from "../../base/index.ts";
import type { Packet } from "../../wire/index.ts";
import { listOf, withDefault } from "../argument.ts";
import { protocolName } from "../packet-text.ts";
import { defineRule, type RuleDefinition } from "../registry.ts";
import { type ForesightContext, type Gate, makeGate, NEEDS, Rule, type RuleContext } from "../rule.ts";
import { tcpState } from "../value-types.ts";

const INVALID = tcpStateIndex("INVALID");

type StateName = TcpState | "";

/** One bit for each state; a name that is no state has none. */
function stateBits(names: readonly StateName[]): number {
  let bits = 0;
  for (const name of names) {
    if (name !== "") bits |= 1 << tcpStateIndex(name);
  }
  return bits;
}

class TcpStateRule extends Rule {
  override readonly isPure: boolean = true;
  override readonly needs: number = NEEDS.TRANSPORT;
  override readonly gate: Gate = makeGate({ protocol: PROTOCOL.TCP });
  readonly #bits: number;
  readonly #names: string;

  constructor(matchIf: readonly StateName[], matchIfNot: readonly StateName[]) {
    super();
    this.#bits = matchIf.length > 0 ? stateBits(matchIf) : ~stateBits(matchIfNot);
    this.#names = matchIf.length > 0 ? `in ${matchIf.join(", ")}` : `outside ${matchIfNot.join(", ")}`;
  }

  override match(packet: Packet, context: RuleContext): boolean {
    return packet.protocol === PROTOCOL.TCP && ((this.#bits >>> context.tcpState) & 1) === 1;
  }

  override foresee(packet: Packet, context: ForesightContext): boolean | undefined {
    const answer = this.match(packet, context);
    const ifInvalid = packet.protocol === PROTOCOL.TCP && ((this.#bits >>> INVALID) & 1) === 1;
    return context.strictTcp && answer !== ifInvalid ? undefined : answer;
  }

  override explain(packet: Packet, context: RuleContext): string {
    if (packet.protocol !== PROTOCOL.TCP) return `protocol ${protocolName(packet.protocol)} is not TCP`;
    const state = TCP_STATES[context.tcpState] ?? "CLOSED";
    return `state ${state} is ${this.match(packet, context) ? "" : "not "}${this.#names}`;
  }
}

/** `TCPStateRule`. */
export const tcpStateRule: RuleDefinition = defineRule({
  summary:
    "Matches TCP packets by the state of their connection as " +
    "it is before the packet; an unknown connection is CLOSED.",
  arguments: {
    match_if: withDefault(listOf(tcpState), [], "Matches in one of these states."),
    match_if_not: withDefault(listOf(tcpState), [], "Matches in every state but these."),
  },
  action: "required",
  notes:
    `States: ${TCP_STATES.join(", ")}. The first packet of ` +
    `a connection meets CLOSED, so "match_if": ["CLOSED"] ` +
    'with "action": "DROP" keeps out what nobody here has asked for.',
  difference:
    "In PyWall names of states are not checked, and a rule " +
    "without `action` loads and never acts. Postern adds the " +
    "states TIME_WAIT and INVALID.",
  check({ match_if, match_if_not }, check) {
    if (match_if.length > 0 && match_if_not.length > 0) {
      check.error("match_if_not", 'give either "match_if" or "match_if_not", not both');
    }
    if (match_if.length === 0 && match_if_not.length === 0) {
      check.error(undefined, 'give "match_if" or "match_if_not" with at least one state');
    }
  },
  create: ({ match_if, match_if_not }) => new TcpStateRule(match_if, match_if_not),
});
