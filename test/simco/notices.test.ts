/** Statements N, G and O: who is told of what, groups, owners, and one thing at a time. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MemoryJournal } from "#daemon";
import { encodeMessage, type Message } from "#simco";
import { vector, VECTOR_MESSAGES } from "#testing";
import { begin, block, enable, lifetime, list, ours, permit, reserve, status, theirs } from "./requests.ts";
import { type AgentWire, SimcoRig } from "./rig.ts";

let rig: SimcoRig;
let agent: AgentWire;
let admin: AgentWire;
let other: AgentWire;

before(async () => {
  rig = await SimcoRig.open();
  [agent, admin, other] = [await rig.session(), await rig.session("admin"), await rig.session("other")];
});
after(() => rig.close());

/** What a session was told: rules and lifetimes. */
async function toldTo(wire: AgentWire): Promise<(readonly [number, number])[]> {
  return (await wire.settled()).map((notice) => {
    assert.ok(notice.name === "ARE", notice.name);
    return [notice.rule, notice.lifetime] as const;
  });
}

describe("notifications", () => {
  it("N-01 of a permit go to others who may see it, and not to who asked", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.deepEqual(await toldTo(admin), [[rule, 300]]);
    assert.deepEqual(await toldTo(agent), []);
    assert.deepEqual(await toldTo(other), []);
  });

  it("N-02 of reservations, enabling, disable rules and lifetimes go the same way", async () => {
    const { rule } = await agent.must("PRR_REPLY", reserve());
    assert.deepEqual(await toldTo(admin), [[rule, 300]]);
    await agent.must("PER_REPLY", enable(rule, { lifetime: 55 }));
    assert.deepEqual(await toldTo(admin), [[rule, 55]]);
    await agent.must("PLC_REPLY", lifetime(rule, 66));
    assert.deepEqual(await toldTo(admin), [[rule, 66]]);
    const far = { internal: ours({ address: "10.77.0.1" }), external: theirs({ address: "198.51.100.77" }) };
    const blocked = await agent.must("PDR_REPLY", block(far));
    assert.deepEqual(await toldTo(admin), [[blocked.rule, 1800]]);
    assert.deepEqual(await toldTo(agent), []);
    assert.deepEqual(await toldTo(other), []);
    await agent.must("PRD_REPLY", lifetime(blocked.rule, 0));
    await admin.settled();
  });

  it("N-03 of an end that was asked for go to everybody else who may see it", async () => {
    const first = await agent.must("PER_REPLY", permit());
    await admin.settled();
    await agent.must("PRD_REPLY", lifetime(first.rule, 0));
    assert.deepEqual(await toldTo(admin), [[first.rule, 0]]);
    assert.deepEqual(await toldTo(agent), []);
    const second = await agent.must("PER_REPLY", permit());
    await admin.must("PRD_REPLY", lifetime(second.rule, 0));
    assert.deepEqual(await toldTo(agent), [[second.rule, 0]]);
  });

  it("N-04 of an end that nobody asked for go to all who may see it", async () => {
    const { rule } = await agent.must("PER_REPLY", permit({ lifetime: 30 }));
    for (const wire of [agent, admin, other]) await wire.settled();
    await rig.expire(31);
    assert.deepEqual(await toldTo(agent), [[rule, 0]]);
    assert.deepEqual(await toldTo(admin), [[rule, 0]]);
    assert.deepEqual(await toldTo(other), []);
  });

  it("N-05 do not come of what fails", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    await admin.settled();
    const failing: readonly Message[] = [
      permit({ lifetime: 0 }),
      enable(rule),
      lifetime(0xdead, 5),
      status(0xdead),
    ];
    for (const request of failing) assert.ok((await agent.refusal(request)) > 0);
    assert.deepEqual(await toldTo(admin), []);
  });

  it("N-06 go to other sessions of the same agent too", async () => {
    const backup = await rig.session();
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.deepEqual(await toldTo(backup), [[rule, 300]]);
    assert.deepEqual(await toldTo(agent), []);
    backup.close();
  });

  it("N-07 do not go to a session that is not open yet", async () => {
    const wire = await rig.connect();
    await wire.must("SA_REPLY", begin());
    await agent.must("PER_REPLY", permit());
    await admin.settled();
    wire.send("0103000000000001");
    assert.equal((await wire.next())?.name, "ST_REPLY");
  });

  it("N-08 hold the number of the rule and then its lifetime", async () => {
    assert.deepEqual(encodeMessage(VECTOR_MESSAGES["V30"] ?? { name: "AST", tid: 0 }), vector("V30"));
    const { rule } = await agent.must("PER_REPLY", permit());
    const digits = rule.toString(16).padStart(8, "0");
    const hex = await admin.nextHex();
    assert.match(hex, new RegExp(`^04030010[0-9a-f]{8}00050004${digits}000700040000012c$`));
  });

  it("N-09 have identifiers that do not come twice", async () => {
    const seen: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      const { rule } = await agent.must("PER_REPLY", permit());
      await agent.must("PRD_REPLY", lifetime(rule, 0));
    }
    for (const notice of await admin.settled()) seen.push(notice.tid);
    assert.equal(seen.length, 40);
    assert.equal(new Set(seen).size, 40);
    assert.ok(seen.every((one) => one > 0x80000000));
  });

  it("N-10 of one rule come in the order of the changes", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    await admin.settled();
    const seconds = Array.from({ length: 30 }, (_, index) => index + 1);
    for (const one of seconds) agent.send(encodeMessage(lifetime(rule, one)));
    for (const one of seconds) {
      const reply = await agent.reply();
      assert.ok(reply?.name === "PLC_REPLY" && reply.lifetime === one);
    }
    assert.deepEqual(
      await toldTo(admin),
      seconds.map((one) => [rule, one]),
    );
  });

  it("N-11 that are not read hold up nobody, and end the session that does not read them", async () => {
    const own = await SimcoRig.open({ limits: { simcoBacklogBytes: 65_536 } });
    const owner = own.agents.byName("agent-1");
    assert.ok(owner !== undefined);
    const spec = { kind: "reserve", protocol: 17, lifetime: 600 } as const;
    await own.service.apply(owner, new Array(8000).fill({ op: "open", spec }));
    const [wire, deaf] = [await own.session(), await own.session("admin")];
    // Long replies that nobody reads fill what the system keeps for the connection.
    deaf.socket.pause();
    for (let count = 0; count < 400; count += 1) deaf.send(encodeMessage(list()));
    const { rule } = await wire.must("PER_REPLY", permit());
    for (let told = 1; told < 20_000; told += 1) {
      await wire.must("PLC_REPLY", lifetime(rule, (told % 600) + 1));
      if (own.events.some(({ type }) => type === "session.closed")) break;
    }
    const closed = own.events.find(({ type }) => type === "session.closed");
    assert.equal(closed?.owner, "admin");
    assert.equal((await wire.ask(list()))?.name, "PRL_REPLY");
    await own.close();
  });
});

