/** Statements L and T: lifetimes, status and lists. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { encodeMessage, LOCATION } from "#simco";
import { protocolTuple, VECTOR_MESSAGES } from "#testing";
import {
  block,
  enable,
  IN,
  lifetime,
  list,
  ours,
  permit,
  reserve,
  status,
  theirs,
  tid,
  UDP,
} from "./requests.ts";
import { type AgentWire, headerOf, SimcoRig } from "./rig.ts";

let rig: SimcoRig;
let agent: AgentWire;
let admin: AgentWire;
let other: AgentWire;
let reader: AgentWire;

const GO = "192.0.2.100:6004 > 10.1.8.3:5004";

before(async () => {
  rig = await SimcoRig.open({
    profiles: { shrinking: { mayExtend: false }, blind: { rights: ["permit", "reserve", "renew"] } },
  });
  agent = await rig.session();
  [admin, other, reader] = [
    await rig.session("admin"),
    await rig.session("other"),
    await rig.session("reader"),
  ];
});
after(() => rig.close());

/** Seconds that a rule has left. */
async function left(rule: number, wire: AgentWire = agent): Promise<number> {
  const reply = await wire.ask(status(rule));
  assert.ok(reply !== undefined && "lifetime" in reply);
  return reply.lifetime;
}

describe("a lifetime", () => {
  it("L-01 is counted from the change on", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    rig.advance(100);
    assert.equal((await agent.must("PLC_REPLY", lifetime(rule, 900))).lifetime, 900);
    const seconds = await left(rule);
    assert.ok(seconds > 890 && seconds <= 900, String(seconds));
  });

  it("L-02 may be made shorter", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.equal((await agent.must("PLC_REPLY", lifetime(rule, 10))).lifetime, 10);
    assert.ok((await left(rule)) <= 10);
  });

  it("L-03 of 0 ends the rule", async () => {
    const own = await SimcoRig.open();
    const wire = await own.session();
    const { rule } = await wire.must("PER_REPLY", permit());
    assert.ok(own.passes(GO));
    wire.send(encodeMessage({ ...lifetime(rule, 0), tid: 0x16 }));
    assert.equal(await wire.nextHex(), "0216000000000016");
    assert.equal(own.passes(GO), false);
    assert.equal(await wire.refusal(status(rule)), 0x0343);
    await own.close();
  });

  it("L-04 of 0 is refused for what has ended", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    await agent.must("PRD_REPLY", lifetime(rule, 0));
    assert.equal(await agent.refusal(lifetime(rule, 0)), 0x0343);
  });

  it("L-05 is refused for a number that is not there", async () => {
    agent.send("011500100000002c000500040000dead000700040000003c");
    assert.equal(await agent.nextHex(), "034300000000002c");
  });

  it("L-06 is refused for somebody else's rule, and in another way to those who may see it", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.equal(await other.refusal(lifetime(rule, 10)), 0x0345);
    assert.equal(await reader.refusal(lifetime(rule, 10)), 0x0351);
  });

  it("L-07 is cut to the longest", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.equal((await agent.must("PLC_REPLY", lifetime(rule, 4_000_000_000))).lifetime, 86_400);
  });

  it("L-08 is not extended for an agent that may not, and goes on as it was", async () => {
    const wire = await rig.session("shrinking");
    const { rule } = await wire.must("PER_REPLY", permit());
    rig.advance(100);
    assert.equal(await wire.refusal(lifetime(rule, 300)), 0x0352);
    const seconds = await left(rule, wire);
    assert.ok(seconds > 190 && seconds <= 200, String(seconds));
    await wire.must("PLC_REPLY", lifetime(rule, 20));
  });

  it("L-09 may be changed of reservations, permits and disable rules", async () => {
    const far = { internal: ours({ address: "10.77.0.1" }), external: theirs({ address: "198.51.100.77" }) };
    for (const request of [reserve(), permit(), block(far)]) {
      const reply = await agent.ask(request);
      assert.ok(reply !== undefined && "rule" in reply, request.name);
      assert.equal((await agent.must("PLC_REPLY", lifetime(reply.rule, 50))).lifetime, 50);
      await agent.must("PRD_REPLY", lifetime(reply.rule, 0));
    }
  });

  it("L-10 is answered with one attribute, and its end with none", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    agent.send(encodeMessage({ ...lifetime(rule, 900), tid: 0x15 }));
    assert.equal(await agent.nextHex(), "02150008000000150007000400000384");
    agent.send(encodeMessage({ ...lifetime(rule, 0), tid: 0x16 }));
    assert.equal(await agent.nextHex(), "0216000000000016");
  });
});

