/**
 * HPACK (RFC 7541): the header fields of HTTP/2, decoded as far as the first request of a connection needs.
 */
import type { ByteWindow } from "../byte-window.ts";
import { decodeHuffman } from "./huffman.ts";

/** A header field. */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

/** The static table (RFC 7541 appendix A): name, then a value where there is one. */
const STATIC: readonly HeaderField[] = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`
  .trim()
  .split("\n")
  .map((line) => {
    const blank = line.indexOf(" ");
    return blank < 0
      ? { name: line, value: "" }
      : { name: line.slice(0, blank), value: line.slice(blank + 1) };
  });

// Representations by their first bits (RFC 7541 section 6).
const INDEXED = 0x80;
const INCREMENTAL = 0x40;
const SIZE_UPDATE = 0x20;

/** Entries kept: more than a first request adds. */
const ENTRIES_MAX = 128;
const FIELDS_MAX = 256;
const STRING_BYTES_MAX = 16_384;

/** See the head of this file. */
export class HeaderTable {
  readonly #entries: HeaderField[] = [];
  #window: ByteWindow | undefined = undefined;
  #position = 0;
  #end = 0;
  #failed = false;

  /**
   * Decodes a header block.
   *
   * @param window - bytes
   * @param from - where the block begins
   * @param to - just past it
   * @returns the fields up to the end or the first error
   */
  decode(window: ByteWindow, from: number, to: number): HeaderField[] {
    const fields: HeaderField[] = [];
    this.#window = window;
    this.#position = from;
    this.#end = Math.min(to, window.length);
    this.#failed = false;
    while (this.#position < this.#end && !this.#failed && fields.length < FIELDS_MAX) {
      const field = this.#field();
      if (field !== undefined) fields.push(field);
    }
    this.#window = undefined;
    return fields;
  }

  #field(): HeaderField | undefined {
    const first = this.#byte(this.#position);
    if ((first & INDEXED) !== 0) return this.#entry(this.#integer(7));
    if ((first & INCREMENTAL) !== 0) {
      const field = this.#literal(6);
      if (field !== undefined) this.#add(field);
      return field;
    }
    if ((first & SIZE_UPDATE) !== 0) {
      this.#integer(5);
      return undefined;
    }
    return this.#literal(4);
  }

  #add(field: HeaderField): void {
    this.#entries.unshift(field);
    if (this.#entries.length > ENTRIES_MAX) this.#entries.pop();
  }

  #literal(prefix: number): HeaderField | undefined {
    const index = this.#integer(prefix);
    const name = index === 0 ? this.#string() : this.#entry(index)?.name;
    const value = this.#string();
    return name === undefined || value === undefined ? undefined : { name, value };
  }

  #entry(index: number): HeaderField | undefined {
    const field = index <= STATIC.length ? STATIC[index - 1] : this.#entries[index - STATIC.length - 1];
    if (field === undefined) this.#failed = true;
    return field;
  }

  #byte(position: number): number {
    return position < this.#end ? (this.#window?.u8(position) ?? -1) : -1;
  }

  /** An integer whose first byte gives `prefix` bits (RFC 7541 section 5.1). */
  #integer(prefix: number): number {
    const most = 2 ** prefix - 1;
    let value = this.#byte(this.#position) & most;
    this.#position += 1;
    if (value < most) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const octet = this.#byte(this.#position);
      if (octet < 0) break;
      this.#position += 1;
      value += (octet & 0x7f) * 2 ** shift;
      if (octet < 0x80) return value;
    }
    this.#failed = true;
    return 0;
  }

  #string(): string | undefined {
    const coded = (this.#byte(this.#position) & 0x80) !== 0;
    const length = this.#integer(7);
    const from = this.#position;
    if (
      this.#failed ||
      length > STRING_BYTES_MAX ||
      from + length > this.#end ||
      this.#window === undefined
    ) {
      this.#failed = true;
      return undefined;
    }
    this.#position += length;
    return coded
      ? decodeHuffman(this.#window.view(from, from + length))
      : this.#window.text(from, from + length);
  }
}
