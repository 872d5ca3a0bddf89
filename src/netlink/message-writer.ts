/**
 * Builds netlink messages for requests: configuration and transactions, never verdicts. Allocates as it
 * grows.
 */
import { FirewallError } from "../base/index.ts";
import { HOST_ORDER } from "./byte-order.ts";
import {
  ATTRIBUTE_FIELD,
  ATTRIBUTE_HEADER_BYTES,
  ATTRIBUTE_VALUE_MAX_BYTES,
  alignNetlink,
  MESSAGE_FIELD,
  MESSAGE_HEADER_BYTES,
} from "./message.ts";

// Byte offsets of the netfilter header, which follows the message header (struct nfgenmsg).
const FAMILY = 0;
const VERSION = 1;
const RESOURCE = 2;

/** Length of the netfilter header, in bytes. */
export const NETFILTER_HEADER_BYTES = 4;

/** Version of the netfilter header (NFNETLINK_V0). */
const NETFILTER_VERSION = 0;

/** Values of the lower half of 64 bits, and where it stands in network order. */
const WORD = 0x1_0000_0000;
const LOW_WORD = 4;

/** Room for messages at first, in bytes: enough for a transaction of eight elements. */
const FIRST_BYTES = 2048;

/** Marks an attribute that holds attributes (NLA_F_NESTED). */
const NESTED = 0x8000;

/** What stands before the attributes of a netfilter message. */
export interface NetfilterHeader {
  /** Subsystem in the high byte, operation in the low byte. */
  readonly type: number;
  /** Bits of MESSAGE_FLAG. */
  readonly flags: number;
  /** Number that the answer will carry. */
  readonly sequence: number;
  /** Protocol family (NFPROTO_...); 0 where the operation has none. */
  readonly family?: number;
  /** Queue number, or subsystem of a batch; 0 where the operation has none. */
  readonly resource?: number;
}

/**
 * Writes one message after the other into one growing buffer.
 *
 * @example
 * const writer = new MessageWriter();
 * writer.beginNetfilter({ type: 0x0302, flags: MESSAGE_FLAG.REQUEST, sequence: 1, resource: queueNumber });
 * writer.uint32(3, 16384);
 * writer.end();
 * socket.request(writer.bytes);
 */
export class MessageWriter {
  #bytes = new DataView(new ArrayBuffer(FIRST_BYTES));
  /** The same memory: to make one for each attribute would cost more than to copy its value. */
  #octets = new Uint8Array(this.#bytes.buffer);
  #length = 0;
  #messageAt = 0;
  readonly #nests: number[] = [];

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** The messages written so far, in a copy of their own. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer.slice(0, this.#length));
  }

  /** Starts a message with a netfilter header. */
  beginNetfilter(header: NetfilterHeader): void {
    this.begin(header.type, header.flags, header.sequence);
    const at = this.#grow(NETFILTER_HEADER_BYTES);
    this.#bytes.setUint8(at + FAMILY, header.family ?? 0);
    this.#bytes.setUint8(at + VERSION, NETFILTER_VERSION);
    this.#bytes.setUint16(at + RESOURCE, header.resource ?? 0);
  }

  /**
   * Starts a message.
   *
   * @param type - message type
   * @param flags - bits of MESSAGE_FLAG
   * @param sequence - number that the answer will carry
   */
  begin(type: number, flags: number, sequence: number): void {
    const at = this.#grow(MESSAGE_HEADER_BYTES);
    this.#messageAt = at;
    this.#bytes.setUint16(at + MESSAGE_FIELD.TYPE, type, HOST_ORDER);
    this.#bytes.setUint16(at + MESSAGE_FIELD.FLAGS, flags, HOST_ORDER);
    this.#bytes.setUint32(at + MESSAGE_FIELD.SEQUENCE, sequence, HOST_ORDER);
  }

  /** Ends the message: its length is known. */
  end(): void {
    this.#bytes.setUint32(this.#messageAt, this.#length - this.#messageAt, HOST_ORDER);
  }

