/** A wake-up call that crosses threads: a thread that waits in `poll` hears no message, but it sees this. */
import { close, eventfd, read, write } from "./libc.ts";
import { expectSuccess } from "./system-error.ts";

// Flags of eventfd(2).
const NONBLOCKING = 0x800;
const CLOSE_ON_EXEC = 0x80000;

/**
 * One eventfd.
 *
 * File descriptors belong to the process, so one thread makes it, passes {@link EventFd.fd} on, and the other
 * attaches to it. The maker closes it, after the other has ended.
 */
export class EventFd {
  /** The file descriptor. */
  readonly fd: number;
  readonly #count = new BigUint64Array(1);
  readonly #memory: Uint8Array = new Uint8Array(this.#count.buffer);

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** @throws {FirewallError} `SYSTEM_REFUSED` when there is no file descriptor left */
  static create(): EventFd {
    const fd = eventfd(0, NONBLOCKING | CLOSE_ON_EXEC);
    return new EventFd(expectSuccess(fd, "SYSTEM_REFUSED", "Cannot make an eventfd"));
  }

  /** Uses the eventfd that another thread made. */
  static attach(fd: number): EventFd {
    return new EventFd(fd);
  }

  /** Wakes whoever waits, now or at its next wait. */
  signal(): void {
    this.#count[0] = 1n;
    write(this.fd, this.#memory, this.#memory.length);
  }

  /** Takes back all signals so far. */
  drain(): void {
    read(this.fd, this.#memory, this.#memory.length);
  }

  /** Gives the file descriptor back. */
  close(): void {
    close(this.fd);
  }
}
