/** Statements E: permits, what they let through and why they are refused. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { FirewallError } from "#base";
import { type AddressTuple, LOCATION, type MessageOf } from "#simco";
import { octetsOf, protocolTuple, REFUSED_VECTORS, vector, VECTOR_MESSAGES } from "#testing";
import {
  block,
  BOTH,
  flow,
  ICMP,
  IN,
  lifetime,
  list,
  OUT,
  ours,
  permit,
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
    profiles: {
      fenced: { internal: ["10.1.0.0/16"] },
      open: { wildcards: { anyToAny: true } },
    },
  });
  [agent, other] = [await rig.session(), await rig.session("other")];
});
after(() => rig.close());

const GO = "192.0.2.100:6004 > 10.1.8.3:5004";
const COME = "10.1.8.3:5004 > 192.0.2.100:6004";

/** Makes a permit, looks, and takes it away again. */
async function during<Result>(
  request: MessageOf<"PER">,
  look: () => Result | Promise<Result>,
): Promise<Result> {
  const { rule } = await agent.must("PER_REPLY", request);
  try {
    return await look();
  } finally {
    await agent.must("PRD_REPLY", lifetime(rule, 0));
  }
}

function refused(id: string): string {
  return REFUSED_VECTORS.find((one) => one.id === id)?.request ?? "";
}