  /** Writes bytes that are no attribute: a family header of another subsystem. */
  raw(value: Uint8Array): void {
    this.#copy(this.#grow(value.length), value);
  }

  /**
   * Writes an attribute.
   *
   * @throws {FirewallError} `NETLINK_ATTRIBUTE_TOO_LARGE` when the value has more than 65531 bytes
   */
  attribute(type: number, value: Uint8Array): void {
    this.#checkLength(type, value.length);
    this.#copy(this.#header(type, value.length), value);
  }

  /** Writes an attribute of two bytes in network order. */
  uint16(type: number, value: number): void {
    // The header may move the buffer, so it comes first.
    const at = this.#header(type, 2);
    this.#bytes.setUint16(at, value);
  }

  /** Writes an attribute of four bytes in network order. */
  uint32(type: number, value: number): void {
    // The header may move the buffer, so it comes first.
    const at = this.#header(type, 4);
    this.#bytes.setUint32(at, value);
  }

  /** Writes an attribute of four bytes in this machine's order. */
  hostUint32(type: number, value: number): void {
    // The header may move the buffer, so it comes first.
    const at = this.#header(type, 4);
    this.#bytes.setUint32(at, value, HOST_ORDER);
  }

  /** Writes an attribute of eight bytes in network order, exact to 2^53. */
  uint64(type: number, value: number): void {
    const at = this.#header(type, 8);
    this.#bytes.setUint32(at, Math.floor(value / WORD));
    this.#bytes.setUint32(at + LOW_WORD, value % WORD);
  }

  /** Writes an attribute of ASCII text with the zero byte the kernel expects. */
  text(type: number, value: string): void {
    this.#checkLength(type, value.length + 1);
    const at = this.#header(type, value.length + 1);
    // What lies behind it is zero already.
    for (let index = 0; index < value.length; index += 1) this.#octets[at + index] = value.charCodeAt(index);
  }

  /** Starts an attribute that holds attributes. */
  beginNest(type: number): void {
    this.#nests.push(this.#header(type | NESTED, 0) - ATTRIBUTE_HEADER_BYTES);
  }

  /** Ends the attribute started last. */
  endNest(): void {
    const at = this.#nests.pop() ?? 0;
    this.#bytes.setUint16(at, this.#length - at, HOST_ORDER);
  }

  #checkLength(type: number, bytes: number): void {
    if (bytes <= ATTRIBUTE_VALUE_MAX_BYTES) return;
    throw new FirewallError(
      "NETLINK_ATTRIBUTE_TOO_LARGE",
      `A netlink attribute holds at most ${ATTRIBUTE_VALUE_MAX_BYTES} bytes, not ${bytes}.`,
      { details: { type, bytes } },
    );
  }

  /** Writes an attribute's header and makes room for its value. Returns the value's offset. */
  #header(type: number, valueBytes: number): number {
    const at = this.#grow(ATTRIBUTE_HEADER_BYTES + valueBytes);
    this.#bytes.setUint16(at + ATTRIBUTE_FIELD.LENGTH, ATTRIBUTE_HEADER_BYTES + valueBytes, HOST_ORDER);
    this.#bytes.setUint16(at + ATTRIBUTE_FIELD.TYPE, type, HOST_ORDER);
    return at + ATTRIBUTE_HEADER_BYTES;
  }

  #copy(at: number, value: Uint8Array): void {
    this.#octets.set(value, at);
  }

  /** Makes room for `count` bytes and their padding, all zero. Returns their offset. */
  #grow(count: number): number {
    const at = this.#length;
    this.#length = at + alignNetlink(count);
    if (this.#length > this.#bytes.byteLength) {
      const larger = new ArrayBuffer(Math.max(this.#length, 2 * this.#bytes.byteLength));
      const octets = new Uint8Array(larger);
      octets.set(this.#octets);
      this.#octets = octets;
      this.#bytes = new DataView(larger);
    }
    return at;
  }
}
