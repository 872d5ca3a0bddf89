import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync } from "node:fs";
import { request } from "node:http";
import { createConnection, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import fastify from "fastify";
import { SimulatedPinholes } from "../../../backend/index.ts";
import type { PreparedPlan } from "../../../pinhole/index.ts";
import { readOpenFilesMax } from "../../../system/index.ts";
import { closeAtEnd, type HousePlan, openHouse, type TestHouse } from "../../../testing/index.ts";
import { alternativeNames } from "./peer.ts";
import { SCHEMAS, type SchemaName } from "./schema.ts";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly type: string;
}

const open: TestHouse[] = [];
afterEach(async () => {
  for (const house of open.splice(0)) await house.close();
});

async function house(plan?: HousePlan): Promise<TestHouse> {
  const opened = await openHouse(plan);
  open.push(opened);
  return opened;
}

/** Sends one request on a connection of its own. */
function ask(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
    const type = text === undefined ? {} : { "content-type": "application/json" };
    const outgoing = request(
      { socketPath, method, path, headers: { ...type, ...headers }, agent: false },
      (incoming) => {
        let received = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => {
          received += chunk;
        });
        incoming.on("end", () => {
          const parsed = (received === "" ? {} : JSON.parse(received)) as Record<string, unknown>;
          const mediaType = (incoming.headers["content-type"] ?? "").split(";")[0] ?? "";
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body: parsed,
            type: mediaType,
          });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(text);
  });
}

const AUDIO = {
  internal: { family: 4, address: "10.1.0.1", ports: [5004, 5004] },
  external: { family: 4, address: "198.51.100.1", ports: [6004, 6004] },
  protocol: 17,
  lifetime: 60,
};

function audio(port: number): object {
  return { ...AUDIO, internal: { ...AUDIO.internal, ports: [port, port] } };
}

/** A packet filter that takes nothing before it is let. */
class HeldFilter extends SimulatedPinholes {
  letGo: () => void = () => undefined;
  readonly #gate: Promise<void> = new Promise((resolve) => {
    this.letGo = resolve;
  });

  override async commit(prepared: PreparedPlan): Promise<void> {
    await this.#gate;
    return super.commit(prepared);
  }
}

/** Holds an answer against the schema that the document promises, with the framework's own validator. */
async function matches(name: SchemaName, value: unknown): Promise<void> {
  const checker = fastify({ ajv: { customOptions: { removeAdditional: false, coerceTypes: false } } });
  checker.post("/", { schema: { body: SCHEMAS[name] } }, () => "");
  const { statusCode, body } = await checker.inject({
    method: "POST",
    url: "/",
    payload: JSON.stringify(value),
    headers: { "content-type": "application/json" },
  });
  assert.equal(statusCode, 200, `${name}: ${body}`);
}

