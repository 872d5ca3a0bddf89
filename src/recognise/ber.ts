/**
 * Reading of tag-length-value elements in BER and DER (ITU-T X.690), as LDAP, SNMP, Kerberos and certificates
 * use them. Only one-byte tags and definite lengths: the protocols here use no others.
 */
import type { ByteWindow } from "./byte-window.ts";

/** Universal and constructed tags by their first octet (X.690 section 8.1.2). */
export const BER = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  OCTET_STRING: 0x04,
  OBJECT_IDENTIFIER: 0x06,
  ENUMERATED: 0x0a,
  SEQUENCE: 0x30,
  SET: 0x31,
} as const;

/** Length octets that a long form may have here: enough for 4 GiB. */
const LENGTH_OCTETS_MAX = 4;

/** One element, moved from one to the next; the positions are those of the window it was read from. */
export class BerElement {
  tag = -1;
  /** First position of the contents. */
  from = 0;
  /** Position just past the contents; it may lie beyond the bytes at hand. */
  to = 0;

  /**
   * Reads the head of the element at `position`.
   *
   * @param window - bytes
   * @param position - where its tag stands
   * @returns false when the head is cut off or no definite length of a sensible size
   */
  read(window: ByteWindow, position: number): boolean {
    this.tag = window.u8(position);
    const first = window.u8(position + 1);
    if (first < 0) return false;
    if (first < 0x80) {
      this.from = position + 2;
      this.to = this.from + first;
      return true;
    }
    const octets = first & 0x7f;
    if (octets === 0 || octets > LENGTH_OCTETS_MAX) return false;
    let length = 0;
    for (let index = 0; index < octets; index += 1) {
      const octet = window.u8(position + 2 + index);
      if (octet < 0) return false;
      length = length * 256 + octet;
    }
    this.from = position + 2 + octets;
    this.to = this.from + length;
    return true;
  }

  /** Reads the element at `position` and says whether it has this tag. */
  is(window: ByteWindow, position: number, tag: number): boolean {
    return this.read(window, position) && this.tag === tag;
  }

  /** Number of content octets. */
  get length(): number {
    return this.to - this.from;
  }

  /** Value of the contents as an unsigned number of at most four octets, or -1. */
  number(window: ByteWindow): number {
    if (this.length < 1 || this.length > 4) return -1;
    let value = 0;
    for (let position = this.from; position < this.to; position += 1) {
      const octet = window.u8(position);
      if (octet < 0) return -1;
      value = value * 256 + octet;
    }
    return value;
  }
}