describe("groups", () => {
  it("G-01 are made for each rule that names none", async () => {
    const first = await agent.must("PER_REPLY", permit());
    const second = await agent.must("PER_REPLY", permit());
    assert.notEqual(first.group, second.group);
  });

  it("G-02 go with their last member", async () => {
    const first = await agent.must("PER_REPLY", permit());
    const { group } = first;
    const second = await agent.must("PER_REPLY", permit({ group }));
    await agent.must("PRD_REPLY", lifetime(first.rule, 0));
    assert.equal(await agent.refusal(permit({ group })), 0);
    for (const rule of (await agent.must("PRL_REPLY", list())).rules) await agent.ask(lifetime(rule, 0));
    assert.equal(second.group, group);
    assert.equal(await agent.refusal(permit({ group })), 0x0344);
    assert.equal(await agent.refusal(reserve({}, { group })), 0x0344);
  });

  it("G-03 have one owner: not even an administrator joins somebody else's", async () => {
    const { group } = await agent.must("PER_REPLY", permit());
    assert.equal(await admin.refusal(permit({ group })), 0x0346);
    assert.equal(await other.refusal(reserve({}, { group })), 0x0346);
  });

  it("G-04 stay when a reservation is enabled", async () => {
    const { rule, group } = await agent.must("PRR_REPLY", reserve());
    assert.equal((await agent.must("PER_REPLY", enable(rule))).group, group);
  });
});

