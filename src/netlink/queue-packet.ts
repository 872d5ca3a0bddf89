/**
 * One packet as the kernel's queue hands it up (NFQNL_MSG_PACKET): its metadata as numbers, its bytes as a
 * place.
 *
 * Names in parentheses are those of `linux/netfilter/nfnetlink_queue.h`. All numbers in attributes are in
 * network order. Attributes that are not listed here are skipped: a later kernel may send more.
 */
import { ATTRIBUTE_HEADER_BYTES, AttributeCursor, type NetlinkFault } from "./message.ts";
import { MessageWriter, NETFILTER_HEADER_BYTES } from "./message-writer.ts";
import { QUEUE_PACKET } from "./queue-config.ts";

// Attribute types (enum nfqnl_attr_type).
const PACKET_HEADER = 1;
const MARK = 3;
const IN_INTERFACE = 5;
const OUT_INTERFACE = 6;
const HARDWARE_ADDRESS = 9;
const PAYLOAD = 10;
const CAPTURE_LENGTH = 13;
const SOCKET_BUFFER = 14;
const USER = 16;
const GROUP = 17;
const PRIORITY = 21;

// Byte offsets in the packet header attribute (struct nfqnl_msg_packet_hdr).
const HEADER_ID = 0;
const HEADER_PROTOCOL = 4;
const HEADER_HOOK = 6;
const HEADER_BYTES = 7;

/** Length of a hardware address with its length before it (struct nfqnl_msg_packet_hw). */
const HARDWARE_ADDRESS_BYTES = 12;

// Flags of the socket buffer attribute.
const CHECKSUM_NOT_READY = 1;
const SEGMENTS_TO_COME = 2;
const CHECKSUM_NOT_VERIFIED = 4;

/** Value of a user or group id when the kernel named none. */
const NO_USER = -1;

/** The fields of a packet record that only the kernel's queue can fill. */
export interface QueueMetadata {
  hook: number;
  inInterface: number;
  outInterface: number;
  mark: number;
  userId: number;
  groupId: number;
}

/**
 * Reads a queued packet in place; holds no bytes of its own.
 *
 * One instance serves all packets of a socket: {@link QueuePacketView.bind} moves it.
 */
export class QueuePacketView {
  readonly #cursor: AttributeCursor = new AttributeCursor();

  /**
   * Number by which the verdict names the packet: 32 bits, here as a signed number, because V8 keeps those
   * without a box. Valid when {@link QueuePacketView.hasId} is true.
   */
  id = 0;
  /** True when the id could be read: such a packet can, and must, have a verdict. */
  hasId = false;
  /** Where the packet was met (enum nf_inet_hooks). */
  hook = 0;
  /** Ethernet type: 0x0800 for IPv4, 0x86dd for IPv6. */
  etherType = 0;
  /** Packet mark (fwmark), 32 bits. */
  mark = 0;
  /** Index of the interface it came in by, 0 when none. */
  inInterface = 0;
  /** Index of the interface it leaves by, 0 when none. */
  outInterface = 0;
  /** User id of the local socket that sent it, -1 when unknown. */
  userId: number = NO_USER;
  /** Group id of the local socket that sent it, -1 when unknown. */
  groupId: number = NO_USER;
  /** Priority (skb->priority), 32 bits; 0 when it has none, or when the kernel is older than Linux 5.18. */
  priority = 0;
  /** Offset of the IP header. Equal to `payloadEnd` when the kernel sent no bytes. */
  payloadAt = 0;
  /** Offset just past the copied bytes. */
  payloadEnd = 0;
  /** Length of the packet in the kernel, in bytes; more than was copied when the copy was cut short. */
  wireBytes = 0;
  /** True when the checksums are still to be filled in by hardware, so that a wrong one means nothing. */
  checksumNotReady = false;
  /** True when hardware did not check the checksum on the way in. */
  checksumNotVerified = false;
  /** True for a super-packet (GSO) that is cut into segments behind us. */
  segmentsToCome = false;

  /**
   * Moves the view to the message whose body begins at `at`.
   *
   * @param bytes - receive buffer, shared by all packets of one batch
   * @param at - offset of the netfilter header, behind the message header
   * @param end - offset just past the message
   * @returns the first fault found, or `undefined`; with a fault the metadata read so far stands
   */
  bind(bytes: DataView, at: number, end: number): NetlinkFault | undefined {
    this.#clear(at);
    const cursor = this.#cursor;
    cursor.bind(bytes, at + NETFILTER_HEADER_BYTES, end);
    while (cursor.next()) this.#readAttribute(bytes, cursor);
    const copied = this.payloadEnd - this.payloadAt;
    if (this.wireBytes < copied) this.wireBytes = copied;
    if (cursor.fault === undefined && !this.hasId) return "attribute-missing";
    return cursor.fault;
  }

