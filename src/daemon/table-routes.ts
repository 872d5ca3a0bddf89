/** Routes of the control socket about address tables and limits. */
import type { FastifyInstance } from "fastify";
import { LIMITS } from "../base/index.ts";
import type { TableChangeRequest, TableCreation } from "../client/index.ts";
import { sendLines } from "./json-lines.ts";
import type { LimitService } from "./limit-service.ts";
import type { TableService } from "./table-service.ts";

/** Largest body with addresses, in bytes: some three million of them. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;
/** Longest text of an entry: `!`, an IPv6 address, a mask written as an address, and room to be wrong. */
const ENTRY_MAX = 128;
/** Longest time an entry may be told to last, or be asked for, in seconds: a year. */
const SECONDS_MAX = 366 * 24 * 3600;

const ADDRESSES = {
  type: "array",
  items: { type: "string", maxLength: ENTRY_MAX },
  maxItems: LIMITS.tableEntries.max,
};
const SECONDS = { type: "number", minimum: 0, maximum: SECONDS_MAX };

function body(properties: Readonly<Record<string, object>>, required: readonly string[]): object {
  return { body: { type: "object", properties, required, additionalProperties: false } };
}

const CREATION = body(
  {
    name: { type: "string", maxLength: ENTRY_MAX },
    capacity: { type: "integer", minimum: 1, maximum: LIMITS.tableEntries.max },
    counters: { type: "boolean" },
  },
  ["name"],
);
const CHANGE = body({ addresses: ADDRESSES, verbose: { type: "boolean" } }, ["addresses"]);
const ADDITION = body(
  {
    addresses: ADDRESSES,
    verbose: { type: "boolean" },
    lifetimeSeconds: { ...SECONDS, exclusiveMinimum: 0 },
  },
  ["addresses"],
);
const QUESTION = body({ addresses: ADDRESSES }, ["addresses"]);
const EXPIRY = body({ ageSeconds: SECONDS }, ["ageSeconds"]);
const LIMIT_VALUES = { body: { type: "object", additionalProperties: { type: "integer" } } };

interface Named {
  readonly name: string;
}

/**
 * Adds the routes about tables.
 *
 * @param server - before it listens
 * @param tables - what they ask
 */
export function addTableRoutes(server: FastifyInstance, tables: TableService): void {
  const bodyLimit = BODY_BYTES_MAX;
  server.get("/v1/tables", (_request, reply) => sendLines(reply, tables.list()));
  server.post<{ Body: TableCreation }>("/v1/tables", { schema: CREATION }, (request) =>
    tables.create(request.body),
  );
  server.get<{ Params: Named }>("/v1/tables/:name", (request, reply) =>
    sendLines(reply, tables.show(request.params.name)),
  );
  server.delete<{ Params: Named }>("/v1/tables/:name", (request) => tables.remove(request.params.name));
  const changes = { add: ADDITION, delete: CHANGE, set: CHANGE } as const;
  for (const [verb, schema] of Object.entries(changes) as [keyof typeof changes, object][]) {
    const path = `/v1/tables/:name/${verb}`;
    server.post<{ Params: Named; Body: TableChangeRequest }>(path, { schema, bodyLimit }, (request) =>
      tables[verb](request.params.name, request.body),
    );
  }
  server.post<{ Params: Named; Body: { addresses: string[] } }>(
    "/v1/tables/:name/test",
    { schema: QUESTION, bodyLimit },
    async (request) => tables.test(request.params.name, request.body.addresses),
  );
  server.post<{ Params: Named }>("/v1/tables/:name/clear", (request) => tables.clear(request.params.name));
  server.post<{ Params: Named }>("/v1/tables/:name/zero", (request) => tables.zero(request.params.name));
  server.post<{ Params: Named; Body: { ageSeconds: number } }>(
    "/v1/tables/:name/expire",
    { schema: EXPIRY },
    (request) => tables.expire(request.params.name, request.body.ageSeconds),
  );
}

/**
 * Adds the routes about limits.
 *
 * @param server - before it listens
 * @param limits - what they ask
 */
export function addLimitRoutes(server: FastifyInstance, limits: LimitService): void {
  server.get("/v1/limits", () => limits.list());
  server.put<{ Body: Record<string, number> }>("/v1/limits", { schema: LIMIT_VALUES }, (request) =>
    limits.set(request.body),
  );
}
