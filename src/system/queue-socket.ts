/**
 * One kernel queue (NFQUEUE) and the loop around it: wait, take a batch, judge, answer the batch in one send.
 *
 * A queue belongs to one thread, and that thread blocks in {@link QueueSocket.receive}; to call it away,
 * signal the eventfd it was given. Every packet has an answer: one that its judge passed over, or that cannot
 * be read, gets the outcome that was declared when the queue was opened.
 *
 * What goes wrong is counted and never fatal as long as packets can flow. A verdict for a packet that the
 * kernel no longer holds comes back as ENOENT; it is `gone`. The receive buffer overflows silently
 * (NETLINK_NO_ENOBUFS), because the packets it had no room for are dropped or passed by the kernel according
 * to the fail-open flag and counted there: see queue-statistics.ts. Nothing is allocated for a packet.
 *
 * Give each wait an end, a second for instance: a process that exits waits for its threads, and nothing but a
 * packet or the eventfd ends a wait that has none.
 *
 * @example
 * const queue = QueueSocket.open(options);
 * while (!stopped) {
 *   queue.receive(1000);
 *   while (queue.next()) queue.accept();
 *   queue.flush();
 * }
 * queue.close();
 */
import { FirewallError } from "../base/index.ts";
import {
  CONTROL,
  COPY_RANGE_MAX_BYTES,
  decodeKernelAnswer,
  encodeQueueBind,
  encodeQueueCopyRange,
  errorNumber,
  type KernelAnswer,
  MESSAGE_HEADER_BYTES,
  MessageCursor,
  NETFILTER_VERDICT,
  QUEUE_FLAG,
  QUEUE_METADATA_MAX_BYTES,
  QUEUE_PACKET,
  QueuePacketView,
  VERDICT_MAX_BYTES,
  VerdictWriter,
} from "../netlink/index.ts";
import { BatchBuffer } from "./batch-buffer.ts";
import { readCapabilities } from "./kernel-settings.ts";
import { close, ERRNO, lastErrno, recv, recvmmsg, send } from "./libc.ts";
import { NETLINK_PROTOCOL, openNetlink, refusal, setOption } from "./netlink-socket.ts";
import { QueueSet } from "./queue-set.ts";
import { systemError } from "./system-error.ts";

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
const MSG_DONTWAIT = 0x40;

/** Send buffer: the largest batch of verdicts, whatever the system's default (net.core.wmem_default). */
const SEND_BUFFER_BYTES = 131_072;

/** Times a send is tried before verdicts count as lost. */
const SEND_ATTEMPTS = 5;

/** How a queue shall be opened. */
export interface QueueSocketOptions {
  /** Queue number, 0 to 65535. */
  readonly queue: number;
  /** Bytes of each packet that come up, 1 to 65531; more is cut to that. */
  readonly copyRangeBytes: number;
  /** Packets that may wait in the kernel. */
  readonly queuePackets: number;
  /** Packets taken in one call, 1 to 1024. */
  readonly batchPackets: number;
  /** Receive buffer of the socket, in bytes. */
  readonly receiveBufferBytes: number;
  /** True: packets that find the queue full go on without a verdict. False: they are dropped. */
  readonly failOpen: boolean;
  /** True: super-packets (GSO) come up whole. */
  readonly wholeSuperPackets: boolean;
  /** True: an unreadable or passed-over packet is accepted. False: it is dropped. */
  readonly acceptUnanswered: boolean;
  /** File descriptor of the eventfd that ends a wait; -1 for none. */
  readonly wakeFd: number;
}

/** What happened at a queue since it was opened. */
export class QueueCounters {
  /** Packets received. */
  packets = 0;
  /** Calls that brought at least one packet. */
  batches = 0;
  /**
   * Packets whose copy was shorter than the packet, though as much was copied as the queue was opened for.
   */
  shortCopies = 0;
  /** Packets answered with the declared outcome, because nobody else answered. */
  unanswered = 0;
  /** Messages that could not be read. */
  unreadable = 0;
  /** Verdicts for packets that the kernel no longer held. */
  gone = 0;
  /** Verdicts the kernel refused for another reason. */
  refused = 0;
  /** Times the kernel said that it had to throw messages away. */
  overruns = 0;
}