  /** Hands the queue's metadata to a packet record. */
  describe(packet: QueueMetadata): void {
    packet.hook = this.hook;
    packet.inInterface = this.inInterface;
    packet.outInterface = this.outInterface;
    packet.mark = this.mark;
    packet.userId = this.userId;
    packet.groupId = this.groupId;
  }

  #clear(at: number): void {
    this.id = 0;
    this.hasId = false;
    this.hook = 0;
    this.etherType = 0;
    this.mark = 0;
    this.inInterface = 0;
    this.outInterface = 0;
    this.userId = NO_USER;
    this.groupId = NO_USER;
    this.priority = 0;
    this.payloadAt = at;
    this.payloadEnd = at;
    this.wireBytes = 0;
    this.checksumNotReady = false;
    this.checksumNotVerified = false;
    this.segmentsToCome = false;
  }

  #readAttribute(bytes: DataView, cursor: AttributeCursor): void {
    switch (cursor.type) {
      case PACKET_HEADER:
        this.#readHeader(bytes, cursor);
        break;
      case MARK:
      case PRIORITY:
        this.#readWord(bytes, cursor);
        break;
      case IN_INTERFACE:
        this.inInterface = cursor.uint32();
        break;
      case OUT_INTERFACE:
        this.outInterface = cursor.uint32();
        break;
      case PAYLOAD:
        this.payloadAt = cursor.at;
        this.payloadEnd = cursor.end;
        break;
      case CAPTURE_LENGTH:
        this.wireBytes = cursor.uint32();
        break;
      case SOCKET_BUFFER:
        this.#readFlags(cursor.uint32());
        break;
      case USER:
      case GROUP:
        this.#readOwner(bytes, cursor);
        break;
    }
  }

  #readHeader(bytes: DataView, cursor: AttributeCursor): void {
    if (cursor.length < HEADER_BYTES) {
      cursor.stop("attribute-length");
      return;
    }
    this.id = bytes.getInt32(cursor.at + HEADER_ID);
    this.etherType = bytes.getUint16(cursor.at + HEADER_PROTOCOL);
    this.hook = bytes.getUint8(cursor.at + HEADER_HOOK);
    this.hasId = true;
  }

  #readWord(bytes: DataView, cursor: AttributeCursor): void {
    if (!cursor.holds(4)) return;
    if (cursor.type === MARK) this.mark = bytes.getUint32(cursor.at);
    else this.priority = bytes.getUint32(cursor.at);
  }

  #readOwner(bytes: DataView, cursor: AttributeCursor): void {
    if (!cursor.holds(4)) return;
    if (cursor.type === USER) this.userId = bytes.getUint32(cursor.at);
    else this.groupId = bytes.getUint32(cursor.at);
  }

  #readFlags(flags: number): void {
    this.checksumNotReady = (flags & CHECKSUM_NOT_READY) !== 0;
    this.segmentsToCome = (flags & SEGMENTS_TO_COME) !== 0;
    this.checksumNotVerified = (flags & CHECKSUM_NOT_VERIFIED) !== 0;
  }
}

/** Room a queued packet's message needs beside the packet's own bytes: all attributes the kernel may send. */
export const QUEUE_METADATA_MAX_BYTES: number = 1024 + ATTRIBUTE_HEADER_BYTES;

/** What is said of a packet. */
export interface QueuedPacket extends QueueMetadata {
  /** Number of the queue. */
  readonly queue: number;
  readonly id: number;
  /** Ethernet type of what it holds. */
  readonly etherType: number;
  /** The packet from its IP header on; the last thing in the message, which it fills up to its end. */
  readonly payload: Uint8Array;
}

/** The message by which the kernel would hand a packet up, its attributes in the kernel's order. */
export function encodeQueuePacket(packet: Readonly<QueuedPacket>): Uint8Array {
  const { inInterface, outInterface, mark, userId, groupId } = packet;
  const writer = new MessageWriter();
  writer.beginNetfilter({ type: QUEUE_PACKET, flags: 0, sequence: 0, resource: packet.queue });
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  header.setUint32(HEADER_ID, packet.id);
  header.setUint16(HEADER_PROTOCOL, packet.etherType);
  header.setUint8(HEADER_HOOK, packet.hook);
  writer.attribute(PACKET_HEADER, new Uint8Array(header.buffer));
  if (inInterface !== 0) writer.uint32(IN_INTERFACE, inInterface);
  if (outInterface !== 0) writer.uint32(OUT_INTERFACE, outInterface);
  if (mark !== 0) writer.uint32(MARK, mark);
  if (inInterface !== 0) writer.attribute(HARDWARE_ADDRESS, new Uint8Array(HARDWARE_ADDRESS_BYTES));
  if (userId !== NO_USER) writer.uint32(USER, userId);
  if (groupId !== NO_USER) writer.uint32(GROUP, groupId);
  writer.uint32(SOCKET_BUFFER, CHECKSUM_NOT_READY);
  writer.attribute(PAYLOAD, packet.payload);
  writer.end();
  return writer.bytes;
}
