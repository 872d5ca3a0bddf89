/**
 * A packet's state in the kernel's connection tracking, as rules see it.
 *
 * Where the kernel has told none (a capture, a packet in words, a kernel without connection tracking), the
 * state is inferred from what our own table knows of the flow. That differs from the kernel's in two things:
 * a flow is `established` from its second packet on, not only when both ends have spoken, and nothing is ever
 * `untracked`.
 */
import { type ConntrackState, CONNTRACK_STATES, conntrackStateNumber, tcpStateIndex } from "../base/index.ts";
import { isIcmpError, type Packet } from "../wire/index.ts";
import { FLOW, type RuleContext } from "./rule.ts";

const NEW = conntrackStateNumber("new");
const ESTABLISHED = conntrackStateNumber("established");
const RELATED = conntrackStateNumber("related");
const INVALID = conntrackStateNumber("invalid");

const TCP_INVALID = tcpStateIndex("INVALID");

/** Number of the packet's state, see CONNTRACK_STATES; told or inferred, never 0. */
export function conntrackState(packet: Packet, context: RuleContext): number {
  if (packet.conntrackState !== 0) return packet.conntrackState;
  if (packet.isTcp && context.tcpState === TCP_INVALID) return INVALID;
  if ((context.flow ?? FLOW.NEW) === FLOW.NEW) return NEW;
  return isIcmpError(packet.protocol, packet.icmpType) ? RELATED : ESTABLISHED;
}

/** True when the packet's state is one of these. */
export function isInState(states: readonly ConntrackState[], packet: Packet, context: RuleContext): boolean {
  return states.includes(CONNTRACK_STATES[conntrackState(packet, context) - 1] as ConntrackState);
}
