/**
 * The tracker written down a second time as plainly as possible: plain objects in a Map, and sequence numbers
 * that are integers and never wrap. It knows nothing of rows, links, wheels or hashes.
 *
 * It is the liberal tracker, without seals, options of TCP, ICMP and fragments. What segments do to states it
 * takes from the tables of tcp-table.ts.
 */
import { HOOK, type Hook, type Milliseconds, PROTOCOL, TCP_FLAG, TCP_STATES } from "../base/index.ts";
import { DATAGRAM_STATES, DATAGRAM_TABLE, type DatagramState } from "../state/datagram-machine.ts";
import { NEXT_STATE, SEGMENT, segmentOf, stepSegment, stepUnknown } from "../state/tcp-machine.ts";
import { RESET_TABLE } from "../state/tcp-table.ts";
import { DATAGRAM_TIMEOUTS, defaultTimeouts, TCP_TIMEOUTS } from "../state/timeout.ts";
import {
  type Fit,
  follow,
  fitOf,
  has,
  type ModelEnd,
  type ModelSegment,
  unseenEnd,
} from "./sequence-model.ts";

const TIMEOUTS = defaultTimeouts(1);
const { SYN, ACK, FIN, RST } = TCP_FLAG;

/** A packet as the model takes it; of UDP the numbers do not matter. */
export interface ModelPacket extends ModelSegment {
  readonly hook: Hook;
  /** IANA number. */
  readonly protocol: number;
  /** Address and port of the sender. */
  readonly source: string;
  /** Address and port of the receiver. */
  readonly destination: string;
}

/** What the table knows of a packet before it counts. */
export interface ModelAnswer {
  /** State that rules see, CLOSED when the flow is unknown or not TCP. */
  readonly state: string;
  /** Whether the flow is known, and which way the packet goes. */
  readonly flow: "new" | "original" | "reply";
}

/** A flow of the model. */
interface ModelFlow {
  state: string;
  readonly protocol: number;
  readonly originalFlowing: number;
  readonly ends: readonly [ModelEnd, ModelEnd];
  /** The handshake was seen, and its numbers add up. */
  numbered: boolean;
  /** Nothing was seen that tells right numbers from wrong ones. */
  sloppy: boolean;
  replied: boolean;
  lastSeen: Milliseconds;
  /** When it came to where it stands in the order of those that give way. */
  since: number;
  packets: [number, number];
}

function isOpening(flow: ModelFlow): boolean {
  return flow.state.startsWith("SYN");
}

function isClosing(flow: ModelFlow): boolean {
  return !isOpening(flow) && flow.state !== "ESTABLISHED";
}

/** Sender and receiver of a packet. */
function endsOf(flow: ModelFlow, flowing: number): readonly [ModelEnd, ModelEnd] {
  return flowing === 0 ? flow.ends : [flow.ends[1], flow.ends[0]];
}

function stageOf(flow: ModelFlow): number {
  if (flow.protocol !== PROTOCOL.TCP) return flow.state === "MULTIPLE" ? 2 : 0;
  if (flow.state === "ESTABLISHED") return flow.replied ? 2 : 0;
  return isOpening(flow) ? 0 : 1;
}

/**
 * Whether the RST of an end that has sent nothing is to be believed: it answers the other end's SYN (RFC 9293
 * section 3.10.7.3), or goes on where that end has said that it has heard everything.
 */
function isRefusal(flow: ModelFlow, packet: ModelPacket, sender: ModelEnd, receiver: ModelEnd): boolean {
  if (fitOf(packet, sender, receiver).acknowledgesAll) return true;
  return (flow.sloppy || flow.numbered) && packet.sequence === receiver.acknowledged;
}

/** Whether a RST is to be believed: its number must be the very next one (RFC 5961 section 3.2). */
function isResetBelieved(flow: ModelFlow, flowing: number, packet: ModelPacket, zero: number): boolean {
  const [sender, receiver] = endsOf(flow, flowing);
  if (sender.window === 0) return isRefusal(flow, packet, sender, receiver);
  const { sequence } = packet;
  const { inWindow, acknowledgement } = fitOf(packet, sender, receiver);
  if (inWindow && isClosing(flow)) return true;
  if (!acknowledgement && !flow.sloppy && packet.acknowledgement !== zero) return false;
  if (sequence === sender.sent || sequence === receiver.acknowledged) return true;
  return sequence >= (receiver.acknowledged ?? sequence) && !flow.numbered && inWindow;
}

