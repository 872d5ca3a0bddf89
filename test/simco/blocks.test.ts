/** Statements D: disable rules, what they stop and what they end. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { FirewallError } from "#base";
import { pairsMeet, PinholeRequest } from "#pinhole";
import { type AddressTuple, endpointOf, LOCATION, type MessageOf } from "#simco";
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
  TCP,
  theirs,
  UDP,
} from "./requests.ts";
import { type AgentWire, SimcoRig } from "./rig.ts";

let rig: SimcoRig;
let agent: AgentWire;
let other: AgentWire;

before(async () => {
  rig = await SimcoRig.open({
    profiles: { peaceful: { rights: ["permit", "reserve", "renew", "monitor"] } },
  });
  [agent, other] = [await rig.session(), await rig.session("other")];
});
after(() => rig.close());

const GO = "192.0.2.100:6004 > 10.1.8.3:5004";
const COME = "10.1.8.3:5004 > 192.0.2.100:6004";

/** Ends everything that is left of a test. */
async function clear(...wires: readonly AgentWire[]): Promise<void> {
  for (const wire of wires) {
    for (const rule of (await wire.must("PRL_REPLY", list())).rules) await wire.ask(lifetime(rule, 0));
  }
}

type Pair = readonly [AddressTuple, AddressTuple];

function inner(address: string, protocol: number, port: number, count = 1, prefix = 32): AddressTuple {
  return ours({ address, protocol, port, count, prefix });
}

function outer(address: string, protocol: number, port: number, count = 1, prefix = 32): AddressTuple {
  return theirs({ address, protocol, port, count, prefix });
}

const anyUdp = (at: number): AddressTuple => protocolTuple(at, UDP);
const K01: Pair = [inner("10.1.8.3", UDP, 12_345), anyUdp(LOCATION.EXTERNAL)];
const K02: Pair = [inner("10.1.8.3", TCP, 22), protocolTuple(LOCATION.EXTERNAL, TCP)];
const K04: Pair = [inner("10.1.8.3", UDP, 5004), outer("192.0.2.101", UDP, 6004)];
const K07: Pair = [inner("10.1.8.3", UDP, 5000, 10), outer("192.0.2.100", UDP, 6000, 10)];
const K09: Pair = [inner("10.1.8.3", UDP, 5004), outer("192.0.2.1", UDP, 6004)];
const ONE_HOST: Pair = [anyUdp(LOCATION.INTERNAL), outer("192.0.2.100", UDP, 0)];

/** A permit, a disable rule, and whether they conflict. */
const CONFLICTS: readonly (readonly [string, Pair, Pair, boolean])[] = [
  ["K01", K01, ONE_HOST, true],
  ["K02", K02, ONE_HOST, false],
  ["K03", K02, [protocolTuple(LOCATION.INTERNAL, 0), outer("192.0.2.100", 0, 0)], true],
  ["K04", K04, ONE_HOST, false],
  ["K05", K04, [anyUdp(LOCATION.INTERNAL), outer("192.0.2.0", UDP, 0, 1, 24)], true],
  [
    "K06",
    [inner("10.1.8.0", UDP, 5004, 1, 24), outer("192.0.2.0", UDP, 6004, 1, 24)],
    [inner("10.1.8.77", UDP, 5004), outer("192.0.2.9", UDP, 6004)],
    true,
  ],
  ["K07", K07, [inner("10.1.8.3", UDP, 5009, 4), outer("192.0.2.100", UDP, 6000, 4)], true],
  ["K08", K07, [inner("10.1.8.3", UDP, 5010, 4), outer("192.0.2.100", UDP, 6000, 4)], false],
  ["K09", K09, [inner("10.1.8.3", UDP, 0), outer("198.51.100.0", UDP, 0, 1, 24)], false],
  ["K10", K09, [protocolTuple(LOCATION.INTERNAL, 0, 6), protocolTuple(LOCATION.EXTERNAL, 0, 6)], false],
  [
    "K11",
    [inner("10.1.8.3", UDP, 5004, 2), outer("192.0.2.100", UDP, 6004, 2)],
    [inner("10.1.8.3", UDP, 5004), outer("192.0.2.100", UDP, 6005)],
    true,
  ],
  ["K12", K09, [inner("0.0.0.0", UDP, 0, 1, 0), outer("0.0.0.0", UDP, 0, 1, 0)], true],
];

