/** What sets and maps of nf_tables hold: requests for it, and the elements in the kernel's answers. */
import { AttributeCursor, MESSAGE_FLAG, MESSAGE_HEADER_BYTES, MessageCursor } from "./message.ts";
import { MessageWriter, NETFILTER_HEADER_BYTES } from "./message-writer.ts";
import type { ElementFacts } from "./nftables-set-batch.ts";
import { NFTABLES_MESSAGE, type TableName } from "./nftables-transaction.ts";

// Attributes of a set and of an object (enum nft_set_attributes, nft_object_attributes).
const SET_TABLE = 1;
const SET_NAME = 2;

// Attributes of a list of elements (enum nft_set_elem_list_attributes).
const LIST_TABLE = 1;
const LIST_SET = 2;
const LIST_ELEMENTS = 3;
const LIST_ELEMENT = 1;

// Attributes of one element (enum nft_set_elem_attributes) and of a value (enum nft_data_attributes).
const ELEMENT_KEY = 1;
const ELEMENT_DATA = 2;
const ELEMENT_EXPIRATION = 5;
const ELEMENT_EXPRESSION = 7;
const ELEMENT_OBJECT = 9;
const ELEMENT_KEY_END = 10;
const DATA_VALUE = 1;

// A statement of an element, here always a counter (enum nft_expr_attributes, nft_counter_attributes).
const EXPRESSION_DATA = 2;
const COUNTER_BYTES = 1;
const COUNTER_PACKETS = 2;

/** One element as the kernel holds it. */
export interface HeldElement {
  readonly key: Uint8Array;
  /** Last value of an interval; empty in sets of single values. */
  readonly keyEnd: Uint8Array;
  /** Milliseconds until the kernel drops it; Infinity when it never does. */
  readonly leftMs: number;
  /** Packets that matched it; 0 when nobody counts. */
  readonly packets: number;
  /** Their length, in bytes, IP headers included. */
  readonly bytes: number;
  /** In maps of values: what the key leads to; empty elsewhere. */
  readonly data: Uint8Array;
  /** In maps of objects: name of the object; empty elsewhere. */
  readonly object: string;
}

function beginDump(writer: MessageWriter, type: number, table: TableName): void {
  const flags = MESSAGE_FLAG.REQUEST | MESSAGE_FLAG.DUMP;
  writer.beginNetfilter({ type, flags, sequence: 1, family: table.family });
}

/** Asks for all sets of a table. The answer to a table that is not there is empty. */
export function encodeSetsDump(table: TableName): Uint8Array {
  const writer = new MessageWriter();
  beginDump(writer, NFTABLES_MESSAGE.GET_SET, table);
  writer.text(SET_TABLE, table.name);
  writer.end();
  return writer.bytes;
}

/** Asks for all stateful objects of a table. The answer to a table that is not there is empty. */
export function encodeObjectsDump(table: TableName): Uint8Array {
  const writer = new MessageWriter();
  beginDump(writer, NFTABLES_MESSAGE.GET_OBJECT, table);
  writer.text(SET_TABLE, table.name);
  writer.end();
  return writer.bytes;
}

/** Asks for all elements of a set; ENOENT when there is no such set. */
export function encodeElementsDump(table: TableName, set: string): Uint8Array {
  const writer = new MessageWriter();
  beginDump(writer, NFTABLES_MESSAGE.GET_ELEMENTS, table);
  writer.text(LIST_TABLE, table.name);
  writer.text(LIST_SET, set);
  writer.end();
  return writer.bytes;
}

/**
 * Asks for one element; ENOENT when it is not there.
 *
 * @param element - its key, in sets of intervals with both ends
 */
export function encodeElementGet(
  table: TableName,
  set: string,
  element: Pick<ElementFacts, "key" | "keyEnd">,
): Uint8Array {
  const writer = new MessageWriter();
  const flags = MESSAGE_FLAG.REQUEST | MESSAGE_FLAG.ACK;
  const type = NFTABLES_MESSAGE.GET_ELEMENTS;
  writer.beginNetfilter({ type, flags, sequence: 1, family: table.family });
  writer.text(LIST_TABLE, table.name);
  writer.text(LIST_SET, set);
  writer.beginNest(LIST_ELEMENTS);
  writer.beginNest(LIST_ELEMENT);
  for (const [attribute, value] of [
    [ELEMENT_KEY, element.key],
    [ELEMENT_KEY_END, element.keyEnd],
  ] as const) {
    if (value === undefined) continue;
    writer.beginNest(attribute);
    writer.attribute(DATA_VALUE, value);
    writer.endNest();
  }
  writer.endNest();
  writer.endNest();
  writer.end();
  return writer.bytes;
}

function viewOf(message: Uint8Array): DataView {
  return new DataView(message.buffer, message.byteOffset, message.byteLength);
}

function attributesOf(view: DataView): AttributeCursor {
  const cursor = new AttributeCursor();
  cursor.bind(view, MESSAGE_HEADER_BYTES + NETFILTER_HEADER_BYTES, view.byteLength);
  return cursor;
}

