/**
 * The handshake inside TLS records: messages are cut from records without regard to the records' borders
 * (RFC 8446 section 5.1), so several may share a record and one may span many.
 */
import { ByteWindow } from "../byte-window.ts";

// Record header (RFC 8446 section 5.1).
const CONTENT_TYPE = 0;
const RECORD_VERSION = 1;
const RECORD_LENGTH = 3;

/** Length of a record's header, in bytes. */
export const RECORD_HEADER_BYTES = 5;

/** Largest payload of a record: 2^14 bytes and what encryption may add (RFC 5246 section 6.2.3). */
export const RECORD_BYTES_MAX = 16_384 + 2048;

/** Content types (RFC 8446 section 5.1; heartbeat: RFC 6520). */
export const CONTENT = {
  CHANGE_CIPHER_SPEC: 20,
  ALERT: 21,
  HANDSHAKE: 22,
  APPLICATION_DATA: 23,
  HEARTBEAT: 24,
} as const;

/** Handshake message types (RFC 8446 section 4). */
export const HANDSHAKE = {
  CLIENT_HELLO: 1,
  SERVER_HELLO: 2,
  CERTIFICATE: 11,
  SERVER_HELLO_DONE: 14,
} as const;

/** Length of a handshake message's header, in bytes. */
export const HANDSHAKE_HEADER_BYTES = 4;

/** Longest message that is put together; a longer one ends the reading. */
const MESSAGE_BYTES_MAX = 65_536;

/** True when a TLS record header can stand at `position`; bytes that are not there speak for it. */
export function isRecordHeader(window: ByteWindow, position: number): boolean {
  const type = window.u8(position + CONTENT_TYPE);
  if (type >= 0 && (type < CONTENT.CHANGE_CIPHER_SPEC || type > CONTENT.HEARTBEAT)) return false;
  const major = window.u8(position + RECORD_VERSION);
  if (major >= 0 && major !== 3) return false;
  const minor = window.u8(position + RECORD_VERSION + 1);
  if (minor > 4) return false;
  const length = window.u16(position + RECORD_LENGTH);
  return length === -1 || (length > 0 && length <= RECORD_BYTES_MAX);
}

/** Takes a whole message: its type and where its body lies. Answers false to end the reading. */
export type MessageSink = (type: number, window: ByteWindow, from: number, to: number) => boolean;

/** Reader of one direction's handshake; see the head of this file. */
export class HandshakeReader {
  /** Position of the next record not yet read. */
  next = 0;
  /** True when the plain part of the handshake is over, or the sink wanted no more. */
  over = false;
  #held: Uint8Array = new Uint8Array(0);
  #filled = 0;
  readonly #window: ByteWindow = new ByteWindow();

  /**
   * Reads the records that are complete.
   *
   * @param window - all bytes of the direction
   * @param sink - takes the messages
   * @returns how many bytes are needed to go on
   */
  read(window: ByteWindow, sink: MessageSink): number {
    while (!this.over) {
      const at = this.next;
      const length = window.u16(at + RECORD_LENGTH);
      if (length < 0) return at + RECORD_HEADER_BYTES;
      if (window.u8(at) !== CONTENT.HANDSHAKE || !isRecordHeader(window, at)) {
        this.over = true;
        break;
      }
      const from = at + RECORD_HEADER_BYTES;
      if (from + length > window.length) return from + length;
      this.next = from + length;
      this.#take(window, from, from + length, sink);
    }
    return 0;
  }

  /** Cuts the messages out of one record's payload, behind what is held of a message begun earlier. */
  #take(window: ByteWindow, from: number, to: number, sink: MessageSink): void {
    if (this.#filled === 0) {
      const rest = this.#deliver(window, from, to, sink);
      if (rest < to) this.#hold(window, rest, to);
      return;
    }
    this.#hold(window, from, to);
    const held = this.#held;
    this.#window.bind(new DataView(held.buffer, held.byteOffset), 0, this.#filled);
    const rest = this.#deliver(this.#window, 0, this.#filled, sink);
    if (rest > 0) {
      held.copyWithin(0, rest, this.#filled);
      this.#filled -= rest;
    }
  }

  /** Hands over the messages that are whole. Answers where the first incomplete one begins. */
  #deliver(window: ByteWindow, from: number, to: number, sink: MessageSink): number {
    let position = from;
    while (!this.over && position + HANDSHAKE_HEADER_BYTES <= to) {
      const length = window.u24(position + 1);
      if (length > MESSAGE_BYTES_MAX) this.over = true;
      const bodyAt = position + HANDSHAKE_HEADER_BYTES;
      if (bodyAt + length > to) break;
      if (!sink(window.u8(position), window, bodyAt, bodyAt + length)) this.over = true;
      position = bodyAt + length;
    }
    return position;
  }

  #hold(window: ByteWindow, from: number, to: number): void {
    const filled = this.#filled + to - from;
    if (filled > this.#held.length) {
      const grown = new Uint8Array(Math.max(2 * this.#held.length, filled, 1024));
      grown.set(this.#held.subarray(0, this.#filled));
      this.#held = grown;
    }
    this.#held.set(window.view(from, to), this.#filled);
    this.#filled = filled;
  }
}