describe("the status of a rule", () => {
  it("T-01 of a reservation is what was answered, and its owner", async () => {
    const { tid: _, name: __, ...made } = await agent.must("PRR_REPLY", reserve());
    const found = await agent.must("PRS_REPLY", status(made.rule));
    const { tid: ___, name: ____, owner, ...told } = found;
    assert.deepEqual(told, made);
    assert.equal(owner, "agent-1");
  });

  it("T-02 of a permit has its ends in the order internal, inside, outside, external", async () => {
    const { rule, group } = await agent.must("PER_REPLY", permit());
    agent.send(encodeMessage(status(rule)));
    const hex = await agent.nextHex();
    const places = [...hex.matchAll(/0009000c012011(\d\d)/g)].map(([, place]) => place);
    assert.deepEqual(places, ["00", "01", "02", "03"]);
    const reply = await agent.must("PES_REPLY", status(rule));
    const expected = VECTOR_MESSAGES["V24"];
    assert.ok(expected?.name === "PES_REPLY");
    assert.deepEqual({ ...reply, tid: 0, lifetime: 0 }, { ...expected, rule, group, tid: 0, lifetime: 0 });
  });

  it("T-03 of a disable rule has both ends and the owner", async () => {
    const { rule } = await agent.must("PDR_REPLY", block());
    const { tid: _, ...reply } = await agent.must("PDS_REPLY", status(rule));
    const { internal, external } = block();
    const seconds = reply.lifetime;
    assert.deepEqual(reply, {
      name: "PDS_REPLY",
      rule,
      internal,
      external,
      lifetime: seconds,
      owner: "agent-1",
    });
    assert.ok(seconds > 1790 && seconds <= 1800);
    await agent.must("PRD_REPLY", lifetime(rule, 0));
  });

  it("T-04 repeats the ends and parameters of the request to the octet", async () => {
    const requests = [
      permit({ external: theirs({ prefix: 24, address: "192.0.2.199", port: 0, count: 7 }) }),
      permit({ external: protocolTuple(LOCATION.EXTERNAL, UDP), enable: { parity: 0, direction: IN } }),
      permit({
        internal: ours({ protocol: 0, port: 9, count: 3 }),
        external: theirs({ protocol: 0, port: 0 }),
      }),
    ];
    for (const request of requests) {
      const { rule } = await agent.must("PER_REPLY", request);
      const { enable: wanted, internal, external } = await agent.must("PES_REPLY", status(rule));
      const { enable: asked, internal: ourEnd, external: theirEnd } = request;
      assert.deepEqual(
        { wanted, internal, external },
        { wanted: asked, internal: ourEnd, external: theirEnd },
      );
    }
    const { rule } = await agent.must("PRR_REPLY", reserve());
    const enabling = enable(rule, { external: theirs({ prefix: 20, address: "192.0.7.9", count: 2 }) });
    await agent.must("PER_REPLY", enabling);
    assert.deepEqual((await agent.must("PES_REPLY", status(rule))).external, enabling.external);
  });

  it("T-05 tells the time that is left", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    const first = await left(rule);
    rig.advance(10);
    const second = await left(rule);
    assert.ok(first <= 300 && first - second >= 9 && first - second <= 30, `${first}, ${second}`);
  });

  it("T-06 names its maker, whoever asks", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.equal((await admin.must("PES_REPLY", status(rule))).owner, "agent-1");
  });

  it("T-07 is refused for numbers that are not there, and for somebody else's", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.equal(await agent.refusal(status(0xdead)), 0x0343);
    assert.equal(await other.refusal(status(rule)), 0x0345);
    assert.equal((await reader.ask(status(rule)))?.name, "PES_REPLY");
  });

  it("of a pinhole of another door says what that asked for", async () => {
    const owner = rig.agents.byName("agent-1");
    assert.ok(owner !== undefined);
    const spec = {
      kind: "permit",
      internal: { family: 4, address: "10.5.0.1", ports: [80, 89] },
      external: { family: 4, address: "198.51.100.0", prefix: 24 },
      protocol: 6,
      direction: "in",
      lifetime: 60,
      labels: { "simco.request": "00" },
    } as const;
    const { results } = await rig.service.apply(owner, [{ op: "open", spec }]);
    const {
      internal,
      external,
      enable: wanted,
    } = await agent.must("PES_REPLY", status(results[0]?.pid ?? 0));
    assert.deepEqual(internal, ours({ address: "10.5.0.1", protocol: 6, port: 80, count: 10 }));
    assert.deepEqual(
      external,
      theirs({ address: "198.51.100.0", prefix: 24, protocol: 6, port: 0, count: 1 }),
    );
    assert.deepEqual(wanted, { parity: 0, direction: IN });
  });
});