/** A bound queue. */
export class QueueSocket {
  readonly #fd: number;
  readonly #buffer: BatchBuffer;
  readonly #alone: QueueSet;
  readonly #verdictMemory: ArrayBuffer;
  readonly #verdicts: VerdictWriter;
  readonly #message: MessageCursor = new MessageCursor();
  readonly #unansweredVerdict: number;
  readonly #queue: number;
  /** Bytes of a packet that are copied at most. */
  readonly #copyRangeBytes: number;
  #received = 0;
  #slot = 0;
  #waiting = false;

  /** The packet that {@link QueueSocket.next} moved to. */
  readonly packet: QueuePacketView = new QueuePacketView();
  /** Memory that the packet's offsets refer to; the same for the life of the socket. */
  readonly bytes: DataView;
  /** What happened so far. */
  readonly counters: QueueCounters = new QueueCounters();

  private constructor(fd: number, options: QueueSocketOptions, buffer: BatchBuffer) {
    const { queue, wakeFd } = options;
    this.#fd = fd;
    this.#queue = queue;
    this.#copyRangeBytes = wholeCopy(options);
    this.#buffer = buffer;
    this.bytes = this.#buffer.bytes;
    this.#verdictMemory = new ArrayBuffer(buffer.slots * VERDICT_MAX_BYTES);
    this.#verdicts = new VerdictWriter(new DataView(this.#verdictMemory), 0, queue);
    this.#unansweredVerdict = options.acceptUnanswered ? NETFILTER_VERDICT.ACCEPT : NETFILTER_VERDICT.DROP;
    this.#alone = new QueueSet([fd], wakeFd);
  }

  /**
   * Binds a queue in the network namespace of the calling thread.
   *
   * @throws {FirewallError} `QUEUE_TAKEN` when another program holds the queue; `QUEUE_REFUSED` when the
   *   kernel does not allow it or has no NFQUEUE
   */
  static open(options: QueueSocketOptions): QueueSocket {
    return QueueSocket.attach(QueueSocket.bind(options), options);
  }

