/**
 * Sequence numbers of a connection in integers that never wrap, by van Rooij's four rules: what
 * sequence-window.ts does in rows of 32-bit words, said as plainly as possible.
 */
import { TCP_FLAG } from "../base/index.ts";

const { SYN, ACK, FIN, RST } = TCP_FLAG;

/** Least reach of an acknowledgement of old data, in bytes. */
const REACH_MIN = 66_000;

/** What the numbers of a segment are. */
export interface ModelSegment {
  /** TCP control bits. */
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly window: number;
  readonly payloadBytes: number;
}

/** Numbers of one end of a connection. */
export interface ModelEnd {
  /** Just past what it has sent. */
  sent: number;
  /** Up to where the other end lets it send. */
  limit: number;
  /** The largest window that it has advertised; 0 while it has sent nothing. */
  window: number;
  /** The highest acknowledgement that it has given. */
  acknowledged: number | undefined;
}

/** What is true of a segment, seen against the numbers of its connection. */
export interface Fit {
  /** Rules I and II. */
  readonly inWindow: boolean;
  /** Rules I and II, or they cannot be asked. */
  readonly sequence: boolean;
  /** Rules III and IV, or it acknowledges nothing. */
  readonly acknowledgement: boolean;
  /** It acknowledges what was not seen, and what the other end was allowed to send. */
  readonly ahead: boolean;
  readonly acknowledgesAll: boolean;
  /** It is the SYN-ACK that answers the other end's SYN. */
  readonly handshake: boolean;
}

/** An end that has not been seen. */
export function unseenEnd(): ModelEnd {
  return { sent: 0, limit: 0, window: 0, acknowledged: undefined };
}

/** Whether a segment has one of these control bits. */
export function has(segment: ModelSegment, flags: number): boolean {
  return (segment.flags & flags) !== 0;
}

function lengthOf(segment: ModelSegment): number {
  return segment.payloadBytes + (has(segment, SYN) ? 1 : 0) + (has(segment, FIN) ? 1 : 0);
}

function isInWindow(segment: ModelSegment, sender: ModelEnd, receiver: ModelEnd): boolean {
  if (sender.window === 0) return false;
  const end = segment.sequence + lengthOf(segment);
  return segment.sequence <= sender.limit && end >= sender.sent - receiver.window;
}

/** Nothing can be said of a segment without data, nor while one of the ends has not been seen. */
function isUnjudged(segment: ModelSegment, sender: ModelEnd, receiver: ModelEnd): boolean {
  if (sender.window === 0) return true;
  return !has(segment, RST) && (lengthOf(segment) === 0 || receiver.window === 0);
}

/** Holds a segment against the numbers of its connection. */
export function fitOf(segment: ModelSegment, sender: ModelEnd, receiver: ModelEnd): Fit {
  const inWindow = isInWindow(segment, sender, receiver);
  const sequence = inWindow || isUnjudged(segment, sender, receiver);
  if (!has(segment, ACK) || receiver.window === 0) {
    return {
      inWindow,
      sequence,
      acknowledgement: true,
      ahead: false,
      acknowledgesAll: false,
      handshake: false,
    };
  }
  const { acknowledgement } = segment;
  const ahead = acknowledgement - receiver.sent;
  return {
    inWindow,
    sequence,
    acknowledgement: ahead <= 0 && ahead >= -Math.max(sender.window, REACH_MIN),
    ahead: ahead > 0 && acknowledgement <= receiver.limit,
    acknowledgesAll: ahead === 0,
    handshake: has(segment, SYN) && (ahead === 0 || acknowledgement === receiver.limit),
  };
}

/** Lets the numbers of a connection follow a segment. @param opening - whether a SYN sets the numbers */
export function follow(segment: ModelSegment, sender: ModelEnd, receiver: ModelEnd, opening: boolean): void {
  const { sequence, window } = segment;
  const length = lengthOf(segment);
  const end = sequence + length;
  const isKnown = sender.window > 0;
  if (has(segment, SYN) && opening && !(isKnown && end === sender.sent)) {
    Object.assign(sender, { sent: end, limit: sequence + 1, window: 0, acknowledged: undefined });
  } else if (!isKnown) {
    Object.assign(sender, { sent: end, limit: end + Math.max(window, 1) });
  } else if (length > 0 && !isInWindow(segment, sender, receiver)) {
    Object.assign(sender, { sent: end, limit: end + receiver.window });
  }
  sender.window = Math.max(sender.window, window, 1);
  if (length > 0 && receiver.window > 0) receiver.window += Math.max(end - sender.limit, 0);
  if (length > 0) sender.sent = Math.max(sender.sent, end);
  if (has(segment, ACK)) followAcknowledgement(segment, sender, receiver);
}

function followAcknowledgement(segment: ModelSegment, sender: ModelEnd, receiver: ModelEnd): void {
  const { acknowledgement, window } = segment;
  sender.acknowledged = Math.max(sender.acknowledged ?? acknowledgement, acknowledgement);
  if (receiver.window === 0) return;
  if (acknowledgement <= receiver.limit) receiver.sent = Math.max(receiver.sent, acknowledgement);
  receiver.limit = Math.max(receiver.limit, acknowledgement + Math.max(window, 1));
}
