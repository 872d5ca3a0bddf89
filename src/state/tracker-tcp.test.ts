import assert from "node:assert/strict";
import { test } from "node:test";
import { HOOK, PROTOCOL, TCP_STATES } from "../base/index.ts";
import { Conversation, flagsOf, packetAt } from "../testing/conversation.ts";
import { pywallCases } from "../testing/pywall-cases.ts";
import type { Packet } from "../wire/index.ts";
import { COMMIT } from "./commit.ts";
import { DIRECTION, FLOWING } from "./direction.ts";
import { Tracker } from "./tracker.ts";

/** State of a packet's flow as rules would see it. */
function seen(tracker: Tracker, packet: Packet, now = 0): string {
  tracker.lookup(packet, now);
  return TCP_STATES[tracker.tcpState] ?? "?";
}

/** Accepts a packet; answers the state of its flow afterwards. */
function accept(tracker: Tracker, packet: Packet, now = 0): string {
  tracker.lookup(packet, now);
  tracker.commit(packet, now);
  return tracker.slot < 0 ? "none" : (TCP_STATES[tracker.flows.state(tracker.slot)] ?? "?");
}

/** Plays a script such as `in:S out:SA`; answers the state after each word. */
function walk(tracker: Tracker, conversation: Conversation, script: string): string[] {
  return script.split(" ").map((word) => accept(tracker, conversation.play(word)));
}

const OPENED = "in:S out:SA in:A";

/** The reference's walks; its CLOSED at the end of an active close is TIME_WAIT here. */
const WALKS = [
  ["passive open", "in:S out:SA in:A", "SYN_RCVD1 SYN_RCVD2 ESTABLISHED"],
  ["active open", "out:S in:SA out:A", "SYN_SENT1 SYN_SENT2 ESTABLISHED"],
  ["simultaneous open", "out:S in:S out:SA in:SA", "SYN_SENT1 SYN_SENT3 SYN_RCVD2 ESTABLISHED"],
  ["active close", `${OPENED} out:FA in:A in:FA out:A`, "FIN_WAIT_1 FIN_WAIT_2 FIN_WAIT_3 TIME_WAIT"],
  ["compressed active close", `${OPENED} out:FA in:FA out:A`, "FIN_WAIT_1 FIN_WAIT_3 TIME_WAIT"],
  ["passive close", `${OPENED} in:FA out:A out:FA in:A`, "CLOSE_WAIT1 CLOSE_WAIT2 LAST_ACK CLOSED"],
  ["compressed passive close", `${OPENED} in:FA out:FA in:A`, "CLOSE_WAIT1 LAST_ACK CLOSED"],
  ["simultaneous close", `${OPENED} out:F in:F out:A in:A`, "FIN_WAIT_1 CLOSING CLOSING2 TIME_WAIT"],
  [
    "simultaneous close, the other way",
    `${OPENED} out:F in:F in:A out:A`,
    "FIN_WAIT_1 CLOSING FIN_WAIT_3 TIME_WAIT",
  ],
] as const;

for (const [name, script, states] of WALKS) {
  for (const family of [4, 6] as const) {
    test(`walk: ${name} (IPv${family})`, () => {
      const ends = family === 6 ? { remote: "2001:db8::1", local: "2001:db8::2" } : {};
      const expected = states.split(" ");
      assert.deepEqual(walk(new Tracker(), new Conversation(ends), script).slice(-expected.length), expected);
    });
  }

  test(`walk: ${name}, forwarded`, () => {
    const tracker = new Tracker();
    const expected = states.split(" ");
    const turned = script.startsWith("out")
      ? script.replaceAll(/in:|out:/g, (way) => (way === "in:" ? "out:" : "in:"))
      : script;
    const conversation = new Conversation({ forwarded: true });
    const actual = walk(tracker, conversation, turned);
    if (turned === script) assert.deepEqual(actual.slice(-expected.length), expected);
    // The responder counts as local, so whoever begins, the first SYN is received.
    else assert.equal(actual[0], "SYN_RCVD1");
    assert.equal(tracker.size, 1);
  });

  test(`walk: ${name}, with all numbers zero, as hand-made captures have them`, () => {
    const tracker = new Tracker();
    const conversation = new Conversation();
    const expected = states.split(" ");
    const zero = { sequence: 0, acknowledgement: 0 };
    const actual = script.split(" ").map((word) => {
      const letters = word.split(":")[1] ?? "";
      const packet = word.startsWith("in")
        ? conversation.received(letters, zero)
        : conversation.sent(letters, zero);
      return accept(tracker, packet);
    });
    assert.deepEqual(actual.slice(-expected.length), expected);
  });
}

