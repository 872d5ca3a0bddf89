/**
 * The states of a TCP connection as the policy language names them, seen from the end that is *local*: this
 * host at INPUT and OUTPUT, the responder of a connection that crosses this host at FORWARD.
 *
 * The first fifteen are PyWall's, in its order. TIME_WAIT is RFC 9293's; INVALID is what a segment is that no
 * state allows (strict tracking only).
 */
export const TCP_STATES = [
  "CLOSED",
  "SYN_RCVD1",
  "SYN_RCVD2",
  "SYN_SENT1",
  "SYN_SENT2",
  "SYN_SENT3",
  "ESTABLISHED",
  "CLOSE_WAIT1",
  "CLOSE_WAIT2",
  "LAST_ACK",
  "FIN_WAIT_1",
  "FIN_WAIT_2",
  "FIN_WAIT_3",
  "CLOSING",
  "CLOSING2",
  "TIME_WAIT",
  "INVALID",
] as const;

/** A TCP state by its name. */
export type TcpState = (typeof TCP_STATES)[number];

/** Index of a TCP state in {@link TCP_STATES}: the form in which tables and rules keep it. */
export function tcpStateIndex(state: TcpState): number {
  return TCP_STATES.indexOf(state);
}
