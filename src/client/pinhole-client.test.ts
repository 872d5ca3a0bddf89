import assert from "node:assert/strict";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { CLIENT_CASES, closeAtEnd, openHouse, type TestHouse } from "../testing/index.ts";
import { endpoint, specOf } from "./pinhole-api.ts";
import { connectPinholes, type PinholeClient } from "./pinhole-client.ts";
import { PinholeFleet } from "./pinhole-fleet.ts";

const houses: TestHouse[] = [];
const clients: PinholeClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.end();
  for (const house of houses.splice(0)) await house.close();
});

async function open(agents?: string): Promise<{ client: PinholeClient; house: TestHouse }> {
  const house = await openHouse(agents === undefined ? {} : { agents });
  houses.push(house);
  const client = connectPinholes({ socket: house.socket, patienceMs: 2000 });
  clients.push(client);
  return { client, house };
}

/** Stands between a client and a house, and breaks connections when told to. */
class Relay {
  readonly path: string;
  /** Answers that shall be lost. */
  answersToLose = 0;
  readonly #server: Server;
  readonly #open: Set<Socket> = new Set();

  private constructor(path: string, target: string) {
    this.path = path;
    this.#server = createServer((near) => {
      const far = createConnection(target);
      for (const socket of [near, far]) {
        this.#open.add(socket);
        socket.on("error", () => undefined).once("close", () => this.#open.delete(socket));
      }
      near.pipe(far);
      near.once("close", () => far.destroy());
      far.once("close", () => near.destroy());
      far.on("data", (chunk: Buffer) => this.#passBack(chunk, near));
    });
  }

