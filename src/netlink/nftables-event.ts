/** News of rule sets (NFNLGRP_NFTABLES): what somebody changed, and who it was. */
import { AttributeCursor, MESSAGE_FLAG, MESSAGE_HEADER_BYTES, type MessageCursor } from "./message.ts";
import { MessageWriter, NETFILTER_HEADER_BYTES } from "./message-writer.ts";
import { NFTABLES_MESSAGE } from "./nftables-transaction.ts";

/** Netlink group of these news. */
export const NFTABLES_GROUP = 7;

/** Operation of a message within its subsystem: the low byte of its type. */
const OPERATION = 0xff;

// Operations on chains (enum nf_tables_msg_types); a chain's name is elsewhere than other names.
const NEW_CHAIN = 3;
const DELETE_CHAIN = 5;

// Attributes: the table comes first in all of them, the name second, but for chains.
const TABLE = 1;
const NAME = 2;
const CHAIN_NAME = 3;

// Attributes of the message that ends a transaction's news (enum nft_gen_attributes).
const GENERATION_NUMBER = 1;
const GENERATION_PROCESS = 2;
const GENERATION_PROCESS_NAME = 3;

/** One piece of news. */
export interface RuleNews {
  /** Number of the operation: NEW... or DELETE... of a table, chain, rule, set, element, object. */
  readonly operation: number;
  /** Address of the netlink socket through which it was done. */
  readonly port: number;
  /** Of the table, a value of TABLE_FAMILY or another of the kernel's; tables of two may have one name. */
  readonly family: number;
  readonly table: string;
  /** Name of the set, the object or the chain; empty for a table. */
  readonly name: string;
}

/** The end of the news about one transaction. */
export interface RuleAuthor {
  /** Process that did it, 0 when not told. */
  readonly pid: number;
  readonly processName: string;
}

/** True for the message that ends the news of a transaction. */
export function isTransactionEnd(message: MessageCursor): boolean {
  return message.type === NFTABLES_MESSAGE.NEW_GENERATION;
}

function attributesOf(bytes: DataView, message: MessageCursor): AttributeCursor {
  const cursor = new AttributeCursor();
  cursor.bind(bytes, message.bodyAt + NETFILTER_HEADER_BYTES, message.end);
  return cursor;
}

/** Reads who did a transaction. */
export function decodeRuleAuthor(bytes: DataView, message: MessageCursor): RuleAuthor {
  const cursor = attributesOf(bytes, message);
  let pid = 0;
  let processName = "";
  while (cursor.next()) {
    if (cursor.type === GENERATION_PROCESS) pid = cursor.uint32();
    if (cursor.type === GENERATION_PROCESS_NAME) processName = cursor.text();
  }
  return { pid, processName };
}

/** Asks how many transactions there were in the network namespace. */
export function encodeGenerationGet(): Uint8Array {
  const writer = new MessageWriter();
  const type = NFTABLES_MESSAGE.GET_GENERATION;
  writer.beginNetfilter({ type, flags: MESSAGE_FLAG.REQUEST, sequence: 1, family: 0 });
  writer.end();
  return writer.bytes;
}

/** Reads the answer: a number that each transaction moves on by one, modulo 2^32. */
export function decodeGenerationNumber(message: Uint8Array): number {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const cursor = new AttributeCursor();
  cursor.bind(view, MESSAGE_HEADER_BYTES + NETFILTER_HEADER_BYTES, view.byteLength);
  while (cursor.next()) if (cursor.type === GENERATION_NUMBER) return cursor.uint32();
  return 0;
}

/** Reads one piece of news; for elements, only whose set it is. */
export function decodeRuleNews(bytes: DataView, message: MessageCursor): RuleNews {
  const operation = message.type & OPERATION;
  const nameType = operation >= NEW_CHAIN && operation <= DELETE_CHAIN ? CHAIN_NAME : NAME;
  const cursor = attributesOf(bytes, message);
  let table = "";
  let name = "";
  while (cursor.next()) {
    if (cursor.type === TABLE) table = cursor.text();
    else if (cursor.type === nameType && operation >= NEW_CHAIN) name = cursor.text();
    if (table !== "" && name !== "") break;
  }
  // The header of the subsystem (struct nfgenmsg) begins with the family.
  const family = bytes.getUint8(message.bodyAt);
  return { operation, port: message.port, family, table, name };
}
