/** Statements H about both doors at once: what SIMCO makes, HTTP sees, and the other way round. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connect } from "node:net";
import { SimulatedPinholes } from "#backend";
import { connectPinholes, type PinholeClient, type PinholeReport } from "#client";
import { openSimcoDoor } from "#daemon";
import { type KernelPlan, type PinholeSpec, PinholeRefusal, REFUSALS } from "#pinhole";
import { openHouse, type TestHouse } from "#testing";
import { begin, IN, lifetime, ours, permit, reserve, status, UDP } from "./requests.ts";
import { AgentWire } from "./rig.ts";

const plans: KernelPlan[] = [];
let house: TestHouse;
let http: PinholeClient;
let wire: AgentWire;

async function agent(): Promise<AgentWire> {
  const port = Number(/:(\d+)$/.exec(house.doors[1]?.address ?? "")?.[1]);
  const opened = new AgentWire(connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
  await opened.must("SE_REPLY", begin());
  return opened;
}

before(async () => {
  const backend = new SimulatedPinholes((plan, occasion) => {
    if (occasion === "commit") plans.push(plan);
  });
  const doors = [openSimcoDoor({ host: "127.0.0.1", port: 0, localAgent: "root" })];
  const fast = '{ "administrator": true, "requestsPerSecond": 1000000, "requestBurst": 1000000 }';
  const agents = `{ "profiles": { "p": ${fast} }, "agents": { "root": { "profile": "p", "users": ["0"] } } }`;
  house = await openHouse({ backend, doors, agents });
  http = connectPinholes({ socket: house.socket });
  wire = await agent();
});
after(async () => {
  wire.close();
  http.end();
  await house.close();
});

const FLOW: PinholeSpec = {
  kind: "permit",
  internal: { family: 4, address: "10.1.8.3", ports: [5004, 5005] },
  external: { family: 4, address: "192.0.2.100", ports: [6004, 6005] },
  protocol: UDP,
  direction: "in",
  lifetime: 300,
};

/** Opens through the service, as root. */
async function open(spec: PinholeSpec): Promise<number> {
  const root = house.agents.byName("root");
  assert.ok(root !== undefined);
  const { results } = await house.service.apply(root, [{ op: "open", spec }]);
  return results[0]?.pid ?? 0;
}