describe("the HTTP door", () => {
  it("does several things at once, and answers when they are in force", async () => {
    const { socket } = await house();
    const operations = [5004, 5006].map((port) => ({ op: "open", spec: audio(port) }));
    const { status, body } = await ask(socket, "POST", "/v1/commits", { operations });
    assert.equal(status, 200);
    await matches("CommitAnswer", body);
    assert.equal(body["generation"], 1);
    const list = await ask(socket, "GET", "/v1/pinholes?traffic=true");
    await matches("Page", list.body);
    assert.equal((list.body["pinholes"] as unknown[]).length, 2);
  });

  it("answers for one pinhole as it left it, also when nothing is kept of what has ended", async () => {
    const { socket } = await house({ limits: { pinholeTombstones: 0 } });
    const statusOf = async (method: string, path: string, body?: unknown): Promise<unknown[]> => {
      const answer = await ask(socket, method, `/v1/pinholes/${path}`, body);
      return [answer.status, answer.body["state"], answer.body["revision"], answer.headers["etag"]];
    };
    assert.deepEqual(await statusOf("PUT", "mine", AUDIO), [201, "enabled", 1, '"1"']);
    assert.deepEqual(await statusOf("PUT", "mine", AUDIO), [200, "enabled", 2, '"2"']);
    assert.deepEqual(await statusOf("PATCH", "mine", { lifetime: 30 }), [200, "enabled", 3, '"3"']);
    const { status, body } = await ask(socket, "DELETE", "/v1/pinholes/mine");
    assert.deepEqual([status, body["state"], body["clientId"]], [200, "ended", "mine"]);
    await matches("Pinhole", body);
    assert.equal((await ask(socket, "GET", "/v1/pinholes/mine")).status, 404);
  });

  it("changes nothing when one of many is refused, and says which and why", async () => {
    const { socket, service } = await house();
    await ask(socket, "POST", "/v1/commits", {
      operations: [{ op: "open", spec: { ...audio(5004), kind: "block" }, clientId: "stop" }],
    });
    const { status, body, type } = await ask(socket, "POST", "/v1/commits", {
      operations: [
        { op: "open", spec: audio(5006) },
        { op: "open", spec: audio(5004) },
      ],
    });
    assert.equal(status, 409);
    assert.equal(type, "application/problem+json");
    await matches("Problem", body);
    assert.equal(body["type"], "urn:postern:pinholes:CONFLICT");
    assert.equal(body["simco"], 0x0350);
    assert.equal(body["operation"], 1);
    assert.equal((body["conflicts"] as string[]).length, 1);
    assert.equal(service.status.pinholes, 1);
  });

  it("keeps a transaction open over requests, gives ids at once, and commits all of it", async () => {
    const { socket, service } = await house();
    const begun = await ask(socket, "POST", "/v1/transactions");
    assert.equal(begun.status, 201);
    await matches("Transaction", begun.body);
    const path = String(begun.headers["location"]);
    const staged = await ask(socket, "POST", `${path}/operations`, { op: "open", spec: audio(5004) });
    await matches("Staged", staged.body);
    await ask(socket, "POST", `${path}/operations`, {
      operations: [
        { op: "open", spec: audio(5006) },
        { op: "reserve", spec: { protocol: 17, lifetime: 30 } },
      ],
    });
    assert.equal((await ask(socket, "GET", path)).body["operations"], 3);
    assert.equal(service.status.pinholes, 0);
    const done = await ask(socket, "POST", `${path}/commit`);
    assert.equal(done.status, 200);
    const [first] = done.body["results"] as { id: string }[];
    const [promised] = staged.body["staged"] as { id: string }[];
    assert.equal(first?.id, promised?.id);
    assert.equal(service.status.pinholes, 3);
  });

  it("answers 202 when a commit is written, if that is enough, and 200 when it is in force", async () => {
    const backend = new HeldFilter();
    const { socket } = await house({ backend });
    const { headers } = await ask(socket, "POST", "/v1/transactions");
    const path = String(headers["location"]);
    const staged = await ask(socket, "POST", `${path}/operations`, { op: "open", spec: AUDIO });
    const [{ id }] = staged.body["staged"] as [{ id: string }];
    const written = await ask(socket, "POST", `${path}/commit?wait=journal`);
    assert.deepEqual([written.status, written.body["isInForce"]], [202, false]);
    await matches("CommitAnswer", written.body);
    assert.deepEqual(backend.keys, [], "the packet filter has not confirmed it");
    const later = Promise.all([
      ask(socket, "POST", `${path}/commit`),
      ask(socket, "GET", `/v1/pinholes/${id}`),
    ]);
    backend.letGo();
    const [again, pinhole] = await later;
    assert.deepEqual([again.status, again.body["isInForce"]], [200, undefined]);
    assert.equal(pinhole.body["state"], "enabled");
    const wrong = await ask(socket, "POST", "/v1/commits?wait=never", { operations: [] });
    assert.deepEqual([wrong.status, wrong.body["code"]], [400, "BAD_REQUEST"]);
  });

  it("answers a commit again when the answer was lost, and does nothing twice", async () => {
    const { socket, service } = await house();
    const { headers } = await ask(socket, "POST", "/v1/transactions", undefined, { "idempotency-key": "b" });
    const path = String(headers["location"]);
    const again = await ask(socket, "POST", "/v1/transactions", undefined, { "idempotency-key": "b" });
    assert.equal(again.headers["location"], path);
    const stage = (): Promise<Answer> =>
      ask(socket, "POST", `${path}/operations`, { op: "open", spec: AUDIO }, { "idempotency-key": "s" });
    assert.deepEqual((await stage()).body, (await stage()).body);
    const [one, two] = await Promise.all([
      ask(socket, "POST", `${path}/commit`),
      ask(socket, "POST", `${path}/commit`),
    ]);
    const three = await ask(socket, "POST", `${path}/commit`);
    assert.equal(one.status, 200);
    assert.deepEqual(two.body, one.body);
    assert.deepEqual(three.body, one.body);
    assert.equal(service.status.pinholes, 1);
    const operations = [{ op: "open", spec: audio(5008) }];
    const key = { "idempotency-key": "k" };
    const first = await ask(socket, "POST", "/v1/commits", { operations }, key);
    assert.deepEqual((await ask(socket, "POST", "/v1/commits", { operations }, key)).body, first.body);
    const other = await ask(socket, "POST", "/v1/commits", { operations: [] }, key);
    assert.equal(other.body["code"], "KEY_REUSED");
    assert.equal(service.status.pinholes, 2);
  });

  it("answers a commit under a key again to the same transaction, and to no other", async () => {
    const { socket, service } = await house();
    const begin = async (): Promise<string> => {
      const path = String((await ask(socket, "POST", "/v1/transactions")).headers["location"]);
      await ask(socket, "POST", `${path}/operations`, { op: "open", spec: AUDIO });
      return `${path}/commit`;
    };
    const [one, two] = [await begin(), await begin()];
    const commit = (path: string, key: string): Promise<Answer> =>
      ask(socket, "POST", path, undefined, { "idempotency-key": key });
    const first = await commit(one, "one");
    assert.equal(first.status, 200);
    assert.deepEqual((await commit(one, "one")).body, first.body);
    await ask(socket, "DELETE", two.slice(0, -"/commit".length));
    const apply = await ask(socket, "POST", "/v1/commits", { operations: [] }, { "idempotency-key": "all" });
    assert.equal(apply.status, 200);
    for (const [path, key, code] of [
      [two, "one", "KEY_REUSED"],
      [two, "all", "KEY_REUSED"],
      ["/v1/transactions/tx_0/commit", "one", "KEY_REUSED"],
      [two, "fresh", "NO_SUCH_TRANSACTION"],
      [one, "fresh", "NO_SUCH_TRANSACTION"],
    ] as const) {
      assert.equal((await commit(path, key)).body["code"], code, `${path} with ${key}`);
    }
    assert.equal(service.status.pinholes, 1);
  });

  it("rolls a transaction back, and knows it no more", async () => {
    const { socket, service } = await house();
    const path = String((await ask(socket, "POST", "/v1/transactions")).headers["location"]);
    await ask(socket, "POST", `${path}/operations`, { op: "open", spec: AUDIO });
    assert.equal((await ask(socket, "DELETE", path)).status, 204);
    assert.equal((await ask(socket, "POST", `${path}/commit`)).body["code"], "NO_SUCH_TRANSACTION");
    assert.equal(service.status.pinholes, 0);
  });

  it("compares the generation before a commit, and the revision before a change", async () => {
    const { socket } = await house();
    const put = (): Promise<Answer> => ask(socket, "PUT", "/v1/pinholes/call:1", AUDIO);
    const made = await put();
    assert.equal(made.status, 201);
    await matches("Pinhole", made.body);
    assert.equal(made.headers["etag"], '"1"');
    assert.equal((await put()).status, 200);
    const patch = (revision: string): Promise<Answer> =>
      ask(socket, "PATCH", "/v1/pinholes/call:1", { lifetime: 90 }, { "if-match": revision });
    assert.equal((await patch('"1"')).status, 412);
    assert.equal((await patch("nonsense")).status, 400);
    const renewed = await patch('"2"');
    assert.equal(renewed.headers["etag"], '"3"');
    assert.equal(renewed.body["granted"], 90);
    const same = await ask(socket, "GET", "/v1/pinholes/call:1", undefined, { "if-none-match": '"3"' });
    assert.equal(same.status, 304);
    const stale = { operations: [{ op: "close", id: "call:1" }], expectGeneration: 1 };
    assert.equal((await ask(socket, "POST", "/v1/commits", stale)).body["code"], "GENERATION_MISMATCH");
    const ended = await ask(socket, "DELETE", "/v1/pinholes/call:1", undefined, { "if-match": '"3"' });
    assert.equal(ended.body["state"], "ended");
    assert.equal(ended.body["reason"], "deleted");
    assert.equal((await ask(socket, "DELETE", "/v1/pinholes/call:1")).status, 404);
  });

  it("lists in pages that neither repeat nor leave out anything", async () => {
    const { socket } = await house();
    const operations = Array.from({ length: 25 }, (_, index) => ({ op: "open", spec: audio(5000 + index) }));
    await ask(socket, "POST", "/v1/commits", { operations });
    const seen: string[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const { body } = await ask(socket, "GET", `/v1/pinholes?limit=10&cursor=${cursor}`);
      seen.push(...(body["pinholes"] as { id: string }[]).map(({ id }) => id));
      cursor = body["cursor"] as string | undefined;
    }
    assert.equal(seen.length, 25);
    assert.deepEqual(seen, [...new Set(seen)].sort());
  });

  it("looks at a bounded number of pinholes for a page, and finds in the end what there is", async () => {
    const { socket } = await house();
    const operations = Array.from({ length: 9000 }, (_, index) => ({
      op: "open",
      spec: { ...audio(1 + index), ...(index === 8999 ? { labels: { last: "one" } } : {}) },
    }));
    await ask(socket, "POST", "/v1/commits", { operations });
    const sizes: number[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const { body } = await ask(socket, "GET", `/v1/pinholes?label=last=one&cursor=${cursor}`);
      sizes.push((body["pinholes"] as unknown[]).length);
      cursor = body["cursor"] as string | undefined;
    }
    assert.deepEqual(sizes, [0, 0, 1]);
  });

  it("renews and ends groups in one commit", async () => {
    const { socket, service } = await house();
    const operations = [5004, 5006].map((port) => ({
      op: "open",
      spec: { ...audio(port), group: "call-7" },
    }));
    await ask(socket, "POST", "/v1/commits", { operations });
    await matches("Group", (await ask(socket, "GET", "/v1/groups/call-7")).body);
    await matches("GroupPage", (await ask(socket, "GET", "/v1/groups")).body);
    const renewed = await ask(socket, "PATCH", "/v1/groups/call-7", { lifetime: 600 });
    assert.deepEqual(
      (renewed.body["results"] as { granted: number }[]).map(({ granted }) => granted),
      [600, 600],
    );
    assert.equal((await ask(socket, "DELETE", "/v1/groups/call-7")).status, 200);
    assert.equal(service.status.pinholes, 0);
    assert.equal((await ask(socket, "DELETE", "/v1/groups/call-7")).body["code"], "NO_SUCH_GROUP");
  });

  it("says what it is, what it can do, and how it fares, in the words of its own document", async () => {
    const { socket } = await house();
    await matches("Status", (await ask(socket, "GET", "/v1/status")).body);
    await matches("Capabilities", (await ask(socket, "GET", "/v1/capabilities")).body);
    await matches("Backends", (await ask(socket, "GET", "/v1/backends")).body);
    await matches("Restoration", (await ask(socket, "POST", "/v1/audit")).body);
    const { body } = await ask(socket, "GET", "/v1/openapi.json");
    assert.equal(body["openapi"], "3.1.0");
    const text = JSON.stringify(body);
    const referred = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
    const { schemas } = body["components"] as { schemas: Record<string, unknown> };
    assert.ok(referred.length > 50);
    for (const name of referred) assert.ok(name !== undefined && name in schemas, `schema ${name}`);
  });
});

