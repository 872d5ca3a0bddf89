/**
 * The kernel's connection tracker of the network namespace in which this was opened: look up, delete, change,
 * count.
 *
 * Every call is synchronous; the kernel answers at once. Lists go through ConntrackList, news through
 * ConntrackEvents.
 */
import {
  CONNTRACK_MESSAGE,
  type ConntrackChange,
  ConntrackEntry,
  type ConntrackFilter,
  type ConntrackKey,
  ConntrackReader,
  type ConntrackStatistics,
  decodeConntrackSize,
  decodeConntrackStatistics,
  encodeConntrackDelete,
  encodeConntrackFlush,
  encodeConntrackGet,
  encodeConntrackSize,
  encodeConntrackStatistics,
  encodeConntrackUpdate,
  MessageCursor,
} from "../netlink/index.ts";
import { ERRNO } from "./libc.ts";
import { NETLINK_PROTOCOL, NetlinkSocket, refusal } from "./netlink-socket.ts";

/** Deletions in one send: their refusals fit the socket's buffer. */
const BATCH = 128;

/** What a deletion did. */
export interface ConntrackDeletion {
  /** Entries that were there and are not any more. */
  readonly deleted: number;
  /** Entries that were gone already, or whose tuple another one has. */
  readonly gone: number;
}

/** The tracker. Close it when done. */
export class Conntrack {
  readonly #socket: NetlinkSocket;
  readonly #reader: ConntrackReader = new ConntrackReader();
  #sequence = 1;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** @throws {FirewallError} `NETLINK_UNAVAILABLE` */
  static open(): Conntrack {
    return new Conntrack(NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER));
  }

  /**
   * Looks an entry up.
   *
   * @returns the entry, `undefined` when there is none with this tuple in this zone
   * @throws {FirewallError} `NETLINK_REFUSED`
   */
  get(key: ConntrackKey): ConntrackEntry | undefined {
    const { answers, messages } = this.#socket.exchange(encodeConntrackGet(key, this.#number(1)));
    const refused = answers.find(({ errno }) => errno !== 0 && errno !== ERRNO.ENOENT);
    if (refused !== undefined) throw refusal(refused, "Cannot look a connection up");
    for (const message of messages) {
      const entry = this.#decode(message);
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  /**
   * Deletes entries. With an id in its key, an entry that took over the tuple meanwhile is left alone.
   *
   * @throws {FirewallError} `NETLINK_REFUSED` for any other reason than that one is gone
   */
  delete(keys: readonly ConntrackKey[]): ConntrackDeletion {
    let gone = 0;
    for (let at = 0; at < keys.length; at += BATCH) {
      const batch = keys.slice(at, at + BATCH);
      const { answers } = this.#socket.exchange(encodeConntrackDelete(batch, this.#number(batch.length)));
      const refused = answers.find(({ errno }) => errno !== 0 && errno !== ERRNO.ENOENT);
      if (refused !== undefined) throw refusal(refused, "Cannot delete connections");
      gone += answers.length;
    }
    return { deleted: keys.length - gone, gone };
  }

  /**
   * Changes an entry.
   *
   * @returns false when it is gone
   * @throws {FirewallError} `NETLINK_REFUSED`
   */
  update(key: ConntrackKey, change: ConntrackChange): boolean {
    const request = encodeConntrackUpdate(key, change, this.#number(1));
    return this.#socket.attempt(request, "Cannot change a connection", "ENOENT");
  }

  /**
   * Deletes every entry, or every one with a mark or in a zone.
   *
   * @throws {FirewallError} `NETLINK_REFUSED`
   */
  flush(filter: Pick<ConntrackFilter, "mark" | "zone"> = {}): void {
    this.#socket.request(encodeConntrackFlush(filter, this.#number(1)), "Cannot delete connections");
  }

  /** What the tracker counted, all processors together. @throws {FirewallError} `NETLINK_REFUSED` */
  statistics(): ConntrackStatistics {
    const request = encodeConntrackStatistics(this.#number(1));
    return decodeConntrackStatistics(this.#socket.request(request, "Cannot read the tracker's counters"));
  }

  /** Entries in the table, and most there may be. @throws {FirewallError} `NETLINK_REFUSED` */
  size(): { entries: number; limit: number } {
    const request = encodeConntrackSize(this.#number(1));
    return decodeConntrackSize(this.#socket.request(request, "Cannot read the tracker's size"));
  }

  /** Gives the socket back. */
  close(): void {
    this.#socket.close();
  }

  /** Numbers for that many messages; answers tell by them what they answer. */
  #number(count: number): number {
    const first = this.#sequence;
    this.#sequence = (first + count) % 0x40000000;
    return first;
  }

  #decode(message: Uint8Array): ConntrackEntry | undefined {
    const bytes = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const cursor = new MessageCursor();
    cursor.bind(bytes, 0, message.byteLength);
    if (!cursor.next() || cursor.type !== CONNTRACK_MESSAGE.NEW) return undefined;
    const entry = new ConntrackEntry();
    return this.#reader.read(entry, bytes, cursor.bodyAt, cursor.end) === undefined ? entry : undefined;
  }
}
