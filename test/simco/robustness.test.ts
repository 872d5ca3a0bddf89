/** Statement W-33 in small, and peers that say nothing, little or too much. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect, type Socket } from "node:net";
import { encodeMessage } from "#simco";
import { chanceOf, mutate, MutationDesk } from "./mutations.ts";
import { lifetime, list, permit } from "./requests.ts";
import { AgentWire, SimcoRig } from "./rig.ts";

/** Connections that a test can hold without more file descriptors than a user has. */
const SILENT = 400;

let rig: SimcoRig;

before(async () => {
  rig = await SimcoRig.open({ limits: { simcoConnections: SILENT } });
});
after(() => rig.close());

async function crowd(count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (let index = 0; index < count; index += 1) {
    const socket = connect(rig.port, "127.0.0.1");
    socket.on("error", () => undefined);
    sockets.push(socket);
  }
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once("connect", () => resolve());
          socket.once("close", () => resolve());
        }),
    ),
  );
  return sockets;
}

describe("a server", () => {
  it("W-33 answers or ends whatever is said to it, and nothing stays behind", async () => {
    const desk = await MutationDesk.open(33);
    assert.equal(await desk.say(20_000), undefined);
    assert.equal(desk.counts.said, 20_000);
    assert.ok(desk.counts.replies > 5000);
    assert.equal(desk.server.connections, 0);
    assert.ok((await desk.rules()) <= 50);
    await desk.close();
  });

  it("answers or ends them over sockets too, and serves the next agent", async () => {
    const seeds = Array.from({ length: 300 }, (_, index) => index);
    const chance = chanceOf(5189);
    for (const seed of seeds) {
      const wire = seed % 2 === 0 ? await rig.session() : await rig.connect();
      wire.socket.end(mutate(chance));
      while (!(await wire.isClosed()));
      wire.close();
    }
    const agent = await rig.session();
    assert.equal((await agent.ask(list()))?.name, "PRL_REPLY");
    for (const rule of (await agent.must("PRL_REPLY", list())).rules) await agent.ask(lifetime(rule, 0));
  });

  it("knows what an agent may see from what the directory says now", async () => {
    const own = await SimcoRig.open({ profiles: { watching: { readsAll: true } } });
    const [agent, watching] = [await own.session(), await own.session("watching")];
    await agent.must("PER_REPLY", permit());
    assert.equal((await watching.settled()).length, 1);
    own.demote("watching");
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.deepEqual(await watching.settled(), []);
    assert.equal(await watching.refusal({ name: "PRS", tid: 1, rule }), 0x0345);
    await own.close();
  });

  it("serves one more who speaks, while it is full of those who say nothing", async () => {
    const agent = await rig.session();
    const silent = await crowd(SILENT);
    const { rule } = await agent.must("PER_REPLY", permit());
    const late = await rig.session();
    assert.ok((await late.must("PRL_REPLY", list())).rules.includes(rule));
    assert.equal((await agent.ask(lifetime(rule, 0)))?.name, "PRD_REPLY", "who was there first stays");
    for (const socket of silent) socket.destroy();
  });

  it("reads no more from an agent than it can answer", async () => {
    const agent = await rig.session();
    agent.socket.pause();
    const bunch = Buffer.concat(Array.from({ length: 4096 }, () => Buffer.from(encodeMessage(list()))));
    // 32 MiB of requests whose replies nobody reads: the server stops taking them.
    let written = 0;
    for (; written < 1024; written += 1) {
      if (agent.socket.write(bunch)) continue;
      const drained = new Promise<boolean>((resolve) => agent.socket.once("drain", () => resolve(true)));
      if (!(await Promise.race([drained, delay(1000, false)]))) break;
    }
    assert.ok(written < 1024, "the system's buffers are full, and the server's stay small");
    const other = await rig.session("other");
    assert.equal((await other.ask(list()))?.name, "PRL_REPLY");
    agent.close();
  });

  it("holds an agent to its rate by reading later, and answers everything", async () => {
    const own = await SimcoRig.open({ profiles: { slow: { requestsPerSecond: 50, requestBurst: 10 } } });
    const wire = await own.session("slow");
    const fast = await own.session();
    for (let count = 0; count < 40; count += 1) wire.send(encodeMessage(list()));
    assert.equal((await fast.ask(list()))?.name, "PRL_REPLY");
    for (let count = 0; count < 40; count += 1) assert.equal((await wire.reply())?.name, "PRL_REPLY");
    await own.close();
  });

  it("is not brought down by connections that are reset at once", async () => {
    for (let round = 0; round < 50; round += 1) {
      const socket = connect(rig.port, "127.0.0.1");
      const wire = new AgentWire(socket);
      wire.send(round % 2 === 0 ? "16030100" : "0101");
      socket.resetAndDestroy();
    }
    const again = await rig.session();
    assert.equal((await again.ask(list()))?.name, "PRL_REPLY");
  });
});
