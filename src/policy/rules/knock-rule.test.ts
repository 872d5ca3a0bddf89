import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PROTOCOL, SECOND, TCP_FLAG } from "../../base/index.ts";
import {
  ContextProbe,
  compileValid,
  decodeBuilt,
  PolicyProbe,
  type ProbePacket,
} from "../../testing/policy-probe.ts";
import { IPV6_EXTENSION } from "../../wire/index.ts";
import { allocateMemory, Evaluator } from "../index.ts";

const CLIENT = "192.0.2.1";
const SERVER = "198.51.100.7";

/** The rule of PyWall's manual: TCP 49001, then UDP 49011, from port 9001, open TCP 2222 for 20 seconds. */
const RULE = {
  name: "PortKnocking",
  src_port: 9001,
  protocol: "TCP",
  port: 2222,
  timeout: 20,
  doors: [
    ["TCP", 49_001],
    ["UDP", 49_011],
  ],
};

/** Falls through to REJECT, so that accepted, dropped and passed on are three different verdicts. */
function knocking(changes: object = {}, settings: object = {}): PolicyProbe {
  return new PolicyProbe({ settings, INPUT: [{ ...RULE, ...changes }], default_chain: "REJECT" });
}

const door1: ProbePacket = {
  source: CLIENT,
  destination: SERVER,
  protocol: PROTOCOL.TCP,
  sourcePort: 9001,
  destinationPort: 49_001,
};
const door2: ProbePacket = { ...door1, protocol: PROTOCOL.UDP, destinationPort: 49_011 };
const session: ProbePacket = { ...door1, sourcePort: 50_000, destinationPort: 2222 };
const other: ProbePacket = { ...door1, destinationPort: 80 };

const DOWN_THE_ROAD = "REJECT";

/** Sends the packets one after the other, `gap` seconds apart; the verdicts. */
function play(probe: PolicyProbe, packets: readonly ProbePacket[], gap = 1): string[] {
  return packets.map((packet) => {
    probe.context.now += gap * SECOND;
    return probe.judge(packet);
  });
}

