/**
 * Reading of protocols that speak in lines, a few bytes at a time and each byte once.
 *
 * A cursor remembers, per direction, where the line it is reading begins and how far it has looked for the
 * end of it, so that a line that trickles in costs no more than one that comes whole.
 */
import type { ByteWindow } from "./byte-window.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Position in one direction's lines. */
export class LineCursor {
  /** Where the current line begins. */
  from = 0;
  /** Just past its text, the line end left out. Valid after {@link LineCursor.next} was true. */
  to = 0;
  #searched = 0;
  #after = 0;

  /**
   * Moves to the next complete line.
   *
   * @param window - all bytes of the direction
   * @returns false when its end has not come yet; `from` is then where it begins
   */
  next(window: ByteWindow): boolean {
    this.from = this.#after;
    const end = window.indexOf(LINE_FEED, Math.max(this.#searched, this.from));
    if (end < 0) {
      this.#searched = window.length;
      return false;
    }
    this.to = end > this.from && window.u8(end - 1) === CARRIAGE_RETURN ? end - 1 : end;
    this.#after = end + 1;
    this.#searched = end + 1;
    return true;
  }

  /** Position just past the current line and its end. */
  get after(): number {
    return this.#after;
  }

  /**
   * Skips bytes behind the current line that are no lines.
   *
   * @param bytes - how many
   */
  skip(bytes: number): void {
    this.#after += bytes;
    this.#searched = Math.max(this.#searched, this.#after);
  }
}

/** One cursor for each direction. */
export type LineCursors = readonly [LineCursor, LineCursor];

/** Two cursors at the start. */
export function makeCursors(): LineCursors {
  return [new LineCursor(), new LineCursor()];
}

/**
 * Value of a header line `name: value`, blanks around it removed, or `undefined` when the line has another
 * name.
 *
 * @param window - bytes
 * @param from - where the line begins
 * @param to - just past it
 * @param name - in lower case, with the colon
 */
export function headerValue(window: ByteWindow, from: number, to: number, name: string): string | undefined {
  if (to - from < name.length || !window.hasNoCase(name, from)) return undefined;
  return window.text(from + name.length, to).trim();
}

/**
 * The host of an authority such as `example.org:8080` or `[2001:db8::1]:80`, in lower case and without its
 * port (RFC 3986 section 3.2).
 */
export function authorityHost(authority: string): string {
  const host = /^(?:[^@]*@)?(\[[^\]]*\]|[^:]*)/.exec(authority)?.[1] ?? authority;
  return host.toLowerCase();
}