  /**
   * Binds a queue like {@link QueueSocket.open}, for another thread to use: a file descriptor belongs to the
   * process, so whoever binds can give the queue back when the thread that uses it has died.
   *
   * @returns the file descriptor, for {@link QueueSocket.attach} there and {@link QueueSocket.release} here
   * @throws {FirewallError} as {@link QueueSocket.open}
   */
  static bind(options: QueueSocketOptions): number {
    const fd = openNetlink(NETLINK_PROTOCOL.NETFILTER);
    try {
      setReceiveBuffer(fd, options.receiveBufferBytes);
      setOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
      setOption(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
      bindQueue(fd, options);
      return fd;
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** Gives back a queue that was bound by {@link QueueSocket.bind}; packets that wait in it are dropped. */
  static release(fd: number): void {
    close(fd);
  }

  /**
   * Uses a socket that is bound to its queue already.
   *
   * @param fd - its file descriptor, which {@link QueueSocket.close} gives back
   * @param buffer - where packets go; sockets of one thread may share it, since a batch is answered before
   *   the next
   */
  static attach(
    fd: number,
    options: QueueSocketOptions,
    buffer: BatchBuffer = QueueSocket.bufferFor(options),
  ): QueueSocket {
    return new QueueSocket(fd, options, buffer);
  }

  /** Receive memory for queues with these options. */
  static bufferFor({ batchPackets, copyRangeBytes }: QueueSocketOptions): BatchBuffer {
    return new BatchBuffer(batchPackets, wholeCopy({ copyRangeBytes }) + QUEUE_METADATA_MAX_BYTES);
  }

  /** True when the last wait of {@link QueueSocket.receive} was ended by the eventfd. */
  get woken(): boolean {
    return this.#alone.woken;
  }

  /**
   * Waits for packets and takes a batch of them.
   *
   * @param timeoutMs - longest wait in milliseconds, -1 for ever, 0 for none
   * @returns number of messages taken; 0 when the time is over or the eventfd was signalled
   * @throws {FirewallError} `QUEUE_FAILED` when the socket cannot be read any more
   */
  receive(timeoutMs: number): number {
    const ready = this.#alone.wait(timeoutMs);
    return this.take(ready === 0 ? 0 : this.#buffer.slots);
  }

  /**
   * Takes packets that are there already, without waiting for any.
   *
   * @param most - of them
   * @returns number of messages taken
   * @throws {FirewallError} `QUEUE_FAILED` when the socket cannot be read any more
   */
  take(most: number): number {
    this.#received = 0;
    this.#slot = -1;
    this.#message.bind(this.bytes, 0, 0);
    if (most === 0) return 0;
    const count = recvmmsg(
      this.#fd,
      this.#buffer.headers,
      Math.min(most, this.#buffer.slots),
      MSG_DONTWAIT,
      null,
    );
    if (count < 0) return this.#countReceiveError(lastErrno());
    this.#received = count;
    this.counters.batches += 1;
    return count;
  }

  /**
   * Moves to the next packet of the batch. The packet before has its answer: its judge's, or the declared
   * one.
   *
   * @returns false when the batch is at its end
   */
  next(): boolean {
    if (this.#waiting) this.#answerUnanswered();
    while (true) {
      while (this.#message.next()) {
        if (this.#isPacket()) return true;
      }
      if (this.#message.fault !== undefined) this.#rescue();
      this.#slot += 1;
      if (this.#slot >= this.#received) return false;
      const at = this.#buffer.slotAt(this.#slot);
      this.#message.bind(this.bytes, at, at + this.#buffer.lengthOf(this.#slot));
    }
  }

  /** Lets the packet go on; it keeps its mark. */
  accept(): void {
    this.#verdicts.answer(this.packet.id, NETFILTER_VERDICT.ACCEPT);
    this.#waiting = false;
  }

  /**
   * Lets the packet go on with a mark.
   *
   * @param mark - 32 bits; as a signed number it needs no box
   */
  acceptMarked(mark: number): void {
    this.#verdicts.answerMarked(this.packet.id, NETFILTER_VERDICT.ACCEPT, mark);
    this.#waiting = false;
  }

  /**
   * Sends the packet to its hook's chain once more with a mark; from there it may come again, with another
   * copy.
   *
   * @param mark - 32 bits; as a signed number it needs no box
   */
  repeat(mark: number): void {
    this.#verdicts.answerMarked(this.packet.id, NETFILTER_VERDICT.REPEAT, mark);
    this.#waiting = false;
  }

  /** True when less of the packet was copied than there is, and than the queue was opened for. */
  get isCut(): boolean {
    const { wireBytes, payloadAt, payloadEnd } = this.packet;
    const copied = payloadEnd - payloadAt;
    return copied < wireBytes && copied < this.#copyRangeBytes;
  }

  /**
   * Changes how much of each packet is copied from now on; what waits in the queue was copied before.
   *
   * @param bytes - at most what the queue was opened for is copied
   * @throws {FirewallError} `QUEUE_FAILED` when the kernel cannot be asked
   */
  copy(bytes: number): void {
    const request = encodeQueueCopyRange(this.#queue, Math.min(bytes, this.#copyRangeBytes));
    if (send(this.#fd, request, request.length, 0) >= 0) return;
    throw systemError("QUEUE_FAILED", `Cannot change the copy range of queue ${this.#queue}`, lastErrno());
  }

  /** Makes the packet vanish. */
  drop(): void {
    this.#verdicts.answer(this.packet.id, NETFILTER_VERDICT.DROP);
    this.#waiting = false;
  }

  /**
   * Sends all answers of the batch in one call.
   *
   * @throws {FirewallError} `QUEUE_FAILED` when the kernel does not take them
   */
  flush(): void {
    if (this.#waiting) this.#answerUnanswered();
    const length = this.#verdicts.length;
    if (length === 0) return;
    this.#verdicts.reset();
    let errno = 0;
    for (let attempt = 0; attempt < SEND_ATTEMPTS; attempt += 1) {
      if (send(this.#fd, this.#verdictMemory, length, 0) >= 0) return;
      errno = lastErrno();
      if (errno !== ERRNO.EINTR && errno !== ERRNO.ENOBUFS && errno !== ERRNO.EAGAIN) break;
    }
    throw systemError("QUEUE_FAILED", "Cannot send verdicts", errno);
  }

  /** Unbinds the queue; packets that wait in it are dropped, so remove the rules that fill it first. */
  close(): void {
    close(this.#fd);
  }

  /** True when the message brings a packet to judge; every other message is dealt with. */
  #isPacket(): boolean {
    const message = this.#message;
    if (message.type === QUEUE_PACKET) return this.#bind(message.bodyAt, message.end);
    if (message.type === CONTROL.ERROR) this.#countError(errorNumber(this.bytes, message));
    return false;
  }

  /**
   * Binds the view to a packet message. Returns false when the packet could not be read and is dealt with.
   */
  #bind(at: number, end: number): boolean {
    const { counters, packet } = this;
    const fault = packet.bind(this.bytes, at, end);
    counters.packets += 1;
    if (fault === undefined) {
      if (packet.wireBytes > packet.payloadEnd - packet.payloadAt && !this.isCut) counters.shortCopies += 1;
      this.#waiting = true;
      return true;
    }
    counters.unreadable += 1;
    if (packet.hasId) this.#answerUnanswered();
    return false;
  }

  /**
   * A message that ends behind its slot still tells which packet it is about, and that one needs an answer.
   */
  #rescue(): void {
    this.counters.unreadable += 1;
    if (!this.#buffer.isTruncated(this.#slot)) return;
    const at = this.#buffer.slotAt(this.#slot);
    this.packet.bind(this.bytes, at + MESSAGE_HEADER_BYTES, at + this.#buffer.lengthOf(this.#slot));
    if (this.packet.hasId) this.#answerUnanswered();
  }

  #answerUnanswered(): void {
    this.#verdicts.answer(this.packet.id, this.#unansweredVerdict);
    this.counters.unanswered += 1;
    this.#waiting = false;
  }

  #countError(errno: number): void {
    if (errno === ERRNO.ENOENT) this.counters.gone += 1;
    else if (errno !== 0) this.counters.refused += 1;
  }

  #countReceiveError(errno: number): number {
    if (errno === ERRNO.ENOBUFS) this.counters.overruns += 1;
    else if (errno !== ERRNO.EAGAIN && errno !== ERRNO.EINTR) {
      throw systemError("QUEUE_FAILED", "Cannot read packets from the queue", errno);
    }
    return 0;
  }
}

/**
 * In a container the forced size may not be ours to choose; then the system's limit (net.core.rmem_max)
 * holds.
 */
function setReceiveBuffer(fd: number, bytes: number): void {
  if (setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)) return;
  setOption(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}

/**
 * Sends the configuration and reads the kernel's answer. No rule leads to the queue yet, so nothing else
 * comes.
 */
function bindQueue(fd: number, options: QueueSocketOptions): void {
  const { queue } = options;
  const flags =
    QUEUE_FLAG.OWNER |
    (options.failOpen ? QUEUE_FLAG.FAIL_OPEN : 0) |
    (options.wholeSuperPackets ? QUEUE_FLAG.GSO : 0);
  const copyRangeBytes = wholeCopy(options);
  const request = encodeQueueBind({ queue, copyRangeBytes, queuePackets: options.queuePackets, flags }, 1);
  if (send(fd, request, request.length, 0) < 0) {
    throw systemError("QUEUE_REFUSED", `Cannot bind queue ${queue}`, lastErrno(), { queue });
  }
  const answer = readAnswer(fd);
  if (answer?.errno === 0) return;
  const action = `Cannot bind queue ${queue}`;
  if (answer === undefined) {
    throw new FirewallError("QUEUE_REFUSED", `${action}: the kernel does not answer.`, {
      details: { queue },
    });
  }
  if (answer.errno === ERRNO.EPERM && readCapabilities().includes("CAP_NET_ADMIN")) {
    // The kernel's word for "bound by another socket" is EPERM as well.
    const message = `${action}: another program holds this queue number. Is Postern running already?`;
    throw new FirewallError("QUEUE_TAKEN", message, { details: { queue } });
  }
  const { message, details } = refusal(answer, action);
  throw new FirewallError("QUEUE_REFUSED", message, { details: { ...details, queue } });
}

/** Bytes of a packet that a queue with these options copies at most. */
function wholeCopy({ copyRangeBytes }: Pick<QueueSocketOptions, "copyRangeBytes">): number {
  return Math.min(copyRangeBytes, COPY_RANGE_MAX_BYTES);
}

function readAnswer(fd: number): KernelAnswer | undefined {
  const memory = new ArrayBuffer(4096);
  const count = recv(fd, memory, memory.byteLength, MSG_DONTWAIT);
  if (count < 0) return undefined;
  const view = new DataView(memory);
  const cursor = new MessageCursor();
  cursor.bind(view, 0, count);
  while (cursor.next()) {
    if (cursor.type === CONTROL.ERROR) return decodeKernelAnswer(view, cursor);
  }
  return undefined;
}