describe("what a permit lets through", () => {
  it("E-01 the answer to the inbound permit of the vectors is the vector's", async () => {
    const { group } = await agent.must("PER_REPLY", permit());
    const reply = await agent.must("PER_REPLY", permit({ group, tid: 0x11 }));
    const { rule: _, ...rest } = reply;
    const expected = VECTOR_MESSAGES["V14"];
    assert.ok(expected?.name === "PER_REPLY");
    const { rule: __, ...known } = expected;
    assert.deepEqual(rest, { ...known, group });
    for (const rule of (await agent.must("PRL_REPLY", list())).rules) await agent.ask(lifetime(rule, 0));
  });

  const WAYS: readonly {
    readonly title: string;
    readonly protocol: number;
    readonly direction: number;
    /** Inwards and outwards, of packets that go on; and of packets that set up a connection. */
    readonly goesOn: readonly [boolean, boolean];
    readonly begins: readonly [boolean, boolean];
  }[] = [
    {
      title: "E-03 UDP inbound: theirs pass, ours do not",
      protocol: UDP,
      direction: IN,
      goesOn: [true, false],
      begins: [true, false],
    },
    {
      title: "E-04 UDP outbound: ours pass, theirs do not",
      protocol: UDP,
      direction: OUT,
      goesOn: [false, true],
      begins: [false, true],
    },
    {
      title: "E-05 UDP in both directions: all pass",
      protocol: UDP,
      direction: BOTH,
      goesOn: [true, true],
      begins: [true, true],
    },
    {
      title: "E-06 TCP inbound: only they set a connection up, and both talk",
      protocol: TCP,
      direction: IN,
      goesOn: [true, true],
      begins: [true, false],
    },
    {
      title: "E-07 TCP outbound: only we set a connection up, and both talk",
      protocol: TCP,
      direction: OUT,
      goesOn: [true, true],
      begins: [false, true],
    },
    {
      title: "E-08 TCP in both directions: either sets a connection up",
      protocol: TCP,
      direction: BOTH,
      goesOn: [true, true],
      begins: [true, true],
    },
  ];
  for (const { title, protocol, direction, goesOn, begins } of WAYS) {
    it(title, async () => {
      await during(flow(protocol, direction), () => {
        const isTcp = protocol === TCP;
        assert.deepEqual([rig.passes(GO, protocol), rig.passes(COME, protocol)], goesOn);
        assert.deepEqual([rig.passes(GO, protocol, isTcp), rig.passes(COME, protocol, isTcp)], begins);
      });
      assert.equal(rig.passes(GO, protocol), false);
    });
  }

  it("E-20 IPv6, a network and one port of theirs, any of ours", async () => {
    agent.send(vector("V15"));
    const reply = await agent.reply();
    assert.ok(reply?.name === "PER_REPLY");
    const from = "[2001:db8:1::10]:40000 >";
    assert.ok(rig.passes(`${from} [2001:db8:2::77]:443`, TCP, true));
    assert.equal(rig.passes(`${from} [2001:db8:2:1::77]:443`, TCP, true), false);
    assert.equal(rig.passes(`${from} [2001:db8:2::77]:444`, TCP, true), false);
    await agent.must("PRD_REPLY", lifetime(reply.rule, 0));
  });

  it("E-21 a protocol alone on their side: anybody's UDP to one port of ours", async () => {
    const external = protocolTuple(LOCATION.EXTERNAL, UDP);
    await during(permit({ internal: ours({ count: 1 }), external }), () => {
      assert.ok(rig.passes("203.0.113.77:999 > 10.1.8.3:5004"));
      assert.equal(rig.passes("203.0.113.77:999 > 10.1.8.3:5005"), false);
      assert.equal(rig.passes("203.0.113.77:999 > 10.1.8.3:5004", TCP), false);
    });
  });

  it("E-22 ranges on both sides go pair by pair", async () => {
    await during(permit(), () => {
      assert.ok(rig.passes(GO));
      assert.ok(rig.passes("192.0.2.100:6005 > 10.1.8.3:5005"));
      assert.equal(rig.passes("192.0.2.100:6005 > 10.1.8.3:5004"), false);
      assert.equal(rig.passes("192.0.2.100:6004 > 10.1.8.3:5005"), false);
    });
  });

  it("E-23 ten ports of ours and any of theirs", async () => {
    await during(permit({ internal: ours({ count: 10 }), external: theirs({ port: 0, count: 10 }) }), () => {
      for (let port = 5004; port < 5014; port += 1) {
        assert.ok(rig.passes(`192.0.2.100:${60_000 - port} > 10.1.8.3:${port}`), String(port));
      }
      assert.equal(rig.passes("192.0.2.100:6004 > 10.1.8.3:5014"), false);
    });
  });

  it("E-24 protocol 0: everything between two hosts, whatever the ports say", async () => {
    await during(permit({ internal: ours({ protocol: 0 }), external: theirs({ protocol: 0 }) }), () => {
      assert.ok(rig.passes("192.0.2.100 > 10.1.8.3", ICMP));
      assert.ok(rig.passes("192.0.2.100:1 > 10.1.8.3:2", UDP));
      assert.ok(rig.passes("192.0.2.100:1 > 10.1.8.3:2", TCP, true));
      assert.equal(rig.passes("192.0.2.101:1 > 10.1.8.3:2", UDP), false);
    });
  });

  it("E-31 of two equal permits, one stays when the other goes", async () => {
    const [first, second] = [
      await agent.must("PER_REPLY", permit()),
      await agent.must("PER_REPLY", permit()),
    ];
    assert.notEqual(first.rule, second.rule);
    await agent.must("PRD_REPLY", lifetime(first.rule, 0));
    assert.ok(rig.passes(GO));
    await agent.must("PRD_REPLY", lifetime(second.rule, 0));
    assert.equal(rig.passes(GO), false);
  });

  it("E-32 permits of different agents may overlap", async () => {
    await during(permit(), async () => {
      const { rule } = await other.must("PER_REPLY", permit({ external: theirs({ prefix: 24 }) }));
      assert.ok(rig.passes(GO));
      await other.must("PRD_REPLY", lifetime(rule, 0));
      assert.ok(rig.passes(GO));
    });
  });

  it("E-35 bits behind the prefix do not matter", async () => {
    await during(permit({ external: theirs({ prefix: 24, address: "192.0.2.199" }) }), () => {
      assert.ok(rig.passes("192.0.2.1:6004 > 10.1.8.3:5004"));
      assert.equal(rig.passes("192.0.3.1:6004 > 10.1.8.3:5004"), false);
    });
  });

  it("E-36 what is over lets nothing through, and is told as ended", async () => {
    const own = await SimcoRig.open();
    const wire = await own.session();
    const { rule } = await wire.must("PER_REPLY", permit({ lifetime: 50 }));
    assert.ok(own.passes(GO));
    own.advance(50.5);
    assert.equal(own.passes(GO), false, "the filter itself knows the deadline");
    const notice = await wire.notice();
    assert.ok(notice?.name === "ARE");
    assert.deepEqual([notice.rule, notice.lifetime], [rule, 0]);
    assert.equal(await wire.refusal({ name: "PRS", tid: 9, rule }), 0x0343);
    await own.close();
  });
});

