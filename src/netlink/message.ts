/**
 * Netlink messages as they lie in a receive buffer: headers, runs of messages, runs of attributes.
 *
 * A datagram holds messages one after the other, a message holds a family header and attributes one after the
 * other, and an attribute may hold attributes again. All are padded to four bytes, and every length counts
 * its own header. The cursors move over bytes that are not theirs; they make no objects and never read past
 * the end they were given. A wrong length ends the walk and stays in `fault`, so a loop needs one check after
 * it and not one at every step.
 *
 * Names in parentheses are those of `linux/netlink.h`.
 */
import { HOST_ORDER } from "./byte-order.ts";

/** Byte offsets of the message header fields (struct nlmsghdr; RFC 3549 section 2.3.2). */
export const MESSAGE_FIELD = { LENGTH: 0, TYPE: 4, FLAGS: 6, SEQUENCE: 8, PORT: 12 } as const;

/** Length of the message header, in bytes. */
export const MESSAGE_HEADER_BYTES = 16;

/** Byte offsets of the attribute header fields (struct nlattr). */
export const ATTRIBUTE_FIELD = { LENGTH: 0, TYPE: 2 } as const;

/** Length of an attribute's header, in bytes. */
export const ATTRIBUTE_HEADER_BYTES = 4;

/** Largest value an attribute can carry, in bytes: its length field has 16 bits and counts the header. */
export const ATTRIBUTE_VALUE_MAX_BYTES: number = 0xffff - ATTRIBUTE_HEADER_BYTES;

/** Offset of the lower half of a 64-bit value in network order. */
const LOW_WORD = 4;

/** Type bits of an attribute without its two flags (NLA_TYPE_MASK). */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

/** Message types below 16 belong to netlink itself (NLMSG_MIN_TYPE). */
export const MESSAGE_TYPE_MIN = 16;

/** Message types of netlink itself. */
export const CONTROL = {
  /** NLMSG_NOOP */
  NOOP: 1,
  /** NLMSG_ERROR: an error, or an acknowledgement when its number is 0 */
  ERROR: 2,
  /** NLMSG_DONE: the end of a reply in several parts */
  DONE: 3,
  /** NLMSG_OVERRUN */
  OVERRUN: 4,
} as const;

/** Flags of a message. */
export const MESSAGE_FLAG = {
  /** NLM_F_REQUEST: every message to the kernel */
  REQUEST: 0x001,
  /** NLM_F_MULTI: one part of several, ended by DONE */
  MULTI: 0x002,
  /** NLM_F_ACK: answer also when all went well */
  ACK: 0x004,
  /** NLM_F_DUMP_INTR: what is listed changed meanwhile */
  INTERRUPTED: 0x010,
  /** NLM_F_CAPPED: an error that quotes only the header of its request */
  CAPPED: 0x100,
  /** NLM_F_ACK_TLVS: an error with attributes that explain it */
  EXPLAINED: 0x200,
  /** NLM_F_DUMP: every entry of a table */
  DUMP: 0x300,
  /** NLM_F_REPLACE, NLM_F_EXCL: what is there already is an error */
  EXCLUSIVE: 0x200,
  /** NLM_F_CREATE */
  CREATE: 0x400,
  /** NLM_F_APPEND */
  APPEND: 0x800,
} as const;

/** Why a run of bytes is no run of netlink messages or attributes. */
export type NetlinkFault =
  | "message-truncated"
  | "message-length"
  | "attribute-truncated"
  | "attribute-length"
  | "attribute-missing";

/** Rounds up to the four bytes to which netlink pads everything (NLMSG_ALIGN, NLA_ALIGN). */
export function alignNetlink(bytes: number): number {
  return (bytes + 3) & ~3;
}

const NO_BYTES = new DataView(new ArrayBuffer(0));

/** Moves over the messages of one datagram. */
export class MessageCursor {
  #bytes: DataView = NO_BYTES;
  #next = 0;
  #end = 0;

  /** Message type; below {@link MESSAGE_TYPE_MIN} a value of {@link CONTROL}. */
  type = 0;
  /** Bits of {@link MESSAGE_FLAG}. */
  flags = 0;
  /** Number that the request carried to which this is the answer; 0 for news that nobody asked for. */
  sequence = 0;
  /** Address of the netlink socket the message belongs to. */
  port = 0;
  /** Offset of the message's own header. */
  at = 0;
  /** Offset of what follows the header. */
  bodyAt = 0;
  /** Offset just past the message, padding excluded. */
  end = 0;
  /** The first wrong length met; the walk ends there. */
  fault: NetlinkFault | undefined = undefined;

  /**
   * Moves the cursor before the first message of a datagram.
   *
   * @param bytes - receive buffer
   * @param at - offset of the datagram
   * @param end - offset just past the datagram
   */
  bind(bytes: DataView, at: number, end: number): void {
    this.#bytes = bytes;
    this.#next = at;
    this.#end = end;
    this.fault = undefined;
  }

