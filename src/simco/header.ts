/**
 * The eight octets before every message, and how messages are cut out of a stream (RFC 4540 section 4.2).
 *
 * There is no mark by which a reader could find its place again: who loses count has lost the connection. So
 * a header that announces more than may come is the end of it, and a message that does not come to its end is
 * the business of whoever keeps the time.
 */

// Offsets within the header (RFC 4540 figure 1).
const CODE_OCTETS = 0;
const PAYLOAD_LENGTH = 2;
const TRANSACTION = 4;

/** Octets of a header. */
export const HEADER_OCTETS = 8;

/** Longest payload that is sent: 65,536 octets with the header (RFC 4540 section 8.7). */
export const PAYLOAD_SENT_MAX = 65_528;

/** Longest payload that the length of a header can say. */
export const PAYLOAD_MAX = 0xffff;

/** Longest payload before a session is open: a version and the largest challenge, rounded up. */
export const OPENING_PAYLOAD_MAX = 4200;

/** What a header says. */
export interface Header {
  /** Basic type and sub-type. */
  readonly code: number;
  /** Octets behind the header. */
  readonly length: number;
  readonly tid: number;
}

/** @param bytes - at least a header */
export function decodeHeader(bytes: DataView): Header {
  return {
    code: bytes.getUint16(CODE_OCTETS),
    length: bytes.getUint16(PAYLOAD_LENGTH),
    tid: bytes.getUint32(TRANSACTION),
  };
}

/** @param bytes - with room for a header */
export function encodeHeader(bytes: DataView, { code, length, tid }: Header): void {
  bytes.setUint16(CODE_OCTETS, code);
  bytes.setUint16(PAYLOAD_LENGTH, length);
  bytes.setUint32(TRANSACTION, tid);
}

const NOTHING = new Uint8Array(0);

/** Cuts a stream into messages. */
export class MessageReader {
  #bytes: Uint8Array = NOTHING;
  #start = 0;
  #end = 0;

  /** Octets that have come and are not taken yet. */
  get waiting(): number {
    return this.#end - this.#start;
  }

  /** Takes what has come. */
  push(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next whole message.
   *
   * @param payloadMax - octets behind a header, at most
   * @returns the message in memory of its own; undefined when it has not come whole; `header-length` when it
   *   announces more than may come, and then nothing behind it can be read
   */
  next(payloadMax: number): DataView | "header-length" | undefined {
    if (this.waiting < HEADER_OCTETS) return undefined;
    const { length } = decodeHeader(new DataView(this.#bytes.buffer, this.#start, HEADER_OCTETS));
    if (length > payloadMax) return "header-length";
    const octets = HEADER_OCTETS + length;
    if (this.waiting < octets) return undefined;
    const message = this.#bytes.slice(this.#start, this.#start + octets);
    this.#start += octets;
    if (this.waiting === 0) this.#letGo();
    return new DataView(message.buffer);
  }

  #makeRoom(more: number): void {
    const grown = new Uint8Array(this.waiting + more);
    grown.set(this.#bytes.subarray(this.#start, this.#end));
    this.#end = this.waiting;
    this.#start = 0;
    this.#bytes = grown;
  }

  /** A connection that is silent holds no memory here. */
  #letGo(): void {
    this.#bytes = NOTHING;
    this.#start = 0;
    this.#end = 0;
  }
}
