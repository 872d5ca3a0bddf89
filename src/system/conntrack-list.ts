/**
 * Lists of the kernel's connection tracker, part by part.
 *
 * The kernel writes the next part of a dump when the part before has been read, so nothing piles up however
 * large the table is, and whoever reads can let other work in between two parts.
 */
import { FirewallError, invariant } from "../base/index.ts";
import {
  CONTROL,
  type ConntrackEntry,
  type ConntrackFilter,
  ConntrackReader,
  decodeKernelAnswer,
  encodeConntrackDump,
  MessageCursor,
} from "../netlink/index.ts";
import { close, ERRNO, lastErrno, recv, recvLater, send, sendLater } from "./libc.ts";
import { NETLINK_PROTOCOL, openNetlink, refusal } from "./netlink-socket.ts";
import { expectSuccess, systemError } from "./system-error.ts";

/** The kernel makes a part as large as the largest read so far, up to 32 KiB. */
const RECEIVE_BYTES = 65_536;

/** Flag of a message when the table changed under the list (NLM_F_DUMP_INTR). */
const INTERRUPTED = 0x10;

const ACTION = "Cannot list the kernel's connections";

/** Lists the table, as often as wanted, one list at a time. */
export class ConntrackList {
  readonly #fd: number;
  readonly #memory = new ArrayBuffer(RECEIVE_BYTES);
  readonly #view: DataView = new DataView(this.#memory);
  readonly #cursor: MessageCursor = new MessageCursor();
  readonly #reader: ConntrackReader = new ConntrackReader();
  #open = true;
  #running = false;
  /** Entries that could not be read. */
  unreadable = 0;
  /** True when the table changed under the last list so that entries may be missing. */
  interrupted = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Opens a socket in the network namespace of the calling thread; lists are of that namespace.
   *
   * @throws {FirewallError} `NETLINK_UNAVAILABLE`
   */
  static open(): ConntrackList {
    return new ConntrackList(openNetlink(NETLINK_PROTOCOL.NETFILTER));
  }

  /**
   * Begins a list; the one before has been read to its end.
   *
   * @param filter - what the kernel shall select
   * @param zeroCounters - whether the counters are set to zero as they are read
   * @throws {FirewallError} `NETLINK_SEND`
   */
  begin(filter: ConntrackFilter = {}, zeroCounters = false): void {
    invariant(this.#open && !this.#running, "one list at a time, and none on a closed socket");
    const request = encodeConntrackDump(filter, 1, zeroCounters);
    expectSuccess(send(this.#fd, request, request.length, 0), "NETLINK_SEND", ACTION);
    this.#running = true;
    this.interrupted = false;
  }

  /**
   * Like {@link ConntrackList.begin}, while the event loop goes on: the kernel looks through its buckets
   * until a part is full, and through all of them, 9 ms long, when the table is empty. The socket must not be
   * closed meanwhile.
   *
   * @throws {FirewallError} `NETLINK_SEND`
   */
  async beginLater(filter: ConntrackFilter = {}): Promise<void> {
    invariant(this.#open && !this.#running, "one list at a time, and none on a closed socket");
    this.#running = true;
    this.interrupted = false;
    const request = encodeConntrackDump(filter, 1);
    if ((await sendLater(this.#fd, request, request.length, 0)) >= 0) return;
    this.#running = false;
    // What went wrong is told to the thread that asked: so it is asked from this one.
    this.begin(filter);
  }

  /**
   * Reads the next part, at most a few hundred entries.
   *
   * @param entry - record that is filled for each
   * @param visit - called with it; what shall last must be copied out
   * @returns false when the list has ended
   * @throws {FirewallError} `NETLINK_REFUSED` with the kernel's words, `NETLINK_RECEIVE`
   */
  read(entry: ConntrackEntry, visit: (entry: ConntrackEntry) => void): boolean {
    if (!this.#running) return false;
    return this.#sort(recv(this.#fd, this.#memory, RECEIVE_BYTES, 0), entry, visit);
  }

  /**
   * Like {@link ConntrackList.read}, while the event loop goes on as the kernel writes the part. The socket
   * must not be closed meanwhile.
   *
   * @throws {FirewallError} `NETLINK_REFUSED` with the kernel's words, `NETLINK_RECEIVE`
   */
  async readLater(entry: ConntrackEntry, visit: (entry: ConntrackEntry) => void): Promise<boolean> {
    if (!this.#running) return false;
    const count = await recvLater(this.#fd, this.#memory, RECEIVE_BYTES, 0);
    // What went wrong is told to the thread that asked: so it is asked from this one.
    return count < 0 ? this.read(entry, visit) : this.#sort(count, entry, visit);
  }

  /** Reads a whole list at once: for tables that are known to be small. */
  readAll(entry: ConntrackEntry, visit: (entry: ConntrackEntry) => void): void {
    while (this.read(entry, visit));
  }

  /** Gives the socket back, also in the middle of a list. */
  close(): void {
    if (this.#open) close(this.#fd);
    this.#open = false;
    this.#running = false;
  }

  /** Deals with the messages of a part. Returns false when the list has ended. */
  #sort(count: number, entry: ConntrackEntry, visit: (entry: ConntrackEntry) => void): boolean {
    if (count < 0) {
      const errno = lastErrno();
      if (errno === ERRNO.EINTR) return true;
      this.#running = false;
      throw systemError("NETLINK_RECEIVE", ACTION, errno);
    }
    this.#cursor.bind(this.#view, 0, count);
    while (this.#running && this.#cursor.next()) this.#running = this.#take(entry, visit);
    return this.#running;
  }

  /** Deals with one message. Returns false when it ends the list. */
  #take(entry: ConntrackEntry, visit: (entry: ConntrackEntry) => void): boolean {
    const cursor = this.#cursor;
    if ((cursor.flags & INTERRUPTED) !== 0) this.interrupted = true;
    if (cursor.type === CONTROL.DONE) return false;
    if (cursor.type === CONTROL.ERROR) {
      const answer = decodeKernelAnswer(this.#view, cursor);
      this.#running = false;
      if (answer !== undefined && answer.errno !== 0) throw refusal(answer, ACTION);
      throw new FirewallError("NETLINK_RECEIVE", `${ACTION}: the kernel's answer cannot be read.`);
    }
    const fault = this.#reader.read(entry, this.#view, cursor.bodyAt, cursor.end);
    if (fault === undefined) visit(entry);
    else this.unreadable += 1;
    return true;
  }
}
