/**
 * News of nftables: what others change in the rule set.
 *
 * What we do ourselves through one socket is our own affair and is not even delivered: a filter in the kernel
 * drops it, or bulk changes of ours would overrun the buffer.
 */
import {
  decodeRuleAuthor,
  decodeRuleNews,
  HOST_ORDER,
  isTransactionEnd,
  MessageCursor,
  NFTABLES_GROUP,
  type RuleAuthor,
  type RuleNews,
} from "../netlink/index.ts";
import { addressOf, close, ERRNO, lastErrno, recv, setsockopt } from "./libc.ts";
import { NETLINK_PROTOCOL, openNetlink, setOption } from "./netlink-socket.ts";
import { expectSuccess, systemError } from "./system-error.ts";

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SO_ATTACH_FILTER = 26;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_DROP_MEMBERSHIP = 2;
const MSG_DONTWAIT = 0x40;

const RECEIVE_BYTES = 65_536;
const BUFFER_BYTES = 8_388_608;

/** Where the sender's address stands in a message (struct nlmsghdr). */
const PORT_OFFSET = 12;

// Instructions of the classic packet filter (`linux/bpf_common.h`) and their layout (struct sock_filter).
const LOAD_WORD = 0x20;
const JUMP_IF_EQUAL = 0x15;
const RETURN = 0x06;
const INSTRUCTION_BYTES = 8;
const INSTRUCTION_TRUE = 2;
const INSTRUCTION_FALSE = 3;
const INSTRUCTION_VALUE = 4;

// Layout of the program's description (struct sock_fprog): a count, then the address of the instructions.
const PROGRAM_BYTES = 16;
const PROGRAM_ADDRESS = 8;

/** Takes every byte of a message. */
const WHOLE = 0xffffffff;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** The address as the filter reads it: in network order, where the kernel wrote it in the machine's. */
function asLoaded(port: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, port, HOST_ORDER);
  return view.getUint32(0);
}

function assemble(instructions: readonly Instruction[]): ArrayBuffer {
  const memory = new ArrayBuffer(instructions.length * INSTRUCTION_BYTES);
  const view = new DataView(memory);
  for (const [index, [code, ifTrue, ifFalse, value]] of instructions.entries()) {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, HOST_ORDER);
    view.setUint8(at + INSTRUCTION_TRUE, ifTrue);
    view.setUint8(at + INSTRUCTION_FALSE, ifFalse);
    view.setUint32(at + INSTRUCTION_VALUE, value, HOST_ORDER);
  }
  return memory;
}

/** Who hears the news of one read. */
export interface RuleListener {
  news(news: RuleNews): void;
  /** The news so far were of one transaction, and this is who did it. */
  done(author: RuleAuthor): void;
}

/** What a read found. */
export interface RuleReading {
  /** False when news were lost because the buffer was full. */
  readonly isWhole: boolean;
  /** False when there may be more. */
  readonly isEmpty: boolean;
}

/** A subscription, in the network namespace of the calling thread. */
export class RuleEvents {
  readonly #fd: number;
  readonly #memory = new ArrayBuffer(RECEIVE_BYTES);
  readonly #view: DataView = new DataView(this.#memory);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws {FirewallError} `NETLINK_UNAVAILABLE` */
  static open(): RuleEvents {
    const fd = openNetlink(NETLINK_PROTOCOL.NETFILTER);
    setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
    if (!setOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFTABLES_GROUP)) {
      const failure = systemError("NETLINK_UNAVAILABLE", "Cannot hear of rule sets", lastErrno());
      close(fd);
      throw failure;
    }
    return new RuleEvents(fd);
  }

  /**
   * Hears nothing any more of what is done through one socket.
   *
   * @param port - address of that socket
   * @throws {FirewallError} `NETLINK_UNAVAILABLE`
   */
  ignore(port: number): void {
    const program = assemble([
      [LOAD_WORD, 0, 0, PORT_OFFSET],
      [JUMP_IF_EQUAL, 0, 1, asLoaded(port)],
      [RETURN, 0, 0, 0],
      [RETURN, 0, 0, WHOLE],
    ]);
    const description = new DataView(new ArrayBuffer(PROGRAM_BYTES));
    description.setUint16(0, program.byteLength / INSTRUCTION_BYTES, HOST_ORDER);
    description.setBigUint64(PROGRAM_ADDRESS, addressOf(program), HOST_ORDER);
    const result = setsockopt(this.#fd, SOL_SOCKET, SO_ATTACH_FILTER, description.buffer, PROGRAM_BYTES);
    expectSuccess(result, "NETLINK_UNAVAILABLE", "Cannot filter the news of rule sets");
  }

  /**
   * Hears nothing until {@link RuleEvents.unmute}. With nobody who listens, the kernel writes no news at all.
   */
  mute(): void {
    setOption(this.#fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, NFTABLES_GROUP);
  }

  unmute(): void {
    setOption(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFTABLES_GROUP);
  }

  /**
   * Reads what has come. Never waits.
   *
   * @param max - pages of news that are read, at most: the buffer has room for thousands
   * @throws {FirewallError} `NETLINK_RECEIVE`
   */
  read(listener: RuleListener, max: number = Number.POSITIVE_INFINITY): RuleReading {
    let isWhole = true;
    for (let pages = 0; pages < max; ) {
      const count = recv(this.#fd, this.#memory, RECEIVE_BYTES, MSG_DONTWAIT);
      if (count >= 0) {
        this.#hear(count, listener);
        pages += 1;
        continue;
      }
      const errno = lastErrno();
      if (errno === ERRNO.EAGAIN) return { isWhole, isEmpty: true };
      if (errno === ERRNO.ENOBUFS) isWhole = false;
      else if (errno !== ERRNO.EINTR) throw systemError("NETLINK_RECEIVE", "Cannot hear of rule sets", errno);
    }
    return { isWhole, isEmpty: false };
  }

  close(): void {
    close(this.#fd);
  }

  #hear(count: number, listener: RuleListener): void {
    const cursor = new MessageCursor();
    cursor.bind(this.#view, 0, count);
    while (cursor.next()) {
      if (isTransactionEnd(cursor)) listener.done(decodeRuleAuthor(this.#view, cursor));
      else listener.news(decodeRuleNews(this.#view, cursor));
    }
  }
}
