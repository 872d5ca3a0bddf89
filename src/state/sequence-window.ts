/**
 * Whether a TCP segment fits the numbers of its connection: the bounds of G. van Rooij, "Real Stateful TCP
 * Packet Filtering in IP Filter", as netfilter and pf use them.
 *
 * For each peer a row keeps the end of what it has sent, the limit up to which the other end lets it send,
 * the largest window it has advertised and the highest acknowledgement it has given. A segment of `sender` to
 * `receiver` from `sequence` to `end` fits when
 *
 * - I: `sequence` is not beyond the sender's limit,
 * - II: `end` is not before the sender's end less the receiver's largest window,
 * - III: its acknowledgement is not beyond the receiver's end,
 * - IV: nor before that end less the sender's largest window, or 66,000 bytes if that is more.
 *
 * A segment without data is judged by its acknowledgement alone. The order of segments is not judged here,
 * but by the TCP machine; both must accept.
 */
import {
  sequenceAdd,
  sequenceAtOrBefore,
  sequenceBefore,
  sequenceDistance,
  sequenceMax,
  TCP_FLAG,
} from "../base/index.ts";
import { type Packet, TCP_HEADER_BYTES, TCP_OPTION, TcpOptions } from "../wire/index.ts";
import { PEER } from "./direction.ts";
import { BYTE, FLOW_FLAG, HALF, WORD } from "./flow-row.ts";
import { type FlowSlab, wordsAt } from "./flow-slab.ts";

/** What is true of a segment: bits of {@link SequenceWindow.judge}. */
export const FIT = {
  /** Rules I and II hold, or it carries nothing that they could judge, or one end has not been seen. */
  SEQUENCE: 0x01,
  /** Rules III and IV hold, or it acknowledges nothing. */
  ACKNOWLEDGEMENT: 0x02,
  /** It acknowledges all that the receiver has sent. */
  ACKNOWLEDGES_ALL: 0x04,
  /** As a RST it is to be believed. */
  RESET: 0x08,
  /** Its timestamp is not older than the connection's (RFC 7323 section 5.3). */
  TIMESTAMP: 0x10,
  /** Rules I and II hold for its sequence number itself, data or not. */
  WINDOW: 0x40,
  /** It acknowledges what was not seen, but what the receiver was allowed to send. */
  AHEAD: 0x80,
  /** As a SYN-ACK it acknowledges the receiver's SYN, with or without data in it (RFC 7413). */
  HANDSHAKE: 0x20,
} as const;

/** A segment that fits in every way that matters to one without RST. */
export const FITS: number = FIT.SEQUENCE | FIT.ACKNOWLEDGEMENT | FIT.TIMESTAMP;

const SYN_ACK = TCP_FLAG.SYN | TCP_FLAG.ACK;

/**
 * Least reach of rule IV, in bytes: an unscaled window and some, so that a late acknowledgement passes. Also
 * that of rule II where the receiver's window was known and has been forgotten.
 */
const REACH_MIN = 66_000;

/** Bits of one peer's window scale in SCALES. */
const SCALE_BITS = 4;
const SCALE_MASK = 0x0f;

/** Judges segments by the rows of a slab, and lets rows follow them. One row is bound at a time. */
export class SequenceWindow {
  readonly #slab: FlowSlab;
  readonly #options = new TcpOptions();
  #slot = 0;
  #words: Int32Array = new Int32Array(0);
  #at = 0;
  #flags = 0;
  #sender = 0;
  #receiver = 0;
  /** Sequence number just past the segment. */
  #end = 0;
  /** Timestamp of the segment; valid when #stamped. */
  #timestamp = 0;
  #stamped = false;

  /** @param slab - rows of the flows */
  constructor(slab: FlowSlab) {
    this.#slab = slab;
  }

