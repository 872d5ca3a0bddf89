/**
 * Verdict messages for the kernel's queue, written one behind the other so that one `send` carries a whole batch.
 *
 * Packets are answered in the order in which they came. A run of packets with the same answer becomes one message
 * (NFQNL_MSG_VERDICT_BATCH), which answers every packet up to the id it names. That is right only while no earlier
 * packet waits for its answer; whoever uses this class must answer each packet before the next one.
 */
import { invariant } from "../base/index.ts";
import { HOST_ORDER } from "./byte-order.ts";
import { MESSAGE_FLAG, MESSAGE_HEADER_BYTES } from "./message.ts";
import { NETFILTER_HEADER_BYTES } from "./message-writer.ts";

/** What the kernel does with a packet (`linux/netfilter.h`). */
export const NETFILTER_VERDICT = {
  /** NF_DROP */
  DROP: 0,
  /** NF_ACCEPT: on to the next chain */
  ACCEPT: 1,
} as const;

/** Queue subsystem in the high byte of a message type (NFNL_SUBSYS_QUEUE). */
const SUBSYSTEM = 3 << 8;
/** NFQNL_MSG_VERDICT */
const VERDICT_ONE = SUBSYSTEM | 1;
/** NFQNL_MSG_VERDICT_BATCH */
const VERDICT_UP_TO = SUBSYSTEM | 3;

/** Attribute with verdict and id (NFQA_VERDICT_HDR). */
const VERDICT_HEADER = 2;
/** Attribute with the mark the packet shall carry on (NFQA_MARK). */
const MARK = 3;

// Byte offsets in a verdict message, from its start.
const LENGTH_AT = 0;
const TYPE_AT = 4;
const FLAGS_AT = 6;
const SEQUENCE_AT = 8;
const PORT_AT = 12;
const FAMILY_AT: number = MESSAGE_HEADER_BYTES;
const RESOURCE_AT: number = MESSAGE_HEADER_BYTES + 2;
const HEADER_AT: number = MESSAGE_HEADER_BYTES + NETFILTER_HEADER_BYTES;
const VERDICT_AT: number = HEADER_AT + 4;
const ID_AT: number = HEADER_AT + 8;
const MARK_HEADER_AT: number = HEADER_AT + 12;
const MARK_AT: number = MARK_HEADER_AT + 4;

/** Length of a verdict message without a mark, in bytes. */
const PLAIN_BYTES: number = MARK_HEADER_AT;

/** Length of a verdict message with a mark, in bytes: the most one packet needs. */
export const VERDICT_MAX_BYTES: number = MARK_AT + 4;

/** Stands for "the packet keeps its mark". */
const KEEP_MARK = -1;

/** Writes verdicts into a buffer that is given once. */
export class VerdictWriter {
  readonly #bytes: DataView;
  readonly #start: number;
  readonly #queue: number;
  readonly #joinRuns: boolean;
  #end: number;
  #lastAt = -1;
  #lastVerdict = 0;
  #lastMark: number = KEEP_MARK;

  /**
   * @param bytes - send buffer; needs {@link VERDICT_MAX_BYTES} for each packet of a batch
   * @param at - offset in it of the first message
   * @param queue - queue number, 0 to 65535
   * @param joinRuns - false writes one message for each packet, always
   */
  constructor(bytes: DataView, at: number, queue: number, joinRuns = true) {
    this.#bytes = bytes;
    this.#start = at;
    this.#end = at;
    this.#queue = queue;
    this.#joinRuns = joinRuns;
  }

  /** Length of the messages written, in bytes. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Forgets all messages: they are sent. */
  reset(): void {
    this.#end = this.#start;
    this.#lastAt = -1;
  }

  /** Answers the packet `id`; it keeps its mark. */
  answer(id: number, verdict: number): void {
    this.#write(id, verdict, KEEP_MARK);
  }

  /**
   * Answers the packet `id` and gives it a mark.
   *
   * @param mark - all 32 bits, unsigned
   */
  answerMarked(id: number, verdict: number, mark: number): void {
    this.#write(id, verdict, mark);
  }

  #write(id: number, verdict: number, mark: number): void {
    const bytes = this.#bytes;
    const last = this.#lastAt;
    if (last >= 0 && this.#joinRuns && verdict === this.#lastVerdict && mark === this.#lastMark) {
      bytes.setUint16(last + TYPE_AT, VERDICT_UP_TO, HOST_ORDER);
      bytes.setUint32(last + ID_AT, id);
      return;
    }
    const at = this.#end;
    const length = mark === KEEP_MARK ? PLAIN_BYTES : VERDICT_MAX_BYTES;
    invariant(at + length <= bytes.byteLength, "the verdict buffer holds every verdict of a batch");
    bytes.setUint32(at + LENGTH_AT, length, HOST_ORDER);
    bytes.setUint16(at + TYPE_AT, VERDICT_ONE, HOST_ORDER);
    bytes.setUint16(at + FLAGS_AT, MESSAGE_FLAG.REQUEST, HOST_ORDER);
    bytes.setUint32(at + SEQUENCE_AT, 0, HOST_ORDER);
    bytes.setUint32(at + PORT_AT, 0, HOST_ORDER);
    bytes.setUint16(at + FAMILY_AT, 0);
    bytes.setUint16(at + RESOURCE_AT, this.#queue);
    this.#attribute(at + HEADER_AT, 12, VERDICT_HEADER);
    bytes.setUint32(at + VERDICT_AT, verdict);
    bytes.setUint32(at + ID_AT, id);
    if (mark !== KEEP_MARK) {
      this.#attribute(at + MARK_HEADER_AT, 8, MARK);
      bytes.setUint32(at + MARK_AT, mark);
    }
    this.#end = at + length;
    this.#lastAt = at;
    this.#lastVerdict = verdict;
    this.#lastMark = mark;
  }

  #attribute(at: number, length: number, type: number): void {
    this.#bytes.setUint16(at, length, HOST_ORDER);
    this.#bytes.setUint16(at + 2, type, HOST_ORDER);
  }
}
