/** Statements X: a middlebox that translates addresses. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { LOCATION, type MessageOf } from "#simco";
import { begin, block, enable, lifetime, list, ours, permit, reserve, theirs } from "./requests.ts";
import { type AgentWire, SimcoRig } from "./rig.ts";

const A2 = "203.0.113.7";
const A1 = "10.255.0.9";
const HOST = "203.0.113.9";

/** Addresses and ports of our own. */
const POOLS = {
  outside: { addresses: [A2], ports: [40_000, 40_019], hosts: [HOST] },
  inside: { addresses: [A1], ports: [50_000, 50_019] },
} as const;

let rig: SimcoRig;
let agent: AgentWire;

before(async () => {
  rig = await SimcoRig.open({
    translation: { ...POOLS, outside: { ...POOLS.outside, ports: [40_000, 40_999] } },
  });
  agent = await rig.session();
});
after(() => rig.close());

async function clear(wire = agent): Promise<void> {
  for (const rule of (await wire.must("PRL_REPLY", list())).rules) await wire.ask(lifetime(rule, 0));
}

function reserved(request = reserve()): Promise<MessageOf<"PRR_REPLY">> {
  return agent.must("PRR_REPLY", request);
}

/** A small middlebox with twenty ports of one address. */
async function small<Result>(work: (wire: AgentWire) => Promise<Result>, twice = true): Promise<Result> {
  const { outside, inside } = POOLS;
  const own = await SimcoRig.open({
    translation: {
      outside: { ...outside, ports: [40_000, 40_019] },
      ...(twice ? { inside: { ...inside, ports: [50_000, 50_019] } } : {}),
    },
  });
  try {
    return await work(await own.session());
  } finally {
    await own.close();
  }
}

describe("a middlebox that translates", () => {
  it("announces it", async () => {
    const own = await SimcoRig.open({
      translation: { outside: { addresses: [A2], ports: [40_000, 40_019] } },
      place: { localAgent: "agent-1" },
    });
    const { capabilities } = await (await own.connect()).must("SE_REPLY", begin());
    const { translates, translatesPorts, translatesTwice, isFilter } = capabilities;
    assert.deepEqual([translates, translatesPorts, translatesTwice, isFilter], [true, true, false, true]);
    await own.close();
  });

  it("X-01 reserves an address and a run of ports outside, and says which", async () => {
    const { outside, inside } = await reserved();
    assert.equal(inside, undefined);
    assert.deepEqual({ ...outside, port: 0 }, { ...theirs({ address: A2, at: LOCATION.OUTSIDE }), port: 0 });
    assert.ok(outside.port >= 40_000 && outside.port < 41_000);
    await clear();
  });

  it("X-02 reserves inside too when it translates twice, and only then", async () => {
    const { outside, inside } = await reserved(reserve({ natMode: 2 }));
    assert.equal(outside.count, 2);
    assert.deepEqual({ ...inside, port: 0 }, { ...ours({ address: A1, at: LOCATION.INSIDE }), port: 0 });
    assert.equal((await reserved(reserve({ natMode: 1 }))).inside, undefined);
    await clear();
  });

  it("X-03 gives the lowest port the parity that was asked for", async () => {
    for (const [parity, rest] of [
      [1, 1],
      [2, 0],
    ] as const) {
      for (let round = 0; round < 8; round += 1) {
        assert.equal((await reserved(reserve({ parity }))).outside.port % 2, rest);
      }
    }
    await clear();
  });

  it("X-04 gives consecutive ports, or none", async () => {
    await small(async (wire) => {
      const first = await wire.must("PRR_REPLY", reserve({ parity: 0, count: 12 }));
      assert.equal(first.outside.count, 12);
      assert.equal(await wire.refusal(reserve({ parity: 0, count: 12 })), 0x0349);
    });
  });

  it("X-05 says when no address is left", async () => {
    await small(async (wire) => {
      assert.equal((await wire.must("PRR_REPLY", reserve({ protocol: 0 }))).outside.port, 0);
      assert.equal(await wire.refusal(reserve({ protocol: 0 })), 0x0348);
    });
  });

  it("X-06 refuses a mode that it has not", async () => {
    await small(async (wire) => assert.equal(await wire.refusal(reserve({ natMode: 2 })), 0x034e), false);
    for (const natMode of [0, 3]) assert.equal(await agent.refusal(reserve({ natMode })), 0x034e);
  });

  it("X-07 reserves an address without ports for protocol 0", async () => {
    const { outside } = await reserved(reserve({ protocol: 0 }));
    assert.deepEqual([outside.protocol, outside.port, outside.prefix], [0, 0, 32]);
    assert.deepEqual(outside.address, theirs({ address: HOST }).address);
    await clear();
  });

  it("X-08 gives what is reserved to nobody else", async () => {
    const taken = new Set<number>();
    for (let round = 0; round < 50; round += 1) {
      const { outside } = await reserved();
      for (let port = outside.port; port < outside.port + outside.count; port += 1) {
        assert.ok(!taken.has(port), String(port));
        taken.add(port);
      }
    }
    const { outside } = await agent.must("PER_REPLY", permit({ enable: { parity: 0, direction: 1 } }));
    assert.ok(!taken.has(outside.port));
    assert.equal(taken.size, 100);
    await clear();
  });

  it("X-09 enables a reservation with exactly what was reserved", async () => {
    const { rule, outside } = await reserved();
    assert.deepEqual((await agent.must("PER_REPLY", enable(rule))).outside, outside);
    await clear();
  });

  it("X-10 gives a permit of the same parity an outside port like the inside one", async () => {
    for (const port of [5004, 5005]) {
      const ends = { internal: ours({ port, count: 1 }), external: theirs({ count: 1 }) };
      const { outside } = await agent.must("PER_REPLY", permit(ends));
      assert.equal(outside.port % 2, port % 2);
    }
    await clear();
  });

  it("X-11 answers a permit with both ends: its own outside, theirs inside", async () => {
    const { outside, inside } = await agent.must("PER_REPLY", permit());
    assert.deepEqual(inside, theirs({ at: LOCATION.INSIDE }));
    assert.deepEqual(outside.address, theirs({ address: A2 }).address);
    await clear();
  });

  it("X-12 refuses one end of ours behind two of its own", async () => {
    const [first, second] = [await reserved(), await reserved()];
    await agent.must("PER_REPLY", enable(first.rule));
    assert.equal(await agent.refusal(enable(second.rule)), 0x0350);
    await clear();
  });

  it("X-13 opens nothing without its translation, and stops with a block what is translated", async () => {
    const { rule, outside } = await reserved();
    await agent.must("PER_REPLY", enable(rule));
    const roles = rig.filter.keys.map((key) => key.split(" ")[0]);
    assert.ok(roles.includes("dnat") && roles.includes("pass"), roles.join());
    assert.ok(outside.port > 0);
    const blocked = await agent.must("PDR_REPLY", block());
    assert.equal(rig.verdict("192.0.2.100:6004 > 10.1.8.3:5004"), "drop");
    assert.ok(!rig.filter.keys.some((key) => key.startsWith("dnat")));
    assert.ok(blocked.rule > 0);
    await clear();
  });
});
