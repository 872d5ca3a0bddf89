/**
 * How far a flow has come, which decides its timeout and who gives way when the table is full.
 *
 * A flow counts as established only when the end that did not speak first has proved itself: a flood of
 * forged first packets, answered or not, stays half-open and can't push an established flow out.
 */
import {
  PROTOCOL,
  TCP_STATES,
  type TcpState,
  type TimeoutName,
  type TimeoutValues,
  tcpStateIndex,
} from "../base/index.ts";
import { DATAGRAM_STATES, type DatagramState } from "./datagram-machine.ts";
import { FLOW_FLAG } from "./flow-row.ts";
import type { FlowState } from "./tcp-table.ts";
import { DATAGRAM_TIMEOUTS, TCP_TIMEOUTS } from "./timeout.ts";

/** Stages in the order in which they give way; ESTABLISHED never does. */
export const STAGE = { HALF_OPEN: 0, CLOSING: 1, ESTABLISHED: 2 } as const;

/** A stage by its name. */
export type StageName = keyof typeof STAGE;

/** Stage of each TCP state. */
export const TCP_STAGES = {
  CLOSED: "CLOSING",
  SYN_RCVD1: "HALF_OPEN",
  SYN_RCVD2: "HALF_OPEN",
  SYN_SENT1: "HALF_OPEN",
  SYN_SENT2: "HALF_OPEN",
  SYN_SENT3: "HALF_OPEN",
  ESTABLISHED: "ESTABLISHED",
  CLOSE_WAIT1: "CLOSING",
  CLOSE_WAIT2: "CLOSING",
  LAST_ACK: "CLOSING",
  FIN_WAIT_1: "CLOSING",
  FIN_WAIT_2: "CLOSING",
  FIN_WAIT_3: "CLOSING",
  CLOSING: "CLOSING",
  CLOSING2: "CLOSING",
  TIME_WAIT: "CLOSING",
} as const satisfies Record<FlowState, StageName>;

/** Stage of each state of the datagram machine. */
export const DATAGRAM_STAGES = {
  FIRST: "HALF_OPEN",
  SINGLE: "HALF_OPEN",
  REPLIED: "HALF_OPEN", // an answer to one forged datagram proves nothing
  MULTIPLE: "ESTABLISHED",
} as const satisfies Record<DatagramState, StageName>;

const ESTABLISHED = tcpStateIndex("ESTABLISHED");

/** Position of an adopted connection of which one end has been seen only; INVALID is no state of an entry. */
const UNANSWERED = tcpStateIndex("INVALID");

/** Positions of each kind of protocol in the flattened tables. */
const WIDTH = 32;
const KINDS = ["tcp", "udp", "icmp", "other"] as const;

function kindOf(protocol: number): number {
  switch (protocol) {
    case PROTOCOL.TCP:
      return 0;
    case PROTOCOL.UDP:
    case PROTOCOL.UDPLITE:
      return 1;
    case PROTOCOL.ICMP:
    case PROTOCOL.ICMPV6:
      return 2;
    default:
      return 3;
  }
}

const KIND_OF_PROTOCOL = Uint8Array.from({ length: 256 }, (_, protocol) => kindOf(protocol));

/**
 * Where a flow stands in the flattened tables of stages and timeouts.
 *
 * @param protocol - IANA number
 * @param state - TCP state, or state of the datagram machine
 * @param flags - bits of FLOW_FLAG
 */
export function phaseOf(protocol: number, state: number, flags: number): number {
  const unanswered =
    protocol === PROTOCOL.TCP && state === ESTABLISHED && (flags & FLOW_FLAG.REPLIED) === 0
      ? UNANSWERED
      : state;
  return (KIND_OF_PROTOCOL[protocol] ?? 0) * WIDTH + unanswered;
}

/** Name of the timeout at each phase. */
function timeoutNames(): (TimeoutName | undefined)[] {
  const names = new Array<TimeoutName | undefined>(KINDS.length * WIDTH).fill(undefined);
  for (const [at, state] of TCP_STATES.entries()) names[at] = tcpTimeout(state);
  for (const [at, state] of DATAGRAM_STATES.entries()) {
    names[WIDTH + at] = DATAGRAM_TIMEOUTS.udp[state];
    names[2 * WIDTH + at] = DATAGRAM_TIMEOUTS.icmp[state];
    names[3 * WIDTH + at] = DATAGRAM_TIMEOUTS.other[state];
  }
  return names;
}

function tcpTimeout(state: TcpState): TimeoutName {
  return state === "INVALID" ? "tcp.first" : TCP_TIMEOUTS[state];
}

function stages(): Uint8Array {
  const table = new Uint8Array(KINDS.length * WIDTH);
  for (const [at, state] of TCP_STATES.entries()) {
    table[at] = state === "INVALID" ? STAGE.HALF_OPEN : STAGE[TCP_STAGES[state]];
  }
  for (const [at, state] of DATAGRAM_STATES.entries()) {
    for (let kind = 1; kind < KINDS.length; kind += 1)
      table[kind * WIDTH + at] = STAGE[DATAGRAM_STAGES[state]];
  }
  return table;
}

const TIMEOUT_NAMES = timeoutNames();
const STAGES = stages();

/** Stage of a phase, a value of STAGE. */
export function stageOf(phase: number): number {
  return STAGES[phase] ?? STAGE.HALF_OPEN;
}

/** True for a TCP connection that is not established yet. */
export function isHalfOpenTcp(phase: number): boolean {
  return phase < WIDTH && STAGES[phase] === STAGE.HALF_OPEN;
}

const CLOSED = tcpStateIndex("CLOSED");
const TIME_WAIT = tcpStateIndex("TIME_WAIT");

/** True for a TCP state in which a connection is about to end and has not ended. */
export function isClosing(state: number): boolean {
  return STAGES[state] === STAGE.CLOSING && state !== CLOSED && state !== TIME_WAIT;
}

const HALF_CLOSED: readonly number[] = (
  ["CLOSE_WAIT1", "CLOSE_WAIT2", "FIN_WAIT_1", "FIN_WAIT_2"] as const
).map(tcpStateIndex);

/** True for a TCP state in which one end, and not the other, has said that it has nothing more to send. */
export function isHalfClosed(state: number): boolean {
  return HALF_CLOSED.includes(state);
}

/** Name of the timeout at a phase. */
export function timeoutOf(phase: number): TimeoutName {
  return TIMEOUT_NAMES[phase] ?? "other.first";
}

/** Timeout of each phase, in milliseconds. */
export function flattenTimeouts(values: TimeoutValues): Float64Array {
  return Float64Array.from(TIMEOUT_NAMES, (name) => (name === undefined ? 0 : values[name]));
}