/** What is sent, and the status and code of the answer. */
const BAD: readonly (readonly [string, string, unknown, number, string])[] = [
  ["POST", "/v1/commits", "{", 400, "BAD_REQUEST"],
  ["POST", "/v1/commits", "[]", 400, "SPEC_MALFORMED"],
  ["POST", "/v1/commits", {}, 400, "SPEC_MALFORMED"],
  ["POST", "/v1/commits", { operations: [{}] }, 400, "SPEC_MALFORMED"],
  ["POST", "/v1/commits", { operations: [{ op: "fly" }] }, 400, "SPEC_MALFORMED"],
  ["POST", "/v1/commits", { operations: [{ op: "close" }] }, 400, "SPEC_MALFORMED"],
  ["POST", "/v1/commits", { operations: [{ op: "close", id: "x", lifetime: 3 }] }, 400, "SPEC_MALFORMED"],
  ["POST", "/v1/commits", { operations: [{ op: "close", id: "x" }] }, 404, "NO_SUCH_PINHOLE"],
  ["POST", "/v1/commits", { operations: [], more: 1 }, 400, "SPEC_MALFORMED"],
  [
    "POST",
    "/v1/commits",
    { operations: [{ op: "open", spec: { ...AUDIO, lifetime: "60" } }] },
    400,
    "SPEC_MALFORMED",
  ],
  [
    "POST",
    "/v1/commits",
    { operations: [{ op: "open", spec: { ...AUDIO, lifetime: 0 } }] },
    422,
    "LIFETIME_ZERO",
  ],
  [
    "POST",
    "/v1/commits",
    { operations: [{ op: "open", spec: { ...AUDIO, surplus: 1 } }] },
    400,
    "SPEC_MALFORMED",
  ],
  ["PUT", "/v1/pinholes/a", { ...AUDIO, internal: { family: 5 } }, 400, "SPEC_MALFORMED"],
  [
    "PUT",
    "/v1/pinholes/a",
    { ...AUDIO, internal: { family: 4, address: "10.1.0.256" } },
    422,
    "ADDRESS_ILLEGAL",
  ],
  [
    "PUT",
    "/v1/pinholes/a",
    { ...AUDIO, internal: { family: 6, address: "::1" } },
    422,
    "IP_VERSION_MISMATCH",
  ],
  ["PUT", "/v1/pinholes/a%20b", AUDIO, 400, "SPEC_MALFORMED"],
  ["PUT", "/v1/pinholes/ph_x", AUDIO, 400, "SPEC_MALFORMED"],
  ["PATCH", "/v1/pinholes/a", { lifetime: 9 }, 404, "NO_SUCH_PINHOLE"],
  ["PATCH", "/v1/pinholes/a", {}, 400, "SPEC_MALFORMED"],
  ["GET", "/v1/pinholes/a", undefined, 404, "NO_SUCH_PINHOLE"],
  ["GET", "/v1/pinholes?limit=0", undefined, 400, "BAD_REQUEST"],
  ["GET", "/v1/pinholes?label=x", undefined, 400, "BAD_REQUEST"],
  ["GET", "/v1/pinholes?nonsense=1", undefined, 400, "BAD_REQUEST"],
  ["PUT", "/v1/pinholes/a", audio(70_000), 422, "PORT_ILLEGAL"],
  ["PATCH", "/v1/groups/none", { lifetime: 9 }, 404, "NO_SUCH_GROUP"],
  ["DELETE", "/v1/groups/none", undefined, 404, "NO_SUCH_GROUP"],
  ["DELETE", "/v1/pinholes/a", undefined, 404, "NO_SUCH_PINHOLE"],
  ["GET", "/v1/events?types=pinhole.ended,pinhole.opened", undefined, 400, "BAD_REQUEST"],
  ["GET", "/v1/groups/none", undefined, 404, "NO_SUCH_GROUP"],
  ["POST", "/v1/transactions/tx_0/commit", undefined, 404, "NO_SUCH_TRANSACTION"],
  ["GET", "/v1/nothing", undefined, 404, "NOT_FOUND"],
  ["DELETE", "/v1/commits", undefined, 404, "NOT_FOUND"],
];