/** The state that a segment without RST makes of a flow. */
function nextState(flow: ModelFlow, flowing: number, flags: number, fit: Fit): string {
  const step = (from: string, segment: number): string => {
    const cell = stepSegment(TCP_STATES.indexOf(from as (typeof TCP_STATES)[number]), flowing, segment);
    return TCP_STATES[cell & NEXT_STATE] ?? "?";
  };
  let segment = segmentOf(flags);
  if (!flow.numbered) return step(flow.state, segment);
  if (!(isClosing(flow) ? fit.acknowledgesAll : fit.acknowledgement)) segment &= ~SEGMENT.A;
  const next = step(flow.state, segment);
  // A FIN that also ends the handshake closes its half.
  const isLate = isOpening(flow) && next === "ESTABLISHED" && (flags & FIN) !== 0;
  return isLate ? step("ESTABLISHED", segment) : next;
}

/** Whether a segment comes from its sender, as far as its numbers tell. */
function isBelieved(packet: ModelPacket, fit: Fit): boolean {
  if (packet.hook === HOOK.OUTPUT || fit.acknowledgesAll) return true;
  return (fit.sequence && fit.acknowledgement) || (fit.inWindow && fit.ahead);
}

/** Steps a connection by a segment without RST. */
function stepTcp(flow: ModelFlow, flowing: number, packet: ModelPacket): void {
  const [sender, receiver] = endsOf(flow, flowing);
  const fit = fitOf(packet, sender, receiver);
  const believed = isBelieved(packet, fit);
  const opening = isOpening(flow);
  if (believed || !flow.numbered) flow.state = nextState(flow, flowing, packet.flags, fit);
  if (has(packet, SYN) ? opening : believed) follow(packet, sender, receiver, opening);
  if (opening && !flow.sloppy) proveNumbers(flow, packet, fit);
}

/** Notes what a segment of the handshake proves of the numbers. */
function proveNumbers(flow: ModelFlow, packet: ModelPacket, fit: Fit): void {
  if (fit.handshake) flow.numbered = true;
  else if (has(packet, SYN) && !fit.sequence) flow.numbered = false;
  else if (flow.state === "ESTABLISHED" && !flow.numbered) flow.sloppy = true;
}

/** How long a flow may be silent. */
function timeoutOf(flow: ModelFlow): Milliseconds {
  if (flow.protocol === PROTOCOL.TCP) {
    if (flow.state === "ESTABLISHED" && !flow.replied) return TIMEOUTS["tcp.first"];
    return TIMEOUTS[TCP_TIMEOUTS[flow.state as keyof typeof TCP_TIMEOUTS]];
  }
  const kind = flow.protocol === PROTOCOL.UDP ? "udp" : "other";
  return TIMEOUTS[DATAGRAM_TIMEOUTS[kind][flow.state as DatagramState]];
}

/** Whether a packet begins another connection where one is over. */
function reopens(flow: ModelFlow, packet: ModelPacket): boolean {
  const isOver = flow.state === "CLOSED" || flow.state === "TIME_WAIT";
  const isRequest = (packet.flags & (SYN | ACK | FIN | RST)) === SYN;
  return flow.protocol === PROTOCOL.TCP && isRequest && isOver;
}

/** A flow that a packet was found to belong to, and how. */
interface Found {
  /** Where another one would be kept. */
  readonly key: string;
  /** Which way the packet goes: 0 to the local end, 1 from it. */
  readonly flowing: number;
  readonly flow: ModelFlow | undefined;
  /** Where the connection is kept that is over, and whose place the packet takes. */
  readonly replaced: string | undefined;
}

/** The rules, as plainly as they can be said. */
export class TrackerModel {
  readonly flows: Map<string, ModelFlow> = new Map<string, ModelFlow>();
  readonly #capacity: number;
  readonly #zero: number;
  #order = 0;
  /** Flows that gave way. */
  evicted = 0;

  /**
   * @param capacity - most flows
   * @param zero - the integer that is zero on the wire
   */
  constructor(capacity: number, zero = 0) {
    this.#capacity = capacity;
    this.#zero = zero;
  }

  /** What rules see. */
  look(packet: ModelPacket, now: Milliseconds): ModelAnswer {
    const { flow, flowing } = this.#find(packet, now);
    if (flow === undefined) return { state: "CLOSED", flow: "new" };
    const state = flow.protocol === PROTOCOL.TCP ? flow.state : "CLOSED";
    return { state, flow: flowing === flow.originalFlowing ? "original" : "reply" };
  }