describe("compatible knocking", () => {
  test("1: the doors in their order open the port; knocks are dropped, the session accepted at once", () => {
    const probe = knocking();
    assert.deepEqual(play(probe, [session, door1, door2, session]), [
      DOWN_THE_ROAD,
      "DROP",
      "DROP",
      "ACCEPT",
    ]);
  });

  test("2: doors in the wrong order open nothing", () => {
    assert.deepEqual(play(knocking(), [door2, door1, session]), [DOWN_THE_ROAD, "DROP", DOWN_THE_ROAD]);
  });

  test("3: the time counts between one knock and the next, not over all", () => {
    const three = knocking({ doors: [...RULE.doors, ["TCP", 49_021]] });
    const door3 = { ...door1, destinationPort: 49_021 };
    assert.deepEqual(play(three, [door1, door2, door3, session], 19), ["DROP", "DROP", "DROP", "ACCEPT"]);
    const late = play(knocking(), [door1, door2], 20.001);
    assert.deepEqual(late, ["DROP", DOWN_THE_ROAD]);
  });

  test("4: the opening lasts for the timeout after the last knock, however much passes through it", () => {
    const probe = knocking();
    play(probe, [door1, door2]);
    assert.deepEqual(play(probe, [session, session], 10), ["ACCEPT", "ACCEPT"]);
    probe.context.now += 1;
    assert.equal(probe.judge(session), DOWN_THE_ROAD);
  });

  test("5: wrong knocks and other traffic take nothing back", () => {
    const wrong = { ...door1, destinationPort: 49_002 };
    assert.deepEqual(play(knocking(), [door1, wrong, other, session, door2, session]), [
      "DROP",
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
      "DROP",
      "ACCEPT",
    ]);
  });

  test("6: a repeated knock goes on to the next rule and takes nothing back", () => {
    assert.deepEqual(play(knocking(), [door1, door1, door2, session]), [
      "DROP",
      DOWN_THE_ROAD,
      "DROP",
      "ACCEPT",
    ]);
  });

  test("7: a sweep that meets the doors in order succeeds", () => {
    const probe = knocking();
    for (let port = 48_990; port < 49_020; port += 1) {
      probe.judge({ ...door1, destinationPort: port });
      probe.judge({ ...door2, destinationPort: port });
    }
    assert.equal(probe.judge(session), "ACCEPT");
  });

  test("8: any TCP flags knock", () => {
    for (const flags of [0, TCP_FLAG.RST, TCP_FLAG.FIN | TCP_FLAG.ACK, 0xff]) {
      assert.deepEqual(play(knocking(), [{ ...door1, flags }, door2, session]), ["DROP", "DROP", "ACCEPT"]);
    }
  });

  test("9: a knock from another source port is none", () => {
    const probe = knocking();
    assert.deepEqual(play(probe, [{ ...door1, sourcePort: 9002 }, door2, session]), [
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
    ]);
  });

  test("10: the port opens for the source alone", () => {
    const probe = knocking();
    play(probe, [door1, { ...door2, source: "192.0.2.2" }, door2]);
    assert.equal(probe.judge({ ...session, source: "192.0.2.2" }), DOWN_THE_ROAD);
    assert.equal(probe.judge(session), "ACCEPT");
  });

  test("11: while open, any source port and flags reach the port; all other ports fall through", () => {
    const probe = knocking();
    play(probe, [door1, door2]);
    const packets = [{ ...session, sourcePort: 1, flags: TCP_FLAG.ACK }, door1, door2, other];
    assert.deepEqual(play(probe, packets), ["ACCEPT", DOWN_THE_ROAD, DOWN_THE_ROAD, DOWN_THE_ROAD]);
    assert.equal(probe.judge({ ...session, protocol: PROTOCOL.UDP }), DOWN_THE_ROAD);
  });

  test("12: ICMP and other protocols do no harm", () => {
    const ping = { ...door1, protocol: PROTOCOL.ICMP };
    assert.deepEqual(play(knocking(), [ping, door1, ping, door2, ping, session]), [
      DOWN_THE_ROAD,
      "DROP",
      DOWN_THE_ROAD,
      "DROP",
      DOWN_THE_ROAD,
      "ACCEPT",
    ]);
  });

  test("after the time the source begins again", () => {
    const probe = knocking();
    play(probe, [door1, door2]);
    probe.context.now += 21 * SECOND;
    assert.deepEqual(play(probe, [door2, session, door1, door2, session]), [
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
      "DROP",
      "DROP",
      "ACCEPT",
    ]);
  });

  test("prints PyWall's messages", () => {
    const probe = knocking();
    play(probe, [other, door1, door2, session, other]);
    probe.context.now += 30 * SECOND;
    play(probe, [door1, other]);
    assert.deepEqual(probe.report.takeLines(), [
      "PortKnocking: unrecognized -- fall-through",
      "PortKnocking: advance to 1",
      "PortKnocking: advance to 2",
      "PortKnocking: accepting from 192.0.2.1",
      "PortKnocking: fall through from recognized ip: 192.0.2.1",
      "PortKnocking: timeout -- fall through: 192.0.2.1",
      "PortKnocking: advance to 1",
      "PortKnocking: unrecognized -- fall-through",
    ]);
  });

  test("IPv6 sources knock by their whole address", () => {
    const six = { source: "2001:db8::1", destination: "2001:db8::7" };
    const probe = knocking();
    assert.deepEqual(
      play(
        probe,
        [door1, door2, session].map((packet) => ({ ...packet, ...six })),
      ),
      ["DROP", "DROP", "ACCEPT"],
    );
    assert.equal(probe.judge({ ...session, ...six, source: "2001:db8::2" }), DOWN_THE_ROAD);
    assert.equal(probe.judge(session), DOWN_THE_ROAD);
  });

  test("without a source port no knock ever counts (PyWall compatibility)", () => {
    const probe = knocking({ src_port: null }, { compatibility: "pywall" });
    assert.deepEqual(play(probe, [door1, door2]), [DOWN_THE_ROAD, DOWN_THE_ROAD]);
  });
});

