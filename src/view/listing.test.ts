import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sampleDatagramState, samplePeer, sampleState } from "../testing/sample-state.ts";
import {
  type DirectionStatus,
  type FamilyStatus,
  type InterfaceStatus,
  listingLines,
  parseStateId,
  pfLimit,
  pfProfile,
  pfTimeout,
  profileOf,
  RateMeter,
  SORT_KEYS,
  sizeText,
  sortStates,
  spanText,
  stateStatus,
  statusLines,
  sumInterfaces,
  trackerStateId,
} from "./index.ts";
import { kernelStateId } from "./state-id.ts";
import { fitsPattern } from "./pattern.ts";
import { defaultTimeouts, profileTimeouts, Tracker } from "../state/index.ts";

const WEB = sampleState({ application: "TLS", serverName: "www.example.org", userId: 0, offload: "mark" });
const DNS = sampleDatagramState({ source: "kernel", rule: null, packets: null, bytes: null, ageMs: null });

describe("list for people", () => {
  it("aligns columns", () => {
    assert.deepEqual(listingLines([WEB, DNS]), [
      "IF   PROTO  LOCAL                                     REMOTE              STATE                      AGE  EXPIRES  PKTS  BYTES  RATE  RULE      NOTES",
      "em0  tcp    203.0.113.5:50123/192.168.1.10:51515  ->  198.51.100.7:443    ESTABLISHED:ESTABLISHED  1m33s   23h59m    21   6.8K  75/s  OUTPUT:7  TLS, www.example.org, uid 0, offloaded: mark, both",
      "em0  udp    192.0.2.1:53                          <-  198.51.100.7:40001  SINGLE:SINGLE                -      26s     -      -     -  -         kernel",
    ]);
  });

  it("shows a heading alone when there is nothing", () => {
    assert.equal(listingLines([]).length, 1);
  });

  it("colours only when told, and cuts before it colours", () => {
    const opening = sampleState({ src: samplePeer({ level: 2, levelName: "SYN_SENT" }) });
    const closing = sampleState({ src: samplePeer({ level: 6, levelName: "FIN_WAIT_1" }) });
    const lines = listingLines([WEB, opening, closing], { colour: true, width: 10 });
    assert.deepEqual(lines, [
      "\u001b[1mPROTO  LOC\u001b[0m",
      "\u001b[32mtcp    203\u001b[0m",
      "\u001b[33mtcp    203\u001b[0m",
      "\u001b[90mtcp    203\u001b[0m",
    ]);
    assert.ok(!listingLines([WEB]).join("").includes("\u001b"));
  });

  it("leaves columns out where lines would not fit, the rate last", () => {
    const titles = (width: number): string[] =>
      (listingLines([WEB], { width })[0] ?? "").split(/\s+/).filter((title) => title !== "");
    assert.deepEqual(titles(1000).length, 12);
    assert.ok(!titles(140).includes("NOTES") && titles(140).includes("EXPIRES"));
    assert.deepEqual(titles(80), ["PROTO", "LOCAL", "REMOTE", "BYTES", "RATE"]);
  });

  it("lets no name of a server steer the terminal", () => {
    const line = listingLines([sampleState({ serverName: "\u001b[2Jevil\u0007\u009b" })])[1] ?? "";
    assert.match(line, /\?\[2Jevil\?\?/);
  });

  it("shortens sizes and spans", () => {
    const sizes = [0, 999, 1000, 9949, 9951, 999_499, 999_500, 1e15];
    assert.deepEqual(
      sizes.map((value) => sizeText(value, 1000)),
      ["0", "999", "1.0K", "9.9K", "10K", "999K", "1.0M", "1.0P"],
    );
    assert.deepEqual([0, 59_999, 60_000, 3_599_000, 3_600_000, 86_399_000, 90_000_000].map(spanText), [
      "0s",
      "59s",
      "1m00s",
      "59m59s",
      "1h00m",
      "23h59m",
      "1d01h",
    ]);
  });
});

describe("order", () => {
  const states = [
    sampleState({ id: "b", bytes: [10, 0], packets: [5, 5], ageMs: 1000, expiresInMs: 1 }),
    sampleState({ id: "a", bytes: [5, 5], packets: [1, 0], ageMs: 5000, expiresInMs: 3 }),
    sampleState({ id: "c", bytes: [100, 0], packets: [2, 0], ageMs: 50_000, expiresInMs: 2 }),
    sampleState({ id: "d", bytes: null, packets: null, ageMs: null, expiresInMs: null }),
  ];
  const rows: Readonly<Record<(typeof SORT_KEYS)[number], string>> = {
    bytes: "cabd",
    packets: "bcad",
    age: "cabd",
    rate: "bacd",
    expires: "acbd",
  };
  for (const key of SORT_KEYS) {
    it(`by ${key}`, () => {
      assert.equal(
        sortStates(states, key)
          .map(({ id }) => id)
          .join(""),
        rows[key],
      );
    });
  }

  it("gives the top only", () => {
    assert.deepEqual(
      sortStates(states, "bytes", 1).map(({ id }) => id),
      ["c"],
    );
  });

  it("measures rates between looks", () => {
    const meter = new RateMeter();
    const at = (bytes: number): ReturnType<typeof sampleState> =>
      sampleState({ id: "x", bytes: [bytes, 0], ageMs: 10_000 });
    meter.update([at(1000)], 5000);
    assert.equal(meter.rateOf(at(1000)), 100);
    meter.update([at(4000)], 7000);
    assert.equal(meter.rateOf(at(4000)), 1500);
    meter.update([], 8000);
    assert.equal(meter.rateOf(at(4000)), 400);
  });
});

describe("ids", () => {
  it("name table and number", () => {
    assert.equal(trackerStateId(3, 2 ** 53 - 1), "031fffffffffffff");
    assert.deepEqual(parseStateId("031fffffffffffff"), { worker: 3, number: 2 ** 53 - 1 });
    assert.deepEqual(parseStateId(kernelStateId(0xfeedface)), { worker: undefined, number: 0xfeedface });
    assert.deepEqual(parseStateId("0x2a"), { worker: 0, number: 42 });
    for (const text of ["", "xyz", "0123456789abcdef0", "00ffffffffffffff"]) {
      assert.equal(parseStateId(text), undefined, text);
    }
  });
});

describe("pf's limits, timeouts and profiles", () => {
  it("are found by pf's names", () => {
    assert.equal(pfLimit("states"), "flows");
    assert.equal(pfLimit("table-entries"), "tableEntries");
    assert.equal(pfProfile("satellite"), "high-latency");
    assert.equal(pfProfile("aggressive"), "aggressive");
    assert.deepEqual(pfTimeout("tcp.established", 3600), { "tcp.established": 3_600_000 });
    assert.deepEqual(pfTimeout("adaptive.start", 6000), { "adaptive.start": 6000 });
  });

  it("are refused by name", () => {
    assert.throws(() => pfLimit("constructor"), /there are states, src-nodes/);
    assert.throws(() => pfProfile("toString"), /there are normal/);
    assert.throws(() => pfTimeout("tcp.nap", 1), /there are tcp.first/);
    assert.throws(() => pfTimeout("constructor", 1), /there are tcp.first/);
    assert.throws(() => pfTimeout("tcp.first", -1), /at least 0/);
  });

  it("go round: a profile set is the profile guessed", () => {
    const tracker = new Tracker({ capacity: 100 });
    assert.equal(profileOf(tracker.timeouts), "normal");
    for (const profile of ["high-latency", "conservative", "aggressive", "normal"] as const) {
      tracker.setTimeouts(profileTimeouts(profile));
      assert.equal(profileOf(tracker.timeouts), profile);
    }
    tracker.setTimeouts(pfTimeout("tcp.closing", 1));
    assert.equal(profileOf(tracker.timeouts), undefined);
    assert.equal(profileOf(defaultTimeouts(10)), "normal");
  });
});

/** Traffic whose every number is another. */
function trafficOf(name: string, unit: number): InterfaceStatus {
  const direction = (first: number): DirectionStatus => ({
    bytes: first * unit,
    passedPackets: (first + 1) * unit,
    blockedPackets: (first + 2) * unit,
  });
  const family = (first: number): FamilyStatus => ({ ipv4: direction(first), ipv6: direction(first + 3) });
  return { name, in: family(1), out: family(7) };
}

describe("status", () => {
  const status = stateStatus({
    running: true,
    runningForMs: 90_061_000,
    hostId: 0xab,
    debug: "info",
    checksum: "0x00",
    states: 3,
    halfOpenStates: 1,
    interfaces: sumInterfaces([trafficOf("eth1", 1), trafficOf("eth0", 10), trafficOf("eth1", 100)]),
    kernel: null,
    trackers: [new Tracker({ capacity: 16 }).counters, new Tracker({ capacity: 16 }).counters],
    judgedPackets: 90_061,
    malformedPackets: 2,
    congestedPackets: 7,
  });

  it("has pf's counters that mean something here", () => {
    assert.equal(status.counters.match, 90_061);
    assert.equal(status.counters.congestion, 7);
    assert.equal(status.counters["state-mismatch"], 0);
    assert.deepEqual(status.activity, { searches: 0, inserts: 0, removals: 0 });
  });

  it("adds interfaces up, by name and all together", () => {
    assert.deepEqual(
      status.interfaces.map(({ name }) => name),
      ["eth0", "eth1"],
    );
    assert.deepEqual(status.interfaces[1], trafficOf("eth1", 101));
    assert.deepEqual(status.in, { bytes: 5 * 111, passedPackets: 7 * 111, blockedPackets: 9 * 111 });
    assert.deepEqual(status.out, { bytes: 17 * 111, passedPackets: 19 * 111, blockedPackets: 21 * 111 });
  });

  it("prints interfaces as pf does", () => {
    const lines = statusLines(status);
    const at = lines.indexOf("Interface Stats for eth0                        IPv4             IPv6");
    assert.deepEqual(lines.slice(at + 1, at + 9), [
      "  Bytes In                                        10               40",
      "  Bytes Out                                       70              100",
      "  Packets In",
      "    Passed                                        20               50",
      "    Blocked                                       30               60",
      "  Packets Out",
      "    Passed                                        80              110",
      "    Blocked                                       90              120",
    ]);
  });

  it("prints as pf does", () => {
    const lines = statusLines(status);
    assert.equal(lines[0], "Status: Enabled for 1 days 01:01:01             Debug: info");
    assert.ok(lines.includes("Hostid:   0x000000ab"));
    assert.ok(lines.includes("  half-open tcp                          1"));
    assert.ok(
      lines.includes("  match                              90061            1.0/s"),
      lines.join("\n"),
    );
  });
});

describe("patterns", () => {
  const rows: readonly [string, string, boolean][] = [
    ["", "", true],
    ["*", "", true],
    ["*", "abc", true],
    ["a*c", "abc", true],
    ["a*c", "ac", true],
    ["a*c", "acd", false],
    ["*.example.org", "www.example.org", true],
    ["*.example.org", "example.org", false],
    ["a*b*a", "abbba", true],
    ["a*b*a", "abbb", false],
    ["abc", "abcd", false],
    ["a.c", "abc", false],
  ];
  for (const [pattern, text, fits] of rows) {
    it(`${pattern} ${fits ? "fits" : "does not fit"} ${text}`, () => {
      assert.equal(fitsPattern(pattern, text), fits);
    });
  }

  it("take no exponential time", () => {
    assert.equal(fitsPattern("*a".repeat(50) + "b", "a".repeat(5000)), false);
  });
});
