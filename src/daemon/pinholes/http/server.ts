/**
 * HTTP in front of the service: identification, rate, room, checks, answers. The same on a Unix socket and
 * with TLS.
 */
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Agent } from "../../../pinhole/index.ts";
import type { Identity } from "../agent-directory.ts";
import type { PinholeHouse } from "../pinhole-door.ts";
import { readOpenFilesMax } from "../../../system/index.ts";
import { RequestMeter } from "../request-meter.ts";
import { ConnectionKeeper } from "./connection-keeper.ts";
import { identityOf } from "./peer.ts";
import { DoorError, problemOf } from "./problem.ts";
import type { PinholeCall, PinholeRoute, Schema } from "./route.ts";
import { UploadRoom } from "./upload-room.ts";

/** Longest parameter in a path, in characters: an id of one's own, with every character escaped. */
const PARAMETER_MAX = 512;
/** Longest time for the headers and the body of a request to arrive, in milliseconds. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How often connections are looked at for that, in milliseconds. */
const CHECK_MS = 5000;
const PROBLEM_MEDIA_TYPE = "application/problem+json";
/** Longest time for a TLS handshake, in milliseconds. */
const HANDSHAKE_MS = 10_000;

/** What a server shows and demands of clients in TLS. */
export interface TlsMaterial extends Pick<SecureContextOptions, "cert" | "key" | "ca"> {
  readonly ca: NonNullable<SecureContextOptions["ca"]>;
}

/** An HTTP server that does not listen yet. */
export interface PinholeServer {
  readonly fastify: FastifyInstance;
  readonly keeper: ConnectionKeeper;
  readonly server: Server;
}

function makeServer(tls: TlsMaterial | undefined, listener: RequestListener): Server {
  const options = { requestTimeout: REQUEST_TIMEOUT_MS, connectionsCheckingInterval: CHECK_MS };
  if (tls === undefined) return createServer(options, listener);
  return createTlsServer(
    {
      ...options,
      ...tls,
      // Whoever has no certificate of ours never comes as far as HTTP.
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
      handshakeTimeout: HANDSHAKE_MS,
    },
    listener,
  );
}

const REVISION = /^"(\d{1,15})"$/;
const KEY_MAX = 255;

/** The revision that a client expects; `*` expects only that there is something. */
function expectedRevision(request: FastifyRequest): number | undefined {
  const text = request.headers["if-match"];
  if (text === undefined || text === "*") return undefined;
  const [, revision] = REVISION.exec(text) ?? [];
  if (revision === undefined) throw new DoorError("BAD_REQUEST", 'If-Match must be an ETag such as "3".');
  return Number(revision);
}

function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (typeof key === "string" && key !== "" && key.length <= KEY_MAX) return key;
  throw new DoorError("BAD_REQUEST", `Idempotency-Key must have 1 to ${KEY_MAX} characters.`);
}

/** What everybody who asks goes through before a route is reached. */
class Reception {
  readonly #house: PinholeHouse;
  readonly #keeper: ConnectionKeeper;
  readonly #meter: RequestMeter;
  readonly #room: UploadRoom;
  readonly #agents: WeakMap<FastifyRequest, Agent> = new WeakMap();
  /** What a connection has proven, it has proven for all its requests; what follows from it may change. */
  readonly #identities: WeakMap<Socket, Identity> = new WeakMap();

  constructor(house: PinholeHouse, keeper: ConnectionKeeper) {
    this.#house = house;
    this.#keeper = keeper;
    this.#meter = new RequestMeter();
    this.#room = new UploadRoom(house.limits.pinholeUploadBytes, house.limits.pinholeBodyBytes);
  }

  agentOf(request: FastifyRequest): Agent {
    const agent = this.#agents.get(request);
    if (agent === undefined) throw new DoorError("NOT_AUTHORIZED", "Nobody knows who you are.");
    return agent;
  }