describe("the list of rules", () => {
  it("T-08 is empty when there are none", async () => {
    const own = await SimcoRig.open();
    const wire = await own.session();
    wire.send("012200000000001b");
    assert.equal(await wire.nextHex(), "022200000000001b");
    await own.close();
  });

  it("T-09 has reservations, permits and disable rules, and only those that the agent may see", async () => {
    const own = await SimcoRig.open();
    const [wire, stranger, overseer] = [
      await own.session(),
      await own.session("other"),
      await own.session("admin"),
    ];
    const made: number[] = [];
    const far = { internal: ours({ address: "10.77.0.1" }), external: theirs({ address: "198.51.100.77" }) };
    for (const request of [reserve(), permit(), block(far)]) {
      const reply = await wire.ask(request);
      if (reply !== undefined && "rule" in reply) made.push(reply.rule);
    }
    const theirOwn = await stranger.must("PRR_REPLY", reserve());
    assert.deepEqual((await wire.must("PRL_REPLY", list())).rules, made);
    assert.deepEqual((await stranger.must("PRL_REPLY", list())).rules, [theirOwn.rule]);
    assert.deepEqual((await overseer.must("PRL_REPLY", list())).rules, [...made, theirOwn.rule]);
    await own.close();
  });

  it("T-10 of 8191 rules fills a message, and of one more is too big", async () => {
    const own = await SimcoRig.open();
    const owner = own.agents.byName("agent-1");
    assert.ok(owner !== undefined);
    const spec = { kind: "reserve", protocol: UDP, lifetime: 600 } as const;
    await own.service.apply(owner, new Array(8191).fill({ op: "open", spec }));
    const wire = await own.session();
    wire.send("012200000000001b");
    const octets = await wire.nextOctets();
    assert.equal(octets?.length, 65_536);
    assert.equal(headerOf(octets ?? new Uint8Array(8)).code, 0x0222);
    await own.service.apply(owner, [{ op: "open", spec }]);
    assert.equal(await wire.refusal(list()), 0x0313);
    await own.close();
  });

  it("T-11 and the status need the right to look", async () => {
    const blind = await rig.session("blind");
    const { rule } = await blind.must("PER_REPLY", permit());
    assert.equal(await blind.refusal(status(rule)), 0x0341);
    assert.equal(await blind.refusal(list()), 0x0341);
  });

  it("T-12 and the status change nothing and tell nobody", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    await admin.settled();
    const { generation } = rig.service.status;
    await agent.must("PES_REPLY", status(rule));
    await agent.must("PRL_REPLY", { name: "PRL", tid: tid() });
    assert.equal(rig.service.status.generation, generation);
    assert.deepEqual(await admin.settled(), []);
  });
});
