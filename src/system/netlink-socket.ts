/**
 * A netlink socket for requests and their answers.
 *
 * The kernel carries a request out inside `send`, so when `send` returns every answer already waits: reading
 * until the socket is empty needs no time limit. Only dumps go on, and they end with a message of their own.
 */
import { FirewallError, type Milliseconds } from "../base/index.ts";
import {
  CONTROL,
  decodeKernelAnswer,
  HOST_ORDER,
  type KernelAnswer,
  MESSAGE_FLAG,
  MessageCursor,
} from "../netlink/index.ts";
import {
  bind,
  close,
  ERRNO,
  errnoName,
  errnoText,
  getsockname,
  lastErrno,
  recv,
  recvLater,
  send,
  setsockopt,
  socket,
} from "./libc.ts";
import { expectSuccess, systemError } from "./system-error.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const MSG_DONTWAIT = 0x40;

// The address of a netlink socket (struct sockaddr_nl).
const ADDRESS_BYTES = 12;
const ADDRESS_PORT = 4;
const RECEIVE_BYTES = 262_144;

/**
 * Longest wait for the next part of an answer that has begun, in seconds. The kernel has each part ready, so
 * it is waited for only where an answer has no end.
 */
const PART_SECONDS = 5;

/** Room for the answers to a long request. */
const ANSWERS_BYTES = 8_388_608;

/** Netlink protocols. */
export const NETLINK_PROTOCOL = {
  /** Interfaces, addresses, routes. */
  ROUTE: 0,
  /** Queues, nf_tables, the connection tracker. */
  NETFILTER: 12,
} as const;

/**
 * Opens a netlink socket that has an address and answers errors with an explanation.
 *
 * @param protocol - a value of {@link NETLINK_PROTOCOL}
 * @returns the file descriptor
 * @throws {FirewallError} `NETLINK_UNAVAILABLE`
 */
export function openNetlink(protocol: number): number {
  const code = "NETLINK_UNAVAILABLE";
  const fd = expectSuccess(
    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol),
    code,
    "Cannot open a netlink socket",
  );
  const address = new ArrayBuffer(ADDRESS_BYTES);
  new Uint16Array(address)[0] = AF_NETLINK;
  if (bind(fd, address, ADDRESS_BYTES) === -1) {
    const failure = systemError(code, "Cannot bind a netlink socket", lastErrno());
    close(fd);
    throw failure;
  }
  setOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  return fd;
}

/**
 * Sets a socket option to a number.
 *
 * @returns false when the kernel does not know it or does not allow it
 */
export function setOption(fd: number, level: number, option: number, value: number): boolean {
  return setsockopt(fd, level, option, Int32Array.of(value).buffer, 4) === 0;
}

/**
 * Makes the failure for a refused request.
 *
 * @param action - what was attempted, as the beginning of a sentence
 */
export function refusal(answer: KernelAnswer, action: string): FirewallError {
  const name = errnoName(answer.errno);
  const words = answer.text === "" ? errnoText(answer.errno) : `${answer.text}; ${errnoText(answer.errno)}`;
  const advice = answer.errno === ERRNO.EPERM ? " Run as root, or with CAP_NET_ADMIN." : "";
  return new FirewallError("NETLINK_REFUSED", `${action}: the kernel says: ${words} (${name}).${advice}`, {
    details: { errno: name, kernelText: answer.text, sequence: answer.sequence, offset: answer.offset },
  });
}

function unended(): FirewallError {
  const message = `The kernel began an answer to a netlink request and did not end it within ${PART_SECONDS} s.`;
  const advice = "Ask for an acknowledgement with the request: it ends an answer that is no list.";
  return new FirewallError("NETLINK_RECEIVE", `${message} ${advice}`);
}

/** Everything the kernel answered to one send. */
export interface Answers {
  /** Acknowledgements and errors, in order. */
  readonly answers: readonly KernelAnswer[];
  /** All other messages, each in bytes of its own with its header. */
  readonly messages: readonly Uint8Array[];
}