function caseOf(id: string): { readonly permitted: MessageOf<"PER">; readonly blocked: MessageOf<"PDR"> } {
  const found = CONFLICTS.find(([name]) => name === id);
  assert.ok(found !== undefined);
  const [, [internal, external], [ourEnd, theirEnd]] = found;
  return {
    permitted: permit({ internal, external, enable: { parity: 0, direction: IN } }),
    blocked: block({ internal: ourEnd, external: theirEnd }),
  };
}

describe("a disable rule", () => {
  it("D-01 has a number and a lifetime", async () => {
    const { rule, tid, ...reply } = await agent.must("PDR_REPLY", block({ tid: 0x19 }));
    assert.ok(rule > 0);
    assert.equal(tid, 0x19);
    assert.deepEqual(reply, { name: "PDR_REPLY", lifetime: 1800 });
    await clear(agent);
  });

  it("D-02 is refused by a middlebox that has none", async () => {
    const own = await SimcoRig.open({ place: { capabilities: { disables: false } } });
    assert.equal(await (await own.session()).refusal(block()), 0x0340);
    await own.close();
  });

  it("D-03 is refused to an agent without the right", async () => {
    assert.equal(await (await rig.session("peaceful")).refusal(block()), 0x0341);
  });

  it("D-04 stops packets of both directions", async () => {
    const wide = permit({ external: theirs({ prefix: 24 }), enable: { parity: 0, direction: IN } });
    await agent.must("PDR_REPLY", block());
    assert.equal(rig.filter.keys.length > 0, true);
    for (const way of [GO, COME]) assert.equal(rig.verdict(way), "drop", way);
    assert.equal(await agent.refusal(wide), 0x0350);
    await clear(agent);
    for (const way of [GO, COME]) assert.equal(rig.verdict(way), "none", way);
  });

  it("D-05 ends what permits, whoever made it, and all who may see it are told", async () => {
    const admin = await rig.session("admin");
    const own = await agent.must("PER_REPLY", permit());
    const foreign = await other.must("PER_REPLY", permit());
    for (const wire of [agent, other, admin]) await wire.settled();
    await agent.must("PDR_REPLY", block());
    const ended = async (wire: AgentWire): Promise<number[]> =>
      (await wire.settled()).flatMap((notice) =>
        notice.name === "ARE" && notice.lifetime === 0 ? [notice.rule] : [],
      );
    assert.deepEqual(await ended(agent), [own.rule], "its own rule ended, and its request was another");
    assert.deepEqual(await ended(other), [foreign.rule]);
    assert.deepEqual(new Set(await ended(admin)), new Set([own.rule, foreign.rule]));
    assert.equal(await agent.refusal(status(own.rule)), 0x0343);
    await clear(agent, other);
  });

  it("D-06 conflicts with what it meets in part", async () => {
    for (const id of ["K05", "K06", "K07"]) {
      const { permitted, blocked } = caseOf(id);
      const { rule } = await agent.must("PER_REPLY", permitted);
      await agent.must("PDR_REPLY", blocked);
      assert.equal(await agent.refusal(status(rule)), 0x0343, id);
      await clear(agent);
    }
  });

  it("D-07 leaves alone what it does not meet", async () => {
    for (const id of ["K02", "K04", "K08", "K09", "K10"]) {
      const { permitted, blocked } = caseOf(id);
      const { rule } = await agent.must("PER_REPLY", permitted);
      const both = id === "K10" ? await rig.session("admin") : agent;
      await both.must("PDR_REPLY", blocked);
      assert.equal((await agent.ask(status(rule)))?.name, "PES_REPLY", id);
      await clear(agent, both);
    }
  });

  it("D-09 stands against permits and reservations being enabled while it lives", async () => {
    const reserved = await agent.must("PRR_REPLY", reserve());
    const { rule } = await other.must("PDR_REPLY", block());
    assert.equal(await agent.refusal(permit()), 0x0350);
    assert.equal(await agent.refusal(enable(reserved.rule)), 0x0350);
    await other.must("PRD_REPLY", lifetime(rule, 0));
    assert.equal((await agent.ask(permit()))?.name, "PER_REPLY");
    assert.equal((await agent.ask(enable(reserved.rule)))?.name, "PER_REPLY");
    await clear(agent);
  });

  it("D-10 does not bring back what it ended", async () => {
    await agent.must("PER_REPLY", permit());
    const { rule } = await other.must("PDR_REPLY", block());
    await other.must("PRD_REPLY", lifetime(rule, 0));
    assert.deepEqual((await agent.must("PRL_REPLY", list())).rules, []);
    assert.equal(rig.passes(GO), false);
  });

  it("D-11 leaves reservations alone", async () => {
    const { rule } = await agent.must("PRR_REPLY", reserve());
    await other.must("PDR_REPLY", block());
    assert.equal((await agent.ask(status(rule)))?.name, "PRS_REPLY");
    await clear(agent, other);
  });

  it("D-12 that fails ends nothing", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.equal(await other.refusal(block({ lifetime: 0 })), 0x034a);
    rig.answers.push(new FirewallError("BACKEND_REFUSED", "the filter will not have it"));
    assert.equal(await other.refusal(block()), 0x034a);
    assert.equal((await agent.ask(status(rule)))?.name, "PES_REPLY");
    assert.ok(rig.passes(GO));
    await clear(agent);
  });

  it("D-13 has no group, neither in its reply nor in its status", async () => {
    const reply = await agent.must("PDR_REPLY", block());
    assert.equal("group" in reply, false);
    const found = await agent.must("PDS_REPLY", status(reply.rule));
    assert.equal("group" in found, false);
    assert.ok(VECTOR_MESSAGES["V27"] !== undefined && !("group" in VECTOR_MESSAGES["V27"]));
    await clear(agent);
  });

  it("D-14 and another that overlaps stand side by side, until both have ended", async () => {
    const first = await agent.must("PDR_REPLY", block());
    const second = await other.must("PDR_REPLY", block());
    await agent.must("PRD_REPLY", lifetime(first.rule, 0));
    assert.equal(rig.verdict(GO), "drop");
    await other.must("PRD_REPLY", lifetime(second.rule, 0));
    assert.equal(rig.verdict(GO), "none");
  });

  it("D-15 is checked like a permit: where its ends lie, protocols, ranges", async () => {
    const wrong: readonly (readonly [Partial<MessageOf<"PDR">>, number])[] = [
      [{ internal: theirs(), external: ours() }, 0x034b],
      [{ internal: ours({ at: 1 }), external: theirs() }, 0x034b],
      [{ internal: ours(), external: theirs({ protocol: TCP }) }, 0x034b],
      [{ internal: ours(), external: theirs({ count: 3 }) }, 0x034b],
      [{ internal: ours({ prefix: 40 }), external: theirs() }, 0x0353],
      [{ internal: ours({ count: 0 }), external: theirs({ count: 0 }) }, 0x0356],
    ];
    for (const [ends, code] of wrong)
      assert.equal(await agent.refusal(block(ends)), code, JSON.stringify(ends));
    assert.equal(await agent.refusal(block()), 0);
    await clear(agent);
  });

  it("D-16 meets a permit exactly as the table of conflicts says", () => {
    for (const [id, permitted, blocked, conflicts] of CONFLICTS) {
      const [one, two] = [permitted, blocked].map(([internal, external]) => {
        const spec = { internal: endpointOf(internal), external: endpointOf(external) };
        const { protocol } = internal;
        const request = PinholeRequest.check({ kind: "block", protocol, lifetime: 1, ...spec });
        return { protocol, near: request.internal, far: request.external };
      });
      assert.ok(one !== undefined && two !== undefined);
      assert.equal(pairsMeet(one, two), conflicts, id);
      assert.equal(pairsMeet(two, one), conflicts, id);
    }
    assert.equal(CONFLICTS.length, 12);
  });

  it("meets permits through the door as the table of conflicts says", async () => {
    const admin = await rig.session("admin");
    for (const [id, , , conflicts] of CONFLICTS) {
      const { permitted, blocked } = caseOf(id);
      await admin.must("PDR_REPLY", blocked);
      assert.equal(await admin.refusal(permitted), conflicts ? 0x0350 : 0, id);
      await clear(admin);
    }
  });
});