  static async open(house: TestHouse): Promise<Relay> {
    const relay = new Relay(join(house.folder, "relay.sock"), house.socket);
    closeAtEnd(() => relay.close());
    await new Promise<void>((resolve) => relay.#server.listen(relay.path, resolve));
    return relay;
  }

  /** Breaks every connection. */
  breakAll(): void {
    for (const socket of this.#open) socket.destroy();
  }

  close(): void {
    this.breakAll();
    this.#server.close();
  }

  #passBack(chunk: Buffer, near: Socket): void {
    if (this.answersToLose > 0) {
      this.answersToLose -= 1;
      near.destroy();
    } else {
      near.write(chunk);
    }
  }
}

const AUDIO = {
  internal: "10.1.0.7:5004",
  external: "198.51.100.9:6004",
  protocol: "udp",
  lifetime: 60,
} as const;

describe("an endpoint in words", () => {
  /** Words, and what they mean. */
  const cases: readonly (readonly [string, object])[] = [
    ["1.2.3.4", { family: 4, address: "1.2.3.4" }],
    ["1.2.3.4/24", { family: 4, address: "1.2.3.4", prefix: 24 }],
    ["1.2.3.4/24:100-200", { family: 4, address: "1.2.3.4", prefix: 24, ports: [100, 200] }],
    ["1.2.3.4:53", { family: 4, address: "1.2.3.4", ports: [53, 53] }],
    ["*:53", { family: 4, ports: [53, 53] }],
    ["2001:db8::1", { family: 6, address: "2001:db8::1" }],
    ["2001:db8::/32", { family: 6, address: "2001:db8::", prefix: 32 }],
    ["[2001:db8::1]:443", { family: 6, address: "2001:db8::1", ports: [443, 443] }],
    ["[2001:db8::]/32:1-9", { family: 6, address: "2001:db8::", prefix: 32, ports: [1, 9] }],
  ];
  for (const [words, meaning] of cases) {
    it(`means what it says: ${words}`, () => assert.deepEqual(endpoint(words), meaning));
  }
});

describe("a wish in words", () => {
  /** Both sides, and the family of both. */
  const cases = [
    ["*", "2001:db8::1", 6],
    ["[2001:db8::1]:5004", "*:6004", 6],
    ["*", "192.0.2.1", 4],
    ["*:5004", "*", 4],
  ] as const;
  for (const [internal, external, family] of cases) {
    it(`takes any address as of the other side's family: ${internal} and ${external}`, () => {
      const spec = specOf("permit", { internal, external, protocol: "udp", lifetime: 60 });
      assert.deepEqual([spec.internal?.family, spec.external?.family], [family, family]);
    });
  }
});

describe("the client of pinholes", () => {
  for (const { title, run } of CLIENT_CASES) {
    it(title, async () => run((await open()).client));
  }

  it("asks again when the answer of a commit is lost, and it is done once", async () => {
    const { house } = await open();
    const relay = await Relay.open(house);
    const client = connectPinholes({ socket: relay.path });
    clients.push(client);
    relay.answersToLose = 2;
    const change = client.begin();
    change.open(AUDIO);
    const { results } = await change.commit();
    assert.equal(relay.answersToLose, 0);
    assert.equal(results.length, 1);
    assert.equal((await client.getStatus()).generation, 1);
    relay.close();
  });

  it("tells of a daemon that is not there", async () => {
    const client = connectPinholes({ socket: "/nonexistent/pinholes.sock", patienceMs: 1 });
    await assert.rejects(client.getStatus(), /postern pinhold/);
  });
});

describe("a watch", () => {
  it("goes on over a lost connection without losing or repeating an event", async () => {
    const { client, house } = await open();
    const relay = await Relay.open(house);
    const watcher = connectPinholes({ socket: relay.path });
    clients.push(watcher);
    const seen: string[] = [];
    let turns = 0;
    for await (const { type, pinhole } of watcher.watch()) {
      seen.push(type === "events.ready" ? type : `${type} ${pinhole?.granted}`);
      turns += 1;
      if (turns === 6) break;
      if (turns === 3) relay.breakAll();
      const change = client.begin();
      change.open({ ...AUDIO, lifetime: 10 + turns }, "a");
      if (turns < 6) await change.commit();
    }
    assert.deepEqual(seen, [
      "events.ready",
      "pinhole.enabled 11",
      "pinhole.renewed 12",
      "pinhole.renewed 13",
      "pinhole.renewed 14",
      "pinhole.renewed 15",
    ]);
    relay.close();
  });
});

describe("a fleet", () => {
  it("does the same at every firewall, and says what became of it at each", async () => {
    const [north, south] = [await open(), await open()];
    const fleet = new PinholeFleet({ north: north.client, south: south.client });
    const change = fleet.begin();
    const id = change.open(AUDIO);
    const outcome = await change.commit();
    assert.equal(outcome.isComplete, true);
    assert.equal((await north.client.get(id)).state, "enabled");
    assert.equal((await south.client.get(id)).state, "enabled");
    assert.deepEqual(
      (await fleet.getStatus()).map((one) => ["status" in one && one.status.pinholes, one.name]),
      [
        [1, "north"],
        [1, "south"],
      ],
    );
  });

  it("takes back what the others opened when one refuses, or keeps it when told to", async () => {
    const narrow =
      '{ "profiles": { "p": { "internal": ["10.9.0.0/16"] } }, "agents": { "me": { "profile": "p", "users": ["0"] } } }';
    const [north, south] = [await open(), await open(narrow)];
    const fleet = new PinholeFleet({ north: north.client, south: south.client });
    for (const takesBack of [true, false]) {
      const change = fleet.begin({ takesBack });
      change.open(AUDIO);
      const { isComplete, results, takenBack } = await change.commit();
      assert.equal(isComplete, false);
      assert.deepEqual(
        results.map((result) => ("error" in result ? result.error.code : "done")),
        ["done", "ADDRESS_FORBIDDEN"],
      );
      assert.deepEqual(takenBack, takesBack ? ["north"] : []);
      assert.equal((await north.client.getStatus()).pinholes, takesBack ? 0 : 1);
    }
  });

  it("reports a firewall that cannot be reached, and goes on with the others", async () => {
    const north = await open();
    const gone = connectPinholes({ socket: "/nonexistent/pinholes.sock", patienceMs: 1 });
    const fleet = new PinholeFleet({ north: north.client, gone });
    const change = fleet.begin({ takesBack: false });
    change.open(AUDIO);
    const { results } = await change.commit();
    assert.deepEqual(
      results.map((result) => ("error" in result ? result.error.code : "done")),
      ["done", "CONTROL_SOCKET"],
    );
  });
});
