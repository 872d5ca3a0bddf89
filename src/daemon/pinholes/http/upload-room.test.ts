import assert from "node:assert/strict";
import { request } from "node:http";
import { createConnection, type Socket } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { openHouse } from "../../../testing/index.ts";

/** Begins a request with a long body and sends nothing of it. */
function beginUpload(path: string, bytes: number): Socket {
  const socket = createConnection(path);
  socket.on("error", () => undefined);
  const head = [
    "POST /v1/commits HTTP/1.1",
    "host: x",
    "content-type: application/json",
    `content-length: ${bytes}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n{`);
  return socket;
}

function upload(socketPath: string, bytes: number): Promise<{ status: number; code: unknown }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const outgoing = request(
      { socketPath, method: "POST", path: "/v1/commits", headers, agent: false },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        answer.on("end", () => {
          const { code } = JSON.parse(text) as { code?: string };
          resolve({ status: answer.statusCode ?? 0, code });
        });
      },
    );
    outgoing.on("error", reject);
    const text = `{"operations":[]${" ".repeat(bytes - 17)}}`;
    outgoing.setHeader("content-length", text.length);
    outgoing.end(text);
  });
}

describe("the room for uploads", () => {
  it("is not taken beyond its size by those who send slowly, and is there again when they go", async () => {
    const bytes = 60_000;
    const house = await openHouse({ limits: { pinholeUploadBytes: 4 * bytes, pinholeBodyBytes: 65_536 } });
    const slow = Array.from({ length: 4 }, () => beginUpload(house.socket, bytes));
    const untilAnswered = async (status: number): Promise<unknown> => {
      for (let attempt = 0; ; attempt += 1) {
        const answer = await upload(house.socket, bytes);
        if (answer.status === status) return answer.code;
        assert.ok(attempt < 1000, `answered ${answer.status}`);
        await delay(10);
      }
    };
    assert.equal(await untilAnswered(503), "DOOR_BUSY");
    for (const socket of slow) socket.destroy();
    assert.equal(await untilAnswered(200), undefined);
    await house.close();
  });
});
