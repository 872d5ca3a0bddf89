import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as plainRequest } from "node:http";
import { type RequestOptions, request } from "node:https";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import {
  CertificateAuthority,
  type CertificateFiles,
  openHouse,
  type TestHouse,
} from "../../../testing/index.ts";
import { openTlsDoor } from "./http-door.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-tls-"));
let ours: CertificateAuthority;
let server: CertificateFiles;
let house: TestHouse | undefined;

before(() => {
  ours = new CertificateAuthority(folder, "ours");
  server = ours.issue({ commonName: "gateway", alternativeNames: "DNS:localhost,IP:127.0.0.1" });
});
after(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  await house?.close();
  house = undefined;
});

const AGENTS = `{
  "profiles": { "calls": { "internal": ["10.1.0.0/16"] } },
  "agents": { "sip": { "profile": "calls", "certificates": ["DNS:sip.example.net"] } }
}`;

/** Opens a house with a TLS door; returns the door's port. */
async function openTls(): Promise<number> {
  const material = { cert: readFileSync(server.cert), key: readFileSync(server.key), ca: ours.cert };
  house = await openHouse({ agents: AGENTS, doors: [openTlsDoor({ host: "127.0.0.1", port: 0, material })] });
  return Number(new URL(house.doors[1]?.address ?? "").port);
}

/** Status and body, or the code of the failure. */
type Outcome = { readonly status: number; readonly body: Record<string, unknown> } | string;

function ask(
  port: number,
  client: CertificateFiles | undefined,
  extra: RequestOptions = {},
): Promise<Outcome> {
  const own = client === undefined ? {} : { cert: readFileSync(client.cert), key: readFileSync(client.key) };
  return new Promise((resolve) => {
    const options = {
      host: "127.0.0.1",
      port,
      path: "/v1/capabilities",
      ca: ours.cert,
      agent: false,
      ...own,
    };
    const outgoing = request({ ...options, ...extra }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      incoming.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      incoming.on("end", () =>
        resolve({ status: incoming.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }),
      );
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    outgoing.end();
  });
}

describe("the TLS door", () => {
  it("knows agents by their certificates", async () => {
    const port = await openTls();
    const sip = ours.issue({ commonName: "whoever", alternativeNames: "DNS:sip.example.net" });
    const outcome = await ask(port, sip);
    assert.ok(typeof outcome !== "string", `the handshake failed: ${JSON.stringify(outcome)}`);
    assert.equal(outcome.status, 200);
    assert.equal(outcome.body["agent"], "sip");
    const again = await ask(port, sip, { maxVersion: "TLSv1.2" });
    assert.ok(typeof again !== "string" && again.status === 200);
  });

  it("refuses a good certificate that nobody named", async () => {
    const port = await openTls();
    const outcome = await ask(port, ours.issue({ commonName: "sip.example.net" }));
    assert.ok(typeof outcome !== "string");
    assert.deepEqual([outcome.status, outcome.body["code"]], [403, "NOT_AUTHORIZED"]);
  });

  it("ends the handshake with whoever has no certificate, an expired one, or one of another authority", async () => {
    const port = await openTls();
    const names = { commonName: "x", alternativeNames: "DNS:sip.example.net" };
    const strangers = new CertificateAuthority(folder, "strangers");
    for (const client of [undefined, ours.issue({ ...names, isExpired: true }), strangers.issue(names)]) {
      const outcome = await ask(port, client);
      assert.equal(typeof outcome, "string", `it was let in: ${JSON.stringify(outcome)}`);
    }
    assert.equal(typeof (await ask(port, ours.issue(names))), "object", "the door still works");
  });

  it("speaks no HTTP without encryption, and no old TLS", async () => {
    const port = await openTls();
    const plain = await new Promise<string>((resolve) => {
      const outgoing = plainRequest(
        { host: "127.0.0.1", port, path: "/v1/status", agent: false },
        (incoming) => resolve(`answered with ${incoming.statusCode}`),
      );
      outgoing.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      outgoing.end();
    });
    assert.doesNotMatch(plain, /answered/);
    const sip = ours.issue({ commonName: "x", alternativeNames: "DNS:sip.example.net" });
    const old = await ask(port, sip, { minVersion: "TLSv1.1", maxVersion: "TLSv1.1" });
    assert.equal(typeof old, "string");
  });

  it("lets the next one in while others never finish their handshake", async () => {
    const port = await openTls();
    const silent = Array.from({ length: 500 }, () => createConnection({ host: "127.0.0.1", port }));
    await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    const outcome = await ask(port, ours.issue({ commonName: "x", alternativeNames: "DNS:sip.example.net" }));
    for (const socket of silent) socket.destroy();
    assert.ok(typeof outcome !== "string" && outcome.status === 200);
  });
});