/** How a list ended. */
export interface ListEnd {
  /** True when what is listed changed meanwhile, so that something may be missing, or told twice. */
  readonly isInterrupted: boolean;
  /** Why the kernel does not list it; undefined when it did. */
  readonly refused: KernelAnswer | undefined;
}

/**
 * Called for each message of a list, which lies from `cursor.at` to `cursor.end` until it returns.
 *
 * @param ageMs - how long ago the kernel wrote it, at most, in milliseconds: it may have waited to be read
 */
export type ListVisitor = (bytes: DataView, cursor: MessageCursor, ageMs: Milliseconds) => void;

/** A netlink socket for requests. Blocks only as long as the kernel works on the request. */
export class NetlinkSocket {
  /** -1 once it is closed: the number may be somebody else's then. */
  #fd: number;
  readonly #memory = new ArrayBuffer(RECEIVE_BYTES);
  readonly #view: DataView = new DataView(this.#memory);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * @param protocol - a value of {@link NETLINK_PROTOCOL}
   * @throws {FirewallError} `NETLINK_UNAVAILABLE`
   */
  static open(protocol: number): NetlinkSocket {
    const fd = openNetlink(protocol);
    // As struct timeval: seconds and microseconds.
    const wait = BigInt64Array.of(BigInt(PART_SECONDS), 0n);
    expectSuccess(
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, wait.buffer, wait.byteLength),
      "NETLINK_UNAVAILABLE",
      "Cannot bound the wait of a netlink socket",
    );
    return new NetlinkSocket(fd);
  }

  /**
   * Sends messages and reads every answer. Refusals are among the answers and are not thrown.
   *
   * @throws {FirewallError} `NETLINK_SEND` or `NETLINK_RECEIVE` when the socket itself fails
   */
  exchange(request: Uint8Array): Answers {
    const sent = send(this.#fd, request, request.length, 0);
    expectSuccess(sent, "NETLINK_SEND", "Cannot send a netlink request");
    const answers: KernelAnswer[] = [];
    const messages: Uint8Array[] = [];
    let goesOn = false;
    while (true) {
      const count = this.#receive(goesOn ? 0 : MSG_DONTWAIT);
      if (count < 0) return { answers, messages };
      goesOn = this.#sort(count, answers, messages);
    }
  }

  /**
   * Asks for a list and reads it part by part; the event loop goes on while the kernel writes a part. Nothing
   * else may be asked of the socket meanwhile, nor may it be closed.
   *
   * @param request - one request for a dump
   * @returns how the list ended
   * @throws {FirewallError} `NETLINK_SEND` or `NETLINK_RECEIVE` when the socket itself fails
   */
  async list(request: Uint8Array, visit: ListVisitor): Promise<ListEnd> {
    let since = performance.now();
    expectSuccess(
      send(this.#fd, request, request.length, 0),
      "NETLINK_SEND",
      "Cannot send a netlink request",
    );
    const cursor = new MessageCursor();
    let isInterrupted = false;
    while (true) {
      const asked = performance.now();
      const received = await recvLater(this.#fd, this.#memory, RECEIVE_BYTES, 0);
      // What went wrong is told to the thread that asked: so it is asked from this one.
      cursor.bind(this.#view, 0, received < 0 ? this.#receive(0) : received);
      const ageMs = performance.now() - since;
      while (cursor.next()) {
        isInterrupted ||= (cursor.flags & MESSAGE_FLAG.INTERRUPTED) !== 0;
        if (cursor.type === CONTROL.DONE) return { isInterrupted, refused: undefined };
        if (cursor.type === CONTROL.ERROR) {
          return { isInterrupted, refused: decodeKernelAnswer(this.#view, cursor) };
        }
        visit(this.#view, cursor, ageMs);
      }
      // While one part is fetched the kernel writes the next.
      since = asked;
    }
  }

  /**
   * Sends one request, or a batch, and expects that all of it is carried out.
   *
   * @param action - what is attempted, as the beginning of a sentence for the failure
   * @returns the messages of the answer
   * @throws {FirewallError} `NETLINK_REFUSED` with the kernel's words for the first refusal
   */
  request(request: Uint8Array, action: string): readonly Uint8Array[] {
    const { answers, messages } = this.exchange(request);
    const refused = answers.find((answer) => answer.errno !== 0);
    if (refused !== undefined) throw refusal(refused, action);
    return messages;
  }

  /**
   * Like {@link NetlinkSocket.request}, where one refusal means only that there was nothing to do.
   *
   * @param expected - name of that refusal's error number, such as `ENOENT`
   * @returns false when the kernel refused with it
   * @throws {FirewallError} `NETLINK_REFUSED` for any other refusal
   */
  attempt(request: Uint8Array, action: string, expected: string): boolean {
    const refused = this.exchange(request).answers.find((answer) => answer.errno !== 0);
    if (refused === undefined) return true;
    if (errnoName(refused.errno) === expected) return false;
    throw refusal(refused, action);
  }

  /**
   * Makes room for requests longer than the 200 KiB that the system allows by default. The kernel takes
   * memory only while it works on a request.
   *
   * @param bytes - longest request, in bytes, at most 2^30
   * @returns false when that takes a capability (CAP_NET_ADMIN) that we lack
   */
  allowRequests(bytes: number): boolean {
    // Each message of a long request may be answered. The kernel doubles both numbers, for its own
    // bookkeeping.
    setOption(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, ANSWERS_BYTES);
    return setOption(this.#fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes);
  }

  /** Address of the socket, by which the kernel names it in news to others. */
  get port(): number {
    const address = new ArrayBuffer(ADDRESS_BYTES);
    const result = getsockname(this.#fd, address, Uint32Array.of(ADDRESS_BYTES).buffer);
    expectSuccess(result, "NETLINK_UNAVAILABLE", "Cannot read the address of a netlink socket");
    return new DataView(address).getUint32(ADDRESS_PORT, HOST_ORDER);
  }

  /** Gives the file descriptor back. */
  close(): void {
    if (this.#fd !== -1) close(this.#fd);
    this.#fd = -1;
  }

  /**
   * Reads one datagram. Returns its length, or -1 when none is left.
   *
   * @throws {FirewallError} `NETLINK_RECEIVE`, also when a part that is waited for does not come
   */
  #receive(flags: number): number {
    while (true) {
      const count = recv(this.#fd, this.#memory, RECEIVE_BYTES, flags);
      if (count >= 0) return count;
      const errno = lastErrno();
      if (errno === ERRNO.EAGAIN && flags !== 0) return -1;
      if (errno === ERRNO.EINTR) continue;
      if (errno === ERRNO.EAGAIN) throw unended();
      throw systemError("NETLINK_RECEIVE", "Cannot read the answer to a netlink request", errno);
    }
  }

  /** Sorts the messages of one datagram. Returns true when more parts of a dump follow. */
  #sort(count: number, answers: KernelAnswer[], messages: Uint8Array[]): boolean {
    const cursor = new MessageCursor();
    cursor.bind(this.#view, 0, count);
    let goesOn = false;
    while (cursor.next()) {
      goesOn = (cursor.flags & MESSAGE_FLAG.MULTI) !== 0 && cursor.type !== CONTROL.DONE;
      if (cursor.type === CONTROL.ERROR) {
        const answer = decodeKernelAnswer(this.#view, cursor);
        if (answer !== undefined) answers.push(answer);
      } else if (cursor.type !== CONTROL.DONE) {
        messages.push(new Uint8Array(this.#memory.slice(cursor.at, cursor.end)));
      }
    }
    return goesOn;
  }
}
