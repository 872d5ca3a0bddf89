/**
 * The handshake bytes of QUIC's CRYPTO frames, which come in pieces and in any order (RFC 9000 section 19.6).
 */
import { ByteWindow, windowOver } from "../byte-window.ts";

// Frame types that an Initial packet may hold (RFC 9000 section 12.4).
const PADDING = 0x00;
const PING = 0x01;
const ACK = 0x02;
const ACK_ECN = 0x03;
const CRYPTO = 0x06;

/** Handshake bytes that are kept; a longer hello is not read. */
const STREAM_BYTES_MAX = 16_384;
const PIECES_MAX = 64;
/** Room at the start: enough for the hello of most clients. */
const STREAM_BYTES_MIN = 2048;

interface Piece {
  readonly from: number;
  readonly to: number;
}

/** Reader of QUIC's variable-length integers (RFC 9000 section 16). */
export class VarintCursor {
  /** Position of the next integer. */
  position: number;
  /** True after an integer ran over the end. */
  failed = false;
  readonly #window: ByteWindow;

  /**
   * @param window - bytes
   * @param position - where to begin
   */
  constructor(window: ByteWindow, position: number) {
    this.#window = window;
    this.position = position;
  }

  /** The next integer, 0 after a failure. */
  next(): number {
    const first = this.#window.u8(this.position);
    if (first < 0) return this.#fail();
    const length = 1 << (first >> 6);
    let value = first & 0x3f;
    for (let index = 1; index < length; index += 1) {
      const octet = this.#window.u8(this.position + index);
      if (octet < 0) return this.#fail();
      value = value * 256 + octet;
    }
    this.position += length;
    return value;
  }

  #fail(): number {
    this.failed = true;
    return 0;
  }
}

/** See the head of this file. */
export class CryptoStream {
  #bytes: Uint8Array = new Uint8Array(STREAM_BYTES_MIN);
  #pieces: Piece[] = [];
  /** The bytes from the start of the handshake without a gap. */
  readonly window: ByteWindow = new ByteWindow();

  /**
   * Takes the CRYPTO frames of an opened packet.
   *
   * @param frames - payload of an Initial packet
   */
  addFrames(frames: Uint8Array): void {
    const window = windowOver(frames);
    const cursor = new VarintCursor(window, 0);
    while (cursor.position < window.length && !cursor.failed) {
      if (!this.#takeFrame(window, cursor)) return;
    }
  }

  #takeFrame(window: ByteWindow, cursor: VarintCursor): boolean {
    const type = cursor.next();
    if (type === PADDING || type === PING) return true;
    if (type === ACK || type === ACK_ECN) return skipAck(cursor, type === ACK_ECN);
    if (type !== CRYPTO) return false;
    const offset = cursor.next();
    const length = cursor.next();
    if (cursor.failed || cursor.position + length > window.length) return false;
    this.add(offset, window.view(cursor.position, cursor.position + length));
    cursor.position += length;
    return true;
  }

  /**
   * Takes one piece.
   *
   * @param offset - its place in the handshake
   * @param piece - its bytes, copied
   */
  add(offset: number, piece: Uint8Array): void {
    const to = offset + piece.length;
    if (to > STREAM_BYTES_MAX || this.#pieces.length >= PIECES_MAX) return;
    if (to > this.#bytes.length) this.#grow(to);
    this.#bytes.set(piece, offset);
    this.#pieces.push({ from: offset, to });
    this.#pieces.sort((a, b) => a.from - b.from);
    let whole = 0;
    for (const { from, to: end } of this.#pieces) {
      if (from > whole) break;
      whole = Math.max(whole, end);
    }
    this.window.bind(new DataView(this.#bytes.buffer), 0, whole);
  }

  #grow(length: number): void {
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, length));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

function skipAck(cursor: VarintCursor, withEcn: boolean): boolean {
  // Largest Acknowledged, ACK Delay, ACK Range Count, First ACK Range (RFC 9000 section 19.3).
  cursor.next();
  cursor.next();
  const ranges = cursor.next();
  cursor.next();
  for (let index = 0; index < 2 * ranges && !cursor.failed; index += 1) cursor.next();
  for (let index = 0; withEcn && index < 3; index += 1) cursor.next();
  return !cursor.failed;
}
