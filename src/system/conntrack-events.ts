/**
 * News of the kernel's connection tracker: entries that come, change and go.
 *
 * The kernel sends news whether somebody reads or not; what finds the socket's buffer full is lost, and the
 * socket says so once (ENOBUFS). Then whoever wants to know the table must list it anew: see ConntrackWatch.
 */
import {
  CONNTRACK_GROUP,
  type ConntrackEntry,
  type ConntrackEvent,
  ConntrackReader,
  conntrackEvent,
  HOST_ORDER,
  MessageCursor,
} from "../netlink/index.ts";
import { EventFd } from "./event-fd.ts";
import { close, ERRNO, lastErrno, pollLater, recv, setsockopt } from "./libc.ts";
import { NETLINK_PROTOCOL, openNetlink, setOption } from "./netlink-socket.ts";
import { expectSuccess, systemError } from "./system-error.ts";

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SO_RCVBUF = 8;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const MSG_DONTWAIT = 0x40;

const RECEIVE_BYTES = 65_536;

// Byte offsets in an entry of poll(2), and the bit we ask for (struct pollfd).
const POLL_ENTRY_BYTES = 8;
const POLL_FD = 0;
const POLL_EVENTS = 4;
const POLL_RESULT = 6;
const POLL_READABLE = 1;

/** Buffer of the socket unless told otherwise, in bytes: some ten thousand news. */
const BUFFER_BYTES = 8_388_608;

/** Called with each piece of news; the entry is filled anew for the next one. */
export type ConntrackListener = (event: ConntrackEvent, entry: ConntrackEntry) => void;

/** What a read found: news, nothing, or that news were lost. */
export type ConntrackRead = "news" | "empty" | "overrun";

/** A subscription. */
export class ConntrackEvents {
  readonly #fd: number;
  readonly #memory = new ArrayBuffer(RECEIVE_BYTES);
  readonly #view: DataView = new DataView(this.#memory);
  readonly #polled = new ArrayBuffer(2 * POLL_ENTRY_BYTES);
  readonly #pollView: DataView = new DataView(this.#polled);
  readonly #wake: EventFd = EventFd.create();
  readonly #cursor: MessageCursor = new MessageCursor();
  readonly #reader: ConntrackReader = new ConntrackReader();
  #waiting: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** Times that news were lost. */
  overruns = 0;
  /** News that could not be read. */
  unreadable = 0;

  private constructor(fd: number) {
    this.#fd = fd;
    this.#watch(0, fd);
    this.#watch(1, this.#wake.fd);
  }

  /**
   * Subscribes in the network namespace of the calling thread.
   *
   * @param events - which news
   * @param bufferBytes - buffer of the socket, in bytes
   * @throws {FirewallError} `NETLINK_UNAVAILABLE`
   */
  static open(
    events: readonly ConntrackEvent[] = ["new", "update", "destroy"],
    bufferBytes: number = BUFFER_BYTES,
  ): ConntrackEvents {
    const fd = openNetlink(NETLINK_PROTOCOL.NETFILTER);
    try {
      if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes)) {
        setOption(fd, SOL_SOCKET, SO_RCVBUF, bufferBytes);
      }
      for (const event of events) join(fd, event);
      return new ConntrackEvents(fd);
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /**
   * Reads one datagram of news without waiting.
   *
   * @param entry - record that is filled for each
   * @throws {FirewallError} `NETLINK_RECEIVE` when the socket fails
   */
  read(entry: ConntrackEntry, listener: ConntrackListener): ConntrackRead {
    if (this.#closed) return "empty";
    const count = recv(this.#fd, this.#memory, RECEIVE_BYTES, MSG_DONTWAIT);
    if (count < 0) return this.#failedRead(lastErrno());
    const cursor = this.#cursor;
    cursor.bind(this.#view, 0, count);
    while (cursor.next()) {
      const event = conntrackEvent(cursor.type, cursor.flags);
      if (event === undefined) continue;
      const fault = this.#reader.read(entry, this.#view, cursor.bodyAt, cursor.end);
      if (fault === undefined) listener(event, entry);
      else this.unreadable += 1;
    }
    return "news";
  }

  /** Throws away what waits: after an overrun it is older than the list that follows. */
  discard(): void {
    for (let count = 0; count >= 0 || lastErrno() === ERRNO.ENOBUFS; ) {
      count = recv(this.#fd, this.#memory, RECEIVE_BYTES, MSG_DONTWAIT);
      if (count < 0 && lastErrno() === ERRNO.ENOBUFS) this.overruns += 1;
    }
  }

  /**
   * Waits for news without holding the thread.
   *
   * @param timeoutMs - longest wait in milliseconds
   * @returns true when there may be something to read
   */
  async wait(timeoutMs: number): Promise<boolean> {
    if (this.#closed) return false;
    const waiting = pollLater(this.#polled, 2, timeoutMs);
    this.#waiting = waiting;
    await waiting;
    return this.#pollView.getInt16(POLL_RESULT, HOST_ORDER) !== 0;
  }

  /** Ends the subscription and every wait. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake.signal();
    // The waiting thread holds the descriptors; they are free when it has come back.
    await this.#waiting;
    this.#wake.close();
    close(this.#fd);
  }

  #failedRead(errno: number): ConntrackRead {
    if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return "empty";
    if (errno !== ERRNO.ENOBUFS) {
      throw systemError("NETLINK_RECEIVE", "Cannot read news of the kernel's connections", errno);
    }
    this.overruns += 1;
    return "overrun";
  }

  #watch(entry: number, fd: number): void {
    const at = entry * POLL_ENTRY_BYTES;
    this.#pollView.setInt32(at + POLL_FD, fd, HOST_ORDER);
    this.#pollView.setInt16(at + POLL_EVENTS, POLL_READABLE, HOST_ORDER);
  }
}

function join(fd: number, event: ConntrackEvent): void {
  const groups = {
    new: CONNTRACK_GROUP.NEW,
    update: CONNTRACK_GROUP.UPDATE,
    destroy: CONNTRACK_GROUP.DESTROY,
  };
  const group = Int32Array.of(groups[event]).buffer;
  const result = setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group, 4);
  expectSuccess(result, "NETLINK_UNAVAILABLE", "Cannot subscribe to news of the kernel's connections");
}