/** The codes that the document promises for a status of a route; undefined where it has no such route. */
async function promisedCodes(
  socket: string,
  method: string,
  path: string,
  status: number,
): Promise<string | undefined> {
  const { body } = await ask(socket, "GET", "/v1/openapi.json");
  const paths = body["paths"] as Record<
    string,
    Record<string, { responses: Record<string, { description: string }> }>
  >;
  const [place = ""] = path.split("?");
  const route = Object.keys(paths).find((template) =>
    new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(place),
  );
  const operation = route === undefined ? undefined : paths[route]?.[method.toLowerCase()];
  return operation === undefined ? undefined : (operation.responses[status]?.description ?? "");
}

describe("bad input at the HTTP door", () => {
  for (const [method, path, body, status, code] of BAD) {
    it(`gets its documented error and changes nothing: ${method} ${path} ${JSON.stringify(body)}`, async () => {
      const { socket, service } = await house();
      const answer = await ask(socket, method, path, body);
      assert.deepEqual([answer.status, answer.body["code"]], [status, code]);
      assert.equal(answer.type, "application/problem+json");
      await matches("Problem", answer.body);
      assert.equal(service.status.generation, 0);
      const promised = await promisedCodes(socket, method, path, status);
      if (code === "NOT_FOUND") assert.equal(promised, undefined);
      else assert.ok(promised?.includes(`\`${code}\``), `the document promises ${promised}`);
    });
  }

  it("of another media type, or longer than it may be, is refused", async () => {
    const { socket } = await house({ limits: { pinholeBodyBytes: 65_536 } });
    const xml = await ask(socket, "POST", "/v1/commits", "<a/>", { "content-type": "text/xml" });
    assert.deepEqual([xml.status, xml.body["code"]], [415, "UNSUPPORTED_MEDIA_TYPE"]);
    assert.match(String(xml.body["detail"]), /Send JSON, with Content-Type/);
    const long = await ask(socket, "POST", "/v1/commits", `{"operations":[${" ".repeat(70_000)}]}`);
    assert.deepEqual([long.status, long.body["code"]], [413, "BODY_TOO_LARGE"]);
  });
});

