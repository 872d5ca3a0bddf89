/**
 * The control socket: HTTP on a Unix socket, so that `curl --unix-socket` and the typed client speak the same
 * language. Who may open the socket is decided by its mode and group; who asked is known from the kernel
 * (SO_PEERCRED), never from the request.
 */
import { rmSync } from "node:fs";
import type { Socket } from "node:net";
import fastify, { type FastifyError, type FastifyInstance } from "fastify";
import { FirewallError } from "../base/index.ts";
import type { FirewallStatus, ProblemDetails, ReloadAnswer, ReloadRequest } from "../client/index.ts";
import { type PeerCredentials, readPeerCredentials } from "../system/index.ts";
import { PolicyInvalidError } from "./policy-file.ts";
import { clearSocketPath, listenAtSocket, type SocketPlace } from "./socket-place.ts";
import type { FlowService } from "./flow-service.ts";
import type { StateService } from "./state-service.ts";
import type { RuleService } from "./rule-service.ts";
import { addStateRoutes, FILTER_MAX } from "./state-routes.ts";
import type { LimitService } from "./limit-service.ts";
import { addLimitRoutes, addTableRoutes } from "./table-routes.ts";
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

/** Largest request body, in bytes. */
const BODY_BYTES_MAX = 1024 * 1024;
/** Longest time a client may take to send its request, in milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Most clients at a time; further ones are refused by the kernel's backlog. */
const CONNECTIONS_MAX = 256;

const EXPLANATION = {
  type: "object",
  properties: { flow: { type: "string", maxLength: FILTER_MAX } },
  required: ["flow"],
  additionalProperties: false,
};

/** Permission bits: who may write to a socket may use it. */
const GROUP_MAY = 0o020;
const OTHERS_MAY = 0o002;

/** Failures whose HTTP status is not 409. */
const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  FILTER_INVALID: 400,
  TIMEOUT_INVALID: 400,
  PEER_REFUSED: 403,
  STATE_GONE: 404,
  FLOW_UNKNOWN: 404,
  WATCHES_LIMIT: 503,
  TABLE_UNKNOWN: 404,
  TABLE_NAME: 400,
  TABLE_CAPACITY: 400,
  TABLE_ENTRY: 400,
  LIMIT_UNKNOWN: 400,
  LIMIT_INVALID: 400,
};

/** Turns any error into problem details (RFC 9457). */
function problemOf(error: FastifyError | Error): ProblemDetails {
  if (error instanceof PolicyInvalidError) {
    return {
      type: "about:blank",
      title: "Policy invalid",
      status: 422,
      detail: error.message,
      code: error.code,
      problems: error.problems,
    };
  }
  if (error instanceof FirewallError) {
    const status = STATUS_BY_CODE[error.code] ?? 409;
    return { type: "about:blank", title: "Refused", status, detail: error.message, code: error.code };
  }
  const status = "statusCode" in error && error.statusCode !== undefined ? error.statusCode : 500;
  const code = status < 500 ? "BAD_REQUEST" : "INTERNAL";
  return { type: "about:blank", title: error.name, status, detail: error.message, code };
}

function addRoutes(server: FastifyInstance, target: ControlTarget): void {
  server.get("/v1/status", () => target.status());
  server.get("/v1/rules", () => target.rules.report());
  server.get<{ Querystring: { flow: string } }>(
    "/v1/explanation",
    { schema: { querystring: EXPLANATION } },
    (request) => target.flows.explain(request.query.flow),
  );
  server.post<{ Body: ReloadRequest }>(
    "/v1/reload",
    {
      schema: {
        body: {
          type: "object",
          properties: { file: { type: "string", pattern: "^/" } },
          additionalProperties: false,
        },
      },
    },
    (request) => target.reload(request.body.file),
  );
  addStateRoutes(server, target.states);
  addTableRoutes(server, target.tables);
  addLimitRoutes(server, target.limits);
}

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

/** Refuses every request on connections of processes that may not ask. */
function admitPeers(server: FastifyInstance, place: SocketPlace): void {
  const admitted = new WeakSet<Socket>();
  server.server.on("connection", (socket: Socket) => {
    if (mayAsk(readPeerCredentials(socket), place)) admitted.add(socket);
  });
  server.addHook("onRequest", async (request) => {
    if (admitted.has(request.raw.socket)) return;
    throw new FirewallError("PEER_REFUSED", `this user may not use ${place.path}; ask its owner or use sudo`);
  });
}

/** The control socket of a running firewall. */
export class ControlServer {
  readonly #server: FastifyInstance;
  readonly #path: string;

  private constructor(server: FastifyInstance, path: string) {
    this.#server = server;
    this.#path = path;
  }

  /**
   * Opens the socket.
   *
   * @throws {FirewallError} `CONTROL_SOCKET` when the path is taken or cannot be used
   */
  static async open(target: ControlTarget, options: SocketPlace): Promise<ControlServer> {
    await clearSocketPath(options.path);
    const server = fastify({ bodyLimit: BODY_BYTES_MAX, requestTimeout: REQUEST_TIMEOUT_MS });
    server.server.maxConnections = CONNECTIONS_MAX;
    server.setErrorHandler((error: FastifyError, _request, reply) => {
      const problem = problemOf(error);
      return reply.status(problem.status).type("application/problem+json").send(problem);
    });
    server.setNotFoundHandler((request, reply) => {
      const detail = `there is no ${request.method} ${request.url}`;
      const problem = { type: "about:blank", title: "Not found", status: 404, detail, code: "NOT_FOUND" };
      return reply.status(404).type("application/problem+json").send(problem);
    });
    admitPeers(server, options);
    addRoutes(server, target);
    await listenAtSocket(options, () => server.listen({ path: options.path }));
    return new ControlServer(server, options.path);
  }

  /** Closes the socket and removes it. */
  async close(): Promise<void> {
    this.#server.server.closeAllConnections();
    await this.#server.close();
    rmSync(this.#path, { force: true });
  }
}