  /** Enters a packet that was accepted. */
  enter(packet: ModelPacket, now: Milliseconds): void {
    const { key, flow, flowing, replaced } = this.#find(packet, now);
    if (flow !== undefined) this.#step(flow, flowing, packet, now);
    else if (packet.protocol !== PROTOCOL.TCP || !has(packet, RST)) this.#make(key, packet, replaced, now);
  }

  /** Flows that have not expired, one a line, in order. */
  read(now: Milliseconds): string[] {
    return [...this.flows]
      .filter(([, flow]) => now < flow.lastSeen + timeoutOf(flow))
      .map(([key, flow]) => `${key} ${flow.state} ${flow.packets.join(":")}`)
      .sort();
  }

  #expire(now: Milliseconds): void {
    for (const [key, flow] of this.flows) {
      if (now >= flow.lastSeen + timeoutOf(flow)) this.flows.delete(key);
    }
  }

  #find(packet: ModelPacket, now: Milliseconds): Found {
    this.#expire(now);
    const ends = [packet.source, packet.destination];
    const zone = packet.hook === HOOK.FORWARD ? "forward" : "local";
    const keyOf = (flowing: number): string =>
      `${zone} ${packet.protocol} ${ends[flowing]} ${ends[1 - flowing]}`;
    const first = packet.hook === HOOK.OUTPUT ? 1 : 0;
    const turns = packet.hook === HOOK.FORWARD && !this.flows.has(keyOf(0)) && this.flows.has(keyOf(1));
    const flowing = turns ? 1 : first;
    const flow = this.flows.get(keyOf(flowing));
    if (flow === undefined || !reopens(flow, packet)) {
      return { key: keyOf(flowing), flowing, flow, replaced: undefined };
    }
    return { key: keyOf(first), flowing: first, flow: undefined, replaced: keyOf(flowing) };
  }

  #step(flow: ModelFlow, flowing: number, packet: ModelPacket, now: Milliseconds): void {
    const before = stageOf(flow);
    const isReply = flowing !== flow.originalFlowing;
    flow.packets[isReply ? 1 : 0] += 1;
    if (flow.protocol !== PROTOCOL.TCP) {
      flow.state = DATAGRAM_TABLE[flow.state as DatagramState][isReply ? "reply" : "original"];
    } else if (!has(packet, RST)) {
      stepTcp(flow, flowing, packet);
    } else {
      // One that is not believed does not keep the connection alive either.
      if (!isResetBelieved(flow, flowing, packet, this.#zero)) return;
      flow.state = RESET_TABLE[flow.state as keyof typeof RESET_TABLE];
    }
    flow.replied ||= isReply;
    flow.lastSeen = now;
    this.#order += 1;
    if (stageOf(flow) !== before) flow.since = this.#order;
  }

  // oxlint-disable-next-line max-params -- where, what, instead of what and when are what a new flow is
  #make(key: string, packet: ModelPacket, replaced: string | undefined, now: Milliseconds): void {
    if (replaced !== undefined) this.flows.delete(replaced);
    if (this.flows.size >= this.#capacity && !this.#evict()) return;
    const flowing = packet.hook === HOOK.OUTPUT ? 1 : 0;
    const isTcp = packet.protocol === PROTOCOL.TCP;
    const state = isTcp ? TCP_STATES[stepUnknown(flowing, segmentOf(packet.flags))] : DATAGRAM_STATES[0];
    const ends = [unseenEnd(), unseenEnd()] as const;
    if (isTcp) follow(packet, ends[flowing], ends[1 - flowing] as ModelEnd, true);
    this.#order += 1;
    this.flows.set(key, {
      state: state ?? "?",
      protocol: packet.protocol,
      originalFlowing: flowing,
      ends,
      numbered: false,
      sloppy: isTcp && (packet.flags & (SYN | ACK)) !== SYN,
      replied: false,
      lastSeen: now,
      since: this.#order,
      packets: [1, 0],
    });
  }

  #evict(): boolean {
    const candidates = [...this.flows].filter(([, flow]) => stageOf(flow) < 2);
    candidates.sort(([, a], [, b]) => stageOf(a) - stageOf(b) || a.since - b.since);
    const victim = candidates[0];
    if (victim === undefined) return false;
    this.flows.delete(victim[0]);
    this.evicted += 1;
    return true;
  }
}