/** Runs curl as another user; undefined when it cannot connect. */
function askAs(userId: number, socket: string, path: string): Promise<Record<string, unknown> | undefined> {
  const curl = spawn("curl", ["-sS", "--unix-socket", socket, `http://x${path}`], {
    uid: userId,
    stdio: ["ignore", "pipe", "ignore"],
  });
  let text = "";
  curl.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  return new Promise((resolve) => {
    curl.once("close", (status) =>
      resolve(status === 0 ? (JSON.parse(text) as Record<string, unknown>) : undefined),
    );
  });
}

const NOBODY = 65_534;
const needsRoot = process.getuid?.() === 0 ? false : "needs root, to become somebody else";

describe("agents at the HTTP door", () => {
  it("are known by their user, each with a profile; strangers are refused", { skip: needsRoot }, async () => {
    const calls =
      '{ "profiles": { "calls": { "internal": ["10.1.0.0/16"] } }, "agents": { "sip": { "profile": "calls", "users": ["65534"] } } }';
    const { socket, folder } = await house({ agents: calls });
    chmodSync(folder, 0o755);
    assert.equal(await askAs(NOBODY, socket, "/v1/capabilities"), undefined, "the mode keeps others out");
    chmodSync(socket, 0o666);
    assert.equal((await askAs(NOBODY, socket, "/v1/capabilities"))?.["agent"], "sip");
    const stranger = (await askAs(4711, socket, "/v1/capabilities")) ?? {};
    assert.equal(stranger["code"], "NOT_AUTHORIZED");
    assert.equal(stranger["simco"], 0x0324);
  });

  it("have the profile that the file gives them, from the next request on", async () => {
    const named = (profile: string): string =>
      `{ "profiles": { "p": ${profile} }, "agents": { "noc": { "profile": "p", "users": ["0"] } } }`;
    const { socket, agents, writeAgents } = await house({ agents: named('{ "internal": ["10.9.0.0/16"] }') });
    const put = (): Promise<Answer> => ask(socket, "PUT", "/v1/pinholes/a", AUDIO);
    const refused = await put();
    assert.deepEqual([refused.status, refused.body["code"]], [403, "ADDRESS_FORBIDDEN"]);
    assert.equal(refused.body["field"], "internal.address");
    writeAgents(named('{ "pinholesMax": 1, "lifetimeMax": 20 }'));
    agents.reload();
    assert.equal((await put()).body["granted"], 20);
    const second = await ask(socket, "PUT", "/v1/pinholes/b", audio(5006));
    assert.deepEqual([second.status, second.body["code"]], [429, "QUOTA_EXCEEDED"]);
    assert.equal(second.headers["retry-after"], "1");
  });

  it("that ask too often are told to wait", async () => {
    const slow =
      '{ "profiles": { "p": { "requestsPerSecond": 1, "requestBurst": 3 } }, "agents": { "noc": { "profile": "p", "users": ["0"] } } }';
    const { socket } = await house({ agents: slow });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => ask(socket, "GET", "/v1/capabilities")),
    );
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length >= 5, `${refused.length} of 10 were refused`);
    assert.equal(refused[0]?.body["code"], "TOO_MANY_REQUESTS");
    assert.ok(Number(refused[0]?.headers["retry-after"]) >= 1);
  });

  it("are named by the alternative names of their certificates, which cannot pretend to be others", () => {
    assert.deepEqual(alternativeNames("DNS:a.example, URI:spiffe://b/c, IP Address:192.0.2.1, email:x@y"), [
      "DNS:a.example",
      "URI:spiffe://b/c",
      "IP:192.0.2.1",
      "email:x@y",
    ]);
    assert.deepEqual(alternativeNames('URI:"http://a, DNS:evil.example", DNS:b.example'), [
      "URI:http://a, DNS:evil.example",
      "DNS:b.example",
    ]);
    assert.deepEqual(alternativeNames(""), []);
  });
});

