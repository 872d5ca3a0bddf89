/**
 * A flow's bytes: both directions of a TCP connection put in order, or the datagrams of a UDP flow.
 *
 * The stream is fed packets and feeds its consumer. It has no clock and no table of its own: who owns it
 * decides when it has been idle for too long.
 */
import { PROTOCOL, sequenceAdd, TCP_FLAG } from "../base/index.ts";
import type { Packet } from "../wire/index.ts";
import type { StreamConsumer, StreamDirection } from "./consumer.ts";
import { type StreamCounters, StreamHalf, type StreamSetting } from "./stream-half.ts";

/** See the head of this file. */
export class Stream {
  readonly #consumer: StreamConsumer;
  readonly #setting: StreamSetting;
  /** Made by the first segment: a flow of datagrams has none. */
  #halves: readonly [StreamHalf, StreamHalf] | undefined = undefined;
  /** True when both sides finished or a reset came. */
  #ended = false;
  /** What the answer to a SYN in the middle of the connection would acknowledge; -1 while there was none. */
  #strangeSyn = -1;
  /** True when nothing more is taken: both sides finished, a reset came, or the consumer has enough. */
  closed = false;

  /**
   * @param consumer - takes the bytes
   * @param setting - what all streams share
   */
  constructor(consumer: StreamConsumer, setting: StreamSetting) {
    this.#consumer = consumer;
    this.#setting = setting;
  }

  /** Counters of one direction; `undefined` for a flow of datagrams, and when nobody wants bytes any more. */
  counters(direction: StreamDirection): StreamCounters | undefined {
    return this.#halves?.[direction].counters;
  }

  /**
   * True when the packet opens another connection on the same ports.
   *
   * A SYN alone proves that only when this connection has ended or was never answered: a host ignores a stray
   * SYN (RFC 5961 section 4), so a stray SYN must not make us forget the connection. The answer that
   * acknowledges it does.
   */
  isOtherConnection(direction: StreamDirection, packet: Packet): boolean {
    if ((packet.tcpFlags & TCP_FLAG.SYN) === 0 || this.#halves === undefined) return false;
    const answers = (packet.tcpFlags & TCP_FLAG.ACK) !== 0;
    if (answers && packet.acknowledgement === this.#strangeSyn) return true;
    if (!this.#halves[direction].isOtherBeginning(packet.sequence)) return false;
    if (this.#ended || answers) return this.#ended;
    this.#strangeSyn = sequenceAdd(packet.sequence, 1);
    return !this.#halves[direction === 0 ? 1 : 0].started;
  }

  /**
   * Takes a packet of this flow.
   *
   * @param direction - where it comes from
   * @param packet - decoded, without a fault, its transport header readable
   */
  push(direction: StreamDirection, packet: Packet): void {
    if (this.closed) return;
    if (packet.protocol === PROTOCOL.TCP) this.#segment(direction, packet);
    else this.#datagram(direction, packet);
  }

  #datagram(direction: StreamDirection, packet: Packet): void {
    if (packet.end > packet.payloadAt) this.#consumer.datagram(direction, packet);
  }

  #segment(direction: StreamDirection, packet: Packet): void {
    const { tcpFlags, sequence, bytes, payloadAt, end } = packet;
    this.#halves ??= [
      new StreamHalf(0, this.#consumer, this.#setting),
      new StreamHalf(1, this.#consumer, this.#setting),
    ];
    const half = this.#halves[direction];
    const peer = this.#halves[direction === 0 ? 1 : 0];
    const opens = (tcpFlags & TCP_FLAG.SYN) !== 0;
    this.#number(packet, half, peer);
    if ((tcpFlags & TCP_FLAG.RST) !== 0) {
      // Text in a reset is no part of the stream; a reset elsewhere than at the next byte may be forged (RFC
      // 5961).
      if (!half.started || half.expects(sequence)) this.close();
      return;
    }
    const first = opens ? sequenceAdd(sequence, 1) : sequence;
    const length = Math.max(packet.payloadBytes, end - payloadAt);
    const closes = (tcpFlags & TCP_FLAG.FIN) !== 0;
    if (length > 0 || closes) half.begin(first);
    if (closes) half.finish(sequenceAdd(first, length));
    half.segment(first, bytes, payloadAt, end);
    this.#settle(half, peer);
  }

  #settle(half: StreamHalf, peer: StreamHalf): void {
    if (half.isComplete && peer.isComplete) this.close();
    else if (half.over && peer.over) {
      this.closed = true;
      this.#halves = undefined;
    }
  }

  /**
   * Takes what the packet says of sequence numbers: where its own begin, and what it has of the other side's.
   */
  #number(packet: Packet, half: StreamHalf, peer: StreamHalf): void {
    const { tcpFlags, sequence, acknowledgement } = packet;
    const opens = (tcpFlags & TCP_FLAG.SYN) !== 0;
    if (opens) half.synchronise(sequence);
    if ((tcpFlags & TCP_FLAG.ACK) === 0) return;
    // What a SYN-ACK acknowledges is the other side's SYN, whether that was seen or not.
    if (opens) peer.synchronise(sequenceAdd(acknowledgement, -1));
    else peer.acknowledge(acknowledgement);
  }

  /** Ends the flow: hands over what waits and tells the consumer. */
  close(): void {
    if (this.closed) return;
    this.#ended = true;
    this.closed = true;
    for (const half of this.#halves ?? []) {
      half.flush();
      half.close();
    }
    this.#consumer.finish();
  }
}
