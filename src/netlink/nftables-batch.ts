/**
 * nf_tables transactions in netlink form: the little that the text language of nftables cannot say.
 *
 * That is one rule. A kernel without the nftables `queue` statement still has the older NFQUEUE target, and
 * nf_tables runs such targets in any table through its compatibility layer (nft_compat), but the text
 * language has no word for them. So the rule that sends packets up is written here, in both forms, and
 * everything else as text.
 *
 * A batch is all or nothing: begin, messages, end, and the kernel commits at the end or not at all.
 */
import { HOST_ORDER } from "./byte-order.ts";
import { MESSAGE_FLAG } from "./message.ts";
import type { MessageWriter } from "./message-writer.ts";
import { NFTABLES_MESSAGE, NftablesTransaction, type TableName } from "./nftables-transaction.ts";

// Attributes.
const TABLE_NAME = 1;
const RULE_TABLE = 1;
const RULE_CHAIN = 2;
const RULE_EXPRESSIONS = 4;
const LIST_ELEMENT = 1;
const EXPRESSION_NAME = 1;
const EXPRESSION_DATA = 2;
const TARGET_NAME = 1;
const TARGET_REVISION = 2;
const TARGET_INFO = 3;
const QUEUE_NUMBER = 1;
const QUEUE_TOTAL = 2;
const QUEUE_FLAGS = 3;

// Flags, the same in both forms (NFT_QUEUE_FLAG_BYPASS, NFQ_FLAG_BYPASS; ..._CPU_FANOUT).
const BYPASS = 1;
const CPU_FANOUT = 2;

/** Revision of the NFQUEUE target that has flags (struct xt_NFQ_info_v3). */
const TARGET_WITH_FLAGS = 3;

/** Which queues packets go to, and what becomes of them when nobody listens. */
export interface QueueRange {
  /** First queue number, 0 to 65535. */
  readonly first: number;
  /** Number of queues from there on. Both directions of an address pair and protocol meet in the same one. */
  readonly count: number;
  /** True: packets go on when nobody listens on their queue. False: they are dropped. */
  readonly bypass: boolean;
  /** True: the queue is chosen by the processor that handles the packet, and no longer by its addresses. */
  readonly byProcessor?: boolean;
}

/** How the kernel is told to queue: with the nftables statement, or with the older target. */
export type QueueExpression = "queue" | "target";

function writeQueueStatement(writer: MessageWriter, range: QueueRange, flags: number): void {
  writer.text(EXPRESSION_NAME, "queue");
  writer.beginNest(EXPRESSION_DATA);
  writer.uint16(QUEUE_NUMBER, range.first);
  writer.uint16(QUEUE_TOTAL, range.count);
  writer.uint16(QUEUE_FLAGS, flags);
  writer.endNest();
}

/**
 * struct xt_NFQ_info_v3: three 16-bit numbers in the machine's order, padded to eight bytes as XT_ALIGN asks.
 */
function targetInfo(range: QueueRange, flags: number): Uint8Array {
  const info = new DataView(new ArrayBuffer(8));
  info.setUint16(0, range.first, HOST_ORDER);
  info.setUint16(2, range.count, HOST_ORDER);
  info.setUint16(4, flags, HOST_ORDER);
  return new Uint8Array(info.buffer);
}

function writeQueueTarget(writer: MessageWriter, range: QueueRange, flags: number): void {
  writer.text(EXPRESSION_NAME, "target");
  writer.beginNest(EXPRESSION_DATA);
  writer.text(TARGET_NAME, "NFQUEUE");
  writer.uint32(TARGET_REVISION, TARGET_WITH_FLAGS);
  writer.attribute(TARGET_INFO, targetInfo(range, flags));
  writer.endNest();
}

/**
 * Writes the messages of one transaction.
 *
 * @example
 * const batch = new NftablesBatch(1);
 * batch.appendQueueRule(table, "judge", range, "target");
 * socket.transact(batch.end());
 */
export class NftablesBatch {
  readonly #transaction: NftablesTransaction;

  /** @param firstSequence - number of the first message; the others follow */
  constructor(firstSequence: number) {
    this.#transaction = new NftablesTransaction(firstSequence);
  }

  /** Removes a table with all it holds. The kernel answers ENOENT when there is none. */
  deleteTable(table: TableName): void {
    const writer = this.#transaction.begin(NFTABLES_MESSAGE.DELETE_TABLE, MESSAGE_FLAG.ACK, table.family);
    writer.text(TABLE_NAME, table.name);
    writer.end();
  }

  /** Removes every rule of a chain; the chain stays. */
  flushChain(table: TableName, chain: string): void {
    const writer = this.#transaction.begin(NFTABLES_MESSAGE.DELETE_RULE, MESSAGE_FLAG.ACK, table.family);
    writer.text(RULE_TABLE, table.name);
    writer.text(RULE_CHAIN, chain);
    writer.end();
  }

  /** Appends to a chain the rule that sends every packet to userspace. */
  appendQueueRule(table: TableName, chain: string, range: QueueRange, expression: QueueExpression): void {
    const appended = MESSAGE_FLAG.ACK | MESSAGE_FLAG.CREATE | MESSAGE_FLAG.APPEND;
    const writer = this.#transaction.begin(NFTABLES_MESSAGE.NEW_RULE, appended, table.family);
    writer.text(RULE_TABLE, table.name);
    writer.text(RULE_CHAIN, chain);
    writer.beginNest(RULE_EXPRESSIONS);
    writer.beginNest(LIST_ELEMENT);
    const flags = (range.bypass ? BYPASS : 0) | (range.byProcessor === true ? CPU_FANOUT : 0);
    if (expression === "queue") writeQueueStatement(writer, range, flags);
    else writeQueueTarget(writer, range, flags);
    writer.endNest();
    writer.endNest();
    writer.end();
  }

  /** Ends the transaction and gives its bytes. */
  end(): Uint8Array {
    return this.#transaction.end();
  }
}
