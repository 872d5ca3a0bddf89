/**
 * Requests that are nearly right, and requests that are nothing: each is answered with what the document
 * promises, and what is refused changes nothing.
 */
import assert from "node:assert/strict";
import { createConnection } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { openHouse } from "../../../testing/index.ts";

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly code: string;
}

/** Sends bytes on a connection of their own; undefined when nothing came back before the end. */
function exchange(path: string, bytes: string | Uint8Array): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("error", () => undefined);
    socket.once("close", () => {
      const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? [];
      const [, type = ""] = /content-type: ([^;\r]*)/i.exec(text) ?? [];
      const [, code = ""] = /"code":"([A-Z_]+)"/.exec(text) ?? [];
      resolve(status === undefined ? undefined : { status: Number(status), type, code });
    });
    socket.end(bytes);
  });
}

function requestText(method: string, path: string, body: string): string {
  const length = Buffer.byteLength(body);
  const head = [
    "host: x",
    "connection: close",
    "content-type: application/json",
    `content-length: ${length}`,
  ];
  return `${method} ${path} HTTP/1.1\r\n${head.join("\r\n")}\r\n\r\n${body}`;
}

const SPEC = {
  kind: "permit",
  internal: { family: 4, address: "10.1.0.1", prefix: 32, ports: [5004, 5005] },
  external: { family: 4, address: "198.51.100.1", ports: [6004, 6005] },
  protocol: 17,
  direction: "both",
  portMode: "pairwise",
  lifetime: 60,
  group: "g",
  labels: { a: "b" },
  limit: { pps: 100 },
};

/** Values that stand where others should. */
const odd = fc.oneof(
  fc.constantFrom<unknown[]>(
    null,
    true,
    "",
    "x",
    -1,
    0,
    1.5,
    65_536,
    1e300,
    [],
    {},
    [[]],
    "10.1.0.1",
    [9, 8],
    6,
    132,
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

type Path = readonly string[];

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, [...path, name]))];
}

/** The same value with another one at a place, or without what is there. */
function changed(value: unknown, [first, ...rest]: Path, put: unknown): unknown {
  if (first === undefined) return put;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value))
    return value.map((inner, index) => (String(index) === first ? changed(inner, rest, put) : inner));
  const entries = Object.entries(value).map(([name, inner]): [string, unknown] =>
    name === first ? [name, changed(inner, rest, put)] : [name, inner],
  );
  return Object.fromEntries(entries);
}

const COMMIT = {
  operations: [
    { op: "open", spec: SPEC, clientId: "c" },
    { op: "close", id: "c" },
  ],
  expectGeneration: 0,
};

test("a commit with anything in place of any part is done, or refused with a documented problem", async () => {
  const house = await openHouse();
  const seen = new Map<string, number>();
  const paths = pathsOf(COMMIT).filter((path) => path[0] !== "expectGeneration");
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), odd, async (path, value) => {
      const before = house.service.status.generation;
      const body = changed({ ...COMMIT, expectGeneration: before }, path, value);
      const answer = await exchange(
        house.socket,
        requestText("POST", "/v1/commits", JSON.stringify(body) ?? ""),
      );
      assert.ok(answer !== undefined, "it was answered");
      const { status, type, code } = answer;
      seen.set(`${status} ${code}`, (seen.get(`${status} ${code}`) ?? 0) + 1);
      if (status === 200) return;
      assert.ok(status >= 400 && status < 500, `${status} ${code} for ${JSON.stringify(body)}`);
      assert.equal(type, "application/problem+json");
      assert.equal(house.service.status.generation, before);
    }),
    { numRuns: 600 },
  );
  assert.ok(seen.size >= 6, [...seen].join(" "));
  assert.deepEqual(house.log, []);
  await house.close();
});

test("bytes that are no request end the connection, or are refused, and the door stays open", async () => {
  const house = await openHouse();
  const valid = requestText(
    "POST",
    "/v1/commits",
    JSON.stringify({ operations: [{ op: "open", spec: SPEC }] }),
  );
  const mutation = fc
    .tuple(fc.nat(valid.length - 1), fc.string({ unit: "binary", maxLength: 4 }), fc.nat(8))
    .map(([at, put, drop]) => valid.slice(0, at) + put + valid.slice(at + drop));
  const routes = fc
    .tuple(
      fc.constantFrom("GET", "PUT", "PATCH", "DELETE", "POST", "BREW"),
      fc.constantFrom(
        "pinholes",
        "pinholes/a",
        "groups/g",
        "transactions",
        "transactions/t/commit",
        "events/x",
        "..",
      ),
      fc.string({ unit: "grapheme-ascii", maxLength: 6 }),
    )
    .map(([method, route, tail]) =>
      requestText(method, `/v1/${route}${encodeURIComponent(tail)}?${tail}`, tail),
    );
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutation, routes, fc.uint8Array({ maxLength: 200 })), async (bytes) => {
      const answer = await exchange(house.socket, bytes);
      assert.ok(answer === undefined || answer.status < 500, `${answer?.status} for ${String(bytes)}`);
    }),
    { numRuns: 600 },
  );
  const answer = await exchange(house.socket, requestText("GET", "/v1/status", ""));
  assert.equal(answer?.status, 200);
  assert.deepEqual(house.log, []);
  await house.close();
});
