/** Routes of the control socket about states and timeouts. Lists and watches are streams of JSON lines. */
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { TimeoutValues } from "../base/index.ts";
import type { KillRequest, StateQuery } from "../client/index.ts";
import type { StateService } from "./state-service.ts";

const SOURCE = { type: "string", enum: ["own", "kernel", "both"] };
/** Longest filter, in characters. */
const FILTER_MAX = 65_536;
const FILTER = { type: "string", maxLength: FILTER_MAX };

const QUERY = { type: "object", properties: { filter: FILTER, source: SOURCE }, additionalProperties: false };
const KILL = {
  type: "object",
  properties: { filter: FILTER, source: SOURCE, reset: { type: "boolean" } },
  required: ["filter"],
  additionalProperties: false,
};
const TIMEOUTS = { type: "object", additionalProperties: { type: "number", minimum: 0 } };

async function* jsonLines(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}

/** Sends values as they come, one JSON object a line; a reader that is slow slows the making of them. */
function sendLines(reply: FastifyReply, values: AsyncIterable<unknown>): FastifyReply {
  return reply.type("application/x-ndjson").send(Readable.from(jsonLines(values)));
}

/**
 * Lets the first value come before the answer begins, so that a refusal is an error and not half an answer.
 */
async function begun<Value>(values: AsyncGenerator<Value>): Promise<AsyncGenerator<Value>> {
  const first = await values.next();
  return (async function* () {
    if (first.done === true) return;
    yield first.value;
    yield* values;
  })();
}

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
      return sendLines(reply, watch.events());
    },
  );
  server.put<{ Body: Partial<TimeoutValues> }>("/v1/timeouts", { schema: { body: TIMEOUTS } }, (request) =>
    states.setTimeouts(request.body),
  );
  server.get("/v1/timeouts", () => states.setTimeouts({}));
}
