/**
 * Reading flows, field by field, by slot: what lists, watchers and filters are made of.
 *
 * Every method takes the slot of a live flow; nothing is checked. A slot is good until the flow is removed,
 * an id for longer: {@link FlowReader.slotOf} finds its slot or tells that it is gone.
 */
import {
  type AddressWords,
  type Family,
  HOOK,
  type Hook,
  type Milliseconds,
  type Port,
  PROTOCOL,
  type SequenceNumber,
  type TimeoutName,
  tcpStateIndex,
} from "../base/index.ts";
import { DATAGRAM_LEVELS, DATAGRAM_STATES, LEVEL } from "./datagram-machine.ts";
import { DIRECTION, FLOWING, PEER } from "./direction.ts";
import { kindFamily, kindProtocol, kindZone } from "./flow-key.ts";
import { BYTE, DOUBLE, FLOW_FLAG, HALF, WORD } from "./flow-row.ts";
import type { FlowSlab } from "./flow-slab.ts";
import { isClosing, isHalfOpenTcp, phaseOf, timeoutOf } from "./flow-stage.ts";
import { isSteady } from "./tcp-machine.ts";

/** Value of {@link FlowReader.windowScale} when the peer offered none. */
export const NO_SCALE = -1;

/**
 * Packets without an answer from which on a flow is taken for one that goes one way: more than a client asks
 * before its first answer comes (a resolver sends two questions from one port, and repeats them).
 */
const UNANSWERED_PACKETS = 8;

const ESTABLISHED = tcpStateIndex("ESTABLISHED");
const SCALE_BITS = 4;
const SCALE_MASK = 0x0f;

/** Reads the rows of a slab. */
export class FlowReader {
  readonly #slab: FlowSlab;

  constructor(slab: FlowSlab) {
    this.#slab = slab;
  }

  /** True when the slot holds a flow. Takes any number. */
  isLive(slot: number): boolean {
    return this.#slab.isLive(slot);
  }

  /** Id of the flow: a safe integer that outlives the slot's reuse. */
  id(slot: number): number {
    return this.#slab.id(slot);
  }

  /** Slot of the flow with an id, -1 when it is gone. */
  slotOf(id: number): number {
    return this.#slab.slotOf(id);
  }