describe("permits that are refused", () => {
  /** What each row is refused with: itself, and the code; 0 for what is accepted. */
  const CASES: readonly {
    readonly title: string;
    readonly code: number;
    readonly requests: readonly (MessageOf<"PER"> | string)[];
  }[] = [
    {
      title: "E-09 tuples in the wrong order",
      code: 0x034b,
      requests: [refused("M07"), permit({ internal: theirs(), external: ours() })],
    },
    {
      title: "E-10 tuples that lie elsewhere",
      code: 0x034b,
      requests: [
        ...[1, 2, 3, 9].map((at) => permit({ internal: ours({ at }) })),
        ...[0, 1, 2].map((at) => permit({ external: theirs({ at }) })),
      ],
    },
    {
      title: "E-11 protocols that differ",
      code: 0x034b,
      requests: [refused("M08"), permit({ internal: ours({ protocol: 0 }) })],
    },
    {
      title: "E-12 ranges that differ",
      code: 0x034b,
      requests: [refused("M09"), permit({ internal: ours({ count: 3 }) })],
    },
    {
      title: "E-13 ranges that differ where a port is 0 are not refused",
      code: 0,
      requests: [
        permit({ external: theirs({ port: 0, count: 7 }) }),
        permit({ internal: ours({ port: 0, count: 1 }) }),
        permit({ external: theirs({ port: 0, count: 0 }) }),
      ],
    },
    {
      title: "E-14 ranges that are empty or end beyond the last port",
      code: 0x0356,
      requests: [
        refused("M14"),
        permit({ internal: ours({ count: 0 }), external: theirs({ count: 0 }) }),
        permit({ internal: ours({ port: 2, count: 0xffff }), external: theirs({ count: 3 }) }),
      ],
    },
    {
      title: "E-15 directions and parities without meaning",
      code: 0x034b,
      requests: [
        ...[0, 4].map((direction) => permit({ enable: { parity: 0, direction } })),
        ...[1, 2].map((parity) => permit({ enable: { parity, direction: IN } })),
      ],
    },
    {
      title: "E-16 both directions with a port or an address left open",
      code: 0x034b,
      requests: [
        refused("M10"),
        permit({ enable: { parity: 0, direction: BOTH }, external: theirs({ prefix: 24 }) }),
        permit({
          enable: { parity: 0, direction: BOTH },
          external: protocolTuple(LOCATION.EXTERNAL, UDP),
        }),
      ],
    },
    {
      title: "E-17 both directions with any protocol between two hosts is not refused",
      code: 0,
      requests: [
        permit({
          enable: { parity: 0, direction: BOTH },
          internal: ours({ protocol: 0 }),
          external: theirs({ protocol: 0 }),
        }),
      ],
    },
    {
      title: "E-25 prefixes that are longer than addresses, and addresses that no host has",
      code: 0x0353,
      requests: [
        permit({ internal: ours({ prefix: 33 }) }),
        permit({
          internal: ours({ address: "2001:db8::1", prefix: 129 }),
          external: theirs({ address: "2001:db8::2" }),
        }),
        permit({ internal: ours({ address: "0.0.0.0" }) }),
        permit({ external: theirs({ address: "224.0.0.5" }) }),
      ],
    },
    {
      title: "E-26 IP versions that differ",
      code: 0x034f,
      requests: [permit({ external: theirs({ address: "2001:db8::2" }) })],
    },
    {
      title: "E-27 a port of a protocol that has none",
      code: 0x0355,
      requests: [
        permit({
          internal: ours({ protocol: ICMP, port: 80 }),
          external: theirs({ protocol: ICMP, port: 80 }),
        }),
      ],
    },
    {
      title: "E-29 everybody on both sides",
      code: 0x034a,
      requests: [
        permit({
          internal: protocolTuple(LOCATION.INTERNAL, UDP),
          external: protocolTuple(LOCATION.EXTERNAL, UDP),
        }),
      ],
    },
    {
      title: "E-30 no time to live",
      code: 0x034a,
      requests: [refused("M11"), permit({ lifetime: 0 })],
    },
  ];
  for (const { title, code, requests } of CASES) {
    it(title, async () => {
      const standing = (await agent.must("PRL_REPLY", list())).rules;
      assert.ok(requests.length > 0);
      for (const request of requests)
        assert.equal(await agent.refusal(request), code, JSON.stringify(request));
      const { rules } = await agent.must("PRL_REPLY", list());
      assert.equal(rules.length - standing.length, code === 0 ? requests.length : 0);
      for (const rule of rules) await agent.ask(lifetime(rule, 0));
    });
  }

  it("E-18 a wildcard of a kind that is not announced", async () => {
    const wild: readonly (readonly [object, AddressTuple, AddressTuple])[] = [
      [{ internalWildcards: false }, ours({ prefix: 24 }), theirs()],
      [{ externalWildcards: false }, ours(), theirs({ prefix: 24 })],
      [{ externalWildcards: false }, ours(), protocolTuple(LOCATION.EXTERNAL, UDP)],
      [{ portWildcards: false }, ours(), theirs({ port: 0 })],
    ];
    for (const [capabilities, internal, external] of wild) {
      const own = await SimcoRig.open({ place: { capabilities } });
      const wire = await own.session();
      assert.equal(await wire.refusal(permit({ internal, external })), 0x034c);
      assert.equal(await wire.refusal(permit()), 0);
      await own.close();
    }
  });

  it("E-19 a range of ports is no wildcard", async () => {
    const own = await SimcoRig.open({ place: { capabilities: { portWildcards: false } } });
    assert.equal((await (await own.session()).ask(permit()))?.name, "PER_REPLY");
    await own.close();
  });

  it("E-28 an address of ours outside the networks of the agent's profile", async () => {
    const fenced = await rig.session("fenced");
    assert.equal(await fenced.refusal(permit({ internal: ours({ address: "10.2.0.1" }) })), 0x0347);
    assert.equal(await fenced.refusal(permit()), 0);
    const open = await rig.session("open");
    const everybody = {
      internal: protocolTuple(LOCATION.INTERNAL, UDP),
      external: protocolTuple(LOCATION.EXTERNAL, UDP),
    };
    assert.equal(await open.refusal(permit(everybody)), 0);
    for (const wire of [fenced, open]) {
      for (const rule of (await wire.must("PRL_REPLY", list())).rules) await wire.ask(lifetime(rule, 0));
    }
  });

  it("E-33 a packet filter that refuses leaves no trace", async () => {
    const standing = rig.filter.keys;
    rig.answers.push(new FirewallError("BACKEND_REFUSED", "the filter will not have it"));
    assert.equal(await agent.refusal(permit()), 0x034a);
    assert.deepEqual(rig.filter.keys, standing);
    assert.deepEqual((await agent.must("PRL_REPLY", list())).rules, []);
  });

  it("E-34 a disable rule of anybody stands against it", async () => {
    const { rule } = await other.must("PDR_REPLY", block());
    agent.send(octetsOf("0112003000000011", "000b000403010000", ENDS, "000700040000012c"));
    assert.equal(await agent.nextHex(), "0350000000000011");
    await other.must("PRD_REPLY", lifetime(rule, 0));
    assert.equal(await agent.refusal(permit({ lifetime: 0 })), 0x034a);
  });

  it("tells of several things that are wrong the first in the RFC's order", async () => {
    const wrong = { external: theirs({ protocol: TCP, port: 0 }), lifetime: 0, group: 0xdead };
    assert.equal(await agent.refusal(permit(wrong)), 0x0344);
    const { group: _, ...known } = wrong;
    assert.equal(await agent.refusal(permit(known)), 0x034b);
    const { rule } = await other.must("PDR_REPLY", block());
    assert.equal(await agent.refusal(permit({ lifetime: 0 })), 0x0350);
    await other.must("PRD_REPLY", lifetime(rule, 0));
  });
});

/** The tuples of the inbound permit. */
const ENDS = "0009000c01201100138c00020a010803" + "0009000c0120110317740002c0000264";
