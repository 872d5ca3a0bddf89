/**
 * The OpenAPI document (version 3.1), made of the routes and of the schemas that requests are checked
 * against.
 */
import { PROBLEM_CODES, PROBLEM_TYPE } from "./problem.ts";
import type { AnswerDescription, PinholeRoute, Schema } from "./route.ts";
import { SCHEMAS, type SchemaName } from "./schema.ts";

const NAMES: ReadonlyMap<unknown, string> = new Map(
  Object.entries(SCHEMAS).map(([name, schema]) => [schema, name]),
);

function reference(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

/** A schema in which every part that has a name of its own is named. */
function withReferences(value: unknown, isRoot = false): unknown {
  const name = isRoot ? undefined : NAMES.get(value);
  if (name !== undefined) return reference(name);
  if (Array.isArray(value)) return value.map((item) => withReferences(item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withReferences(inner)]));
}

function answer({ description, schema, mediaType, headers }: AnswerDescription): object {
  const texts = Object.entries(headers ?? {});
  return {
    description,
    ...(texts.length === 0
      ? {}
      : {
          headers: Object.fromEntries(
            texts.map(([name, words]) => [name, { description: words, schema: { type: "string" } }]),
          ),
        }),
    ...(schema === undefined
      ? {}
      : { content: { [mediaType ?? "application/json"]: { schema: reference(schema) } } }),
  };
}

/** Problems of a route by their status. */
function problems(route: PinholeRoute): Record<string, object> {
  const codes = ["NOT_AUTHORIZED", "TOO_MANY_REQUESTS", ...(route.problems ?? [])];
  if (route.query !== undefined || route.body !== undefined) codes.push("BAD_REQUEST");
  const byStatus = new Map<number, string[]>();
  for (const code of codes) {
    const status = PROBLEM_CODES[code]?.status ?? 500;
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, names]) => [
      status,
      {
        description: names.map((name) => `\`${name}\``).join(", "),
        content: { "application/problem+json": { schema: reference("Problem") } },
      },
    ]),
  );
}

function parameters(route: PinholeRoute): object[] {
  const named = (place: "path" | "query", schemas: Readonly<Record<string, Schema>>): object[] =>
    Object.entries(schemas).map(([name, schema]) => ({
      name,
      in: place,
      required: place === "path",
      schema,
    }));
  const header = (name: string, description: string): object => ({
    name,
    in: "header",
    description,
    schema: { type: "string" },
  });
  return [
    ...named("path", route.params ?? {}),
    ...named("query", route.query ?? {}),
    ...(route.isIdempotent === true
      ? [header("Idempotency-Key", "The same key with the same body has one effect and one answer.")]
      : []),
    ...(route.isConditional === true ? [header("If-Match", "Refuse unless the ETag is this one.")] : []),
  ];
}

function operation(route: PinholeRoute): object {
  const answers = Object.entries(route.answers).map(([status, one]) => [status, answer(one)]);
  return {
    operationId: route.id,
    summary: route.summary,
    parameters: parameters(route),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { "application/json": { schema: withReferences(route.body) } },
          },
        }),
    responses: { ...Object.fromEntries(answers), ...problems(route) },
  };
}

/**
 * Makes the document.
 *
 * @param version - of the program
 */
export function openApiDocument(routes: readonly PinholeRoute[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  const schemas = (Object.keys(SCHEMAS) as SchemaName[]).map((name) => [
    name,
    withReferences(SCHEMAS[name], true),
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "Postern pinholes",
      version,
      description: `Opens and closes exact holes in a packet filter, all or nothing. Problems have types that begin with ${PROBLEM_TYPE}.`,
    },
    paths,
    components: { schemas: Object.fromEntries(schemas) as Record<string, unknown> },
  };
}