/** A script that leads a connection without usable numbers to each of PyWall's states. */
const WAYS: Record<string, string> = {
  CLOSED: "",
  SYN_RCVD1: "in:S",
  SYN_RCVD2: "in:S out:SA",
  SYN_SENT1: "out:S",
  SYN_SENT2: "out:S in:SA",
  SYN_SENT3: "out:S in:S",
  ESTABLISHED: OPENED,
  CLOSE_WAIT1: `${OPENED} in:F`,
  CLOSE_WAIT2: `${OPENED} in:F out:A`,
  LAST_ACK: `${OPENED} in:F out:FA`,
  FIN_WAIT_1: `${OPENED} out:F`,
  FIN_WAIT_2: `${OPENED} out:F in:A`,
  FIN_WAIT_3: `${OPENED} out:F in:FA`,
  CLOSING: `${OPENED} out:F in:F`,
  CLOSING2: `${OPENED} out:F in:F out:A`,
};

/** The extension's own steps where the reference has none, or another end. */
const EXTENDED: Record<string, string> = {
  "FIN_WAIT_3 out": "TIME_WAIT",
  "CLOSING2 in": "TIME_WAIT",
  "CLOSE_WAIT1 out": "CLOSING",
  "SYN_RCVD1 out": "SYN_SENT3",
  "SYN_SENT3 in": "SYN_SENT2",
};

test("the tracker itself goes where the reference goes in each of the 240 cases", () => {
  let exact = 0;
  for (const { state, flowing, flags, expected } of pywallCases()) {
    const tracker = new Tracker();
    const zero = { sequence: 0, acknowledgement: 0 };
    const ends = { remote: "192.0.2.1", local: "192.0.2.2" };
    const send = (way: string, bits: number): string => {
      const isIn = way === "in";
      const packet = packetAt(isIn ? HOOK.INPUT : HOOK.OUTPUT, {
        source: isIn ? ends.remote : ends.local,
        destination: isIn ? ends.local : ends.remote,
        protocol: PROTOCOL.TCP,
        sourcePort: isIn ? 1 : 2,
        destinationPort: isIn ? 2 : 1,
        flags: bits,
        ...zero,
      });
      return accept(tracker, packet);
    };
    const words = (WAYS[state] ?? "").split(" ").filter((word) => word !== "");
    const before = words
      .map((word) => send(word.split(":")[0] ?? "", flagsOf(word.split(":")[1] ?? "")))
      .at(-1);
    assert.equal(before ?? "CLOSED", state);
    const way = flowing === FLOWING.RECEIVED ? "in" : "out";
    const after = send(way, flags);
    const name = `${state} ${way} ${flags}`;
    if (after === expected.next) exact += 1;
    else assert.equal(after, EXTENDED[`${state} ${way}`], name);
    if (after !== expected.next && !expected.undefined) assert.equal(after, "TIME_WAIT", name);
  }
  assert.ok(exact > 220, `${exact} of 240 cases as the reference has them`);
});

test("rules see the state before the packet; an unknown flow is CLOSED", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  const states = `${OPENED} in:PA out:FA`.split(" ").map((word) => {
    const packet = conversation.play(word);
    const state = seen(tracker, packet);
    tracker.commit(packet, 0);
    return state;
  });
  assert.deepEqual(states, ["CLOSED", "SYN_RCVD1", "SYN_RCVD2", "ESTABLISHED", "ESTABLISHED"]);
});

test("a packet that is not committed changes nothing", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  assert.equal(seen(tracker, conversation.received("S")), "CLOSED");
  assert.equal(tracker.slot, -1);
  assert.equal(tracker.size, 0);
});

test("an outgoing SYN makes SYN_SENT1, and its answer is seen so", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  assert.equal(accept(tracker, conversation.sent("S")), "SYN_SENT1");
  assert.equal(seen(tracker, conversation.received("SA")), "SYN_SENT1");
  assert.equal(tracker.direction, DIRECTION.REPLY);
});

test("a connection older than the firewall is closed to its peer until this host speaks", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  assert.equal(seen(tracker, conversation.received("PA", { bytes: 5 })), "CLOSED");
  const packet = conversation.sent("A");
  tracker.lookup(packet, 0);
  assert.equal(tracker.commit(packet, 0), COMMIT.MADE | COMMIT.ADOPTED);
  assert.ok(tracker.flows.isSloppy(tracker.slot));
  assert.equal(seen(tracker, conversation.received("PA", { bytes: 5 })), "ESTABLISHED");
});