  /**
   * Calls a visitor with the slots of flows, in slices.
   *
   * Flows made or removed between two slices may be met or missed; none is met twice.
   *
   * @param cursor - 0 to begin, then the answer of the last call
   * @param rows - most rows to look at, so that a slice has a bounded cost
   * @param visitor - called with each slot; it may remove that flow
   * @returns cursor of the next slice, -1 when all rows have been seen
   */
  visit(cursor: number, rows: number, visitor: (slot: number) => void): number {
    const end = Math.min(cursor + rows, this.#slab.reach);
    for (let slot = cursor; slot < end; slot += 1) {
      if (this.#slab.isLive(slot)) visitor(slot);
    }
    return end < this.#slab.reach ? end : -1;
  }

  /** Transport protocol (IANA number). */
  protocol(slot: number): number {
    return kindProtocol(this.#slab.half(slot, HALF.KIND));
  }

  /** Address family. */
  family(slot: number): Family {
    return kindFamily(this.#slab.half(slot, HALF.KIND));
  }

  /** A value of ZONE. */
  zone(slot: number): number {
    return kindZone(this.#slab.half(slot, HALF.KIND));
  }

  /** Where the first packet was met. */
  hook(slot: number): Hook {
    return (this.#slab.half(slot, HALF.FLAGS) & FLOW_FLAG.HOOK) as Hook;
  }

  /** Which way the first packet went, a value of FLOWING; also the PEER that spoke first. */
  originalFlowing(slot: number): number {
    return this.hook(slot) === HOOK.OUTPUT ? FLOWING.SENT : FLOWING.RECEIVED;
  }

  /**
   * Copies a peer's address.
   *
   * @param peer - a value of PEER
   * @param words - where to, four words
   */
  copyAddress(slot: number, peer: number, words: AddressWords): void {
    const from = peer === PEER.REMOTE ? WORD.REMOTE : WORD.LOCAL;
    for (let at = 0; at < words.length; at += 1) words[at] = this.#slab.word(slot, from + at);
  }

  /** A peer's port; for ICMP echo the asking end's identifier and the answering end's request type. */
  port(slot: number, peer: number): Port {
    const ports = this.#slab.word(slot, WORD.PORTS);
    return peer === PEER.REMOTE ? ports >>> 16 : ports & 0xffff;
  }

  /** TCP: index into TCP_STATES. Other protocols: index into DATAGRAM_STATES. */
  state(slot: number): number {
    return this.#slab.byte(slot, BYTE.STATE);
  }

  /** pf's level of a peer, a value of LEVEL. Valid unless the protocol is TCP. */
  level(slot: number, peer: number): number {
    const levels = DATAGRAM_LEVELS[DATAGRAM_STATES[this.state(slot)] ?? "FIRST"];
    return LEVEL[levels[peer === this.originalFlowing(slot) ? 0 : 1]];
  }

  /** pf's name of the timeout that bounds the flow's silence. */
  timeout(slot: number): TimeoutName {
    return timeoutOf(phaseOf(this.protocol(slot), this.state(slot), this.#slab.half(slot, HALF.FLAGS)));
  }

  /** When the first packet was accepted. */
  created(slot: number): Milliseconds {
    return this.#slab.double(slot, DOUBLE.CREATED);
  }

  /** When the last one was. */
  lastSeen(slot: number): Milliseconds {
    return this.#slab.double(slot, DOUBLE.LAST_SEEN);
  }

  /** Packets accepted in a direction, a value of DIRECTION. */
  packets(slot: number, direction: number): number {
    return this.#slab.double(slot, DOUBLE.PACKETS + direction);
  }

  /** Bytes of the IP packets accepted in a direction. */
  bytes(slot: number, direction: number): number {
    return this.#slab.double(slot, DOUBLE.BYTES + direction);
  }

  /** Sequence number just past what the peer has sent (pf's seqlo). Valid for TCP. */
  sequenceEnd(slot: number, peer: number): SequenceNumber {
    return this.#slab.word(slot, WORD.SEQUENCE_END + peer) >>> 0;
  }

  /** Sequence number up to which the other end lets the peer send (pf's seqhi). Valid for TCP. */
  sequenceLimit(slot: number, peer: number): SequenceNumber {
    return this.#slab.word(slot, WORD.SEQUENCE_LIMIT + peer) >>> 0;
  }

  /** Largest window the peer has advertised, scaled, in bytes; 0 when it has sent nothing. Valid for TCP. */
  maxWindow(slot: number, peer: number): number {
    return this.#slab.word(slot, WORD.MAX_WINDOW + peer) >>> 0;
  }

  /** Highest acknowledgement number the peer has sent; 0 when none. Valid for TCP. */
  maxAck(slot: number, peer: number): SequenceNumber {
    return this.#slab.word(slot, WORD.MAX_ACK + peer) >>> 0;
  }

  /** Window scale the peer offered, 0 to 14 bits, {@link NO_SCALE} when none. It counts when both did. */
  windowScale(slot: number, peer: number): number {
    if (!this.#has(slot, FLOW_FLAG.SCALING << peer)) return NO_SCALE;
    return (this.#slab.byte(slot, BYTE.SCALES) >>> (peer * SCALE_BITS)) & SCALE_MASK;
  }

  /** Largest segment the peer takes, in bytes; 0 when it did not say. */
  segmentMax(slot: number, peer: number): number {
    return this.#slab.half(slot, HALF.SEGMENT_MAX + peer);
  }

  /** Lowest time to live of the peer's packets; 0 when it has sent none. */
  timeToLive(slot: number, peer: number): number {
    return this.#slab.byte(slot, BYTE.TIME_TO_LIVE + peer);
  }

  /** Index of the chain that accepted the flow. */
  chain(slot: number): number {
    return this.#slab.half(slot, HALF.CHAIN);
  }

  /** Index of the rule in its chain, -1 for the default. */
  rule(slot: number): number {
    return this.#slab.word(slot, WORD.RULE);
  }

  /** Revision of the policy that chain and rule belong to; 0 when the flow was not attributed. */
  revision(slot: number): number {
    return this.#slab.word(slot, WORD.REVISION) >>> 0;
  }

  /** User id of the local socket, -1 when unknown. */
  user(slot: number): number {
    return this.#slab.word(slot, WORD.USER);
  }

  /** Packet mark of the first packet, 32 bits. */
  mark(slot: number): number {
    return this.#slab.word(slot, WORD.MARK) >>> 0;
  }

  /** Interface the first packet came in by, 0 when it was sent here. */
  inInterface(slot: number): number {
    return this.#slab.word(slot, WORD.IN_INTERFACE);
  }

  /** Interface the first packet left by, 0 when it ended here. */
  outInterface(slot: number): number {
    return this.#slab.word(slot, WORD.OUT_INTERFACE);
  }

  /** Index of the recognised protocol, 0 when none. */
  note(slot: number): number {
    return this.#slab.half(slot, HALF.NOTE);
  }

  /** True when windows are not enforced: picked up in the middle, or with numbers that do not add up. */
  isSloppy(slot: number): boolean {
    return this.#has(slot, FLOW_FLAG.SLOPPY);
  }

  /** True when the handshake was seen and its numbers fit. */
  isNumbered(slot: number): boolean {
    return this.#has(slot, FLOW_FLAG.NUMBERED);
  }

  /** True when the end that did not speak first has answered. */
  isReplied(slot: number): boolean {
    return this.#has(slot, FLOW_FLAG.REPLIED);
  }

  /** True when the flow was ended on request and waits only for stray segments. */
  isKilled(slot: number): boolean {
    return (this.#slab.half(slot, HALF.FLAGS) & FLOW_FLAG.KILLED) !== 0;
  }

  /** True when the kernel judges the flow by itself. */
  isOffloaded(slot: number): boolean {
    return this.#has(slot, FLOW_FLAG.OFFLOADED);
  }

  /** True when the kernel judges the flow to its end, or did, and nothing was heard of it since. */
  isCarried(slot: number): boolean {
    return this.#has(slot, FLOW_FLAG.CARRIED);
  }

  /** True when it is known that packets to come have to be judged, and nothing has changed since. */
  isOpenEnded(slot: number): boolean {
    return this.#has(slot, FLOW_FLAG.OPEN_ENDED);
  }

  /**
   * True when both ends have spoken and no segment can change the flow's state but one with SYN, FIN or RST;
   * of other protocols, when both have proved themselves.
   */
  isSteady(slot: number): boolean {
    const state = this.state(slot);
    if (this.protocol(slot) === PROTOCOL.TCP) return this.isReplied(slot) && isSteady(state);
    return DATAGRAM_STATES[state] === "MULTIPLE";
  }

  /**
   * True for a TCP connection of which an end has said that it has nothing more to send, and that is not
   * over.
   */
  isClosing(slot: number): boolean {
    return this.protocol(slot) === PROTOCOL.TCP && this.isReplied(slot) && isClosing(this.state(slot));
  }

  /** True for a TCP connection that stands, and both ends of which have spoken. */
  isEstablished(slot: number): boolean {
    if (this.protocol(slot) !== PROTOCOL.TCP || !this.isReplied(slot)) return false;
    return this.state(slot) === ESTABLISHED;
  }

  /** True for a TCP connection whose handshake is under way, and both ends of which have spoken. */
  isOpening(slot: number): boolean {
    if (this.protocol(slot) !== PROTOCOL.TCP || !this.isReplied(slot)) return false;
    return isHalfOpenTcp(phaseOf(PROTOCOL.TCP, this.state(slot), this.#slab.half(slot, HALF.FLAGS)));
  }

  /**
   * True for a flow without a handshake, of UDP above all, of which one end has sent so much without an
   * answer that it seems to expect none.
   */
  isOneWay(slot: number): boolean {
    if (this.protocol(slot) === PROTOCOL.TCP || DATAGRAM_STATES[this.state(slot)] !== "SINGLE") return false;
    return this.packets(slot, DIRECTION.ORIGINAL) >= UNANSWERED_PACKETS;
  }

  #has(slot: number, flag: number): boolean {
    return (this.#slab.half(slot, HALF.FLAGS) & flag) !== 0;
  }
}