describe("owners", () => {
  it("O-01 are set by the middlebox: no request can name one", async () => {
    const octets = encodeMessage(permit());
    const named = Buffer.concat([octets, Buffer.from("00080003626f62", "hex")]);
    named.writeUInt16BE(named.length - 8, 2);
    assert.equal(await agent.refusal(new Uint8Array(named)), 0x0312);
  });

  it("O-02 find their rules again when they come back", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    const again = await rig.session();
    assert.ok((await again.must("PRL_REPLY", list())).rules.includes(rule));
    assert.equal((await again.must("PES_REPLY", status(rule))).owner, "agent-1");
    again.close();
  });

  it("O-03 share what they have with the administrator", async () => {
    const { rule } = await agent.must("PER_REPLY", permit());
    assert.equal((await admin.must("PES_REPLY", status(rule))).rule, rule);
    assert.ok((await admin.must("PRL_REPLY", list())).rules.includes(rule));
    assert.equal((await admin.must("PLC_REPLY", lifetime(rule, 9))).lifetime, 9);
    await admin.must("PRD_REPLY", lifetime(rule, 0));
  });

  it("O-04 may all ask at once: what is left is what some order of theirs would leave", async () => {
    const own = await SimcoRig.open();
    const wires = await Promise.all(Array.from({ length: 200 }, () => own.session()));
    const made = await Promise.all(
      wires.map(async (wire, index) => {
        const ends = { internal: ours({ address: `10.3.0.${(index % 100) + 1}` }) };
        if (index % 10 === 9) return wire.ask(block({ external: theirs({ port: 0, count: 1 }) }));
        return wire.ask(permit(ends));
      }),
    );
    const rules = new Set((await (await own.session()).must("PRL_REPLY", list())).rules);
    const blocks = made.filter((reply) => reply?.name === "PDR_REPLY");
    assert.equal(blocks.length, 20);
    // Blocks stand against every permit: those that came before have ended, those behind were refused.
    const permits = made.filter((reply) => reply?.name === "PER_REPLY");
    assert.ok(permits.every((reply) => reply?.name === "PER_REPLY" && !rules.has(reply.rule)));
    const others = made.filter((reply) => reply?.name === "NEGATIVE");
    assert.ok(others.every((reply) => reply?.name === "NEGATIVE" && reply.code === 0x0350));
    assert.equal(permits.length + others.length, 180);
    assert.equal(rules.size, 20);
    await own.close();
  });

  it("O-06 get numbers that are not 0 and do not come twice", async () => {
    const numbers = new Set<number>();
    const groups = new Set<number>();
    for (let round = 0; round < 50; round += 1) {
      const { rule, group } = await agent.must("PER_REPLY", permit());
      await agent.must("PRD_REPLY", lifetime(rule, 0));
      numbers.add(rule);
      groups.add(group);
    }
    assert.equal(numbers.size, 50);
    assert.equal(groups.size, 50);
    assert.ok(!numbers.has(0) && !groups.has(0));
  });

  it("O-07 are promised that rules survive a restart only where they do, with the time that is left", async () => {
    for (const isPersistent of [true, false]) {
      const own = await SimcoRig.open({ place: { localAgent: "agent-1", capabilities: { isPersistent } } });
      const { capabilities } = await (await own.connect()).must("SE_REPLY", begin());
      assert.equal(capabilities.isPersistent, isPersistent);
      await own.close();
    }
    const journal = new MemoryJournal();
    const first = await SimcoRig.open({ journal });
    const { rule } = await (await first.session()).must("PER_REPLY", permit());
    await first.close();
    const second = await SimcoRig.open({ journal, ahead: 100 });
    const { lifetime: left, owner } = await (await second.session()).must("PES_REPLY", status(rule));
    assert.ok(left > 190 && left <= 200, String(left));
    assert.equal(owner, "agent-1");
    await second.close();
  });
});