test("a loopback connection has one entry for each end", () => {
  const tracker = new Tracker();
  const client = new Conversation({
    local: "127.0.0.1",
    remote: "127.0.0.1",
    localPort: 5000,
    remotePort: 80,
  });
  const server = new Conversation({
    local: "127.0.0.1",
    remote: "127.0.0.1",
    localPort: 80,
    remotePort: 5000,
  });
  server.remote.next = client.local.next;
  server.local.next = client.remote.next;
  const states = [
    accept(tracker, client.sent("S")),
    accept(tracker, server.received("S")),
    accept(tracker, server.sent("SA")),
    accept(tracker, client.received("SA")),
    accept(tracker, client.sent("A")),
    accept(tracker, server.received("A")),
  ];
  assert.deepEqual(states, [
    "SYN_SENT1",
    "SYN_RCVD1",
    "SYN_RCVD2",
    "SYN_SENT2",
    "ESTABLISHED",
    "ESTABLISHED",
  ]);
  assert.equal(tracker.size, 2);
});

test("forwarded flows and this host's own are apart even with equal tuples", () => {
  const tracker = new Tracker();
  accept(tracker, new Conversation().received("S"));
  accept(tracker, new Conversation({ forwarded: true }).received("S"));
  assert.equal(tracker.size, 2);
});

test("an IPv6 packet with mapped addresses is not the IPv4 flow", () => {
  const tracker = new Tracker();
  accept(tracker, new Conversation({ remote: "192.0.2.1", local: "192.0.2.2" }).received("S"));
  accept(tracker, new Conversation({ remote: "::ffff:192.0.2.1", local: "::ffff:192.0.2.2" }).received("S"));
  assert.equal(tracker.size, 2);
});

test("a reset in the window closes, and the tuple is remembered", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  walk(tracker, conversation, OPENED);
  assert.equal(accept(tracker, conversation.received("R")), "CLOSED");
  assert.equal(accept(tracker, conversation.sent("A")), "CLOSED", "a late segment is not adopted");
  assert.equal(tracker.size, 1);
});

test("a refused connection is closed by the answer, whoever asked", () => {
  for (const script of ["out:S in:RA", "in:S out:RA"]) {
    assert.equal(walk(new Tracker(), new Conversation(), script).at(-1), "CLOSED", script);
  }
});

test("a reset out of nowhere makes no flow", () => {
  const tracker = new Tracker();
  const packet = new Conversation().received("R");
  tracker.lookup(packet, 0);
  assert.equal(tracker.commit(packet, 0), COMMIT.UNTRACKED);
  assert.equal(tracker.size, 0);
});

test("SYN again is no error in any opening state", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  const syn = conversation.received("S");
  const synAck = conversation.sent("SA");
  for (const packet of [syn, syn, synAck, syn, synAck]) accept(tracker, packet);
  assert.equal(accept(tracker, conversation.received("A")), "ESTABLISHED");
  assert.equal(tracker.counters.undefinedSegments, 0);
});

test("data flows on in both halves of a half-closed connection (RFC 1122)", () => {
  for (const closer of ["in", "out"]) {
    const other = closer === "in" ? "out" : "in";
    const tracker = new Tracker();
    const conversation = new Conversation();
    walk(
      tracker,
      conversation,
      `${OPENED} ${closer}:FA ${other}:A ${other}:PA ${closer}:A ${other}:PA ${closer}:A`,
    );
    assert.equal(tracker.counters.undefinedSegments, 0);
    const state = TCP_STATES[tracker.flows.state(tracker.slot)];
    assert.equal(state, closer === "in" ? "CLOSE_WAIT2" : "FIN_WAIT_2");
    const last = walk(tracker, conversation, `${other}:FA ${closer}:A`).at(-1);
    assert.equal(last, closer === "in" ? "CLOSED" : "TIME_WAIT");
  }
});

test("a FIN again is answered in TIME_WAIT, and a late ACK revives nothing", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  walk(tracker, conversation, `${OPENED} out:FA in:A in:FA out:A`);
  const again = conversation.received("FA", { sequence: conversation.remote.next - 1 });
  assert.equal(seen(tracker, again), "TIME_WAIT");
  assert.equal(accept(tracker, again), "TIME_WAIT");
  assert.equal(accept(tracker, conversation.sent("A")), "TIME_WAIT");
});

