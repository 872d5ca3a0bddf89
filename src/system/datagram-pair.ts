/**
 * Two connected datagram sockets of our own. One end may stand in for the kernel's: whoever reads and answers
 * messages at the other does it with the same calls.
 */
import { close, recv, send, socketpair } from "./libc.ts";
import { expectSuccess } from "./system-error.ts";

const AF_UNIX = 1;
// Type of unix(7): messages keep their bounds and their order. And a flag of socket(2).
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0x80000;
const MSG_DONTWAIT = 0x40;

/** Room for what one message says; the rest of a longer one is lost. */
const HEARD_BYTES = 65_536;

/** A pair of sockets. Close it when done. */
export class DatagramPair {
  /** File descriptor of the end that is talked to; it closes with the pair. */
  readonly fd: number;
  readonly #own: number;
  readonly #heard: Uint8Array = new Uint8Array(new ArrayBuffer(HEARD_BYTES));

  private constructor(fd: number, own: number) {
    this.fd = fd;
    this.#own = own;
  }

  /** @throws {FirewallError} `SYSTEM_REFUSED` when there is no file descriptor left */
  static open(): DatagramPair {
    const pair = new Int32Array(2);
    const result = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.buffer);
    expectSuccess(result, "SYSTEM_REFUSED", "Cannot make a pair of sockets");
    return new DatagramPair(pair[0] ?? -1, pair[1] ?? -1);
  }

  /** Sends a message to the other end. @returns false when it has no room */
  say(message: Uint8Array): boolean {
    return send(this.#own, message, message.length, MSG_DONTWAIT) === message.length;
  }

  /**
   * Takes the next message from the other end.
   *
   * @returns it, valid until the next call; `undefined` when none waits
   */
  hear(): Uint8Array | undefined {
    const count = recv(this.#own, this.#heard, this.#heard.length, MSG_DONTWAIT);
    return count > 0 ? this.#heard.subarray(0, count) : undefined;
  }

  /** Closes both ends. */
  close(): void {
    close(this.fd);
    close(this.#own);
  }
}
