import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FirewallError } from "../base/index.ts";
import { sampleDatagramState, sampleKey, samplePeer, sampleState } from "../testing/sample-state.ts";
import { type FilterConditions, type State, StateFacts, StateFilter } from "./index.ts";

const NAMES = {
  service: (name: string): number | undefined => ({ https: 443, domain: 53 })[name],
  user: (name: string): number | undefined => ({ alice: 1000 })[name],
};

/** Out, 203.0.113.5:50123 (192.168.1.10:51515) to 198.51.100.7:443, TCP. */
const WEB = sampleState({
  application: "TLS",
  serverName: "www.example.org",
  userId: 1000,
  offload: "mark",
  mark: 0x30000010,
  rule: { chain: "OUTPUT", index: 7, revision: 3, label: "web out" },
});

/** In, 198.51.100.7:40001 to 192.0.2.1:53, UDP. */
const DNS = sampleDatagramState({ id: "00000000000000ff", interface: "eth1", source: "own" });

/** In, 2001:db8::9:40000 to 2001:db8::1:22, TCP, half-open, from the kernel. */
const SSH = sampleState({
  id: "ff00000000000001",
  source: "kernel",
  interface: "",
  family: 6,
  direction: "in",
  rule: null,
  ageMs: null,
  bytes: null,
  packets: null,
  translation: { source: false, destination: false },
  src: samplePeer({ level: 3, levelName: "SYN_RCVD" }),
  dst: samplePeer({ level: 2, levelName: "SYN_SENT" }),
  nk: sampleKey(["2001:db8::9", 40_000], ["2001:db8::1", 22], 4),
  sk: sampleKey(["2001:db8::9", 40_000], ["2001:db8::1", 22], 4),
});

const ALL = { WEB, DNS, SSH } as const;

function chosen(filter: StateFilter): string {
  const facts = new StateFacts();
  return Object.entries(ALL)
    .filter(([, state]: [string, State]) => {
      facts.bind(state);
      return filter.matches(facts);
    })
    .map(([name]) => name)
    .join(" ");
}

describe("state filters", () => {
  // Filter, states it chooses.
  const rows: readonly [string, string][] = [
    ["", "WEB DNS SSH"],
    ["  ", "WEB DNS SSH"],
    ["all", "WEB DNS SSH"],
    ["tcp", "WEB SSH"],
    ["TCP", "WEB SSH"],
    ["proto 17", "DNS"],
    ["proto udp", "DNS"],
    ["inet6", "SSH"],
    ["inet", "WEB DNS"],
    ["in", "DNS SSH"],
    ["out", "WEB"],
    // Either side of translation, by end and by who spoke first.
    ["local 203.0.113.5", "WEB"],
    ["local 192.168.1.10", "WEB"],
    ["from 192.168.0.0/16", "WEB"],
    ["src 192.168.0.0/255.255.0.0", "WEB"],
    ["to 192.168.0.0/16", ""],
    ["remote 198.51.100.7", "WEB DNS"],
    ["from 198.51.100.7", "DNS"],
    ["to 198.51.100.7", "WEB"],
    ["dst 2001:db8::1", "SSH"],
    ["host 192.0.2.1", "DNS"],
    ["host ::/0", "SSH"],
    ["remote ! 198.51.100.0/24", "SSH"],
    ["remote !198.51.100.0/24", "SSH"],
    ["local ! 192.168.1.10", "DNS SSH"],
    ["host ! 198.51.100.7", "SSH"],
    ["from any to any", "WEB DNS SSH"],
    // Ports with every operator.
    ["port 443", "WEB"],
    ["port = 443", "WEB"],
    ["port https", "WEB"],
    ["local port 51515", "WEB"],
    ["local port 50123", "WEB"],
    ["to any port 22", "SSH"],
    ["to port != 22", "WEB DNS"],
    ["to port < 53", "SSH"],
    ["to port <= 53", "DNS SSH"],
    ["to port > 53", "WEB"],
    ["to port >= 53", "WEB DNS"],
    ["to port 22:53", "DNS SSH"],
    ["to port 22 >< 443", "DNS"],
    ["to port 22><443", "DNS"],
    ["to port 53 <> 443", "SSH"],
    ["to port domain:https", "WEB DNS"],
    ["to 198.51.100.0/24 port 443", "WEB"],
    ["to 198.51.100.0/24 port 444", ""],
    ["to ! 198.51.100.0/24 port < 100", "DNS SSH"],
    // An address and a port must be of the same side.
    ["local 192.168.1.10 port 50123", ""],
    ["on em0", "WEB"],
    ["on e*", "WEB DNS"],
    ["chain OUTPUT", "WEB DNS"],
    ["anchor output", ""],
    ['label "web out"', "WEB"],
    ["label web*", "WEB"],
    ["rule 7", "WEB DNS"],
    ["rule OUTPUT:7", "WEB DNS"],
    ["rule INPUT:7", ""],
    ["age > 10s", "WEB"],
    ["age < 1m", "DNS"],
    ["age 4", "DNS"],
    ["expires >= 1h", "WEB SSH"],
    ["bytes > 1K", "WEB"],
    ["bytes 180", "DNS"],
    ["packets >= 2", "WEB DNS"],
    ["app tls", "WEB"],
    ["sni *.EXAMPLE.org", "WEB"],
    ["user alice", "WEB"],
    ["user 1000", "WEB"],
    ["state established", "WEB"],
    ["state SYN_SENT", "SSH"],
    ["state SYN_RCVD:SYN_SENT", "SSH"],
    ["state *:SYN_SENT", "SSH"],
    ["state SYN_SENT:*", ""],
    ["state single", "DNS"],
    ["half-open", "SSH"],
    ["established", "WEB"],
    ["nat", "WEB"],
    ["offloaded", "WEB"],
    ["mark 0x10/0xff", "WEB"],
    ["mark 0x30000010", "WEB"],
    ["zone 4", "SSH"],
    ["own", "DNS"],
    ["kernel or own", "DNS SSH"],
    ["id ff", "DNS"],
    ["id 0x5f3c2a1b00000042", "WEB"],
    // Joining.
    ["tcp in", "SSH"],
    ["tcp and in", "SSH"],
    ["not tcp", "DNS"],
    ["! tcp", "DNS"],
    ["!(tcp or udp)", ""],
    ["udp or tcp in", "DNS SSH"],
    ["(udp or tcp) in", "DNS SSH"],
    ["not (tcp out) port < 100", "DNS SSH"],
    ["not not tcp", "WEB SSH"],
  ];
  for (const [text, names] of rows) {
    it(JSON.stringify(text), () => assert.equal(chosen(StateFilter.parse(text, NAMES)), names));
  }
});

