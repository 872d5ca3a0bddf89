/**
 * Several queues that one thread serves: one wait for all of them, and for the eventfd that calls it away.
 */
import { HOST_ORDER } from "../netlink/index.ts";
import { EventFd } from "./event-fd.ts";
import { poll } from "./libc.ts";

// Byte offsets in an entry of poll(2), and the bits we ask for (struct pollfd).
const ENTRY_BYTES = 8;
const FD = 0;
const EVENTS = 4;
const RESULT = 6;
const READABLE = 1;

/** File descriptors to wait for. */
export class QueueSet {
  readonly #entries: ArrayBuffer;
  readonly #view: DataView;
  readonly #count: number;
  readonly #wake: EventFd | undefined;
  /** True when the last wait was ended by the eventfd. */
  woken = false;

  /**
   * @param fds - of bound queues
   * @param wakeFd - of the eventfd that ends a wait; -1 for none
   */
  constructor(fds: readonly number[], wakeFd: number) {
    this.#count = fds.length + 1;
    this.#entries = new ArrayBuffer(this.#count * ENTRY_BYTES);
    this.#view = new DataView(this.#entries);
    this.#wake = wakeFd < 0 ? undefined : EventFd.attach(wakeFd);
    // poll(2): "If this field is negative, then ... the revents field returns zero."
    for (const [entry, fd] of [...fds, wakeFd].entries()) {
      const at = entry * ENTRY_BYTES;
      this.#view.setInt32(at + FD, fd, HOST_ORDER);
      this.#view.setInt16(at + EVENTS, READABLE, HOST_ORDER);
    }
  }

  /**
   * Waits until a queue has packets or the eventfd is signalled.
   *
   * @param timeoutMs - longest wait in milliseconds, -1 for ever, 0 for none
   * @returns number of queues that have something to read: packets, or an error that reading will name
   */
  wait(timeoutMs: number): number {
    this.woken = false;
    let ready = poll(this.#entries, this.#count, timeoutMs);
    // Interrupted: what the entries say is of the wait before.
    if (ready <= 0) {
      for (let entry = 0; entry < this.#count; entry += 1)
        this.#view.setInt16(entry * ENTRY_BYTES + RESULT, 0);
      return 0;
    }
    if (this.isReady(this.#count - 1)) {
      this.#wake?.drain();
      this.woken = true;
      ready -= 1;
    }
    return ready;
  }

  /** True when the last wait found something at the queue. @param queue - its place in the list */
  isReady(queue: number): boolean {
    return this.#view.getInt16(queue * ENTRY_BYTES + RESULT, HOST_ORDER) !== 0;
  }
}
