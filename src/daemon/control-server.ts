/**
 * The control socket: HTTP on a Unix socket, so that `curl --unix-socket` and the typed client speak the same
 * language. Who may open the socket is decided by its mode and group; who asked is known from the kernel
 * (SO_PEERCRED), never from the request.
 */
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FirewallStatus, ReloadAnswer } from "../client/index.ts";
import { type PeerCredentials, readPeerCredentials } from "../system/index.ts";
import type { ControlRoutes } from "./control-routes.ts";
import { clearSocketPath, listenAtSocket, type SocketPlace } from "./socket-place.ts";
import type { FlowService } from "./flow-service.ts";
import type { StateService } from "./state-service.ts";
import type { RuleService } from "./rule-service.ts";
import type { LimitService } from "./limit-service.ts";
import type { TableService } from "./table-service.ts";

/** What the control socket can ask of the firewall. */
export interface ControlTarget {
  status(): Promise<FirewallStatus>;
  reload(file: string | undefined): Promise<ReloadAnswer>;
  readonly states: StateService;
  readonly tables: TableService;
  readonly limits: LimitService;
  readonly rules: RuleService;
  readonly flows: FlowService;
}

/** Longest time a client may take to send its request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Most clients at a time; further ones are refused by the kernel's backlog. */
const CONNECTIONS_MAX = 256;

/** Permission bits: who may write to a socket may use it. */
const GROUP_MAY = 0o020;
const OTHERS_MAY = 0o002;

/**
 * Whether the process at the other end may ask, by the same rule that the socket's mode states. The file's
 * own mode may be another by now, and a connection may have been handed on.
 */
function mayAsk(peer: PeerCredentials | undefined, { mode = 0o600, userId, groupId }: SocketPlace): boolean {
  if (peer === undefined) return false;
  if (peer.userId === 0 || peer.userId === (userId ?? process.geteuid?.())) return true;
  if (groupId !== undefined && peer.groupIds.includes(groupId)) return (mode & GROUP_MAY) !== 0;
  return (mode & OTHERS_MAY) !== 0;
}

/** Makes what answers requests. */
export type OpenRoutes = (
  target: ControlTarget,
  mayAsk: (socket: Socket) => boolean,
  path: string,
) => Promise<Pick<ControlRoutes, "answer" | "close">>;

/** Routes, and with them fastify, are read when somebody asks: a firewall that nobody asks needs none. */
const openRoutesLate: OpenRoutes = async (...parts) => {
  const { ControlRoutes: routes } = await import("./control-routes.ts");
  return routes.open(...parts);
};

/** The control socket of a running firewall. */
export class ControlServer {
  readonly #server: Server;
  readonly #path: string;
  readonly #target: ControlTarget;
  /** Connections of processes that may ask. */
  readonly #admitted = new WeakSet<Socket>();
  readonly #open: OpenRoutes;
  #routes: ReturnType<OpenRoutes> | undefined;

  private constructor(target: ControlTarget, place: SocketPlace, open: OpenRoutes) {
    this.#target = target;
    this.#open = open;
    this.#path = place.path;
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, reply) => {
      void this.#answer(request, reply);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on("connection", (socket: Socket) => {
      if (mayAsk(readPeerCredentials(socket), place)) this.#admitted.add(socket);
    });
  }

  /**
   * Opens the socket.
   *
   * @param openRoutes - called by the first request, and again by the next when it fails
   * @throws {FirewallError} `CONTROL_SOCKET` when the path is taken or cannot be used
   */
  static async open(
    target: ControlTarget,
    place: SocketPlace,
    openRoutes: OpenRoutes = openRoutesLate,
  ): Promise<ControlServer> {
    const { path } = place;
    await clearSocketPath(path);
    const control = new ControlServer(target, place, openRoutes);
    const server = control.#server;
    await listenAtSocket(place, async () => {
      server.listen({ path });
      await once(server, "listening");
    });
    return control;
  }

  /** Closes the socket and removes it, whatever becomes of the routes: a firewall that stops must go on. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
    try {
      await (await this.#routes)?.close();
    } catch {
      // Nobody is left who could hear of it.
    } finally {
      rmSync(this.#path, { force: true });
    }
  }

  async #answer(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    try {
      const routes = await this.#openRoutes();
      routes.answer(request, reply);
    } catch (error) {
      reply.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #openRoutes(): ReturnType<OpenRoutes> {
    if (this.#routes !== undefined) return this.#routes;
    const opening = this.#open(this.#target, (socket) => this.#admitted.has(socket), this.#path);
    this.#routes = opening;
    opening.catch(() => {
      this.#routes = undefined;
    });
    return opening;
  }
}
