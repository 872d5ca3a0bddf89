/**
 * Verdict messages for the kernel's queue, written one behind the other so that one `send` carries a whole
 * batch.
 *
 * Packets are answered in the order in which they came. A run of packets with the same answer becomes one
 * message (NFQNL_MSG_VERDICT_BATCH), which answers every packet up to the id it names. That is right only
 * while no earlier packet waits for its answer; whoever uses this class must answer each packet before the
 * next one.
 */
import { invariant } from "../base/index.ts";
import { HOST_ORDER } from "./byte-order.ts";
import { ATTRIBUTE_FIELD, MESSAGE_FIELD, MESSAGE_FLAG, MESSAGE_HEADER_BYTES } from "./message.ts";
import { NETFILTER_HEADER_BYTES } from "./message-writer.ts";

/** What the kernel does with a packet (`linux/netfilter.h`). */
export const NETFILTER_VERDICT = {
  /** NF_DROP */
  DROP: 0,
  /** NF_ACCEPT: on to the next chain */
  ACCEPT: 1,
  /**
   * NF_REPEAT: to the same chain once more, and from there into the queue as if it came for the first time
   */
  REPEAT: 4,
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

/** Writes verdicts into a buffer that is given once. */
export class VerdictWriter {
  readonly #bytes: DataView;
  readonly #start: number;
  readonly #queue: number;
  readonly #joinRuns: boolean;
  #end: number;
  #lastAt = -1;
  #lastVerdict = 0;
  #lastMark = 0;
  #lastIsMarked = false;

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
    this.#write(id, verdict, 0, false);
  }

  /**
   * Answers the packet `id` and gives it a mark.
   *
   * @param mark - 32 bits; as a signed number it needs no box
   */
  answerMarked(id: number, verdict: number, mark: number): void {
    this.#write(id, verdict, mark | 0, true);
  }

  #write(id: number, verdict: number, mark: number, isMarked: boolean): void {
    const bytes = this.#bytes;
    if (this.#continuesRun(verdict, mark, isMarked)) {
      bytes.setUint16(this.#lastAt + MESSAGE_FIELD.TYPE, VERDICT_UP_TO, HOST_ORDER);
      bytes.setInt32(this.#lastAt + ID_AT, id);
      return;
    }
    const at = this.#end;
    const length = isMarked ? VERDICT_MAX_BYTES : PLAIN_BYTES;
    invariant(at + length <= bytes.byteLength, "the verdict buffer holds every verdict of a batch");
    bytes.setUint32(at + MESSAGE_FIELD.LENGTH, length, HOST_ORDER);
    bytes.setUint16(at + MESSAGE_FIELD.TYPE, VERDICT_ONE, HOST_ORDER);
    bytes.setUint16(at + MESSAGE_FIELD.FLAGS, MESSAGE_FLAG.REQUEST, HOST_ORDER);
    bytes.setUint32(at + MESSAGE_FIELD.SEQUENCE, 0, HOST_ORDER);
    bytes.setUint32(at + MESSAGE_FIELD.PORT, 0, HOST_ORDER);
    bytes.setUint16(at + FAMILY_AT, 0);
    bytes.setUint16(at + RESOURCE_AT, this.#queue);
    this.#attribute(at + HEADER_AT, 12, VERDICT_HEADER);
    bytes.setUint32(at + VERDICT_AT, verdict);
    bytes.setInt32(at + ID_AT, id);
    if (isMarked) {
      this.#attribute(at + MARK_HEADER_AT, 8, MARK);
      bytes.setInt32(at + MARK_AT, mark);
    }
    this.#end = at + length;
    this.#lastAt = at;
    this.#lastVerdict = verdict;
    this.#lastMark = mark;
    this.#lastIsMarked = isMarked;
  }

  /** True when the answer is the same as the one before, so that one message can give both. */
  #continuesRun(verdict: number, mark: number, isMarked: boolean): boolean {
    if (this.#lastAt < 0 || !this.#joinRuns) return false;
    return verdict === this.#lastVerdict && mark === this.#lastMark && isMarked === this.#lastIsMarked;
  }

  #attribute(at: number, length: number, type: number): void {
    this.#bytes.setUint16(at + ATTRIBUTE_FIELD.LENGTH, length, HOST_ORDER);
    this.#bytes.setUint16(at + ATTRIBUTE_FIELD.TYPE, type, HOST_ORDER);
  }
}