/** A stream of events, read by hand. */
class Listener {
  readonly events: { readonly id: string; readonly type: string; readonly data: Record<string, unknown> }[] =
    [];
  readonly socket: Socket;
  #text = "";

  constructor(path: string, route: string, headers = "") {
    this.socket = createConnection(path);
    this.socket.setEncoding("utf8").on("data", (chunk: string) => this.#take(chunk));
    this.socket.on("error", () => undefined);
    this.socket.write(`GET ${route} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`);
  }

  async until(holds: () => boolean): Promise<void> {
    for (let attempt = 0; !holds(); attempt += 1) {
      assert.ok(attempt < 3000, `waited in vain; heard ${JSON.stringify(this.events.slice(-3))}`);
      await delay(10);
    }
  }

  #take(chunk: string): void {
    this.#text += chunk;
    const blocks = this.#text.split("\n\n");
    this.#text = blocks.pop() ?? "";
    for (const block of blocks) {
      const [, id = ""] = /^(?:[\s\S]*\n)?id: (.*)$/m.exec(block) ?? [];
      const [, type = ""] = /^event: (.*)$/m.exec(block) ?? [];
      const [, data = "{}"] = /^data: (.*)$/m.exec(block) ?? [];
      if (type !== "") this.events.push({ id, type, data: JSON.parse(data) as Record<string, unknown> });
    }
  }
}

