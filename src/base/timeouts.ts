/** How long a flow may be silent: pf's timeouts under pf's names. Values and states are the state layer's. */
import type { Milliseconds } from "./units.ts";

/** What each timeout bounds. */
export const TIMEOUT_MEANINGS = {
  "tcp.first": "after the first packet, until the other end answers",
  "tcp.opening": "after the second packet, until the connection is established",
  "tcp.established": "an established connection",
  "tcp.closing": "after the first FIN",
  "tcp.finwait": "after both FINs, until both are acknowledged",
  "tcp.closed": "after the end of a connection or a reset; TIME_WAIT",
  "tcp.tsdiff": "kept for pf's sake, bounds nothing here: old timestamps are told by RFC 7323's rule alone",
  "udp.first": "after the first datagram",
  "udp.single": "until both ends have sent more than once",
  "udp.multiple": "when both ends have",
  "icmp.first": "after the first echo request",
  "icmp.error": "after an echo reply",
  "other.first": "any other protocol, after the first packet",
  "other.single": "until both ends have sent more than once",
  "other.multiple": "when both ends have",
} as const;

/** A timeout by pf's name. */
export type TimeoutName = keyof typeof TIMEOUT_MEANINGS;

/** All timeouts, and the two numbers of flows between which they shrink. */
export type TimeoutValues = { readonly [Name in TimeoutName]: Milliseconds } & {
  /** Flows from which on timeouts shrink; 0 switches that off. */
  readonly "adaptive.start": number;
  /** Flows at which timeouts would be nothing; above `adaptive.start`. */
  readonly "adaptive.end": number;
};
