/**
 * Room for connections.
 *
 * A door that is full lets the newest in and shows out the one that has said nothing for longest, so that ten
 * thousand connections that say nothing keep nobody out. A connection that waits for an answer, or listens to
 * events, stays.
 */
import type { Server, Socket } from "node:net";

interface Visit {
  readonly socket: Socket;
  /** Requests without an answer yet. */
  pending: number;
}

/** Names a connection: with TLS, the encrypted socket and the one below it have one name. */
function nameOf(socket: Socket): Socket | string {
  const { remoteAddress, remotePort, localPort } = socket;
  return remoteAddress === undefined ? socket : `${remoteAddress} ${remotePort} ${localPort}`;
}

/** Keeps a server's connections few enough. */
export class ConnectionKeeper {
  /** Those that were silent longest come first. */
  readonly #visits: Map<Socket | string, Visit> = new Map();
  readonly #max: number;
  #shownOut = 0;

  /** @param max - connections at a time */
  constructor(server: Pick<Server, "once" | "addListener">, max: number) {
    this.#max = max;
    server.addListener("connection", (socket: Socket) => this.#enter(socket));
  }

  /** Connections that are open. */
  get size(): number {
    return this.#visits.size;
  }

  /** Connections that were ended to make room. */
  get shownOut(): number {
    return this.#shownOut;
  }

  /** A request has come. */
  begin(socket: Socket): void {
    const name = nameOf(socket);
    const visit = this.#visits.get(name);
    if (visit === undefined) return;
    visit.pending += 1;
    this.#visits.delete(name);
    this.#visits.set(name, visit);
  }

  /** It was answered. */
  end(socket: Socket): void {
    const visit = this.#visits.get(nameOf(socket));
    if (visit !== undefined) visit.pending -= 1;
  }

  /** Ends all of them. */
  endAll(): void {
    for (const { socket } of this.#visits.values()) socket.destroy();
  }

  #enter(socket: Socket): void {
    if (this.#visits.size >= this.#max) this.#makeRoom();
    if (this.#visits.size >= this.#max) {
      this.#shownOut += 1;
      socket.destroy();
      return;
    }
    const name = nameOf(socket);
    const visit: Visit = { socket, pending: 0 };
    this.#visits.set(name, visit);
    socket.once("close", () => {
      if (this.#visits.get(name) === visit) this.#visits.delete(name);
    });
  }

  #makeRoom(): void {
    for (const [name, { socket, pending }] of this.#visits) {
      if (pending > 0) continue;
      this.#visits.delete(name);
      this.#shownOut += 1;
      socket.destroy();
      return;
    }
  }
}