describe("one store behind both doors", () => {
  it("H-13 rules of SIMCO are in the list of HTTP with number, owner and lifetime, and the other way round", async () => {
    const { rule } = await wire.must("PER_REPLY", permit());
    let found: PinholeReport | undefined;
    for await (const pinhole of http.list()) if (pinhole.pid === rule) found = pinhole;
    assert.deepEqual([found?.owner, found?.granted, found?.state], ["root", 300, "enabled"]);
    const change = http.begin();
    change.open({ ...FLOW, internal: "10.1.8.9:80", external: "*", protocol: "tcp", lifetime: 77 });
    const [result] = (await change.commit()).results;
    const seen = await wire.must("PES_REPLY", status(result?.pid ?? 0));
    assert.deepEqual([seen.owner, seen.internal.port], ["root", 80]);
    assert.ok(seen.lifetime > 70 && seen.lifetime <= 77);
  });

  it("H-14 a block through HTTP ends what SIMCO permitted, and its agent is told", async () => {
    const { rule } = await wire.must("PER_REPLY", permit());
    await wire.settled();
    const change = http.begin();
    change.block({ internal: "*", external: "192.0.2.100", protocol: "any", lifetime: 60 });
    const [made] = (await change.commit()).results;
    const ended = (await wire.settled()).flatMap((notice) =>
      notice.name === "ARE" && notice.lifetime === 0 ? [notice.rule] : [],
    );
    assert.ok(ended.includes(rule));
    assert.equal(await wire.refusal(status(rule)), 0x0343);
    await wire.must("PRD_REPLY", lifetime(made?.pid ?? 0, 0));
  });

  it("H-16 a thousand commits of one pinhole become a handful of transactions of the packet filter", async () => {
    const root = house.agents.byName("root");
    assert.ok(root !== undefined);
    const earlier = plans.length;
    const commits = Array.from({ length: 1000 }, (_, index) => {
      const internal = { family: 4, address: `10.2.${index >> 8}.${index & 255}`, ports: [80, 80] } as const;
      return house.service.apply(root, [
        { op: "open", spec: { ...FLOW, internal, external: { family: 4 } } },
      ]);
    });
    const answers = await Promise.all(commits);
    assert.equal(answers.length, 1000);
    assert.ok(plans.length - earlier <= 12, `${plans.length - earlier} transactions`);
  });

  it("H-17 one more pinhole among ten thousand is a change of its own elements, and of no others", async () => {
    const root = house.agents.byName("root");
    assert.ok(root !== undefined);
    const operations = Array.from({ length: 10_000 }, (_, index) => {
      const internal = { family: 4, address: `10.4.${index >> 8}.${index & 255}`, ports: [80, 80] } as const;
      return { op: "open", spec: { ...FLOW, internal, portMode: "product" } } as const;
    });
    await house.service.apply(root, operations);
    const { rule } = await wire.must("PER_REPLY", permit({ internal: ours({ address: "10.5.0.1" }) }));
    const opened = plans.at(-1);
    assert.ok(opened !== undefined && opened.put.length <= 2 && opened.remove.length === 0);
    await wire.must("PRD_REPLY", lifetime(rule, 0));
    const closed = plans.at(-1);
    assert.ok(closed !== undefined && closed.remove.length <= 2 && closed.put.length === 0);
  });

  it("H-18 ports go pair by pair for SIMCO, and each with each where HTTP says so", async () => {
    const { rule } = await wire.must("PER_REPLY", permit({ internal: ours({ address: "10.6.0.1" }) }));
    const internal = { family: 4, address: "10.6.0.2", ports: [5004, 5005] } as const;
    const other = await open({ ...FLOW, internal, portMode: "product" });
    const verdicts = await house.service.read((store) =>
      [1, 2].map((host) =>
        store.permits({
          family: 4,
          protocol: UDP,
          source: Uint32Array.of(0, 0, 0xffff, 0xc0000264),
          destination: Uint32Array.of(0, 0, 0xffff, 0x0a060000 + host),
          sourcePort: 6004,
          destinationPort: 5005,
          opensTcp: false,
        }),
      ),
    );
    assert.deepEqual(verdicts, [false, true]);
    for (const one of [rule, other]) await wire.must("PRD_REPLY", lifetime(one, 0));
  });

  it("H-19 ranges of different widths go together each with each, and not pair by pair", async () => {
    const wide = { ...FLOW, internal: { family: 4, address: "10.6.0.3", ports: [5004, 5013] } } as const;
    await assert.rejects(open({ ...wide, portMode: "pairwise" }), (error: PinholeRefusal) => {
      assert.ok(error instanceof PinholeRefusal);
      return error.code === "SPEC_INCONSISTENT";
    });
    const rule = await open({ ...wide, portMode: "product" });
    const seen = await wire.must("PES_REPLY", status(rule));
    assert.deepEqual([seen.internal.count, seen.external.count, seen.enable.direction], [10, 2, IN]);
    await wire.must("PRD_REPLY", lifetime(rule, 0));
  });

  it("H-20 who has as many as he may have is told so on both doors, each in its words", async () => {
    const root = house.agents.byName("root");
    assert.ok(root !== undefined);
    const held = await house.service.read((store) => store.countOf("root"));
    house.writeAgents(
      `{ "profiles": { "p": { "administrator": true, "pinholesMax": ${held} } }, "agents": { "root": { "profile": "p", "users": ["0"] } } }`,
    );
    house.agents.reload();
    assert.equal(await wire.refusal(reserve()), 0x0342);
    const change = http.begin();
    change.open({ ...FLOW, internal: "10.7.0.1", external: "192.0.2.1" });
    await assert.rejects(change.commit(), /may not have more/);
    assert.deepEqual(REFUSALS.QUOTA_EXCEEDED, { simco: 0x0342, http: 429, pcp: 10 });
  });
});