describe("events at the HTTP door", () => {
  const types = ({ events }: Listener): string[] => events.map(({ type }) => type);

  it("come as they happen, and go on where a listener left off", async () => {
    const { socket } = await house();
    const first = new Listener(socket, "/v1/events");
    await first.until(() => first.events.length === 1);
    await ask(socket, "PUT", "/v1/pinholes/a", AUDIO);
    await first.until(() => first.events.length === 2);
    assert.deepEqual(types(first), ["events.ready", "pinhole.enabled"]);
    await matches("Event", first.events[1]?.data);
    first.socket.destroy();
    await ask(socket, "PATCH", "/v1/pinholes/a", { lifetime: 90 });
    await ask(socket, "DELETE", "/v1/pinholes/a");
    const second = new Listener(socket, "/v1/events", `last-event-id: ${first.events[1]?.id}\r\n`);
    await second.until(() => second.events.length === 3);
    assert.deepEqual(types(second), ["pinhole.renewed", "pinhole.ended", "group.ended"]);
    second.socket.destroy();
  });

  it("that were forgotten, or are of a former run, leave a gap that says from where to read anew", async () => {
    const { socket, service } = await house({ limits: { pinholeEvents: 16 } });
    for (const after of ["feedfeedfeed-3", "nonsense"]) {
      const stranger = new Listener(socket, `/v1/events?after=${after}`);
      await stranger.until(() => stranger.events.length === 1);
      assert.deepEqual(types(stranger), ["events.gap"]);
      stranger.socket.destroy();
    }
    const first = new Listener(socket, "/v1/events");
    await first.until(() => first.events.length === 1);
    first.socket.destroy();
    for (let turn = 0; turn < 50; turn += 1) await ask(socket, "PUT", "/v1/pinholes/a", AUDIO);
    const late = new Listener(socket, `/v1/events?after=${first.events[0]?.id}`);
    await late.until(() => late.events.length === 1);
    assert.equal(late.events[0]?.type, "events.gap");
    assert.equal(late.events[0]?.data["generation"], service.status.generation);
    late.socket.destroy();
  });

  it("are kept for a listener that reads slowly at no cost, and lead him over a gap", async () => {
    const { socket, service } = await house({ limits: { pinholeEvents: 64 } });
    const slow = new Listener(socket, "/v1/events");
    await slow.until(() => slow.events.length === 1);
    slow.socket.pause();
    for (let turn = 0; turn < 40; turn += 1) {
      const operations = Array.from({ length: 100 }, (_, index) => ({
        op: "open",
        clientId: `c${index}`,
        spec: audio(5000 + index),
      }));
      const { status } = await ask(socket, "POST", "/v1/commits", { operations });
      assert.equal(status, 200, "a slow listener keeps nobody waiting");
    }
    slow.socket.resume();
    const last = service.lastEvent;
    await slow.until(() => slow.events.at(-1)?.id.endsWith(`-${last}`) === true);
    assert.ok(types(slow).includes("events.gap"));
    assert.ok(slow.events.length < last, "what was forgotten is not sent");
    slow.socket.destroy();
  });

  it("are limited in streams for each owner", async () => {
    const { socket } = await house({ limits: { pinholeListeners: 2 } });
    const listeners = [1, 2].map(() => new Listener(socket, "/v1/events"));
    for (const listener of listeners) await listener.until(() => listener.events.length === 1);
    const third = await ask(socket, "GET", "/v1/events");
    assert.equal(third.body["code"], "QUOTA_EXCEEDED");
    for (const { socket: connection } of listeners) connection.destroy();
    for (let attempt = 0; ; attempt += 1) {
      const again = new Listener(socket, "/v1/events");
      await delay(20);
      again.socket.destroy();
      if (again.events.length === 1) break;
      assert.ok(attempt < 500, "those who leave make room");
    }
  });

  it("of others are not told to whom they do not concern", { skip: needsRoot }, async () => {
    const two =
      '{ "profiles": { "p": {} }, "agents": { "noc": { "profile": "p", "users": ["0"] }, "sip": { "profile": "p", "users": ["65534"] } } }';
    const { socket, service, agents } = await house({ agents: two });
    const listener = new Listener(socket, "/v1/events");
    await listener.until(() => listener.events.length === 1);
    const sip = agents.identify({ kind: "user", userId: NOBODY, groupIds: [] });
    assert.ok(sip !== undefined);
    await service.apply(sip, [{ op: "open", spec: { ...AUDIO, kind: "permit" } as never }]);
    await ask(socket, "PUT", "/v1/pinholes/mine", audio(5006));
    await listener.until(() => listener.events.length === 2);
    assert.deepEqual(listener.events[1]?.data["owner"], "noc");
    listener.socket.destroy();
  });
});

