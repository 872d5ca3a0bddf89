/**
 * nf_tables transactions that change what sets and maps hold.
 *
 * A set's elements go out in messages of up to 64 KiB each, because an attribute is no longer than that. Each
 * message is answered only when the kernel refuses it, and then nothing of the transaction is taken. One
 * message should ask for an answer in any case: its yes says that all of it is in force.
 */
import { ATTRIBUTE_VALUE_MAX_BYTES, MESSAGE_FLAG } from "./message.ts";
import type { MessageWriter } from "./message-writer.ts";
import { NFTABLES_MESSAGE, NftablesTransaction, type TableName } from "./nftables-transaction.ts";

// Attributes of a list of elements (enum nft_set_elem_list_attributes).
const LIST_TABLE = 1;
const LIST_SET = 2;
const LIST_ELEMENTS = 3;

// Attributes of one element (enum nft_list_attributes, nft_set_elem_attributes, nft_data_attributes).
const LIST_ELEMENT = 1;
const ELEMENT_KEY = 1;
const ELEMENT_DATA = 2;
const ELEMENT_TIMEOUT = 4;
const ELEMENT_OBJECT = 9;
const ELEMENT_KEY_END = 10;
const DATA_VALUE = 1;

// Attributes of an object (enum nft_object_attributes).
const OBJECT_TABLE = 1;
const OBJECT_NAME = 2;
const OBJECT_TYPE = 3;
const OBJECT_DATA = 4;

/**
 * Upper bound of one element: two keys and data of up to 64 bytes (NFT_DATA_VALUE_MAXLEN), the name of an
 * object (NFT_OBJ_MAXNAMELEN, 256), and headers, padding, lifetime.
 */
const ELEMENT_MAX_BYTES = 512;

/** A set or map by its table and name. */
export interface SetName {
  readonly table: TableName;
  readonly name: string;
}

/** One element of a set or map. */
export interface ElementFacts {
  /** Value of the set's type; each field of a concatenation is padded to four bytes. */
  readonly key: Uint8Array;
  /** In sets of intervals: the last value, in the same form. */
  readonly keyEnd?: Uint8Array | undefined;
  /** In maps of values: what the key leads to. */
  readonly data?: Uint8Array | undefined;
  /** In maps of objects: name of the object the key leads to. */
  readonly object?: string | undefined;
  /** Milliseconds until the kernel drops the element by itself; absent: never. */
  readonly timeoutMs?: number | undefined;
}

/** A stateful object: its number in the kernel (NFT_OBJECT_...) and its attributes. */
export interface ObjectFacts {
  readonly name: string;
  readonly type: number;
  writeData(writer: MessageWriter): void;
}

function writeValue(writer: MessageWriter, type: number, value: Uint8Array): void {
  writer.beginNest(type);
  writer.attribute(DATA_VALUE, value);
  writer.endNest();
}

function writeKey(writer: MessageWriter, element: ElementFacts): void {
  writeValue(writer, ELEMENT_KEY, element.key);
  if (element.keyEnd !== undefined) writeValue(writer, ELEMENT_KEY_END, element.keyEnd);
}

function writeContent(writer: MessageWriter, element: ElementFacts, elapsedMs: number): void {
  if (element.data !== undefined) writeValue(writer, ELEMENT_DATA, element.data);
  if (element.object !== undefined) writer.text(ELEMENT_OBJECT, element.object);
  if (element.timeoutMs !== undefined) {
    // Zero would mean "for ever".
    writer.uint64(ELEMENT_TIMEOUT, Math.max(1, Math.round(element.timeoutMs - elapsedMs)));
  }
}

/**
 * Writes one transaction.
 *
 * @example
 * const batch = new SetBatch(1);
 * batch.put(set, [{ key, timeoutMs: 30_000 }]);
 * socket.request(batch.end(), "Cannot open the pinhole");
 */
export class SetBatch {
  readonly #transaction: NftablesTransaction;
  readonly #elapsedMs: number;