describe("strict knocking", () => {
  const strict = (changes: object = {}, settings: object = {}): PolicyProbe =>
    knocking({ mode: "strict", ...changes }, settings);

  test("the doors in their order open the port", () => {
    assert.deepEqual(play(strict(), [door1, door2, session]), ["DROP", "DROP", "ACCEPT"]);
  });

  test("without src_port any source port knocks", () => {
    const probe = new PolicyProbe({
      INPUT: [{ ...RULE, src_port: null, mode: "strict" }],
      default_chain: "REJECT",
    });
    const packets = [{ ...door1, sourcePort: 1 }, { ...door2, sourcePort: 2 }, session];
    assert.deepEqual(play(probe, packets), ["DROP", "DROP", "ACCEPT"]);
  });

  test("a TCP knock is a SYN and nothing else", () => {
    for (const flags of [
      TCP_FLAG.ACK,
      TCP_FLAG.SYN | TCP_FLAG.ACK,
      TCP_FLAG.SYN | TCP_FLAG.FIN,
      TCP_FLAG.RST,
      0,
    ]) {
      assert.deepEqual(play(strict(), [{ ...door1, flags }, door2, session]), [
        DOWN_THE_ROAD,
        DOWN_THE_ROAD,
        DOWN_THE_ROAD,
      ]);
    }
    const explicitCongestion = TCP_FLAG.SYN | TCP_FLAG.ECE | TCP_FLAG.CWR;
    assert.equal(play(strict(), [{ ...door1, flags: explicitCongestion }, door2, session]).at(-1), "ACCEPT");
  });

  test("a packet to a door that is not the next one takes everything back", () => {
    const three = strict({ doors: [...RULE.doors, ["TCP", 49_021]] });
    const door3 = { ...door1, destinationPort: 49_021 };
    assert.deepEqual(play(three, [door1, door3, door2, door3, session]), [
      "DROP",
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
    ]);
  });

  test("a wrong knock on the first door begins anew", () => {
    const again = { ...door1, sequence: 77 };
    const probe = strict({ doors: [...RULE.doors, ["TCP", 49_021]] });
    const door3 = { ...door1, destinationPort: 49_021 };
    assert.deepEqual(play(probe, [door1, door2, again, door2, door3, session]), [
      "DROP",
      "DROP",
      "DROP",
      "DROP",
      "DROP",
      "ACCEPT",
    ]);
  });

  test("a sweep over all ports opens nothing when the doors are apart", () => {
    const probe = strict({
      doors: [
        ["TCP", 500],
        ["TCP", 400],
      ],
    });
    for (let port = 1; port < 1000; port += 1) probe.judge({ ...door1, destinationPort: port });
    assert.equal(probe.judge(session), DOWN_THE_ROAD);
  });

  test("the same SYN sent again is no wrong knock; another SYN is", () => {
    assert.deepEqual(play(strict(), [door1, door1, door1, door2, session]), [
      "DROP",
      "DROP",
      "DROP",
      "DROP",
      "ACCEPT",
    ]);
    const probe = strict({ attempts: 1 });
    assert.deepEqual(play(probe, [door1, { ...door1, sequence: 5 }, door2, session]), [
      "DROP",
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
      DOWN_THE_ROAD,
    ]);
  });

  test("the deadline counts from the first knock to the last", () => {
    const doors = [...RULE.doors, ["TCP", 49_021]];
    const door3 = { ...door1, destinationPort: 49_021 };
    const sequence = [door1, door2, door3, session];
    assert.equal(play(strict({ doors, deadline: 30 }), sequence, 14).at(-1), "ACCEPT");
    assert.equal(play(strict({ doors, deadline: 30 }), sequence, 16).at(-1), DOWN_THE_ROAD);
    assert.equal(play(strict({ doors, deadline: 300 }), sequence, 21).at(-1), DOWN_THE_ROAD);
  });

  test("the opening lasts for the timeout, whatever the deadline", () => {
    const probe = strict({ deadline: 2 });
    play(probe, [door1, door2]);
    assert.deepEqual(play(probe, [session, session, session], 10), ["ACCEPT", "ACCEPT", DOWN_THE_ROAD]);
  });

  test("a source may begin so often in a window", () => {
    const probe = strict({ attempts: 3, attempt_window: 60 });
    const begin = (sequence: number): ProbePacket => ({ ...door1, sequence });
    const tries = [1, 2, 3, 4, 5].map(begin);
    assert.deepEqual(play(probe, tries), ["DROP", "DROP", "DROP", DOWN_THE_ROAD, DOWN_THE_ROAD]);
    assert.equal(probe.judge(door2), DOWN_THE_ROAD);
    probe.context.now += 61 * SECOND;
    assert.deepEqual(play(probe, [begin(6), door2, session]), ["DROP", "DROP", "ACCEPT"]);
  });

  test("passing all doors clears the count", () => {
    const probe = strict({ attempts: 1, attempt_window: 1000 });
    play(probe, [door1, door2]);
    probe.context.now += 21 * SECOND;
    assert.deepEqual(play(probe, [door1, door2, session]), ["DROP", "DROP", "ACCEPT"]);
  });

  test("a copy of any SYN that has counted is no wrong knock, and counts no second time", () => {
    const doors = [
      ["TCP", 49_001],
      ["TCP", 49_001],
      ["TCP", 49_021],
    ];
    const first = { ...door1, sequence: 1 };
    const second = { ...door1, sequence: 2 };
    const last = { ...door1, sequence: 3, destinationPort: 49_021 };
    const knocks = [first, first, second, first, second, last];
    const probe = strict({ doors });
    assert.deepEqual(new Set(play(probe, knocks)), new Set(["DROP"]));
    assert.equal(probe.judge(session), "ACCEPT");
    assert.equal(probe.judge({ ...door1, sequence: 1 }), DOWN_THE_ROAD, "an open port has no doors");
    const short = strict({ doors });
    play(short, [door1, door1, door1]);
    assert.deepEqual(play(short, [last, session]), [DOWN_THE_ROAD, DOWN_THE_ROAD]);
  });

  test("a late copy of an earlier try neither begins one nor ends one, until the deadline is over", () => {
    const probe = strict({ deadline: 30, attempts: 2, attempt_window: 10_000 });
    const again = { ...door1, sequence: 7 };
    assert.deepEqual(play(probe, [door1, again, door1, door2, session]), [
      "DROP",
      "DROP",
      "DROP",
      "DROP",
      "ACCEPT",
    ]);
    const late = strict({ deadline: 30, attempts: 2, attempt_window: 10_000 });
    play(late, [door1]);
    late.context.now += 20 * SECOND;
    assert.deepEqual(
      play(late, [door1, door2]),
      ["DROP", DOWN_THE_ROAD],
      "too late for the try, and no other",
    );
    late.context.now += 10 * SECOND;
    assert.deepEqual(play(late, [door1, door2, session]), ["DROP", "DROP", "ACCEPT"], "it counts again");
  });

  test("of IPv6 only packets without extension headers mean anything", () => {
    const six = { source: "2001:db8::1", destination: "2001:db8::7" };
    const knocks = [door1, door2, session].map((packet) => ({ ...packet, ...six }));
    assert.deepEqual(play(strict(), knocks), ["DROP", "DROP", "ACCEPT"]);
    const options = [{ type: IPV6_EXTENSION.DESTINATION, data: new Uint8Array(6) }];
    const probe = strict();
    const extended = knocks.map((packet) => ({ ...packet, extensions: options }));
    assert.deepEqual(play(probe, extended), [DOWN_THE_ROAD, DOWN_THE_ROAD, DOWN_THE_ROAD]);
  });

  test("attempts come back one by one", () => {
    const probe = strict({ attempts: 2, attempt_window: 60 });
    const begin = (sequence: number): ProbePacket => ({ ...door1, sequence });
    assert.deepEqual(play(probe, [1, 2, 3].map(begin)), ["DROP", "DROP", DOWN_THE_ROAD]);
    assert.deepEqual(play(probe, [4, 5].map(begin), 15), [DOWN_THE_ROAD, "DROP"]);
    assert.deepEqual(play(probe, [6, 7].map(begin), 20), [DOWN_THE_ROAD, "DROP"]);
  });

  test("prints nothing: the kernel could not", () => {
    const probe = strict({ attempts: 1 });
    play(probe, [other, door1, { ...door1, sequence: 9 }, other, door1, door2, session]);
    assert.deepEqual(probe.report.takeLines(), []);
  });
});