  addTo(server: FastifyInstance): void {
    server.addHook("onRequest", (request, reply, done) => {
      this.#keeper.begin(request.raw.socket);
      reply.raw.once("close", () => this.#keeper.end(request.raw.socket));
      try {
        this.#admit(request);
        done();
      } catch (error) {
        done(error as Error);
      }
    });
    server.addHook("preValidation", (request, _reply, done) => {
      this.#room.leave(request);
      done();
    });
    server.addHook("onResponse", (request, _reply, done) => {
      this.#room.leave(request);
      done();
    });
    server.addHook("onRequestAbort", (request, done) => {
      this.#room.leave(request);
      done();
    });
  }

  #admit(request: FastifyRequest): void {
    const { agents, service } = this.#house;
    const identity = this.#identityOf(request.raw.socket);
    const agent = identity === undefined ? undefined : agents.identify(identity);
    if (agent === undefined) {
      throw new DoorError("NOT_AUTHORIZED", "No agent is configured for this user or certificate.");
    }
    const waitMs = this.#meter.take(agent, service.moment.now);
    if (waitMs > 0) {
      const { requestsPerSecond } = agent.profile;
      const message = `Your profile allows ${requestsPerSecond} requests per second. Put more into one commit.`;
      throw new DoorError("TOO_MANY_REQUESTS", message, Math.ceil(waitMs / 1000));
    }
    this.#room.enter(request);
    this.#agents.set(request, agent);
  }

  #identityOf(socket: Socket): Identity | undefined {
    const identity = this.#identities.get(socket) ?? identityOf(socket);
    if (identity !== undefined) this.#identities.set(socket, identity);
    return identity;
  }
}

function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: "object", properties, additionalProperties: false };
}

function fastifySchema({ params, query, body }: PinholeRoute): Record<string, Schema> {
  return {
    ...(params === undefined ? {} : { params: object(params) }),
    querystring: object(query ?? {}),
    ...(body === undefined ? {} : { body }),
  };
}

function addRoute(server: FastifyInstance, route: PinholeRoute, reception: Reception): void {
  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const call: PinholeCall = {
      agent: reception.agentOf(request),
      params: (request.params ?? {}) as PinholeCall["params"],
      query: (request.query ?? {}) as PinholeCall["query"],
      body: request.body,
      revision: route.isConditional === true ? expectedRevision(request) : undefined,
      idempotencyKey: idempotencyKey(request),
      request,
      reply,
    };
    const { status = 200, headers = {}, body } = await route.handle(call);
    if (reply.sent) return reply;
    return reply.status(status).headers(headers).send(body);
  };
  server.route({ method: route.method, url: route.path, schema: fastifySchema(route), handler });
}

/** Files that the process needs for other things than connections. */
const OTHER_FILES = 512;
/** Part of the files that one door may take; there may be others. */
const DOOR_SHARE = 0.75;

/** A door that took every file would keep everybody out, the newest first. */
function connectionsMax({ limits }: PinholeHouse): number {
  const room = Math.floor((readOpenFilesMax() - OTHER_FILES) * DOOR_SHARE);
  return Math.max(1, Math.min(limits.pinholeConnections, room));
}

/**
 * Makes a server with routes; it does not listen yet.
 *
 * @param tls - clients must show a certificate; absent: no encryption, for Unix sockets only
 */
export function createPinholeServer(
  house: PinholeHouse,
  routes: readonly PinholeRoute[],
  tls?: TlsMaterial,
): PinholeServer {
  const { pinholeBodyBytes, pinholeIdle } = house.limits;
  const server = fastify({
    serverFactory: (handler) => makeServer(tls, handler),
    bodyLimit: pinholeBodyBytes,
    routerOptions: { maxParamLength: PARAMETER_MAX },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, allErrors: false } },
  });
  server.server.setTimeout(pinholeIdle);
  server.server.keepAliveTimeout = pinholeIdle;
  const keeper = new ConnectionKeeper(server.server, connectionsMax(house));
  const reception = new Reception(house, keeper);
  reception.addTo(server);
  server.setErrorHandler((error: Error, request, reply) => {
    const problem = problemOf(error);
    if (problem.status === 500) {
      const facts = { method: request.method, url: request.url, stack: error.stack };
      house.log.error(`a request failed: ${error.stack ?? error.message}`, facts);
    }
    if (problem.retryAfter !== undefined) void reply.header("retry-after", String(problem.retryAfter));
    return reply.status(problem.status).type(PROBLEM_MEDIA_TYPE).send(problem);
  });
  server.setNotFoundHandler((request, reply) => {
    const problem = problemOf(
      new DoorError("NOT_FOUND", `There is no ${request.method} ${request.url}. See /v1/openapi.json.`),
    );
    return reply.status(problem.status).type(PROBLEM_MEDIA_TYPE).send(problem);
  });
  for (const route of routes) addRoute(server, route, reception);
  return { fastify: server, keeper, server: server.server };
}
