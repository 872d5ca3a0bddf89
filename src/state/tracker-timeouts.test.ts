import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FirewallError,
  HOOK,
  PROTOCOL,
  TCP_STATES,
  type TimeoutName,
  type TimeoutValues,
} from "../base/index.ts";
import { Conversation, packetAt } from "../testing/conversation.ts";
import type { Packet } from "../wire/index.ts";
import { COUNTER } from "./counter.ts";
import { adaptiveScale, defaultTimeouts, PROFILES, profileTimeouts, TCP_TIMEOUTS } from "./timeout.ts";
import { Tracker } from "./tracker.ts";

const OPENED = "in:S out:SA in:A";

/** A script that ends in each state of an entry. */
const WAYS = {
  CLOSED: `${OPENED} in:R`,
  SYN_RCVD1: "in:S",
  SYN_RCVD2: "in:S out:SA",
  SYN_SENT1: "out:S",
  SYN_SENT2: "out:S in:SA",
  SYN_SENT3: "out:S in:S",
  ESTABLISHED: OPENED,
  CLOSE_WAIT1: `${OPENED} in:FA`,
  CLOSE_WAIT2: `${OPENED} in:FA out:A`,
  LAST_ACK: `${OPENED} in:FA out:FA`,
  FIN_WAIT_1: `${OPENED} out:FA`,
  FIN_WAIT_2: `${OPENED} out:FA in:A`,
  FIN_WAIT_3: `${OPENED} out:FA in:FA`,
  CLOSING: `${OPENED} out:F in:F`,
  CLOSING2: `${OPENED} out:F in:F out:A`,
  TIME_WAIT: `${OPENED} out:FA in:FA out:A`,
} as const satisfies Record<keyof typeof TCP_TIMEOUTS, string>;

/** Every timeout another, so that a wrong one shows. */
const DISTINCT = Object.fromEntries(
  Object.keys(defaultTimeouts(100))
    .filter((name) => !name.startsWith("adaptive"))
    .map((name, index) => [name, 10_000 + 1000 * index]),
) as { [Name in TimeoutName]: number };

function accept(tracker: Tracker, packet: Packet, now: number): void {
  tracker.lookup(packet, now);
  tracker.commit(packet, now);
}

for (const [state, script] of Object.entries(WAYS)) {
  test(`an entry in ${state} expires after ${TCP_TIMEOUTS[state as keyof typeof WAYS]} of silence`, () => {
    const tracker = new Tracker({ timeouts: DISTINCT });
    const conversation = new Conversation();
    for (const word of script.split(" ")) accept(tracker, conversation.play(word), 500);
    assert.equal(TCP_STATES[tracker.flows.state(tracker.slot)], state);
    const timeout = DISTINCT[TCP_TIMEOUTS[state as keyof typeof WAYS]];
    assert.equal(tracker.expiry(tracker.slot), 500 + timeout);
    const later = conversation.received("A");
    tracker.lookup(later, 500 + timeout - 1);
    assert.notEqual(tracker.slot, -1);
    tracker.lookup(later, 500 + timeout);
    assert.equal(tracker.slot, -1);
    assert.equal(tracker.size, 0, "found expired, it is removed");
  });
}

test("silent flows leave by themselves, an eighth late at most", () => {
  const tracker = new Tracker({ timeouts: DISTINCT });
  for (const [at, script] of Object.values(WAYS).entries()) {
    const conversation = new Conversation({ remotePort: 1000 + at });
    for (const word of script.split(" ")) accept(tracker, conversation.play(word), 0);
  }
  const states = Object.keys(WAYS).length;
  assert.equal(tracker.size, states);
  for (let now = 0; now <= 24_000 * 1.2; now += 100) tracker.expire(now);
  assert.equal(tracker.size, 0);
  assert.equal(tracker.counters.expired, states);
});

test("a packet keeps its flow alive without a word to the wheel", () => {
  const tracker = new Tracker({ timeouts: { "udp.first": 1000, "udp.single": 1000 } });
  const datagram = packetAt(HOOK.INPUT, {
    source: "192.0.2.1",
    destination: "192.0.2.2",
    protocol: PROTOCOL.UDP,
    sourcePort: 1,
    destinationPort: 2,
  });
  for (let now = 0; now < 20_000; now += 900) {
    accept(tracker, datagram, now);
    tracker.expire(now);
  }
  assert.equal(tracker.counters.inserts, 1);
  for (let now = 20_000; now < 23_000; now += 100) tracker.expire(now);
  assert.equal(tracker.size, 0);
});

test("one call of expire looks at no more flows than its budget", () => {
  const tracker = new Tracker();
  for (let port = 1; port <= 500; port += 1) {
    accept(tracker, new Conversation({ remotePort: port }).received("S"), 0);
  }
  const late = 1_000_000;
  assert.equal(tracker.expire(late, 100), 100);
  assert.equal(tracker.expire(late, 100), 100);
  assert.equal(tracker.size, 300);
});