describe("memory", () => {
  const address = (number: number): string =>
    `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;

  test("workers that share memory count the knocks of one source together", () => {
    for (const mode of ["compatible", "strict"]) {
      const policy = compileValid({ INPUT: [{ ...RULE, mode }], default_chain: "REJECT" });
      const memory = allocateMemory(policy);
      const context = new ContextProbe();
      const verdicts = [door1, door2, session].map((packet) => {
        decodeBuilt(packet, context.packet);
        return new Evaluator(policy, memory).evaluate(context);
      });
      assert.deepEqual(verdicts, [1, 1, 0]);
    }
  });

  test("a flood of spoofed knocks stays within the limit and closes no open port", () => {
    for (const mode of ["compatible", "strict"]) {
      const probe = knocking({ mode }, { limits: { knockSources: 64 } });
      play(probe, [door1, door2]);
      const bytes = Object.values(probe.memory).map((block) => block.byteLength);
      for (let spoofed = 0; spoofed < 5000; spoofed += 1) probe.judge({ ...door1, source: address(spoofed) });
      assert.equal(probe.judge(session), "ACCEPT");
      assert.deepEqual(
        Object.values(probe.memory).map((block) => block.byteLength),
        bytes,
      );
    }
  });

  test("a source on its way outlives sources with a single knock", () => {
    const doors = [...RULE.doors, ["TCP", 49_021]];
    const probe = knocking({ doors }, { limits: { knockSources: 16 } });
    play(probe, [door1, door2]);
    for (let spoofed = 0; spoofed < 100; spoofed += 1) probe.judge({ ...door1, source: address(spoofed) });
    assert.deepEqual(play(probe, [{ ...door1, destinationPort: 49_021 }, session]), ["DROP", "ACCEPT"]);
  });

  test("a new policy keeps what the same rule remembers", () => {
    const before = knocking();
    play(before, [door1]);
    const after = compileValid({
      INPUT: [{ name: "PrintRule" }, { ...RULE, comment: "moved" }],
      default_chain: "REJECT",
    });
    const probe = new PolicyProbe(
      { INPUT: [{ name: "PrintRule" }, { ...RULE, comment: "moved" }], default_chain: "REJECT" },
      {},
      allocateMemory(after, before.memory),
    );
    probe.context.now = before.context.now;
    assert.deepEqual(play(probe, [door2, session]), ["DROP", "ACCEPT"]);
  });

  test("explaining a packet teaches the rule nothing", () => {
    for (const mode of ["compatible", "strict"]) {
      const probe = knocking({ mode });
      probe.explain(door1);
      assert.equal(probe.judge(door2), DOWN_THE_ROAD);
      play(probe, [door1]);
      probe.explain({ ...door1, sequence: 8 });
      probe.explain(door2);
      assert.equal(probe.judge(session), DOWN_THE_ROAD);
      assert.deepEqual(play(probe, [door2, session]), ["DROP", "ACCEPT"]);
    }
  });
});
