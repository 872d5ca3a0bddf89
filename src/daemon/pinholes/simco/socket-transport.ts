/** A socket as SIMCO sessions use it. */
import type { Socket } from "node:net";
import type { Transport } from "../../../simco/index.ts";

/** How long what is waiting may take to go out before the connection is cut, in milliseconds. */
const GRACE_MS = 1000;

/** Silence after which the system asks whether the other end is still there, in milliseconds. */
const KEEPALIVE_MS = 60_000;

/** The socket of one session. */
export class SocketTransport implements Transport {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
  }

  get backlog(): number {
    return this.#socket.writableLength;
  }

  /** What is sent in one go leaves in one go: a change may be many notifications. */
  send(octets: Uint8Array): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    if (socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    socket.write(octets);
  }

  end(): void {
    const socket = this.#socket;
    socket.end();
    // What still comes is read and thrown away: a close with unread octets would take the last words along.
    socket.resume();
    setTimeout(() => socket.destroy(), GRACE_MS).unref();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}
