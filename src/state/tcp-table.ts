/**
 * The TCP machine as tables: what each state becomes when a segment is received or sent.
 *
 * {@link PYWALL_TABLE} is PyWall's tracker, case by case. {@link EXTENSION_TABLE} adds what it lacks and wins
 * where both speak; {@link RESET_TABLE} says what a believed RST does. The states describe the connection as
 * seen from the firewall, looking at the *local* end; they are not the state of either host's socket.
 *
 * The next state is found so: a believed RST goes by the reset table. Any other segment goes by its control
 * bits SYN (`S`), ACK (`A`) and FIN (`F`): the cell of the extension whose pattern fits, else that of PyWall,
 * else the segment is *undefined* there: the state stays, and the commit says so. `!S` means SYN clear; bits
 * a pattern does not name do not matter. Patterns of one row never overlap.
 *
 * On a flow whose sequence numbers are known to be right, `A` means more than the bit in the header while the
 * connection closes: the segment must acknowledge everything the other end has sent, so that the
 * acknowledgement of older data is not taken for that of a FIN (see `acknowledges` in sequence-window.ts).
 */
import type { TcpState } from "../base/index.ts";

/** States an entry can be in: all but INVALID, which only a segment can be. */
export type FlowState = Exclude<TcpState, "INVALID">;

/** PyWall's fifteen states. */
export type PywallState = Exclude<FlowState, "TIME_WAIT">;

/** Which control bits a cell speaks of. */
export type SegmentPattern =
  | "any"
  | "S"
  | "!S"
  | "A"
  | "F"
  | "!F"
  | "S&A"
  | "S&!A"
  | "F&A"
  | "F&!A"
  | "A&!F"
  | "!S&!A"
  | "!S&!F"
  | "!S&A&!F"
  | "!S&!A&F"
  | "!S&!A&!F";

/** Cells of one state in one direction. */
export type Cells<To extends string> = Readonly<Partial<Record<SegmentPattern, To>>>;

/** A table: state, direction, segment, next state. A missing cell is an undefined transition. */
export type TcpTable<From extends string, To extends string> = Readonly<
  Partial<Record<From, { readonly received: Cells<To>; readonly sent: Cells<To> }>>
>;

/**
 * PyWall's table, complete: 15 states, 2 directions, 8 sets of control bits. CLOSED stands for a flow not
 * known.
 */
export const PYWALL_TABLE = {
  CLOSED: {
    received: { S: "SYN_RCVD1", "!S": "ESTABLISHED" }, // adoption of a connection older than the firewall
    sent: { S: "SYN_SENT1", "!S": "ESTABLISHED" },
  },
  SYN_RCVD1: { received: {}, sent: { "S&A": "SYN_RCVD2" } },
  SYN_RCVD2: { received: { A: "ESTABLISHED" }, sent: { F: "FIN_WAIT_1" } },
  SYN_SENT1: { received: { "S&A": "SYN_SENT2", "S&!A": "SYN_SENT3" }, sent: { S: "SYN_SENT1" } },
  SYN_SENT2: { received: {}, sent: { A: "ESTABLISHED" } },
  SYN_SENT3: { received: {}, sent: { A: "SYN_RCVD2" } },
  ESTABLISHED: {
    received: { F: "CLOSE_WAIT1", "!F": "ESTABLISHED" },
    sent: { F: "FIN_WAIT_1", "!F": "ESTABLISHED" },
  },
  CLOSE_WAIT1: { received: {}, sent: { "F&A": "LAST_ACK", "A&!F": "CLOSE_WAIT2" } },
  CLOSE_WAIT2: { received: {}, sent: { F: "LAST_ACK" } },
  LAST_ACK: { received: { A: "CLOSED" }, sent: {} },
  FIN_WAIT_1: { received: { "F&A": "FIN_WAIT_3", "A&!F": "FIN_WAIT_2", "F&!A": "CLOSING" }, sent: {} },
  FIN_WAIT_2: { received: { F: "FIN_WAIT_3" }, sent: {} },
  FIN_WAIT_3: { received: {}, sent: { A: "CLOSED" } },
  CLOSING: { received: { A: "FIN_WAIT_3" }, sent: { A: "CLOSING2" } },
  CLOSING2: { received: { A: "CLOSED" }, sent: {} },
} as const satisfies Required<TcpTable<PywallState, PywallState>>;

