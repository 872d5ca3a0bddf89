/**
 * What TCP segments do to their flows: the machine decides on order, the window on numbers, and both must
 * agree.
 *
 * **Liberal** (the default): a segment outside the window is counted and keeps the flow alive, but steps
 * nothing on a flow whose numbers are known, so forged segments can't close it. Segments may have passed
 * unseen, though, while the queue was bypassed: numbers that only who sees the connection can know make a
 * segment believed all the same, and the window moves to it. **Strict**: such a segment is INVALID and is not
 * entered.
 *
 * Segments that this host sends itself are believed in both. Flows without known numbers (picked up in the
 * middle, or with a handshake that does not add up) step by their control bits alone, as PyWall's do.
 */
import { HOOK, TCP_FLAG, TCP_STATES, tcpStateIndex } from "../base/index.ts";
import type { Packet } from "../wire/index.ts";
import { COMMIT } from "./commit.ts";
import { COUNTER, type Counters } from "./counter.ts";
import { PEER } from "./direction.ts";
import { BYTE, FLOW_FLAG, HALF } from "./flow-row.ts";
import { isClosing, isHalfClosed, STAGE, TCP_STAGES } from "./flow-stage.ts";
import type { FlowTable } from "./flow-table.ts";
import { FIT, FITS, SequenceWindow } from "./sequence-window.ts";
import {
  NEXT_STATE,
  SEGMENT,
  segmentOf,
  stepReset,
  stepSegment,
  stepUnknown,
  UNDEFINED,
} from "./tcp-machine.ts";

const CLOSED = tcpStateIndex("CLOSED");
const ESTABLISHED = tcpStateIndex("ESTABLISHED");
const TIME_WAIT = tcpStateIndex("TIME_WAIT");
const INVALID = tcpStateIndex("INVALID");

/** What {@link TcpFlows.look} answers when the packet begins another connection on the flow's tuple. */
export const REOPENS = -1;

const STAGES = Uint8Array.from(TCP_STATES, (state) =>
  state === "INVALID" ? STAGE.CLOSING : STAGE[TCP_STAGES[state]],
);

const { SYN, ACK, FIN, RST } = TCP_FLAG;

/** Flows whose segments need not fit. */
const UNENFORCED = FLOW_FLAG.SLOPPY | FLOW_FLAG.OFFLOADED | FLOW_FLAG.STALE;

/** True for a segment that asks for a connection. */
function isRequest(tcpFlags: number): boolean {
  return (tcpFlags & (SYN | ACK | FIN | RST)) === SYN;
}

/** True when a first segment shows a connection that is older than the firewall. */
export function isAdoption(tcpFlags: number): boolean {
  return (tcpFlags & (SYN | ACK)) !== SYN;
}

function isOpening(state: number): boolean {
  return STAGES[state] === STAGE.HALF_OPEN;
}

/**
 * True for a FIN of the end that has sent one already. The kernel takes it for the other end's, so from then
 * on it and our table speak of different states.
 */
function isFinAgain(state: number, next: number, tcpFlags: number): boolean {
  return (tcpFlags & FIN) !== 0 && isHalfClosed(state) && next === state;
}

/**
 * One step of the machine. A FIN that also ends the handshake, because the ACK before it was lost or there
 * was none, closes its half. PyWall's machine, which flows without known numbers keep to, overlooks it.
 */
function step(state: number, flowing: number, segment: number, numbered: boolean): number {
  const cell = stepSegment(state, flowing, segment);
  const isLate = (segment & SEGMENT.F) !== 0 && (cell & NEXT_STATE) === ESTABLISHED;
  return numbered && isLate && isOpening(state) ? stepSegment(ESTABLISHED, flowing, segment) : cell;
}

/** Steps the TCP flows of a table. */
export class TcpFlows {
  readonly #table: FlowTable;
  readonly #counters: Counters;
  readonly #strict: boolean;
  readonly #hasSeenFin: ((slot: number) => boolean) | undefined;
  readonly #window: SequenceWindow;
  // What look found out of the segment, for step.
  #fit = 0;
  #inside = true;

  /**
   * @param strict - segments outside the window are INVALID
   * @param hasSeenFin - see TrackerOptions
   */
  // oxlint-disable-next-line max-params -- what the tracker has, and whom it asks
  constructor(
    table: FlowTable,
    counters: Counters,
    strict: boolean,
    hasSeenFin: ((slot: number) => boolean) | undefined,
  ) {
    this.#table = table;
    this.#counters = counters;
    this.#strict = strict;
    this.#hasSeenFin = hasSeenFin;
    this.#window = new SequenceWindow(table.slab);
  }

