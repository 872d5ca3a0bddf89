/** Routes of the control socket about states and timeouts. Lists and watches are streams of JSON lines. */
import type { FastifyInstance } from "fastify";
import type { TimeoutValues } from "../base/index.ts";
import type { KillRequest, StateQuery } from "../client/index.ts";
import { begun, sendLines, sendNews } from "./json-lines.ts";
import type { StateService } from "./state-service.ts";

const SOURCE = { type: "string", enum: ["own", "kernel", "both"] };
/** Longest filter, in characters. */
export const FILTER_MAX = 65_536;
const FILTER = { type: "string", maxLength: FILTER_MAX };

const QUERY = { type: "object", properties: { filter: FILTER, source: SOURCE }, additionalProperties: false };
const KILL = {
  type: "object",
  properties: { filter: FILTER, source: SOURCE, reset: { type: "boolean" } },
  required: ["filter"],
  additionalProperties: false,
};
const TIMEOUTS = { type: "object", additionalProperties: { type: "number", minimum: 0 } };

/**
 * Adds the routes.
 *
 * @param server - before it listens
 * @param states - what they ask
 */
export function addStateRoutes(server: FastifyInstance, states: StateService): void {
  server.get<{ Querystring: StateQuery }>(
    "/v1/states",
    { schema: { querystring: QUERY } },
    async (request, reply) => sendLines(reply, await begun(states.list(request.query))),
  );
  server.get<{ Params: { id: string } }>("/v1/states/:id", (request) => states.get(request.params.id));
  server.post<{ Body: KillRequest }>("/v1/states/kill", { schema: { body: KILL } }, (request) =>
    states.kill(request.body),
  );
  server.get<{ Querystring: StateQuery }>(
    "/v1/watch/states",
    { schema: { querystring: QUERY } },
    async (request, reply) => {
      const watch = await states.watch(request.query);
      reply.raw.once("close", () => void states.unwatch(watch));
      return sendNews(reply, watch.events());
    },
  );
  server.put<{ Body: Partial<TimeoutValues> }>("/v1/timeouts", { schema: { body: TIMEOUTS } }, (request) =>
    states.setTimeouts(request.body),
  );
  server.get("/v1/timeouts", () => states.setTimeouts({}));
}
