/** Statements R and P: reservations, and what becomes of them when they are enabled. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { encodeMessage, LOCATION, type MessageOf } from "#simco";
import { protocolTuple, vector } from "#testing";
import {
  BOTH,
  block,
  enable,
  ICMP,
  lifetime,
  list,
  ours,
  permit,
  reserve,
  status,
  TCP,
  theirs,
  UDP,
} from "./requests.ts";
import { type AgentWire, headerOf, SimcoRig } from "./rig.ts";

let rig: SimcoRig;
let agent: AgentWire;
let other: AgentWire;
let admin: AgentWire;

before(async () => {
  rig = await SimcoRig.open({ profiles: { unreserving: { rights: ["permit", "monitor"] } } });
  [agent, other, admin] = [await rig.session(), await rig.session("other"), await rig.session("admin")];
});
after(() => rig.close());

function reserved(request = reserve()): Promise<MessageOf<"PRR_REPLY">> {
  return agent.must("PRR_REPLY", request);
}

async function count(): Promise<number> {
  return (await agent.must("PRL_REPLY", list())).rules.length;
}

describe("a reservation", () => {
  it("R-01 of a filter has a number, a group and no more time than asked for", async () => {
    agent.send(vector("V09"));
    const reply = await agent.reply();
    assert.ok(reply?.name === "PRR_REPLY");
    assert.ok(reply.rule > 0 && reply.group > 0);
    assert.equal(reply.lifetime, 300);
    assert.equal(reply.tid, 0x10);
  });

  it("R-02 of a filter is told as a protocol alone, outside", async () => {
    for (const outsideVersion of [1, 2]) {
      const { outside, inside } = await reserved(reserve({ insideVersion: 0, outsideVersion }));
      const family = outsideVersion === 1 ? 4 : 6;
      assert.deepEqual(outside, protocolTuple(LOCATION.OUTSIDE, UDP, family));
      assert.equal(inside, undefined);
    }
  });

  it("R-03 opens nothing", async () => {
    const standing = rig.filter.keys;
    await reserved();
    assert.deepEqual(rig.filter.keys, standing);
    assert.equal(rig.passes("192.0.2.100:6004 > 10.1.8.3:5004"), false);
  });

  it("R-04 joins the group that it names", async () => {
    const first = await reserved();
    const second = await reserved(reserve({}, { group: first.group }));
    assert.equal(second.group, first.group);
    assert.notEqual(second.rule, first.rule);
  });

  it("R-05 is refused for a group that is not there", async () => {
    assert.equal(await agent.refusal(reserve({}, { group: 0xdead })), 0x0344);
  });

  it("R-06 is refused for somebody else's group", async () => {
    const { group } = await reserved();
    assert.equal(await other.refusal(reserve({}, { group })), 0x0346);
  });

  it("R-07 needs the right to reserve, before anything else is looked at", async () => {
    const unreserving = await rig.session("unreserving");
    assert.equal(await unreserving.refusal(reserve({}, { group: 0xdead })), 0x0341);
  });

  it("R-08 is refused for an IP version that is not served", async () => {
    const own = await SimcoRig.open({
      place: { capabilities: { internalFamilies: [4], externalFamilies: [4] } },
    });
    const wire = await own.session();
    assert.equal(await wire.refusal(reserve({ insideVersion: 2 })), 0x034f);
    assert.equal(await wire.refusal(reserve({ outsideVersion: 2 })), 0x034f);
    assert.equal(await agent.refusal(reserve({ insideVersion: 1, outsideVersion: 2 })), 0x034f);
    assert.equal(await agent.refusal(reserve({ insideVersion: 3 })), 0x034b);
    await own.close();
  });

  it("R-09 is refused for a protocol that is not handled", async () => {
    const own = await SimcoRig.open({ place: { protocols: [TCP, UDP] } });
    const wire = await own.session();
    assert.equal(await wire.refusal(reserve({ protocol: ICMP })), 0x0354);
    assert.equal((await wire.ask(reserve({ protocol: TCP })))?.name, "PRR_REPLY");
    await own.close();
  });

  it("R-10 of no ports is refused", async () => {
    const rules = await count();
    agent.send("011100100000002d000a000445110000000700040000003c");
    assert.equal(await agent.nextHex(), "035600000000002d");
    assert.equal(await count(), rules);
  });

  it("R-11 for no time is refused, and takes no number", async () => {
    const { rule } = await reserved();
    assert.equal(await agent.refusal(reserve({}, { lifetime: 0 })), 0x034a);
    assert.equal((await reserved()).rule, rule + 1);
  });

  it("R-12 gets the longest lifetime when it asks for more", async () => {
    assert.equal((await reserved(reserve({}, { lifetime: 0xffffffff }))).lifetime, 86_400);
  });

  it("R-13 of a filter does not depend on the mode of translation", async () => {
    for (const natMode of [0, 1, 2, 3]) {
      assert.equal((await agent.ask(reserve({ natMode })))?.name, "PRR_REPLY", String(natMode));
    }
  });

  it("R-14 for any IP version is told with one", async () => {
    const { outside } = await reserved(reserve({ insideVersion: 0, outsideVersion: 0 }));
    assert.equal(outside.family, 4);
    assert.equal((await reserved(reserve({ insideVersion: 2, outsideVersion: 0 }))).outside.family, 6);
  });

  it("R-15 that is over is told to all who may see it", async () => {
    const own = await SimcoRig.open();
    const [one, overseer, stranger] = [
      await own.session(),
      await own.session("admin"),
      await own.session("other"),
    ];
    const { rule } = await one.must("PRR_REPLY", reserve({}, { lifetime: 50 }));
    await overseer.settled();
    await own.expire(51);
    for (const wire of [one, overseer]) {
      const notice = await wire.notice();
      assert.ok(notice?.name === "ARE");
      assert.deepEqual([notice.rule, notice.lifetime], [rule, 0]);
    }
    assert.deepEqual(await stranger.settled(), []);
    await own.close();
  });

  it("R-16 is refused when there is no more room", async () => {
    const own = await SimcoRig.open({ limits: { pinholes: 2 } });
    const wire = await own.session();
    for (let made = 0; made < 2; made += 1) await wire.must("PRR_REPLY", reserve());
    assert.equal(await wire.refusal(reserve()), 0x0342);
    await own.close();
  });
});

describe("enabling a reservation", () => {
  it("P-01 keeps its number and its group", async () => {
    const { rule, group } = await reserved();
    const reply = await agent.must("PER_REPLY", enable(rule));
    assert.deepEqual([reply.rule, reply.group, reply.lifetime], [rule, group, 300]);
    assert.deepEqual(reply.outside, ours({ at: LOCATION.OUTSIDE }));
    assert.deepEqual(reply.inside, theirs({ at: LOCATION.INSIDE }));
    assert.ok(rig.passes("192.0.2.100:6005 > 10.1.8.3:5005"));
    await agent.must("PRD_REPLY", lifetime(rule, 0));
  });

  it("P-02 is refused for a number that is not there", async () => {
    assert.equal(await agent.refusal(enable(0xdead)), 0x0343);
  });

  it("P-03 is refused for a rule that is enabled", async () => {
    const { rule } = await reserved();
    await agent.must("PER_REPLY", enable(rule));
    assert.equal(await agent.refusal(enable(rule)), 0x034b);
  });

  it("P-04 is refused for a disable rule", async () => {
    const ends = { internal: ours({ address: "10.9.9.9" }), external: theirs({ address: "198.51.100.9" }) };
    const { rule } = await agent.must("PDR_REPLY", block(ends));
    assert.equal(await agent.refusal(enable(rule)), 0x034b);
    await agent.must("PRD_REPLY", lifetime(rule, 0));
  });

  it("P-05 is refused for somebody else's reservation", async () => {
    const { rule } = await reserved();
    assert.equal(await other.refusal(enable(rule)), 0x0345);
  });

  it("P-06 that fails leaves the reservation with the time that it has", async () => {
    const { rule } = await reserved(reserve({}, { lifetime: 100 }));
    rig.advance(40);
    assert.equal(await agent.refusal(enable(rule, { lifetime: 0 })), 0x034a);
    const left = await agent.must("PRS_REPLY", status(rule));
    assert.ok(left.lifetime > 30 && left.lifetime <= 60, String(left.lifetime));
  });

  it("P-07 makes an enabled rule of it, as its status tells", async () => {
    const { rule } = await reserved();
    assert.equal((await agent.ask(status(rule)))?.name, "PRS_REPLY");
    await agent.must("PER_REPLY", enable(rule));
    assert.equal((await agent.ask(status(rule)))?.name, "PES_REPLY");
  });

  it("P-08 is told to others once, and not as an end", async () => {
    const { rule } = await reserved();
    await admin.settled();
    await agent.must("PER_REPLY", enable(rule, { lifetime: 77 }));
    const told = (await admin.settled()).map((notice) => [notice.name, "rule" in notice && notice.rule]);
    assert.deepEqual(told, [["ARE", rule]]);
  });

  it("P-09 is refused for another protocol than was reserved", async () => {
    const { rule } = await reserved();
    const ends = { internal: ours({ protocol: TCP }), external: theirs({ protocol: TCP }) };
    assert.equal(await agent.refusal(enable(rule, ends)), 0x034d);
    const narrow = { internal: ours({ count: 1 }), external: theirs({ count: 1 }) };
    assert.equal(await agent.refusal(enable(rule, narrow)), 0x034b);
  });

  it("P-10 is refused against a disable rule, and the reservation stays", async () => {
    const { rule } = await reserved();
    const blocked = await other.must("PDR_REPLY", block());
    assert.equal(await agent.refusal(enable(rule)), 0x0350);
    assert.equal((await agent.ask(status(rule)))?.name, "PRS_REPLY");
    await other.must("PRD_REPLY", lifetime(blocked.rule, 0));
  });

  it("P-11 gives the time from then on", async () => {
    const { rule } = await reserved(reserve({}, { lifetime: 100 }));
    rig.advance(50);
    const { lifetime: granted } = await agent.must("PER_REPLY", enable(rule, { lifetime: 200 }));
    assert.equal(granted, 200);
    const left = await agent.must("PES_REPLY", status(rule));
    assert.ok(left.lifetime > 190 && left.lifetime <= 200, String(left.lifetime));
  });

  it("P-12 with a group in place of the number is refused", async () => {
    const { group } = await reserved();
    const octets = encodeMessage(permit({ group }));
    octets[1] = 0x13;
    assert.equal(headerOf(octets).code, 0x0113);
    assert.equal(await agent.refusal(octets), 0x0312);
  });

  it("may leave a port open in both directions, unless the middlebox is strict", async () => {
    const strict = await SimcoRig.open({ place: { isStrictAboutEnabling: true } });
    for (const [wire, expected] of [
      [agent, 0],
      [await strict.session(), 0x034b],
    ] as const) {
      const { rule } = await wire.must("PRR_REPLY", reserve());
      const ends = {
        internal: ours(),
        external: theirs({ port: 0 }),
        enable: { parity: 0, direction: BOTH },
      };
      assert.equal(await wire.refusal(enable(rule, ends)), expected);
    }
    await strict.close();
  });

  it("does not tell an agent of what it may not see when the middlebox hides it", async () => {
    const hiding = await SimcoRig.open({ hideForeign: true });
    const { rule, group } = await (await hiding.session()).must("PRR_REPLY", reserve());
    const stranger = await hiding.session("other");
    assert.equal(await stranger.refusal(enable(rule)), 0x0343);
    assert.equal(await stranger.refusal(status(rule)), 0x0343);
    assert.equal(await stranger.refusal(lifetime(rule, 5)), 0x0343);
    assert.equal(await stranger.refusal(reserve({}, { group })), 0x0344);
    await hiding.close();
  });
});
