/** What the control socket answers, route by route, and how failures become problem details. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import fastify, { type FastifyError, type FastifyInstance } from "fastify";
import { FirewallError } from "../base/index.ts";
import type { ProblemDetails, ReloadRequest } from "../client/index.ts";
import type { ControlTarget } from "./control-server.ts";
import { PolicyInvalidError } from "./policy-file.ts";
import { addStateRoutes, FILTER_MAX } from "./state-routes.ts";
import { addLimitRoutes, addTableRoutes } from "./table-routes.ts";

/** Largest request body, in bytes. */
const BODY_BYTES_MAX = 1024 * 1024;

const EXPLANATION = {
  type: "object",
  properties: { flow: { type: "string", maxLength: FILTER_MAX } },
  required: ["flow"],
  additionalProperties: false,
};

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

/** The routes of a control socket; connections are the server's. */
export class ControlRoutes {
  readonly #routes: FastifyInstance;

  private constructor(routes: FastifyInstance) {
    this.#routes = routes;
  }

  /**
   * Makes the routes.
   *
   * @param mayAsk - whether whoever is at the other end of a connection may ask; who may not is refused
   * @param path - of the socket, for messages
   */
  static async open(
    target: ControlTarget,
    mayAsk: (socket: Socket) => boolean,
    path: string,
  ): Promise<ControlRoutes> {
    const routes = fastify({ bodyLimit: BODY_BYTES_MAX });
    routes.setErrorHandler((error: FastifyError, _request, reply) => {
      const problem = problemOf(error);
      return reply.status(problem.status).type("application/problem+json").send(problem);
    });
    routes.setNotFoundHandler((request, reply) => {
      const detail = `there is no ${request.method} ${request.url}`;
      const problem = { type: "about:blank", title: "Not found", status: 404, detail, code: "NOT_FOUND" };
      return reply.status(404).type("application/problem+json").send(problem);
    });
    routes.addHook("onRequest", async (request) => {
      if (mayAsk(request.raw.socket)) return;
      throw new FirewallError("PEER_REFUSED", `this user may not use ${path}; ask its owner or use sudo`);
    });
    addRoutes(routes, target);
    await routes.ready();
    return new ControlRoutes(routes);
  }

  answer(request: IncomingMessage, reply: ServerResponse): void {
    this.#routes.routing(request, reply);
  }

  async close(): Promise<void> {
    await this.#routes.close();
  }
}