  /**
   * Judges a segment. Changes no row.
   *
   * @param slot - its flow
   * @param sender - who sent it, a value of PEER
   * @param packet - a TCP packet with a readable header
   * @returns bits of {@link FIT}
   */
  judge(slot: number, sender: number, packet: Packet): number {
    this.#bind(slot, sender, packet);
    let fit = this.#acknowledgementFit(packet);
    if (this.#fitsWindow(packet)) fit |= FIT.WINDOW | FIT.SEQUENCE;
    else if (this.#isUnjudged(packet)) fit |= FIT.SEQUENCE;
    if (this.#fitsTimestamp(packet)) fit |= FIT.TIMESTAMP;
    if ((packet.tcpFlags & TCP_FLAG.RST) !== 0 && this.#fitsReset(packet, fit)) fit |= FIT.RESET;
    if ((packet.tcpFlags & SYN_ACK) === SYN_ACK && this.#fitsHandshake(packet, fit)) fit |= FIT.HANDSHAKE;
    return fit;
  }

  /**
   * Lets the numbers of a flow follow a segment that was accepted and is believed.
   *
   * @param slot - its flow
   * @param sender - who sent it, a value of PEER
   * @param packet - a TCP packet with a readable header, without RST
   * @param opening - true while SYN segments set the numbers
   */
  follow(slot: number, sender: number, packet: Packet, opening: boolean): void {
    this.#bind(slot, sender, packet);
    const first = this.#word(WORD.MAX_WINDOW, sender) === 0;
    const isSyn = (packet.tcpFlags & TCP_FLAG.SYN) !== 0;
    const again = !first && this.#end === this.#word(WORD.SEQUENCE_END, sender);
    if (isSyn && opening && !again) this.#begin(packet);
    else if (first) this.#pickUp(packet);
    else if (segmentLength(packet) > 0 && !this.#fitsWindow(packet)) this.#resynchronise();
    this.#followSender(packet);
    if ((packet.tcpFlags & TCP_FLAG.ACK) !== 0) this.#followReceiver(packet);
    this.#slab.setHalf(slot, HALF.FLAGS, this.#flags);
  }

  /** Forgets the numbers of both peers, so that each one's next segment sets them. */
  forget(slot: number): void {
    for (const peer of [PEER.REMOTE, PEER.LOCAL]) this.#slab.setWord(slot, WORD.MAX_WINDOW + peer, 0);
    const acked = FLOW_FLAG.ACKED | (FLOW_FLAG.ACKED << PEER.LOCAL);
    this.#slab.setHalf(slot, HALF.FLAGS, this.#slab.half(slot, HALF.FLAGS) & ~acked);
  }

  /** True when the peer has sent something since its numbers were forgotten, or at all. */
  knows(slot: number, peer: number): boolean {
    return this.#slab.word(slot, WORD.MAX_WINDOW + peer) !== 0;
  }

  #bind(slot: number, sender: number, packet: Packet): void {
    this.#slot = slot;
    this.#words = this.#slab.words(slot);
    this.#at = wordsAt(slot);
    this.#flags = this.#slab.half(slot, HALF.FLAGS);
    this.#sender = sender;
    this.#receiver = PEER.LOCAL - sender;
    this.#end = sequenceAdd(packet.sequence, segmentLength(packet)) | 0;
    this.#stamped = false;
    if (this.#has(FLOW_FLAG.TIMESTAMPS, sender)) this.#readTimestamp(packet);
  }

  #word(field: number, peer: number): number {
    return this.#words[this.#at + field + peer] as number;
  }

  #setWord(field: number, peer: number, value: number): void {
    this.#words[this.#at + field + peer] = value;
  }

  #has(flag: number, peer: number): boolean {
    return (this.#flags & (flag << peer)) !== 0;
  }

  /** True when the handshake was seen, and with it the windows of both ends. */
  #isNumbered(): boolean {
    return (this.#flags & FLOW_FLAG.NUMBERED) !== 0;
  }

  /** Rules III and IV, and whether everything is acknowledged. */
  #acknowledgementFit(packet: Packet): number {
    if ((packet.tcpFlags & TCP_FLAG.ACK) === 0) return FIT.ACKNOWLEDGEMENT;
    const ahead = sequenceDistance(this.#word(WORD.SEQUENCE_END, this.#receiver), packet.acknowledgement);
    if (this.#word(WORD.MAX_WINDOW, this.#receiver) === 0) {
      return !this.#isTold() || this.#isWithinReach(packet, ahead) ? FIT.ACKNOWLEDGEMENT : 0;
    }
    if (ahead === 0) return FIT.ACKNOWLEDGEMENT | FIT.ACKNOWLEDGES_ALL;
    if (ahead > 0) return this.#isWithinReach(packet, ahead) ? FIT.AHEAD : 0;
    return this.#isWithinReach(packet, ahead) ? FIT.ACKNOWLEDGEMENT : 0;
  }

  /** Of an acknowledgement so far ahead of the receiver's end: whether it is late, or what may be sent. */
  #isWithinReach(packet: Packet, ahead: number): boolean {
    if (ahead > 0) {
      return sequenceAtOrBefore(packet.acknowledgement, this.#word(WORD.SEQUENCE_LIMIT, this.#receiver));
    }
    return ahead >= -Math.max(this.#word(WORD.MAX_WINDOW, this.#sender), REACH_MIN);
  }

  /** True when of the receiver, whose numbers were forgotten, a segment that was vouched for has told. */
  #isTold(): boolean {
    if (this.#word(WORD.MAX_WINDOW, this.#sender) === 0 || !this.#isNumbered()) return false;
    const limit = this.#word(WORD.SEQUENCE_LIMIT, this.#receiver);
    return (this.#flags & FLOW_FLAG.SLOPPY) === 0 && limit !== this.#word(WORD.SEQUENCE_END, this.#receiver);
  }

  /** Rules I and II. */
  #fitsWindow(packet: Packet): boolean {
    if (this.#word(WORD.MAX_WINDOW, this.#sender) === 0) return false;
    if (sequenceBefore(this.#word(WORD.SEQUENCE_LIMIT, this.#sender), packet.sequence)) return false;
    const isForgotten = this.#word(WORD.MAX_WINDOW, this.#receiver) === 0 && this.#isNumbered();
    const window = isForgotten ? REACH_MIN : this.#word(WORD.MAX_WINDOW, this.#receiver);
    return sequenceAtOrBefore(sequenceAdd(this.#word(WORD.SEQUENCE_END, this.#sender), -window), this.#end);
  }

  /** Nothing can be said of a segment without data, nor while one of the ends has not been seen. */
  #isUnjudged(packet: Packet): boolean {
    if (this.#word(WORD.MAX_WINDOW, this.#sender) === 0) return true;
    if ((packet.tcpFlags & TCP_FLAG.RST) !== 0) return false;
    return segmentLength(packet) === 0 || this.#word(WORD.MAX_WINDOW, this.#receiver) === 0;
  }

  /**
   * "If there is a Timestamps option in the arriving segment, SEG.TSval < TS.Recent, TS.Recent is valid [...]
   * then treat the arriving segment as not acceptable" (RFC 7323 section 5.3).
   */
  #fitsTimestamp(packet: Packet): boolean {
    if (!this.#stamped || (packet.tcpFlags & (TCP_FLAG.RST | TCP_FLAG.SYN)) !== 0) return true;
    return !sequenceBefore(this.#timestamp, this.#word(WORD.TIMESTAMP, this.#sender));
  }

  /**
   * Whether a RST ends the connection. From a peer that has sent nothing it must acknowledge the other end's
   * SYN: "if the RST bit is set and the ACK is acceptable" (RFC 9293 section 3.10.7.3), or begin where the
   * other end's acknowledgement says. Where numbers are
   * known it must be the very next one: "If the RST bit is set and the sequence number exactly matches the
   * next expected sequence number" (RFC 5961 section 3.2), which the receiver's acknowledgements or the
   * sender's own data tell. Otherwise it must lie in the window. What it acknowledges must have been sent:
   * netfilter asks that too, and a forger would have to guess a second number.
   */
  #fitsReset(packet: Packet, fit: number): boolean {
    if (this.#word(WORD.MAX_WINDOW, this.#sender) === 0) {
      // What it has sent is known from who answered it: it was picked up, or its numbers were forgotten.
      const isAnswered = (this.#flags & (FLOW_FLAG.SLOPPY | FLOW_FLAG.NUMBERED)) !== 0;
      if (isAnswered && this.#isAsked(packet)) return true;
      return (fit & FIT.ACKNOWLEDGES_ALL) !== 0;
    }
    if (!this.#fitsResetAcknowledgement(packet, fit)) return false;
    if (this.#continues(packet)) return true;
    if (this.#has(FLOW_FLAG.ACKED, this.#receiver)) {
      const ahead = sequenceDistance(this.#word(WORD.MAX_ACK, this.#receiver), packet.sequence);
      // What the receiver has acknowledged lies before its window.
      if (ahead <= 0) return ahead === 0;
    }
    return !this.#isNumbered() && (fit & FIT.WINDOW) !== 0;
  }

  /**
   * Zero passes, for "broken TCP stacks, that set ACK in RST packets as well with zero ack value"
   * (netfilter).
   */
  #fitsResetAcknowledgement(packet: Packet, fit: number): boolean {
    if ((this.#flags & FLOW_FLAG.SLOPPY) !== 0 || packet.acknowledgement === 0) return true;
    return (fit & FIT.ACKNOWLEDGEMENT) !== 0;
  }

  /** True when a segment begins where its sender's last one ended. */
  #continues(packet: Packet): boolean {
    return (packet.sequence | 0) === this.#word(WORD.SEQUENCE_END, this.#sender);
  }

  /** True when a segment begins where the receiver's highest acknowledgement ends. */
  #isAsked(packet: Packet): boolean {
    if (!this.#has(FLOW_FLAG.ACKED, this.#receiver)) return false;
    return (packet.sequence | 0) === this.#word(WORD.MAX_ACK, this.#receiver);
  }

  #fitsHandshake(packet: Packet, fit: number): boolean {
    if (this.#word(WORD.MAX_WINDOW, this.#receiver) === 0) return false;
    if ((fit & FIT.ACKNOWLEDGES_ALL) !== 0) return true;
    return (packet.acknowledgement | 0) === this.#word(WORD.SEQUENCE_LIMIT, this.#receiver);
  }

  /** A SYN sets its sender's numbers and says which options the connection has. */
  #begin(packet: Packet): void {
    this.#setWord(WORD.SEQUENCE_END, this.#sender, this.#end);
    // Nothing but the SYN is allowed yet: data in it may be refused.
    this.#setWord(WORD.SEQUENCE_LIMIT, this.#sender, sequenceAdd(packet.sequence, 1));
    this.#setWord(WORD.MAX_WINDOW, this.#sender, Math.max(packet.window, 1));
    this.#readOptions(packet);
  }

  /**
   * The first segment of a peer whose SYN was not seen: its numbers are taken as they are. One that the
   * kernel vouches for also tells what the other end may have sent.
   */
  #pickUp(packet: Packet): void {
    const window = Math.max(packet.window, 1);
    this.#setWord(WORD.SEQUENCE_END, this.#sender, this.#end);
    this.#setWord(WORD.SEQUENCE_LIMIT, this.#sender, sequenceAdd(this.#end, window));
    this.#setWord(WORD.MAX_WINDOW, this.#sender, window);
    if (this.#word(WORD.MAX_WINDOW, this.#receiver) !== 0) return;
    const tells = (packet.tcpFlags & TCP_FLAG.ACK) !== 0;
    const sent = tells ? packet.acknowledgement : this.#word(WORD.SEQUENCE_END, this.#receiver);
    const mayBeSent = tells && packet.vouched ? Math.max(this.#scaledWindow(packet), REACH_MIN) : 0;
    this.#setWord(WORD.SEQUENCE_END, this.#receiver, sent);
    this.#setWord(WORD.SEQUENCE_LIMIT, this.#receiver, sequenceAdd(sent, mayBeSent));
  }

  /**
   * A believed segment lies outside the window: segments between were not seen, so the window moves to it.
   */
  #resynchronise(): void {
    this.#setWord(WORD.SEQUENCE_END, this.#sender, this.#end);
    const window = this.#word(WORD.MAX_WINDOW, this.#receiver);
    this.#setWord(WORD.SEQUENCE_LIMIT, this.#sender, sequenceAdd(this.#end, window));
  }

  #followSender(packet: Packet): void {
    const sender = this.#sender;
    const window = this.#scaledWindow(packet);
    if (window > this.#word(WORD.MAX_WINDOW, sender)) this.#setWord(WORD.MAX_WINDOW, sender, window);
    if (segmentLength(packet) === 0) return;
    const limit = this.#word(WORD.SEQUENCE_LIMIT, sender);
    const beyond = sequenceDistance(limit, this.#end);
    const receiverWindow = this.#word(WORD.MAX_WINDOW, this.#receiver);
    if (beyond > 0 && receiverWindow !== 0) {
      this.#setWord(WORD.MAX_WINDOW, this.#receiver, receiverWindow + beyond);
    }
    this.#setWord(WORD.SEQUENCE_END, sender, sequenceMax(this.#word(WORD.SEQUENCE_END, sender), this.#end));
    this.#followTimestamp(packet);
  }

  #followReceiver(packet: Packet): void {
    const { acknowledgement } = packet;
    const sender = this.#sender;
    const receiver = this.#receiver;
    const known = this.#has(FLOW_FLAG.ACKED, sender) ? this.#word(WORD.MAX_ACK, sender) : acknowledgement;
    this.#setWord(WORD.MAX_ACK, sender, sequenceMax(known, acknowledgement));
    this.#flags |= FLOW_FLAG.ACKED << sender;
    if (this.#word(WORD.MAX_WINDOW, receiver) === 0) return;
    if ((this.#acknowledgementFit(packet) & FIT.AHEAD) !== 0) {
      this.#setWord(WORD.SEQUENCE_END, receiver, acknowledgement);
    }
    // A window of zero still takes the one byte of a window probe (RFC 9293 section 3.8.6.1).
    const limit = sequenceAdd(acknowledgement, Math.max(this.#scaledWindow(packet), 1));
    this.#setWord(
      WORD.SEQUENCE_LIMIT,
      receiver,
      sequenceMax(this.#word(WORD.SEQUENCE_LIMIT, receiver), limit),
    );
  }

  /**
   * "If SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent, then TS.Recent <- SEG.TSval" (RFC 7323 section
   * 4.3).
   */
  #followTimestamp(packet: Packet): void {
    if (!this.#stamped || !this.#has(FLOW_FLAG.ACKED, this.#receiver)) return;
    if (sequenceBefore(this.#word(WORD.MAX_ACK, this.#receiver), packet.sequence)) return;
    const recent = this.#word(WORD.TIMESTAMP, this.#sender);
    this.#setWord(WORD.TIMESTAMP, this.#sender, sequenceMax(recent, this.#timestamp));
  }

  /** "The window field in a segment where the SYN bit is set MUST NOT be scaled" (RFC 7323 section 2.2). */
  #scaledWindow(packet: Packet): number {
    // Both ends "MUST send Window Scale options in their <SYN> segments to enable window scaling" (section
    // 2.2).
    const both = FLOW_FLAG.SCALING | (FLOW_FLAG.SCALING << PEER.LOCAL);
    if ((packet.tcpFlags & TCP_FLAG.SYN) !== 0 || (this.#flags & both) !== both) return packet.window;
    const scales = this.#slab.byte(this.#slot, BYTE.SCALES);
    return packet.window << ((scales >>> (this.#sender * SCALE_BITS)) & SCALE_MASK);
  }

  #bindOptions(packet: Packet): boolean {
    const at = packet.transportAt + TCP_HEADER_BYTES;
    if (packet.payloadAt <= at) return false;
    this.#options.bind(packet.bytes, at, packet.payloadAt);
    return true;
  }

  #readTimestamp(packet: Packet): void {
    if (!this.#bindOptions(packet)) return;
    const options = this.#options;
    while (options.next()) {
      if (options.kind !== TCP_OPTION.TIMESTAMPS) continue;
      this.#timestamp = options.timestampValue | 0;
      this.#stamped = true;
    }
  }

  /** Options of a SYN: what an earlier SYN of the same peer offered no longer counts. */
  #readOptions(packet: Packet): void {
    const options = this.#options;
    const stale = FLOW_FLAG.SCALING | FLOW_FLAG.TIMESTAMPS | FLOW_FLAG.ACKED;
    this.#flags &= ~(stale << this.#sender);
    if (!this.#bindOptions(packet)) return;
    while (options.next()) this.#takeOption(options);
  }

  #takeOption(options: TcpOptions): void {
    const sender = this.#sender;
    switch (options.kind) {
      case TCP_OPTION.MAXIMUM_SEGMENT_SIZE:
        this.#slab.setHalf(this.#slot, HALF.SEGMENT_MAX + sender, options.maximumSegmentSize);
        break;
      case TCP_OPTION.WINDOW_SCALE:
        this.#setScale(options.windowScale);
        break;
      case TCP_OPTION.TIMESTAMPS:
        this.#flags |= FLOW_FLAG.TIMESTAMPS << sender;
        this.#setWord(WORD.TIMESTAMP, sender, options.timestampValue);
        break;
      default:
        break;
    }
  }

  #setScale(scale: number): void {
    const shift = this.#sender * SCALE_BITS;
    const others = this.#slab.byte(this.#slot, BYTE.SCALES) & ~(SCALE_MASK << shift);
    this.#slab.setByte(this.#slot, BYTE.SCALES, others | (scale << shift));
    this.#flags |= FLOW_FLAG.SCALING << this.#sender;
  }
}

/**
 * Length of a segment in sequence space: "the amount of data [...] plus SYN and FIN" (RFC 9293 section
 * 3.3.1).
 */
function segmentLength(packet: Packet): number {
  const { tcpFlags } = packet;
  return packet.payloadBytes + (tcpFlags & TCP_FLAG.FIN) + ((tcpFlags & TCP_FLAG.SYN) >>> 1);
}