  /**
   * Judges a segment of a flow; changes nothing.
   *
   * @param flowing - a value of FLOWING, which is also the sender's PEER
   * @returns the state as rules see it, or {@link REOPENS}
   */
  look(slot: number, flowing: number, packet: Packet): number {
    const { slab } = this.#table;
    const state = slab.byte(slot, BYTE.STATE);
    if (isRequest(packet.tcpFlags) && this.#isOver(slot, state, packet)) return REOPENS;
    if (!this.#strict) return state;
    this.#judge(slot, flowing, packet);
    if (this.#inside || packet.hook === HOOK.OUTPUT || this.#hasPassedUnseen(slot, packet)) return state;
    this.#counters.add(COUNTER.invalid);
    return INVALID;
  }

  /**
   * True for a connection that has ended. The last segments of one that the kernel carries were not seen;
   * that they have come is known by the kernel's taking a SYN for the beginning of another. Where seals are
   * not in force any more it may vouch for nothing, and is asked.
   */
  #isOver(slot: number, state: number, packet: Packet): boolean {
    if (state === CLOSED || state === TIME_WAIT) return true;
    if (packet.vouched) return false;
    const flags = this.#table.slab.half(slot, HALF.FLAGS);
    const isSealed = (flags & FLOW_FLAG.OFFLOADED) !== 0;
    if ((flags & FLOW_FLAG.CARRIED) !== 0) return isSealed || this.#table.isOver(slot);
    return isSealed && isClosing(state) && !isHalfClosed(state);
  }

  /** First state of a flow made by a segment, which has no RST. */
  firstState(flowing: number, packet: Packet): number {
    return stepUnknown(flowing, segmentOf(packet.tcpFlags));
  }

  /** Takes down the numbers of the first segment of a flow. */
  begin(slot: number, flowing: number, packet: Packet): void {
    this.#window.follow(slot, flowing, packet, true);
  }

  /**
   * Enters a segment that was looked at just before.
   *
   * @returns bits of COMMIT
   */
  step(slot: number, flowing: number, packet: Packet): number {
    const { slab } = this.#table;
    const resumes = (slab.half(slot, HALF.FLAGS) & (FLOW_FLAG.OFFLOADED | FLOW_FLAG.STALE)) !== 0;
    if (resumes && !this.#resume(slot, packet)) return COMMIT.DISBELIEVED;
    if (!this.#strict || resumes) this.#judge(slot, flowing, packet);
    const state = slab.byte(slot, BYTE.STATE);
    const outside = this.#inside ? 0 : COMMIT.OUT_OF_WINDOW;
    if ((packet.tcpFlags & RST) !== 0) return outside | this.#reset(slot, state, packet, resumes);
    return outside | this.#advance(slot, flowing, packet, resumes);
  }

  /** Steps a flow by a segment without RST that was held against its numbers. */
  #advance(slot: number, flowing: number, packet: Packet, resumes: boolean): number {
    const { slab } = this.#table;
    const believed = resumes || this.#isBelieved(packet);
    const state = slab.byte(slot, BYTE.STATE);
    const numbered = (slab.half(slot, HALF.FLAGS) & FLOW_FLAG.NUMBERED) !== 0;
    const steps = believed || !numbered;
    if (!steps && this.#hasPassedUnseen(slot, packet))
      return this.#enter(slot, state, ESTABLISHED, slab.half(slot, HALF.FLAGS));
    const cell = steps ? step(state, flowing, this.#segment(slot, flowing, packet), numbered) : state;
    const opening = isOpening(state);
    const follows = (packet.tcpFlags & SYN) !== 0 ? opening : believed;
    if (follows) this.#window.follow(slot, flowing, packet, opening);
    const flags = this.#number(slot, state, cell & NEXT_STATE, packet.tcpFlags);
    return this.#enter(slot, state, cell, flags);
  }

  /**
   * True for a segment of a connection that stands for the kernel's tracker, while we wait for the end of its
   * handshake: that has passed unseen, and more behind it. The segment itself may be forged all the same:
   * since Linux 5.18 the tracker vouches for numbers that seem delayed, so it tells nothing but that the
   * connection stands. In strict mode only where no rule asks for the state.
   */
  #hasPassedUnseen(slot: number, packet: Packet): boolean {
    if ((packet.tcpFlags & (SYN | RST)) !== 0 || !(packet.carried || (packet.vouched && !this.#strict)))
      return false;
    const { slab } = this.#table;
    const isAnswered = (slab.half(slot, HALF.FLAGS) & FLOW_FLAG.REPLIED) !== 0;
    return isAnswered && isOpening(slab.byte(slot, BYTE.STATE));
  }

  /**
   * A segment of a flow whose segments were not all seen: its numbers are taken as they are, if it can be
   * believed. One that could change the state must be vouched for by the kernel, which has seen them all; a
   * FIN, for which it vouches also where it takes it for a delayed one and passes it over, must have changed
   * the kernel's own state. The other end of a flow that was taken back tells no numbers until this host
   * speaks.
   *
   * @returns false when it is not to be believed; then the flow stays as it is
   */
  #resume(slot: number, packet: Packet): boolean {
    const isPlain = (packet.tcpFlags & (SYN | FIN | RST)) === 0;
    // A SYN on a connection that stands changes nothing, and of its number the kernel says nothing.
    if ((!packet.vouched && !isPlain) || (packet.tcpFlags & SYN) !== 0) {
      if ((packet.tcpFlags & RST) !== 0) this.#counters.add(COUNTER.disbelievedResets);
      if (!packet.vouched && isRequest(packet.tcpFlags)) this.#part(slot);
      return false;
    }
    const { slab } = this.#table;
    const isSealed = (slab.half(slot, HALF.FLAGS) & FLOW_FLAG.OFFLOADED) !== 0;
    if (!this.#isCredible(slot, isSealed, packet)) return false;
    // What was on its way when the flow was sealed changes nothing.
    if (!isSealed || !isPlain) {
      this.#table.setOffloaded(slot, false);
      slab.setHalf(slot, HALF.FLAGS, slab.half(slot, HALF.FLAGS) & ~(FLOW_FLAG.STALE | FLOW_FLAG.OPEN_ENDED));
      this.#window.forget(slot);
    }
    return true;
  }

  /**
   * False for what the other end says of numbers that are not known, and for a FIN the kernel passed over.
   */
  #isCredible(slot: number, isSealed: boolean, { hook, tcpFlags }: Packet): boolean {
    if (hook === HOOK.OUTPUT || (tcpFlags & RST) !== 0) return true;
    if ((tcpFlags & FIN) === 0) return isSealed || hook !== HOOK.INPUT;
    return this.#hasSeenFin === undefined || this.#hasSeenFin(slot);
  }

  /**
   * The kernel takes a SYN for the beginning of another connection, and we do not: its word about this one
   * ends here. What passed unseen has taken the numbers elsewhere.
   */
  #part(slot: number): void {
    const { slab } = this.#table;
    this.#table.setOffloaded(slot, false);
    const flags = slab.half(slot, HALF.FLAGS) & ~(FLOW_FLAG.STALE | FLOW_FLAG.OPEN_ENDED);
    slab.setHalf(slot, HALF.FLAGS, flags | FLOW_FLAG.SLOPPY);
    this.#window.forget(slot);
  }

  /** Holds a segment against the numbers of its flow. In liberal mode only accepted segments are. */
  #judge(slot: number, flowing: number, packet: Packet): void {
    const { slab } = this.#table;
    const unenforced = (slab.half(slot, HALF.FLAGS) & UNENFORCED) !== 0;
    this.#fit = this.#window.judge(slot, flowing, packet);
    this.#inside = unenforced || this.#isInside(slab.byte(slot, BYTE.STATE), packet.tcpFlags);
    if (this.#inside) return;
    this.#counters.add(COUNTER.outOfWindow);
    if ((this.#fit & FIT.TIMESTAMP) === 0) this.#counters.add(COUNTER.badTimestamp);
  }

  /** Puts a flow into the state of a machine byte. */
  #enter(slot: number, state: number, cell: number, flags: number): number {
    const next = cell & NEXT_STATE;
    if (next !== state || flags !== this.#table.slab.half(slot, HALF.FLAGS)) {
      const isSame = next === state || isClosing(state);
      this.#table.setState(slot, next, isSame ? flags : flags & ~FLOW_FLAG.OPEN_ENDED);
    }
    const stepped = next === state ? 0 : COMMIT.STEPPED;
    if ((cell & UNDEFINED) === 0) return stepped;
    this.#counters.add(COUNTER.undefinedSegments);
    return stepped | COMMIT.UNDEFINED;
  }

  /**
   * Flags of the flow after a step: whether its numbers, and the kernel's word, can be trusted from here on.
   */
  #number(slot: number, state: number, next: number, tcpFlags: number): number {
    const flags = this.#table.slab.half(slot, HALF.FLAGS);
    if (isFinAgain(state, next, tcpFlags)) return flags | FLOW_FLAG.OPEN_ENDED;
    if (!isOpening(state) || (flags & FLOW_FLAG.SLOPPY) !== 0) return flags;
    if ((this.#fit & FIT.HANDSHAKE) !== 0) return flags | FLOW_FLAG.NUMBERED;
    if ((tcpFlags & SYN) !== 0 && (this.#fit & FIT.SEQUENCE) === 0) return flags & ~FLOW_FLAG.NUMBERED;
    const proved = (flags & FLOW_FLAG.NUMBERED) !== 0;
    return next === ESTABLISHED && !proved ? flags | FLOW_FLAG.SLOPPY : flags;
  }

  /**
   * Numbers that were seen once and forgotten under a seal are known to the kernel. It may have closed the
   * connection by a segment that the policy dropped; what this host sends itself needs no word of it.
   */
  #isVouchedFor(slot: number, packet: Packet): boolean {
    const isNumbered = (this.#table.slab.half(slot, HALF.FLAGS) & FLOW_FLAG.NUMBERED) !== 0;
    const isKnown = this.#window.knows(slot, PEER.LOCAL) && this.#window.knows(slot, PEER.REMOTE);
    return (packet.vouched || packet.hook === HOOK.OUTPUT) && isNumbered && !isKnown;
  }

  /**
   * A connection that is closing may be gone at one end already, whose RST then answers whatever reaches it,
   * by the number that asks for: anywhere in the window will do.
   */
  #isResetBelieved(state: number): boolean {
    const needed = STAGES[state] === STAGE.CLOSING ? FIT.RESET | FIT.WINDOW : FIT.RESET;
    return (this.#fit & needed) !== 0;
  }

  #reset(slot: number, state: number, packet: Packet, resumes: boolean): number {
    const believed = resumes || this.#isVouchedFor(slot, packet) || this.#isResetBelieved(state);
    if (!believed) {
      this.#counters.add(COUNTER.disbelievedResets);
      return COMMIT.DISBELIEVED;
    }
    const next = stepReset(state);
    if (next === state) return 0;
    this.#table.setState(slot, next, this.#table.slab.half(slot, HALF.FLAGS));
    return COMMIT.STEPPED;
  }

  /** Whether the segment fits the window in all that its kind is judged by. */
  #isInside(state: number, tcpFlags: number): boolean {
    if ((tcpFlags & RST) !== 0) return (this.#fit & (FIT.RESET | FIT.SEQUENCE)) !== 0;
    // "If the ACK bit is off, drop the segment and return" (RFC 9293 section 3.10.7.4); PyWall's walks have
    // such.
    if (this.#strict && (tcpFlags & (SYN | ACK)) === 0) return false;
    if ((tcpFlags & SYN) === 0) return (this.#fit & FITS) === FITS;
    // A SYN begins its own numbers. On a synchronised connection "irrespective of the sequence number, TCP
    // MUST send a 'challenge ACK'" (RFC 5961 section 4.2), so it has to get through.
    return !isOpening(state) || (this.#fit & FIT.ACKNOWLEDGEMENT) !== 0;
  }

  /**
   * Whether the segment comes from its sender, as far as its numbers tell. In liberal mode, segments between
   * may not have been seen: then its sequence number must lie in the window and its acknowledgement within
   * what the receiver was allowed to send, or it must acknowledge exactly what the receiver sent last.
   */
  #isBelieved(packet: Packet): boolean {
    if (packet.hook === HOOK.OUTPUT) return true;
    const fit = this.#fit;
    if ((fit & FIT.SEQUENCE) !== 0 && (fit & FIT.ACKNOWLEDGEMENT) !== 0) return true;
    if (this.#strict) return false;
    const exact = (packet.tcpFlags & ACK) !== 0 && (fit & FIT.ACKNOWLEDGES_ALL) !== 0;
    return exact || ((fit & FIT.WINDOW) !== 0 && (fit & FIT.AHEAD) !== 0);
  }

  /**
   * Class of the segment, where `A` means that what matters is acknowledged, as far as it is known what the
   * other end has sent.
   */
  #segment(slot: number, flowing: number, packet: Packet): number {
    const segment = segmentOf(packet.tcpFlags);
    const { slab } = this.#table;
    const isNumbered = (slab.half(slot, HALF.FLAGS) & FLOW_FLAG.NUMBERED) !== 0;
    if (!isNumbered || !this.#window.knows(slot, PEER.LOCAL - flowing)) return segment;
    const state = slab.byte(slot, BYTE.STATE);
    const needed = STAGES[state] === STAGE.CLOSING ? FIT.ACKNOWLEDGES_ALL : FIT.ACKNOWLEDGEMENT;
    return (this.#fit & needed) === 0 ? segment & ~SEGMENT.A : segment;
  }
}