/**
 * What PyWall's table lacks. `stay` keeps the state and is no error.
 *
 * CLOSED here is an entry whose connection has ended and whose tuple is remembered for a while, so that late
 * segments are not adopted as a connection of their own. A SYN without ACK on it, or on TIME_WAIT, never
 * reaches these tables: it begins another connection.
 */
export const EXTENSION_TABLE = {
  CLOSED: { received: { any: "stay" }, sent: { any: "stay" } },
  SYN_RCVD1: {
    received: { "S&!A": "stay" }, // SYN again
    sent: { "S&!A": "SYN_SENT3" }, // the two SYNs of a simultaneous open, seen the other way round
  },
  SYN_RCVD2: {
    received: { "S&!A": "stay" }, // SYN again: our SYN-ACK was lost
    sent: { "A&!F": "stay" }, // SYN-ACK again, or data before the handshake's end (RFC 7413)
  },
  SYN_SENT1: {
    received: { "!S&A&!F": "stay" }, // half-open connection discovery (RFC 9293 section 3.5.1)
    sent: {},
  },
  SYN_SENT2: {
    received: { "A&!F": "stay" }, // SYN-ACK again, or early data
    sent: { "S&!A": "stay" }, // SYN again, crossing the SYN-ACK
  },
  SYN_SENT3: {
    received: { "S&!A": "stay", "A&!F": "SYN_SENT2" }, // SYN again; their SYN-ACK before ours
    sent: { "S&!A": "stay" },
  },
  CLOSE_WAIT1: {
    received: { "!S": "stay" }, // FIN again, late data
    sent: { "!S&!A&F": "CLOSING", "!S&!A&!F": "stay" }, // both FINs under way; data sent before the FIN came
  },
  CLOSE_WAIT2: {
    received: { "!S": "stay" }, // FIN again, acknowledgements of our data
    sent: { "!S&!F": "stay" }, // data on a half-closed connection (RFC 1122 section 4.2.2.13)
  },
  LAST_ACK: { received: { "!S&!A": "stay" }, sent: { "!S": "stay" } },
  FIN_WAIT_1: { received: { "!S&!A&!F": "stay" }, sent: { "!S": "stay" } },
  FIN_WAIT_2: {
    received: { "!S&!F": "stay" }, // data on a half-closed connection (RFC 1122 section 4.2.2.13)
    sent: { "!S": "stay" },
  },
  FIN_WAIT_3: { received: { "!S": "stay" }, sent: { A: "TIME_WAIT", "!S&!A": "stay" } },
  CLOSING: { received: { "!S&!A": "stay" }, sent: { "!S&!A": "stay" } },
  CLOSING2: { received: { A: "TIME_WAIT", "!S&!A": "stay" }, sent: { "!S": "stay" } },
  // A FIN again is answered, a late ACK revives nothing.
  TIME_WAIT: { received: { any: "stay" }, sent: { any: "stay" } },
} as const satisfies TcpTable<FlowState, FlowState | "stay">;

/** What a believed RST makes of each state. */
export const RESET_TABLE = {
  CLOSED: "CLOSED",
  SYN_RCVD1: "CLOSED",
  SYN_RCVD2: "CLOSED",
  SYN_SENT1: "CLOSED",
  SYN_SENT2: "CLOSED",
  SYN_SENT3: "CLOSED",
  ESTABLISHED: "CLOSED",
  CLOSE_WAIT1: "CLOSED",
  CLOSE_WAIT2: "CLOSED",
  LAST_ACK: "CLOSED",
  FIN_WAIT_1: "CLOSED",
  FIN_WAIT_2: "CLOSED",
  FIN_WAIT_3: "CLOSED",
  CLOSING: "CLOSED",
  CLOSING2: "CLOSED",
  TIME_WAIT: "TIME_WAIT", // RFC 1337 section 4: "Ignore RST segments in TIME-WAIT state"
} as const satisfies Record<FlowState, FlowState>;
