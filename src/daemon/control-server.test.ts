import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ControlServer, type ControlTarget, type OpenRoutes } from "./control-server.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-control-"));
after(() => rmSync(folder, { recursive: true }));

/** The status of an answer; "cut" when the connection is ended without one. */
function ask(path: string): Promise<number | "cut"> {
  return new Promise((resolve) => {
    request({ socketPath: path, path: "/" }, (answer) => resolve(answer.resume().statusCode ?? 0))
      .on("error", () => resolve("cut"))
      .end();
  });
}

test("routes that cannot be read are read again by the next request", async () => {
  const path = join(folder, "again");
  let opened = 0;
  const open: OpenRoutes = async () => {
    opened += 1;
    if (opened === 1) throw new Error("too many open files");
    return {
      answer: (_request, reply) => void reply.writeHead(204).end(),
      close: () => Promise.resolve(),
    };
  };
  const server = await ControlServer.open({} as ControlTarget, { path }, open);
  assert.equal(await ask(path), "cut");
  assert.equal(await ask(path), 204);
  assert.equal(await ask(path), 204);
  assert.equal(opened, 2);
  await server.close();
});

test("the socket is closed and removed although routes fail to close", async () => {
  const path = join(folder, "close");
  const server = await ControlServer.open({} as ControlTarget, { path }, async () => ({
    answer: (_request, reply) => void reply.writeHead(204).end(),
    close: () => Promise.reject(new Error("in the middle of something")),
  }));
  assert.equal(await ask(path), 204);
  await server.close();
  assert.ok(!existsSync(path));
});

test("a request that never got its routes does not keep the socket from closing", async () => {
  const path = join(folder, "never");
  const server = await ControlServer.open({} as ControlTarget, { path }, async () => {
    throw new Error("no such module");
  });
  assert.equal(await ask(path), "cut");
  await server.close();
  assert.ok(!existsSync(path));
});
