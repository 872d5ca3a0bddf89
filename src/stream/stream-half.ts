/**
 * One direction of a TCP stream, put in order.
 *
 * Words: a *position* counts bytes from the start of the stream, which is the byte behind the SYN. `next` is
 * the position that the next byte in order has. Bytes before it were handed to the consumer; those that the
 * consumer or the peer (by not acknowledging them) still needs are held, and so are bytes that arrived before
 * their turn.
 *
 * A segment is compared with what is held: other content for the same position is a conflict, which is
 * counted and told. Bytes that were let go by the consumer and acknowledged by the peer cannot change
 * anything any more and are not compared.
 */
import { type LimitValues, sequenceAdd, sequenceDistance } from "../base/index.ts";
import {
  ENOUGH,
  type StreamConsumer,
  type StreamDirection,
  type StreamLimit,
  type StreamObserver,
} from "./consumer.ts";
import { HeldBytes, type OverlapPolicy, type StreamMemory } from "./held-bytes.ts";

/**
 * Acknowledgements beyond a hole after which it is believed that the receiver has what we never saw: it
 * acknowledges "the next sequence number" it expects (RFC 9293 section 3.3.1), which cannot lie behind a byte
 * that it misses too. Three, as with the duplicate acknowledgements of RFC 5681 section 3.2, so that
 * reordering between the two directions does no harm.
 */
const HOLE_ACKNOWLEDGEMENTS = 3;

/** A keep-alive repeats at most one byte in front of the window (RFC 9293 section 3.8.4). */
const KEEP_ALIVE_BYTES_MAX = 1;

/** What a direction's counters say. */
export interface StreamCounters {
  /** Bytes handed over in order: what RFC 9293 section 3.10.7.4 calls in sequence. */
  bytes: number;
  /** Segments that brought nothing but bytes seen before. */
  retransmissions: number;
  /** Segments with other content for bytes seen before. */
  conflicts: number;
  /** Segments that arrived before their turn. */
  outOfOrder: number;
  keepAlives: number;
  /** Holes that were skipped, and the bytes in them. */
  gaps: number;
  gapBytes: number;
  /** Segments beyond the end that FIN declared. */
  beyondEnd: number;
}

function zeroCounters(): StreamCounters {
  return {
    bytes: 0,
    retransmissions: 0,
    conflicts: 0,
    outOfOrder: 0,
    keepAlives: 0,
    gaps: 0,
    gapBytes: 0,
    beyondEnd: 0,
  };
}

/** What all streams of a table share. */
export interface StreamSetting {
  readonly observer: StreamObserver;
  readonly memory: StreamMemory;
  readonly policy: OverlapPolicy;
  readonly limits: LimitValues;
}

/** See the head of this file. */
export class StreamHalf {
  readonly counters: StreamCounters = zeroCounters();
  readonly #direction: StreamDirection;
  readonly #consumer: StreamConsumer;
  readonly #setting: StreamSetting;
  readonly #held: HeldBytes;
  #nextSequence = 0;
  #next = 0;
  #letGo = 0;
  #acknowledged = 0;
  #end = Number.POSITIVE_INFINITY;
  #holeAcknowledgements = 0;
  #begun = false;
  /** True once a sequence number is known. */
  started = false;
  /** True when the beginning was not seen. */
  midStream = true;
  /** True when the consumer wants no more. */
  over = false;

  /**
   * @param direction - which of the two
   * @param consumer - takes the bytes
   * @param setting - what all streams share
   */
  constructor(direction: StreamDirection, consumer: StreamConsumer, setting: StreamSetting) {
    this.#direction = direction;
    this.#consumer = consumer;
    this.#setting = setting;
    this.#held = new HeldBytes(setting.memory, setting.policy);
  }

  /** True when every byte up to FIN was handed over. */
  get isComplete(): boolean {
    return this.#next >= this.#end;
  }

  /** Position of the next byte in order. */
  get next(): number {
    return this.#next;
  }