/** Connections that another process holds, and says nothing on. */
class Silence {
  readonly #child: ChildProcess;
  /** How many are open. */
  open = 0;

  constructor(path: string, count: number) {
    const program = fileURLToPath(
      new URL("../../../testing/programs/silent-connections.js", import.meta.url),
    );
    this.#child = spawn(process.execPath, [program, path, String(count)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.open = Number(text.trim().split("\n").at(-1));
    });
    closeAtEnd(() => this.end());
  }

  async until(holds: (open: number) => boolean): Promise<void> {
    for (let attempt = 0; !holds(this.open); attempt += 1) {
      assert.ok(attempt < 6000, `waited in vain; ${this.open} connections are open`);
      await delay(10);
    }
  }

  end(): void {
    this.#child.stdin?.end();
  }
}

const SILENT = 10_000;
const tooFewFiles = readOpenFilesMax() > 1.5 * SILENT ? false : `needs ${1.5 * SILENT} open files`;

describe("connections at the HTTP door", () => {
  it("that say nothing, ten thousand of them, do not stop a commit", { skip: tooFewFiles }, async () => {
    const { socket, service } = await house();
    const silences = [SILENT / 2, SILENT / 2].map((count) => new Silence(socket, count));
    for (const silence of silences) await silence.until((open) => open === SILENT / 2);
    const { status } = await ask(socket, "PUT", "/v1/pinholes/a", AUDIO);
    assert.equal(status, 201);
    assert.equal(service.status.pinholes, 1);
    for (const silence of silences) {
      assert.equal(silence.open, SILENT / 2, "they were there all the time");
      silence.end();
    }
  });

  it("that are more than there is room for cost the one that is silent for longest its place", async () => {
    const { socket } = await house({ limits: { pinholeConnections: 16 } });
    const listener = new Listener(socket, "/v1/events");
    await listener.until(() => listener.events.length === 1);
    const silence = new Silence(socket, 40);
    await silence.until((open) => open === 15);
    assert.equal((await ask(socket, "PUT", "/v1/pinholes/a", AUDIO)).status, 201);
    await listener.until(() => listener.events.length === 2);
    await silence.until((open) => open === 14);
    silence.end();
    listener.socket.destroy();
  });

  it("that are idle for too long are ended", async () => {
    const { socket } = await house({ limits: { pinholeIdle: 1000 } });
    const silence = new Silence(socket, 3);
    await silence.until((open) => open === 3);
    await silence.until((open) => open === 0);
    silence.end();
  });
});