test("timeouts that are changed hold for the flows that are there", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  for (const word of OPENED.split(" ")) accept(tracker, conversation.play(word), 0);
  assert.equal(tracker.expiry(tracker.slot), 86_400_000);
  tracker.setTimeouts({ ...profileTimeouts("aggressive"), "tcp.established": 5000 });
  assert.equal(tracker.expiry(tracker.slot), 5000);
  tracker.expire(6000);
  for (let now = 6000; now < 20_000; now += 500) tracker.expire(now);
  assert.equal(tracker.size, 0);
});

test("a timeout that is shortened holds also for a flow that is swept before it is due", () => {
  const tracker = new Tracker();
  accept(tracker, new Conversation().received("S"), 0);
  tracker.setTimeouts({ "tcp.first": 200 });
  for (let now = 1; now < 2000; now += 1) tracker.expire(now);
  assert.equal(tracker.size, 0);
});

test("while the table fills, timeouts shrink as pf's do", () => {
  assert.equal(adaptiveScale(600, 1200, 600), 1);
  assert.equal(adaptiveScale(600, 1200, 900), 0.5);
  assert.equal(adaptiveScale(600, 1200, 1200), 0);
  assert.equal(adaptiveScale(0, 0, 1_000_000), 1);
  const tracker = new Tracker({ capacity: 100, timeouts: { "adaptive.start": 50, "adaptive.end": 100 } });
  for (let port = 1; port <= 75; port += 1) {
    accept(tracker, new Conversation({ remotePort: port }).received("S"), 0);
  }
  assert.equal(tracker.expiry(tracker.slot), 60_000, "tcp.first is 120 s; the table is half way");
});

test("shrunk timeouts take flows out before the wheel would look at them", () => {
  const tracker = new Tracker({ capacity: 100, timeouts: { "adaptive.start": 20, "adaptive.end": 101 } });
  for (let port = 1; port <= 100; port += 1) {
    const conversation = new Conversation({ remotePort: port });
    for (const word of OPENED.split(" ")) accept(tracker, conversation.play(word), 0);
  }
  const expiry = tracker.expiry(tracker.slot);
  assert.ok(expiry < 1_100_000 && expiry > 1_000_000);
  tracker.expire(expiry);
  for (let passed = 0; passed <= 11_000; passed += 1000) tracker.expire(expiry + passed);
  assert.ok(tracker.size < 100);
});

test("time that steps back a little changes nothing", () => {
  const tracker = new Tracker();
  const conversation = new Conversation();
  accept(tracker, conversation.received("S"), 10_000);
  accept(tracker, conversation.sent("SA"), 9990);
  assert.equal(tracker.flows.lastSeen(tracker.slot), 10_000);
});

test("the profiles are pf's", () => {
  const rows = Object.entries(PROFILES).map(([name, values]) => `${name} ${Object.values(values).join(",")}`);
  assert.deepEqual(rows, [
    "normal 120,30,86400,900,45,90,30",
    "high-latency 180,35,86400,905,50,95,60",
    "conservative 3600,900,432000,3600,600,270,60",
    "aggressive 30,5,18000,60,30,30,10",
  ]);
});

const REFUSED: [string, Partial<TimeoutValues>][] = [
  ["negative", { "tcp.first": -1 }],
  ["not a number", { "udp.first": Number.NaN }],
  ["endless", { "tcp.established": Number.POSITIVE_INFINITY }],
  ["adaptive.end not above adaptive.start", { "adaptive.start": 10, "adaptive.end": 10 }],
];

for (const [name, values] of REFUSED) {
  test(`timeouts are refused: ${name}`, () => {
    const tracker = new Tracker();
    const before = tracker.timeouts;
    const isRefusal = (error: unknown): boolean =>
      error instanceof FirewallError && error.code === "TIMEOUT_INVALID";
    assert.throws(() => tracker.setTimeouts(values), isRefusal);
    assert.throws(() => new Tracker({ timeouts: values }), isRefusal);
    assert.deepEqual(tracker.timeouts, before);
  });
}

test("who listens hears of each flow that leaves while it can be read, and why", () => {
  const heard: string[] = [];
  const tracker: Tracker = new Tracker({
    removed: (slot, cause) => {
      const why = Object.entries(COUNTER).find(([, index]) => index === cause)?.[0];
      heard.push(`${tracker.flows.port(slot, 0)} ${why}`);
    },
  });
  accept(tracker, new Conversation({ remotePort: 1 }).received("S"), 0);
  accept(tracker, new Conversation({ remotePort: 2 }).received("S"), 0);
  tracker.remove(tracker.slot);
  tracker.expire(1_000_000);
  assert.deepEqual(heard, ["2 killed", "1 expired"]);
});