  /**
   * @param firstSequence - number of the first message; the others follow
   * @param elapsedMs - how much of the elements' lifetimes is over, in milliseconds
   */
  constructor(firstSequence: number, elapsedMs: number = 0) {
    this.#transaction = new NftablesTransaction(firstSequence);
    this.#elapsedMs = elapsedMs;
  }

  /** Number of the message written last. */
  get sequence(): number {
    return this.#transaction.sequence;
  }

  /**
   * Adds elements. One that is there already stays; Linux 6.12 and later give it the new lifetime.
   *
   * @param flags - `MESSAGE_FLAG.ACK` to be told when the transaction is in force
   */
  put(set: SetName, elements: readonly ElementFacts[], flags = 0): void {
    const create = MESSAGE_FLAG.CREATE | flags;
    this.#elements(NFTABLES_MESSAGE.NEW_ELEMENTS, create, { set, elements, named: false });
  }

  /**
   * Removes elements; one that is not there makes the kernel refuse the transaction (ENOENT).
   *
   * @param flags - `MESSAGE_FLAG.ACK` to be told when the transaction is in force
   */
  delete(set: SetName, elements: readonly ElementFacts[], flags = 0): void {
    this.#elements(NFTABLES_MESSAGE.DELETE_ELEMENTS, flags, { set, elements, named: true });
  }

  /** Removes elements, whether they are there or not. Linux 6.3 and later. */
  destroy(set: SetName, elements: readonly ElementFacts[]): void {
    this.#elements(NFTABLES_MESSAGE.DESTROY_ELEMENTS, 0, { set, elements, named: true });
  }

  /** Makes a stateful object. */
  putObject(table: TableName, object: ObjectFacts): void {
    const writer = this.#beginObject(NFTABLES_MESSAGE.NEW_OBJECT, MESSAGE_FLAG.CREATE, table);
    this.#nameObject(writer, table, object);
    writer.beginNest(OBJECT_DATA);
    object.writeData(writer);
    writer.endNest();
    writer.end();
  }

  /** Removes a stateful object; nothing may lead to it any more (EBUSY). */
  deleteObject(table: TableName, object: Pick<ObjectFacts, "name" | "type">): void {
    const writer = this.#beginObject(NFTABLES_MESSAGE.DELETE_OBJECT, 0, table);
    this.#nameObject(writer, table, object);
    writer.end();
  }

  /** Ends the transaction and gives its bytes. */
  end(): Uint8Array {
    return this.#transaction.end();
  }

  #beginObject(type: number, flags: number, table: TableName): MessageWriter {
    return this.#transaction.begin(type, flags, table.family);
  }

  #nameObject(writer: MessageWriter, table: TableName, object: Pick<ObjectFacts, "name" | "type">): void {
    writer.text(OBJECT_TABLE, table.name);
    writer.text(OBJECT_NAME, object.name);
    writer.uint32(OBJECT_TYPE, object.type);
  }

  #elements(
    type: number,
    flags: number,
    list: { readonly set: SetName; readonly elements: readonly ElementFacts[]; readonly named: boolean },
  ): void {
    const { set, elements, named } = list;
    let at = 0;
    while (at < elements.length) {
      const writer = this.#transaction.begin(type, flags, set.table.family);
      writer.text(LIST_TABLE, set.table.name);
      writer.text(LIST_SET, set.name);
      writer.beginNest(LIST_ELEMENTS);
      const full = writer.length + ATTRIBUTE_VALUE_MAX_BYTES - ELEMENT_MAX_BYTES;
      for (; at < elements.length && writer.length <= full; at += 1) {
        const element = elements[at] as ElementFacts;
        writer.beginNest(LIST_ELEMENT);
        writeKey(writer, element);
        if (!named) writeContent(writer, element, this.#elapsedMs);
        writer.endNest();
      }
      writer.endNest();
      writer.end();
    }
  }
}