/** True when the list changed while the kernel wrote it, so that something may be missing. */
export function isInterrupted(message: Uint8Array): boolean {
  const cursor = new MessageCursor();
  cursor.bind(viewOf(message), 0, message.byteLength);
  return cursor.next() && (cursor.flags & MESSAGE_FLAG.INTERRUPTED) !== 0;
}

/** The name in a message about a set or an object; empty when it has none. */
export function decodeName(message: Uint8Array): string {
  const cursor = attributesOf(viewOf(message));
  while (cursor.next()) if (cursor.type === SET_NAME) return cursor.text();
  return "";
}

/**
 * Reads elements out of messages. One reader serves many.
 *
 * {@link ElementReader.scan} moves over elements where they lie and makes nothing: its fields say where their
 * parts are, until the next one. {@link ElementReader.read} makes a record of each.
 */
export class ElementReader {
  #view: DataView = new DataView(new ArrayBuffer(0));
  readonly #list: AttributeCursor = new AttributeCursor();
  readonly #element: AttributeCursor = new AttributeCursor();
  readonly #value: AttributeCursor = new AttributeCursor();

  /** Where the key is, in the bytes that are scanned. */
  readonly key: ByteRange = { at: 0, end: 0 };
  /** Where the last value of an interval is; empty in sets of single values. */
  readonly keyEnd: ByteRange = { at: 0, end: 0 };
  /** Where what the key leads to is, in maps of values; empty elsewhere. */
  readonly data: ByteRange = { at: 0, end: 0 };
  /** Where the name of the object is, without its zero byte, in maps of objects; empty elsewhere. */
  readonly object: ByteRange = { at: 0, end: 0 };
  /** Milliseconds until the kernel drops the element; Infinity when it never does. */
  leftMs: number = Number.POSITIVE_INFINITY;
  #packets = 0;
  #bytes = 0;

  /**
   * Moves over the elements of a message. Attributes that are not known here are skipped.
   *
   * @param view - bytes that hold the message
   * @param at - offset of the message's header
   * @param end - offset just past the message
   * @param visit - called for each element
   */
  scan(view: DataView, at: number, end: number, visit: () => void): void {
    this.#view = view;
    const cursor = new AttributeCursor();
    cursor.bind(view, at + MESSAGE_HEADER_BYTES + NETFILTER_HEADER_BYTES, end);
    while (cursor.next()) {
      if (cursor.type !== LIST_ELEMENTS) continue;
      this.#list.bind(view, cursor.at, cursor.end);
      while (this.#list.next()) {
        this.#readElement();
        visit();
      }
    }
  }

  /**
   * Hands on each element of a message.
   *
   * @param message - a message with its header
   * @param visit - called for each element; keys are copies
   */
  read(message: Uint8Array, visit: (element: HeldElement) => void): void {
    const copy = ({ at, end }: ByteRange): Uint8Array => message.slice(at, end);
    this.scan(viewOf(message), 0, message.byteLength, () =>
      visit({
        key: copy(this.key),
        keyEnd: copy(this.keyEnd),
        data: copy(this.data),
        leftMs: this.leftMs,
        packets: this.#packets,
        bytes: this.#bytes,
        object: String.fromCharCode(...copy(this.object)),
      }),
    );
  }

  #readElement(): void {
    const element = this.#element;
    element.bind(this.#view, this.#list.at, this.#list.end);
    for (const range of [this.key, this.keyEnd, this.data, this.object]) range.at = range.end = 0;
    this.leftMs = Number.POSITIVE_INFINITY;
    this.#packets = this.#bytes = 0;
    while (element.next()) {
      if (element.type === ELEMENT_KEY) this.#readValue(this.key);
      else if (element.type === ELEMENT_KEY_END) this.#readValue(this.keyEnd);
      else if (element.type === ELEMENT_DATA) this.#readValue(this.data);
      else if (element.type === ELEMENT_EXPIRATION) this.leftMs = element.uint64();
      else if (element.type === ELEMENT_EXPRESSION) this.#readCounter();
      else if (element.type === ELEMENT_OBJECT) {
        this.object.at = element.at;
        this.object.end = element.length > 0 ? element.end - 1 : element.end;
      }
    }
  }

  #readValue(range: ByteRange): void {
    const value = this.#value;
    value.bind(this.#view, this.#element.at, this.#element.end);
    while (value.next()) {
      if (value.type !== DATA_VALUE) continue;
      range.at = value.at;
      range.end = value.end;
      return;
    }
  }

  #readCounter(): void {
    const value = this.#value;
    value.bind(this.#view, this.#element.at, this.#element.end);
    while (value.next()) {
      if (value.type !== EXPRESSION_DATA) continue;
      return this.#readCounts(value.at, value.end);
    }
  }

  #readCounts(at: number, end: number): void {
    const value = this.#value;
    value.bind(this.#view, at, end);
    while (value.next()) {
      if (value.type === COUNTER_PACKETS) this.#packets = value.uint64();
      if (value.type === COUNTER_BYTES) this.#bytes = value.uint64();
    }
  }
}

/** A run of bytes. */
interface ByteRange {
  at: number;
  end: number;
}