describe("filters that can't be understood", () => {
  // Filter, place the pointer is at, its length, part of the reason.
  const rows: readonly [string, number, number, RegExp][] = [
    ["tpc", 0, 3, /begins no condition/],
    ["tcp prot udp", 4, 4, /begins no condition/],
    ["from 10.0.0.300", 5, 10, /no address/],
    ["from", 4, 1, /an address or `port` is expected/],
    ["from 10.0.0.0/33", 5, 11, /no address/],
    ["port 70000", 5, 5, /no port/],
    ["port 90:80", 5, 5, /larger/],
    ["port 80:90:100", 5, 9, /no port/],
    ["port 80:9x", 8, 2, /no port/],
    ["port >< 90", 5, 2, /number is missing/],
    ["port 80 >< ", 10, 1, /a port is expected/],
    ["proto foo", 6, 3, /no protocol/],
    ["age > 5y", 6, 2, /not a span/],
    ["bytes > many", 8, 4, /not a size/],
    ["user bob", 5, 3, /no user/],
    ["state OPEN", 6, 4, /no level/],
    ["mark 0x1/", 5, 4, /no VALUE/],
    ["id xyz", 3, 3, /no id/],
    ["rule x", 5, 1, /no NUMBER/],
    ["(tcp", 4, 1, /closing parenthesis/],
    ["tcp)", 3, 1, /not expected/],
    ["tcp or", 6, 1, /a condition is missing/],
    ["tcp and and udp", 8, 3, /begins no condition/],
    ['label "web', 6, 1, /does not end/],
    ["tcp ; udp", 4, 1, /has no/],
    ["= 5", 0, 1, /begins with a word/],
  ];
  for (const [text, at, length, reason] of rows) {
    it(JSON.stringify(text), () => {
      assert.throws(
        () => StateFilter.parse(text, NAMES),
        (error: unknown) => {
          assert.ok(error instanceof FirewallError);
          assert.equal(error.code, "FILTER_INVALID");
          assert.deepEqual([error.details["at"], error.details["length"]], [at, length]);
          assert.match(error.message, reason);
          assert.equal(error.message.split("\n")[2], `  ${" ".repeat(at)}${"^".repeat(length)}`);
          return true;
        },
      );
    });
  }

  it("never throw anything else", () => {
    const words = [
      "tcp",
      "from",
      "port",
      "1.2.3.4",
      "80",
      "><",
      ":",
      "!",
      "(",
      ")",
      "or",
      "and",
      "age",
      ">",
      '"',
    ];
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom(...words), { maxLength: 8 }).map((all) => all.join(" ")),
    );
    fc.assert(
      fc.property(text, (filter) => {
        try {
          chosen(StateFilter.parse(filter));
        } catch (error) {
          assert.ok(error instanceof FirewallError && error.code === "FILTER_INVALID", String(error));
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("filters of named conditions", () => {
  const rows: readonly [FilterConditions, string][] = [
    [{}, "WEB DNS SSH"],
    [{ protocol: "tcp", family: 4 }, "WEB"],
    [{ protocol: 17 }, "DNS"],
    [{ from: "198.51.100.7", to: "! 10.0.0.0/8 port 53" }, "DNS"],
    [{ local: "any port 22" }, "SSH"],
    [{ interface: "em0", direction: "out", chain: "OUTPUT", rule: 7, label: "web*" }, "WEB"],
    [{ olderThanMs: 60_000 }, "WEB"],
    [{ youngerThanMs: 60_000 }, "DNS"],
    [{ application: "TLS", serverName: "*.example.org", userId: 1000 }, "WEB"],
    [{ zone: 4, source: "kernel" }, "SSH"],
  ];
  for (const [conditions, names] of rows) {
    it(JSON.stringify(conditions), () => assert.equal(chosen(StateFilter.of(conditions)), names));
  }

  it("do not let one text widen the filter", () => {
    assert.throws(() => StateFilter.of({ from: "10.0.0.1 or all" }), FirewallError);
  });
});

describe("what the kernel can filter", () => {
  it("is the family, the mark, and nothing under or, not, or negation", () => {
    const of = (text: string): unknown => StateFilter.parse(text).kernelFilter();
    assert.deepEqual(of("inet6 tcp mark 1/3"), {
      family: 6,
      mark: { value: 1, mask: 3 },
      original: { protocol: 6 },
    });
    assert.deepEqual(of("from 10.0.0.0/8 tcp"), { family: 4, original: { protocol: 6 } });
    assert.deepEqual(of("tcp"), {});
    assert.deepEqual(of("from ! 10.0.0.0/8"), {});
    assert.deepEqual(of("inet or udp"), {});
    assert.deepEqual(of("not inet"), {});
  });
});