  /**
   * Moves to the next message.
   *
   * @returns false at the end of the datagram and at the first fault
   */
  next(): boolean {
    const at = this.#next;
    const left = this.#end - at;
    if (left <= 0) return false;
    if (left < MESSAGE_HEADER_BYTES) return this.#stop("message-truncated");
    const bytes = this.#bytes;
    const length = bytes.getUint32(at + MESSAGE_FIELD.LENGTH, HOST_ORDER);
    if (length < MESSAGE_HEADER_BYTES) return this.#stop("message-length");
    if (length > left) return this.#stop("message-truncated");
    this.type = bytes.getUint16(at + MESSAGE_FIELD.TYPE, HOST_ORDER);
    this.flags = bytes.getUint16(at + MESSAGE_FIELD.FLAGS, HOST_ORDER);
    this.sequence = bytes.getUint32(at + MESSAGE_FIELD.SEQUENCE, HOST_ORDER);
    this.port = bytes.getUint32(at + MESSAGE_FIELD.PORT, HOST_ORDER);
    this.at = at;
    this.bodyAt = at + MESSAGE_HEADER_BYTES;
    this.end = at + length;
    this.#next = at + alignNetlink(length);
    return true;
  }

  #stop(fault: NetlinkFault): false {
    this.fault = fault;
    this.#next = this.#end;
    return false;
  }
}

/** Moves over the attributes of one message, or of one attribute that holds others. */
export class AttributeCursor {
  #bytes: DataView = NO_BYTES;
  #next = 0;
  #end = 0;

  /** Attribute type without its flags. */
  type = 0;
  /** Offset of the value. */
  at = 0;
  /** Offset just past the value, padding excluded. */
  end = 0;
  /** The first wrong length met; the walk ends there. */
  fault: NetlinkFault | undefined = undefined;

  /**
   * Moves the cursor before the first attribute.
   *
   * @param bytes - receive buffer
   * @param at - offset of the first attribute
   * @param end - offset just past the last one
   */
  bind(bytes: DataView, at: number, end: number): void {
    this.#bytes = bytes;
    this.#next = at;
    this.#end = end;
    this.fault = undefined;
  }

  /**
   * Moves to the next attribute.
   *
   * @returns false at the end and at the first fault
   */
  next(): boolean {
    const at = this.#next;
    const left = this.#end - at;
    if (left <= 0) return false;
    if (left < ATTRIBUTE_HEADER_BYTES) return this.stop("attribute-truncated");
    const length = this.#bytes.getUint16(at + ATTRIBUTE_FIELD.LENGTH, HOST_ORDER);
    if (length < ATTRIBUTE_HEADER_BYTES) return this.stop("attribute-length");
    if (length > left) return this.stop("attribute-truncated");
    this.type = this.#bytes.getUint16(at + ATTRIBUTE_FIELD.TYPE, HOST_ORDER) & ATTRIBUTE_TYPE_MASK;
    this.at = at + ATTRIBUTE_HEADER_BYTES;
    this.end = at + length;
    this.#next = at + alignNetlink(length);
    return true;
  }

  /** Ends the walk with a fault, for a reader that finds a value wrong. */
  stop(fault: NetlinkFault): false {
    this.fault ??= fault;
    this.#next = this.#end;
    return false;
  }

  /** Length of the value, in bytes. */
  get length(): number {
    return this.end - this.at;
  }

  /** The value as an unsigned 8-bit number; 0 and a fault when it is empty. */
  uint8(): number {
    return this.holds(1) ? this.#bytes.getUint8(this.at) : 0;
  }

  /** The value as an unsigned 16-bit number in network order; 0 and a fault when it is shorter. */
  uint16(): number {
    return this.holds(2) ? this.#bytes.getUint16(this.at) : 0;
  }

  /**
   * The value as an unsigned 64-bit number in network order, exact to 2^53; 0 and a fault when it is shorter.
   */
  uint64(): number {
    return this.holds(8)
      ? this.#bytes.getUint32(this.at) * 0x1_0000_0000 + this.#bytes.getUint32(this.at + LOW_WORD)
      : 0;
  }

  /** The value as an unsigned 32-bit number in network order; 0 and a fault when it is shorter. */
  uint32(): number {
    return this.holds(4) ? this.#bytes.getUint32(this.at) : 0;
  }

  /** The value as an unsigned 32-bit number in this machine's order; 0 and a fault when it is shorter. */
  hostUint32(): number {
    return this.holds(4) ? this.#bytes.getUint32(this.at, HOST_ORDER) : 0;
  }

  /** The value as text up to its first zero byte. Allocates. */
  text(): string {
    let text = "";
    for (let at = this.at; at < this.end; at += 1) {
      const code = this.#bytes.getUint8(at);
      if (code === 0) break;
      text += String.fromCharCode(code);
    }
    return text;
  }

  /**
   * True when the value has so many bytes; if not, the walk ends with a fault.
   *
   * For numbers that may need all 32 bits: V8 puts those into a box when a function returns them, so the
   * packet path asks this and reads them itself.
   */
  holds(count: number): boolean {
    return this.length >= count || this.stop("attribute-length");
  }
}