for (const [script, over] of [
  [`${OPENED} out:FA in:A in:FA out:A`, "TIME_WAIT"],
  [`${OPENED} in:FA out:FA in:A`, "CLOSED"],
] as const) {
  test(`a SYN on ${over} is seen as CLOSED and begins another connection`, () => {
    const tracker = new Tracker();
    const conversation = new Conversation();
    assert.equal(walk(tracker, conversation, script).at(-1), over);
    const id = tracker.flows.id(tracker.slot);
    const syn = conversation.received("S", { sequence: 77 });
    assert.equal(seen(tracker, syn), "CLOSED");
    assert.equal(tracker.slot, -1);
    assert.equal(tracker.commit(syn, 0), COMMIT.MADE);
    assert.notEqual(tracker.flows.id(tracker.slot), id);
    assert.equal(tracker.flows.slotOf(id), -1, "the id of the old one is gone");
    assert.equal(tracker.size, 1);
    assert.equal(tracker.counters.replaced, 1);
  });
}

test("simultaneous close with real numbers: the FINs cross, each with an ACK of older data", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  walk(tracker, conversation, OPENED);
  const ours = conversation.sent("FA");
  const theirs = conversation.received("FA", { acknowledgement: ours.sequence });
  const states = [ours, theirs, conversation.sent("A"), conversation.received("A")].map((packet) =>
    accept(tracker, packet),
  );
  assert.deepEqual(states, ["FIN_WAIT_1", "CLOSING", "CLOSING2", "TIME_WAIT"]);
  assert.equal(tracker.counters.undefinedSegments, 0);
});

test("simultaneous close where their FIN is met first", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  walk(tracker, conversation, OPENED);
  const theirs = conversation.received("FA");
  const ours = conversation.sent("FA", { acknowledgement: theirs.sequence });
  const states = [theirs, ours, conversation.received("A"), conversation.sent("A")].map((packet) =>
    accept(tracker, packet),
  );
  assert.deepEqual(states, ["CLOSE_WAIT1", "CLOSING", "FIN_WAIT_3", "TIME_WAIT"]);
});

test("simultaneous open: whichever SYN or SYN-ACK is met first", () => {
  for (const script of [
    "out:S in:S out:SA in:SA",
    "out:S in:S in:SA out:SA",
    "in:S out:S out:SA in:SA",
    "in:S out:S in:SA out:SA",
  ]) {
    const tracker = new Tracker();
    assert.equal(walk(tracker, new Conversation(), script).at(-1), "ESTABLISHED", script);
    assert.equal(tracker.counters.undefinedSegments, 0, script);
  }
});

test("the acknowledgement of older data is not that of a FIN", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  walk(tracker, conversation, OPENED);
  const data = conversation.sent("PA", { bytes: 100 });
  const late = conversation.received("A", { acknowledgement: data.sequence });
  const fin = conversation.sent("FA");
  assert.equal(accept(tracker, data), "ESTABLISHED");
  assert.equal(accept(tracker, fin), "FIN_WAIT_1");
  assert.equal(accept(tracker, late), "FIN_WAIT_1");
  assert.equal(accept(tracker, conversation.received("A")), "FIN_WAIT_2");
});

test("a FIN that also ends the handshake closes its half, whoever sends it", () => {
  const passive = new Conversation();
  assert.deepEqual(walk(new Tracker(), passive, "in:S out:SA in:FA out:A"), [
    "SYN_RCVD1",
    "SYN_RCVD2",
    "CLOSE_WAIT1",
    "CLOSE_WAIT2",
  ]);
  const active = new Conversation({ localPort: 4000 });
  assert.deepEqual(walk(new Tracker(), active, "out:S in:SA out:FA in:A"), [
    "SYN_SENT1",
    "SYN_SENT2",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
  ]);
});

test("a segment that no table speaks of is reported and changes nothing", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  accept(tracker, conversation.received("S"));
  const odd = conversation.received("F", { sequence: 1001 });
  tracker.lookup(odd, 0);
  assert.equal(tracker.commit(odd, 0) & COMMIT.UNDEFINED, COMMIT.UNDEFINED);
  assert.equal(TCP_STATES[tracker.flows.state(tracker.slot)], "SYN_RCVD1");
  assert.equal(tracker.counters.undefinedSegments, 1);
});
