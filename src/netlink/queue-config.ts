/** Messages that open and shape a kernel queue (NFQNL_MSG_CONFIG). */
import { ATTRIBUTE_VALUE_MAX_BYTES, MESSAGE_FLAG } from "./message.ts";
import { MessageWriter } from "./message-writer.ts";

/** NFNL_SUBSYS_QUEUE in the high byte, NFQNL_MSG_CONFIG in the low one. */
const QUEUE_CONFIG = (3 << 8) | 2;

/** Type of the messages that carry packets: NFNL_SUBSYS_QUEUE and NFQNL_MSG_PACKET. */
export const QUEUE_PACKET: number = 3 << 8;

// Attributes of a configuration (enum nfqnl_attr_config).
const COMMAND = 1;
const PARAMETERS = 2;
const LENGTH = 3;
const FLAG_MASK = 4;
const FLAGS = 5;

// Commands (enum nfqnl_msg_config_cmds).
const BIND = 1;
const UNBIND = 2;

/** Copy the packet's bytes, not only its metadata (NFQNL_COPY_PACKET). */
const COPY_PACKET = 2;

/** Flags of a queue. */
export const QUEUE_FLAG = {
  /** NFQA_CFG_F_FAIL_OPEN: a packet that finds the queue full goes on without a verdict */
  FAIL_OPEN: 1,
  /** NFQA_CFG_F_CONNTRACK: send the connection tracker's entry along */
  CONNTRACK: 2,
  /** NFQA_CFG_F_GSO: super-packets come up whole, with unfinished checksums */
  GSO: 4,
  /** NFQA_CFG_F_UID_GID: name the owner of the sending socket */
  OWNER: 8,
} as const;

/** All flags we decide about; a flag left out of the mask would keep what another program set. */
const ALL_FLAGS = 0xf;

/** Most bytes of a packet that fit beside its header in one attribute; asking for more gives as many. */
export const COPY_RANGE_MAX_BYTES: number = ATTRIBUTE_VALUE_MAX_BYTES;

/** How a queue shall be. */
export interface QueueConfig {
  /** Queue number, 0 to 65535. */
  readonly queue: number;
  /** Bytes of each packet that are copied, 1 to 65531. */
  readonly copyRangeBytes: number;
  /** Packets that may wait in the kernel. */
  readonly queuePackets: number;
  /** Bits of {@link QUEUE_FLAG}. They go in one attribute: of two the kernel keeps only the last. */
  readonly flags: number;
}

function bigEndian32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function begin(
  writer: MessageWriter,
  queue: number,
  sequence: number,
  flags: number = MESSAGE_FLAG.REQUEST | MESSAGE_FLAG.ACK,
): void {
  writer.beginNetfilter({ type: QUEUE_CONFIG, flags, sequence, resource: queue });
}

/**
 * One message that binds a queue and sets it up, so that it is never half configured.
 *
 * @param sequence - number that the kernel's answer will carry
 */
export function encodeQueueBind(config: QueueConfig, sequence: number): Uint8Array {
  const writer = new MessageWriter();
  begin(writer, config.queue, sequence);
  writer.attribute(COMMAND, Uint8Array.of(BIND, 0, 0, 0));
  writer.attribute(PARAMETERS, Uint8Array.of(...bigEndian32(config.copyRangeBytes), COPY_PACKET));
  writer.uint32(LENGTH, config.queuePackets);
  writer.uint32(FLAG_MASK, ALL_FLAGS);
  writer.uint32(FLAGS, config.flags);
  writer.end();
  return writer.bytes;
}

/**
 * The message that changes how much of each packet is copied. The kernel answers only to refuse it, among the
 * queue's packets.
 *
 * @param copyRangeBytes - 1 to 65531
 */
export function encodeQueueCopyRange(queue: number, copyRangeBytes: number): Uint8Array {
  const writer = new MessageWriter();
  begin(writer, queue, 0, MESSAGE_FLAG.REQUEST);
  writer.attribute(PARAMETERS, Uint8Array.of(...bigEndian32(copyRangeBytes), COPY_PACKET));
  writer.end();
  return writer.bytes;
}

/** The message that gives a queue back; packets that wait in it are dropped by the kernel. */
export function encodeQueueUnbind(queue: number, sequence: number): Uint8Array {
  const writer = new MessageWriter();
  begin(writer, queue, sequence);
  writer.attribute(COMMAND, Uint8Array.of(UNBIND, 0, 0, 0));
  writer.end();
  return writer.bytes;
}
