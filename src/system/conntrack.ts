/**
 * The kernel's connection tracker of the network namespace in which this was opened: look up, delete, change,
 * count.
 *
 * Every call is synchronous; the kernel answers at once. Lists go through ConntrackList, news through
 * ConntrackEvents.
 */
import { FirewallError } from "../base/index.ts";
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

/** Requests in one send: their answers fit the socket's buffer. */
const BATCH = 64;

/** What was answered to requests about several entries, by the place of each key. */
interface EachAnswer {
  readonly entries: Map<number, ConntrackEntry>;
  readonly gone: Set<number>;
  readonly failures: Map<number, FirewallError>;
}

/** The one answer that there is. @throws {FirewallError} when it is a failure */
function only<Answer>(answers: readonly (Answer | FirewallError)[]): Answer {
  const [answer] = answers;
  if (answer instanceof FirewallError) throw answer;
  return answer as Answer;
}

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
    return only(this.getEach([key]));
  }

  /**
   * Looks entries up, {@link BATCH} in one send.
   *
   * @returns for each key the entry, `undefined` when there is none, or why the kernel does not say
   */
  getEach(keys: readonly ConntrackKey[]): (ConntrackEntry | undefined | FirewallError)[] {
    const { entries, failures } = this.#askEach(keys, encodeConntrackGet, "Cannot look a connection up");
    return keys.map((_, at) => entries.get(at) ?? failures.get(at));
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
    return only(this.updateEach([key], change));
  }

  /**
   * Changes entries, all alike, {@link BATCH} in one send.
   *
   * @returns for each key false when its entry is gone, or why the kernel does not change it
   */
  updateEach(keys: readonly ConntrackKey[], change: ConntrackChange): (boolean | FirewallError)[] {
    const encode = (batch: readonly ConntrackKey[], first: number): Uint8Array =>
      encodeConntrackUpdate(batch, change, first);
    const { gone, failures } = this.#askEach(keys, encode, "Cannot change a connection");
    return keys.map((_, at) => failures.get(at) ?? !gone.has(at));
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

  /** Sends a message for each key, a batch at a time, and sorts what is answered by the key's place. */
  #askEach(
    keys: readonly ConntrackKey[],
    encode: (batch: readonly ConntrackKey[], sequence: number) => Uint8Array,
    action: string,
  ): EachAnswer {
    const sum: EachAnswer = { entries: new Map(), gone: new Set(), failures: new Map() };
    for (let at = 0; at < keys.length; at += BATCH) {
      const batch = keys.slice(at, at + BATCH);
      const first = this.#number(batch.length);
      const { answers, messages } = this.#socket.exchange(encode(batch, first));
      for (const answer of answers) {
        const place = at + answer.sequence - first;
        if (answer.errno === ERRNO.ENOENT) sum.gone.add(place);
        else if (answer.errno !== 0) sum.failures.set(place, refusal(answer, action));
      }
      for (const message of messages) this.#decode(message, at - first, sum.entries);
    }
    return sum;
  }

  /** Numbers for that many messages; answers tell by them what they answer. */
  #number(count: number): number {
    const first = this.#sequence;
    this.#sequence = (first + count) % 0x40000000;
    return first;
  }

  /** Reads an entry. @param offset - what makes the place of its key of its number */
  #decode(message: Uint8Array, offset: number, entries: Map<number, ConntrackEntry>): void {
    const bytes = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const cursor = new MessageCursor();
    cursor.bind(bytes, 0, message.byteLength);
    if (!cursor.next() || cursor.type !== CONNTRACK_MESSAGE.NEW) return;
    const entry = new ConntrackEntry();
    const fault = this.#reader.read(entry, bytes, cursor.bodyAt, cursor.end);
    if (fault === undefined) entries.set(cursor.sequence + offset, entry);
  }
}
