/** Who wants the bytes of a flow, and what becomes of the flow besides its bytes. */

/** 0: from the side that opened the flow; 1: from the other. */
export type StreamDirection = 0 | 1;

/** Answer of {@link StreamConsumer.receive}: no more bytes of this direction are wanted. */
export const ENOUGH = -1;

/** Where a datagram's payload lies; a decoded packet is one. */
export interface Datagram {
  readonly bytes: DataView;
  /** Offset of the payload. */
  readonly payloadAt: number;
  /** Offset just past what was captured of it. */
  readonly end: number;
  /** Its length before it was cut into fragments or cut short, in bytes. */
  readonly datagramBytes: number;
}

/** Takes the bytes of one flow. */
export interface StreamConsumer {
  /**
   * Says that the first bytes of a direction come next.
   *
   * @param midStream - true when bytes before them were not seen
   */
  begin?(direction: StreamDirection, midStream: boolean): void;
  /**
   * Takes bytes of a stream, in order and without a hole since the last call or the last {@link
   * StreamConsumer.gap}. The bytes that were not let go the last time come first. Nothing may be kept but by
   * not letting it go.
   *
   * @param direction - where they come from
   * @param bytes - buffer; valid during the call
   * @param at - offset of the first byte not yet let go
   * @param end - offset just past the last byte in order
   * @returns how many bytes from `at` are let go, or {@link ENOUGH}
   */
  receive(direction: StreamDirection, bytes: DataView, at: number, end: number): number;
  /**
   * Takes a datagram.
   *
   * @param direction - where it comes from
   * @param datagram - valid during the call
   */
  datagram(direction: StreamDirection, datagram: Datagram): void;
  /**
   * Says that bytes are missing for good: what comes next is not the continuation of what came last, and what
   * was not let go is gone.
   *
   * @param bytes - how many
   */
  gap(direction: StreamDirection, bytes: number): void;
  /** Says that the flow has ended, or that the declared outcome of a limit ends its inspection. */
  finish(): void;
}

/** Why bytes were given up. */
export type StreamLimit = "stream-window" | "stream-segments" | "stream-gap" | "stream-memory";

/** Hears what is remarkable about a flow. Every method may be left out. */
export interface StreamObserver {
  /**
   * A segment repeated bytes with other content: a sign of an attempt to show two sides two things.
   *
   * @param offset - of the first byte that differs, counted from the start of the stream
   */
  conflict?(direction: StreamDirection, offset: number): void;
  /** Bytes are missing and were skipped. */
  gap?(direction: StreamDirection, offset: number, bytes: number): void;
  /** A limit was reached and its declared outcome applied. */
  limit?(direction: StreamDirection, limit: StreamLimit): void;
}