  /**
   * Takes the sequence number of a SYN, which counts as one byte in front of the first (RFC 9293 section
   * 3.4). A second SYN before any data replaces the first.
   *
   * @param sequence - of the SYN itself
   */
  synchronise(sequence: number): void {
    if (this.started && (this.#next > 0 || !this.#held.isEmpty)) return;
    this.#nextSequence = sequenceAdd(sequence, 1);
    this.started = true;
    this.midStream = false;
  }

  /** True when this SYN is not the one the direction began with: another connection on the same ports. */
  isOtherBeginning(sequence: number): boolean {
    return (
      this.started && this.#next > 0 && sequenceDistance(this.#nextSequence, sequence) + 1 + this.#next !== 0
    );
  }

  /**
   * Takes the peer's acknowledgement.
   *
   * @param sequence - the next one it expects
   */
  acknowledge(sequence: number): void {
    if (this.over) return;
    if (!this.started) {
      this.begin(sequence);
      return;
    }
    const position = this.#next + sequenceDistance(this.#nextSequence, sequence);
    if (position > this.#acknowledged) {
      this.#acknowledged = Math.min(position, this.#next);
      this.#release();
    }
    if (position <= this.#next || this.#held.ranges === 0) return;
    this.#holeAcknowledgements += 1;
    if (this.#holeAcknowledgements >= HOLE_ACKNOWLEDGEMENTS) this.#skipHole();
  }

  /** Takes the first sequence number seen, where no SYN and no acknowledgement told it. */
  begin(sequence: number): void {
    if (this.started) return;
    this.#nextSequence = sequence;
    this.started = true;
  }

  /** True when `sequence` is that of the next byte in order, or of the end. */
  expects(sequence: number): boolean {
    return sequence === this.#nextSequence || sequence === sequenceAdd(this.#nextSequence, 1);
  }

  /** Notes where the stream ends: FIN stands behind the last byte (RFC 9293 section 3.4). */
  finish(sequence: number): void {
    const end = this.#next + sequenceDistance(this.#nextSequence, sequence);
    if (end >= this.#next && end < this.#end) this.#end = end;
  }

  /**
   * Takes a segment's bytes.
   *
   * @param sequence - of the first byte
   * @param bytes - buffer
   * @param at - offset of the first byte
   * @param end - offset just past the last
   */
  segment(sequence: number, bytes: DataView, at: number, end: number): void {
    if (this.over || at >= end) return;
    const from = this.#next + sequenceDistance(this.#nextSequence, sequence);
    const to = Math.min(from + end - at, this.#end);
    if (to < from + end - at) this.counters.beyondEnd += 1;
    if (from < this.#next) this.#repeat(from, Math.min(to, this.#next), bytes, at);
    if (to <= this.#next) return;
    if (from <= this.#next) this.#append(to, bytes, at + this.#next - from);
    else this.#postpone(from, to, bytes, at);
  }

  /** Compares bytes that came before with what is still held of them. */
  #repeat(from: number, to: number, bytes: DataView, at: number): void {
    if (to === this.#next && from === to - KEEP_ALIVE_BYTES_MAX) {
      this.counters.keepAlives += 1;
      return;
    }
    if (to - from > 0) this.counters.retransmissions += 1;
    const known = Math.max(from, this.#held.base);
    if (known >= to || this.#held.isEmpty) return;
    const differs = this.#held.firstDifference(known, to, bytes, at + known - from);
    if (differs < 0) return;
    this.#conflict(differs);
    const replaceable = Math.max(known, this.#letGo);
    if (this.#setting.policy !== "last" || replaceable >= to) return;
    this.#held.write(replaceable, to, bytes, at + replaceable - from);
  }

  #conflict(position: number): void {
    this.counters.conflicts += 1;
    this.#setting.observer.conflict?.(this.#direction, position);
  }

  /** Takes the bytes that come next, up to `to`. */
  #append(to: number, bytes: DataView, at: number): void {
    const direct = this.#held.isEmpty;
    const from = this.#next;
    if (this.#held.ranges > 0 && this.#held.firstWaiting < to) {
      if (!this.#reserve(to)) return;
      const conflict = this.#held.insert(from, to, bytes, at);
      if (conflict >= 0) this.#conflict(conflict);
      this.#advance(this.#held.join(to));
      this.#handOver(this.#held.view, this.#held.indexOf(this.#letGo));
      return;
    }
    if (!direct) {
      if (!this.#reserve(to)) return;
      this.#held.write(from, to, bytes, at);
      this.#advance(this.#held.join(to));
      this.#handOver(this.#held.view, this.#held.indexOf(this.#letGo));
      return;
    }
    this.#held.release(from);
    this.#advance(to);
    this.#handOver(bytes, at);
    this.#keep(from, to, bytes, at);
  }

  /** After a hand-over from the packet itself: holds what is still needed of it. */
  #keep(from: number, to: number, bytes: DataView, at: number): void {
    if (this.over) return;
    const first = Math.max(from, Math.min(this.#letGo, this.#acknowledged, to));
    this.#held.release(first);
    if (first >= to || !this.#reserve(to)) return;
    this.#held.write(first, to, bytes, at + first - from);
    this.#release();
  }

  #advance(to: number): void {
    this.counters.bytes += to - this.#next;
    this.#nextSequence = sequenceAdd(this.#nextSequence, to - this.#next);
    this.#next = to;
    this.#holeAcknowledgements = 0;
  }

  /** Hands all bytes not let go to the consumer; `at` is where the first of them lies. */
  #handOver(bytes: DataView, at: number): void {
    const length = this.#next - this.#letGo;
    if (!this.#begun) {
      this.#begun = true;
      this.#consumer.begin?.(this.#direction, this.midStream);
    }
    const answer = this.#consumer.receive(this.#direction, bytes, at, at + length);
    if (answer === ENOUGH) {
      this.close();
      return;
    }
    this.#letGo += Math.min(answer, length);
    this.#release();
  }

  /** Lets go of what neither the consumer nor the peer needs, and of more when too much is held. */
  #release(): void {
    if (this.#held.isEmpty) return;
    const verified = this.#next - this.#setting.limits.streamVerifyBytes;
    this.#held.release(Math.min(this.#letGo, Math.max(this.#acknowledged, verified)));
    this.#held.shrink();
  }

  /** Holds bytes until what is before them comes. */
  #postpone(from: number, to: number, bytes: DataView, at: number): void {
    const { limits } = this.#setting;
    this.counters.outOfOrder += 1;
    if (this.#held.isEmpty) this.#held.release(this.#next);
    if (to - this.#letGo > limits.streamWindowBytes) {
      this.#limit("stream-window");
      this.#jump(from);
      if (this.over) return;
      if (from <= this.#next) this.#append(to, bytes, at + this.#next - from);
      return;
    }
    if (!this.#reserve(to)) return;
    const conflict = this.#held.insert(from, to, bytes, at);
    if (conflict >= 0) this.#conflict(conflict);
    if (this.#held.ranges > limits.streamSegments) {
      this.#limit("stream-segments");
      this.#skipHole();
    } else if (this.#held.lastWaiting - this.#next > limits.streamGapBytes) {
      this.#limit("stream-gap");
      this.#skipHole();
    }
  }

  /** Gives up what is missing before `position`, handing over what waits before it. */
  #jump(position: number): void {
    while (this.#held.ranges > 0 && this.#held.firstWaiting < position && !this.over) this.#skipHole();
    if (!this.over && position > this.#next) this.#gap(position);
  }

  /** Gives up what is missing before the first waiting range and hands that over. */
  #skipHole(): void {
    this.#gap(this.#held.firstWaiting);
    this.#advance(this.#held.join(this.#next));
    this.#handOver(this.#held.view, this.#held.indexOf(this.#letGo));
  }

  #gap(position: number): void {
    const missing = position - this.#next;
    // Where a stream is met in the middle, what is missing before its first byte belongs to what was never
    // seen.
    if (this.#begun || !this.midStream) {
      this.counters.gaps += 1;
      this.counters.gapBytes += missing;
      this.#setting.observer.gap?.(this.#direction, this.#next, missing);
      this.#consumer.gap(this.#direction, missing);
    }
    this.#nextSequence = sequenceAdd(this.#nextSequence, missing);
    this.#next = position;
    this.#letGo = position;
    this.#holeAcknowledgements = 0;
    this.#held.release(position);
  }

  #reserve(to: number): boolean {
    if (this.#held.reserve(to)) return true;
    this.#limit("stream-memory");
    this.close();
    return false;
  }

  #limit(limit: StreamLimit): void {
    this.#setting.observer.limit?.(this.#direction, limit);
  }

  /** Hands over what still waits, holes skipped. */
  flush(): void {
    while (!this.over && this.#held.ranges > 0) this.#skipHole();
  }

  /** Forgets all bytes; nothing more is taken. */
  close(): void {
    this.over = true;
    this.#held.clear();
  }
}
