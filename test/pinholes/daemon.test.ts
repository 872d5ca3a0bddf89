/** The daemon as a whole, with the simulator behind it: what outlives a start, and what a start refuses. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { SimulatedPinholes } from "#backend";
import { connectPinholes, PinholeError } from "#client";
import { AgentDirectory, Log, type OpenDoor, openTlsDoor, openUnixDoor, PinholeDaemon } from "#daemon";
import { CertificateAuthority, closeAtEnd } from "#testing";

const folder = mkdtempSync(join(tmpdir(), "postern-daemon-"));
after(() => rmSync(folder, { recursive: true }));

const socket = join(folder, "s");
const root = new AgentDirectory({});
const lines: string[] = [];

async function start(name: string, agents = root, doors: readonly OpenDoor[] = []): Promise<PinholeDaemon> {
  const daemon = await PinholeDaemon.start({
    isSalvage: false,
    openBackend: () => new SimulatedPinholes(),
    lockName: `test-${process.pid}/${name}`,
    stateFolder: join(folder, name),
    agents,
    limits: agents.limits,
    doors: [openUnixDoor({ path: socket }), ...doors],
    log: new Log({ level: "INFO", write: (line) => lines.push(line) }),
  });
  closeAtEnd(() => daemon.stop());
  return daemon;
}

const AUDIO = {
  kind: "permit",
  internal: { family: 4, address: "10.1.0.1", ports: [5004, 5004] },
  external: { family: 4, address: "198.51.100.1", ports: [6004, 6004] },
  protocol: 17,
  lifetime: 600,
} as const;

/** Speaks HTTP without the client's help. */
function post(path: string, body?: unknown, key?: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      ...(key === undefined ? {} : { "idempotency-key": key }),
    };
    const outgoing = request(
      { socketPath: socket, method: "POST", path, headers, agent: false },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        answer.on("end", () => resolve(JSON.parse(text) as Record<string, unknown>));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(JSON.stringify(body ?? {}));
  });
}

test("pinholes, ids, generation and answers outlive the daemon; a lost commit is answered by the next one", async () => {
  const first = await start("journal");
  const transaction = String((await post("/v1/transactions"))["id"]);
  await post(`/v1/transactions/${transaction}/operations`, { op: "open", spec: AUDIO, clientId: "a" });
  const answer = await post(`/v1/transactions/${transaction}/commit`);
  const other = await post(
    "/v1/commits",
    { operations: [{ op: "open", spec: AUDIO, clientId: "b" }] },
    "key",
  );
  await first.stop();

  const second = await start("journal");
  assert.deepEqual(await post(`/v1/transactions/${transaction}/commit`), answer);
  const again = { operations: [{ op: "open", spec: AUDIO, clientId: "b" }] };
  assert.deepEqual(await post("/v1/commits", again, "key"), other);
  const client = connectPinholes({ socket });
  const status = await client.getStatus();
  assert.deepEqual([status.generation, status.pinholes], [2, 2]);
  assert.equal(status.backend.enforced, status.backend.desired);
  assert.equal((await client.get("a")).state, "enabled");
  client.end();
  await second.stop();
});

test("a start that fails half-way leaves nothing open, and the next one succeeds", async () => {
  const broken: OpenDoor = () => Promise.reject(new Error("no such door"));
  await assert.rejects(start("half", root, [broken]), /no such door/);
  const daemon = await start("half");
  assert.equal(daemon.doors.length, 1);
  await daemon.stop();
});

test("a client whose certificate nobody named is refused over TLS, with the words of the socket", async () => {
  const authority = new CertificateAuthority(folder, "authority");
  const server = authority.issue({ commonName: "gateway", alternativeNames: "IP:127.0.0.1" });
  const own = authority.issue({ commonName: "nobody named" });
  const material = { cert: readFileSync(server.cert), key: readFileSync(server.key), ca: authority.cert };
  const daemon = await start("tls", root, [openTlsDoor({ host: "127.0.0.1", port: 0, material })]);
  const port = Number(new URL(daemon.doors[1]?.address ?? "").port);
  const tls = {
    host: "127.0.0.1",
    port,
    cert: readFileSync(own.cert),
    key: readFileSync(own.key),
    ca: authority.cert,
  };
  const client = connectPinholes({ tls });
  await assert.rejects(client.getStatus(), (error: unknown) => {
    assert.ok(error instanceof PinholeError);
    assert.equal(error.code, "NOT_AUTHORIZED");
    return true;
  });
  client.end();
  await daemon.stop();
  assert.ok(
    lines.some((line) => line.includes(`listening at https://127.0.0.1:${port}`)),
    lines.join(""),
  );
});

test("a client with a certificate that the file names does all that one at the socket does", async () => {
  const authority = new CertificateAuthority(folder, "named");
  const server = authority.issue({ commonName: "gateway", alternativeNames: "DNS:localhost" });
  const own = authority.issue({ commonName: "sip", alternativeNames: "URI:spiffe://example.net/sip" });
  const file = join(folder, "agents.json");
  writeFileSync(
    file,
    '{ "profiles": { "calls": {} }, "agents": { "sip": { "profile": "calls", "certificates": ["URI:spiffe://example.net/sip"] } } }',
  );
  const named = new AgentDirectory({ file });
  const material = { cert: readFileSync(server.cert), key: readFileSync(server.key), ca: authority.cert };
  const daemon = await start("named-state", named, [openTlsDoor({ host: "127.0.0.1", port: 0, material })]);
  const port = Number(new URL(daemon.doors[1]?.address ?? "").port);
  const keys = { cert: readFileSync(own.cert), key: readFileSync(own.key), ca: authority.cert };
  const client = connectPinholes({ tls: { host: "127.0.0.1", port, servername: "localhost", ...keys } });
  for await (const { type, pinhole } of client.watch()) {
    if (type === "events.ready") await client.apply([{ op: "open", spec: AUDIO, clientId: "a" }]);
    if (type !== "pinhole.enabled") continue;
    assert.equal(pinhole?.owner, "sip");
    break;
  }
  assert.equal((await client.get("a")).owner, "sip");
  client.end();
  await daemon.stop();
});

test("addresses and ports that the file gives for translation are leased, and no others", async () => {
  const file = join(folder, "translation.json");
  writeFileSync(
    file,
    '{ "translation": { "outside": { "addresses": ["192.0.2.1"], "ports": [20000, 20001] } } }',
  );
  const translating = new AgentDirectory({ file });
  const daemon = await start("translation", translating);
  const reserve = {
    op: "reserve",
    spec: { protocol: 17, lifetime: 60, portCount: 1, nat: { mode: "traditional" } },
  };
  const leases: unknown[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    const { results, code } = await post("/v1/commits", { operations: [reserve] });
    const [first] = (results ?? []) as { outside?: { address: string; port: number } }[];
    leases.push(code ?? [first?.outside?.address, first?.outside?.port]);
  }
  const [first, second, third] = leases.map(String);
  assert.deepEqual(new Set([first, second]), new Set(["192.0.2.1,20000", "192.0.2.1,20001"]));
  assert.equal(third, "NO_PORTS");
  await daemon.stop();
});
