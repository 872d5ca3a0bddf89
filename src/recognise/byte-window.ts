/**
 * A run of bytes that a recogniser looks at: a moved view, never a copy.
 *
 * Every getter is total: a position outside the run answers -1, `false` or an empty text. A recogniser
 * therefore needs no length checks of its own and cannot throw, whatever the bytes are. A comparison with -1
 * fails for every value a protocol may ask for, which is what a missing byte shall do.
 */

const NO_BYTES = new DataView(new ArrayBuffer(0));

/** Names beyond ASCII are UTF-8 where they are names at all (RFC 6762 section 16). */
const UTF8 = new TextDecoder();

/** True for the ASCII letters, whose case differs in one bit. */
function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** See the head of this file. Positions count from the start of the run. */
export class ByteWindow {
  /** The buffer the run lies in. */
  bytes: DataView = NO_BYTES;
  /** Offset of the first byte of the run in `bytes`. */
  at = 0;
  /** Offset just past its last byte. */
  end = 0;

  /**
   * Moves the window.
   *
   * @param bytes - buffer
   * @param at - offset of the first byte
   * @param end - offset just past the last byte, not beyond the buffer
   */
  bind(bytes: DataView, at: number, end: number): this {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    return this;
  }

  /** Number of bytes in the run. */
  get length(): number {
    return this.end - this.at;
  }

  /** The byte at `position`, or -1. */
  u8(position: number): number {
    const at = this.at + position;
    return position >= 0 && at < this.end ? this.bytes.getUint8(at) : -1;
  }

  /** The 16-bit number at `position` in network order, or -1. */
  u16(position: number): number {
    const at = this.at + position;
    return position >= 0 && at + 2 <= this.end ? this.bytes.getUint16(at) : -1;
  }

  /** The 24-bit number at `position` in network order, or -1. */
  u24(position: number): number {
    const at = this.at + position;
    return position >= 0 && at + 3 <= this.end
      ? this.bytes.getUint16(at) * 256 + this.bytes.getUint8(at + 2)
      : -1;
  }

  /** The unsigned 32-bit number at `position` in network order, or -1. */
  u32(position: number): number {
    const at = this.at + position;
    return position >= 0 && at + 4 <= this.end ? this.bytes.getUint32(at) : -1;
  }

  /** The 16-bit number at `position`, least significant byte first, or -1. */
  u16le(position: number): number {
    const at = this.at + position;
    return position >= 0 && at + 2 <= this.end ? this.bytes.getUint16(at, true) : -1;
  }

  /** The 24-bit number at `position`, least significant byte first, or -1. */
  u24le(position: number): number {
    const at = this.at + position;
    if (position < 0 || at + 3 > this.end) return -1;
    return this.bytes.getUint16(at, true) + this.bytes.getUint8(at + 2) * 0x10000;
  }

  /** The unsigned 32-bit number at `position`, least significant byte first, or -1. */
  u32le(position: number): number {
    const at = this.at + position;
    return position >= 0 && at + 4 <= this.end ? this.bytes.getUint32(at, true) : -1;
  }

  /** True when the ASCII `text` stands at `position`, in this very case. */
  has(text: string, position: number = 0): boolean {
    const at = this.at + position;
    if (position < 0 || at + text.length > this.end) return false;
    for (let index = 0; index < text.length; index += 1) {
      if (this.bytes.getUint8(at + index) !== text.charCodeAt(index)) return false;
    }
    return true;
  }

  /** True when the ASCII `text`, given in lower case, stands at `position` in either case. */
  hasNoCase(text: string, position: number = 0): boolean {
    const at = this.at + position;
    if (position < 0 || at + text.length > this.end) return false;
    for (let index = 0; index < text.length; index += 1) {
      const code = this.bytes.getUint8(at + index);
      const folded = isLetter(code) ? code | 0x20 : code;
      if (folded !== text.charCodeAt(index)) return false;
    }
    return true;
  }

  /** True when the bytes that are there, up to the length of `text`, agree with it. */
  couldBe(text: string, position: number = 0): boolean {
    const have = Math.min(text.length, this.length - position);
    for (let index = 0; index < have; index += 1) {
      if (this.bytes.getUint8(this.at + position + index) !== text.charCodeAt(index)) return false;
    }
    return true;
  }

  /**
   * Position of the first `value` in [from, to), or -1.
   *
   * @param value - byte looked for
   * @param from - first position
   * @param to - position to stop before
   */
  indexOf(value: number, from: number = 0, to: number = this.length): number {
    const last = this.at + Math.min(to, this.length);
    for (let at = this.at + from; at < last; at += 1) {
      if (this.bytes.getUint8(at) === value) return at - this.at;
    }
    return -1;
  }

  /** Position of the ASCII `text`, given in lower case, in either case in [from, to), or -1. */
  find(text: string, from: number = 0, to: number = this.length): number {
    const last = Math.min(to, this.length) - text.length;
    for (let position = from; position <= last; position += 1) {
      if (this.hasNoCase(text, position)) return position;
    }
    return -1;
  }

  /** True when every byte of [from, to) is printable ASCII, a tab, a carriage return or a line feed. */
  isText(from: number, to: number): boolean {
    if (from < 0 || this.at + to > this.end) return false;
    for (let at = this.at + from; at < this.at + to; at += 1) {
      const code = this.bytes.getUint8(at);
      if ((code < 0x20 || code > 0x7e) && code !== 9 && code !== 10 && code !== 13) return false;
    }
    return true;
  }

  /** The bytes of [from, to) as text, one character a byte (Latin-1). Allocates. */
  text(from: number, to: number): string {
    const last = Math.min(this.at + to, this.end);
    let result = "";
    for (let at = this.at + Math.max(from, 0); at < last; at += 1) {
      result += String.fromCharCode(this.bytes.getUint8(at));
    }
    return result;
  }

  /**
   * The bytes of [from, to) as a host name: in lower case, because names are compared so (RFC 4343), without
   * the dot of the root, and with a question mark for what is no character. Allocates.
   */
  name(from: number, to: number): string {
    const ascii = this.text(from, to);
    const decoded = /^\p{ASCII}*$/u.test(ascii) ? ascii : UTF8.decode(this.view(from, to));
    const name = decoded.replace(/[\p{Cc}\ufffd]/gu, "?").toLowerCase();
    return name.endsWith(".") ? name.slice(0, -1) : name;
  }

  /**
   * A view of the bytes of [from, to) as far as they are there; valid as long as the buffer is. Allocates.
   */
  view(from: number, to: number): Uint8Array {
    const first = Math.min(this.at + Math.max(from, 0), this.end);
    const last = Math.max(first, Math.min(this.at + to, this.end));
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + first, last - first);
  }

  /** A copy of the bytes of [from, to) as far as they are there. Allocates. */
  copy(from: number, to: number): Uint8Array {
    return this.view(from, to).slice();
  }
}

/** A window over all of `array`. Allocates. */
export function windowOver(array: Uint8Array): ByteWindow {
  return new ByteWindow().bind(
    new DataView(array.buffer, array.byteOffset, array.byteLength),
    0,
    array.length,
  );
}
