import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sampleDatagramState, sampleKey, samplePeer, sampleState } from "../testing/sample-state.ts";
import { chapterLines, type State, verboseLines } from "./index.ts";

const FLAGS = { sloppy: false, pflow: false, sourceTrack: false, stickyAddress: false, noSync: false };

const ICMP_PEER = samplePeer({ level: 0, levelName: "NO_TRAFFIC" });

/** Golden texts: name, state, verbose form. The first two are those of the reference. */
const VERBOSE: readonly (readonly [string, State, string])[] = [
  [
    "TCP, outgoing, source translated",
    sampleState(),
    `em0 tcp 203.0.113.5:50123 (192.168.1.10:51515) -> 198.51.100.7:443       ESTABLISHED:ESTABLISHED
   [1000 + 65536] wscale 7   [9000 + 65536] wscale 8
   age 00:01:33, expires in 23:59:51, 12:9 pkts, 1840:5120 bytes, rule 7
   id: 5f3c2a1b00000042 creatorid: 1a2b3c4d`,
  ],
  [
    "UDP, incoming",
    sampleDatagramState(),
    `em0 udp 192.0.2.1:53 <- 198.51.100.7:40001       SINGLE:SINGLE
   age 00:00:04, expires in 00:00:26, 1:1 pkts, 60:120 bytes, rule 7
   id: 5f3c2a1b00000042 creatorid: 1a2b3c4d`,
  ],
  [
    "TCP, incoming, destination translated, only one end scales, a sequence offset, closing",
    sampleState({
      direction: "in",
      src: samplePeer({ level: 5, levelName: "CLOSE_WAIT", sequenceDifference: 17 }),
      dst: samplePeer({ level: 9, levelName: "FIN_WAIT_2", windowScale: null }),
      nk: sampleKey(["198.51.100.7", 40_000], ["10.0.0.5", 8443]),
      sk: sampleKey(["198.51.100.7", 40_000], ["203.0.113.5", 443]),
    }),
    `em0 tcp 10.0.0.5:8443 (203.0.113.5:443) <- 198.51.100.7:40000       CLOSE_WAIT:FIN_WAIT_2
   [1000 + 65536](+17)   [1000 + 65536]
   age 00:01:33, expires in 23:59:51, 12:9 pkts, 1840:5120 bytes, rule 7
   id: 5f3c2a1b00000042 creatorid: 1a2b3c4d`,
  ],
  [
    "TCP over IPv6, a window that wraps, both ends translated, more than a day old",
    sampleState({
      family: 6,
      ageMs: 100 * 3_600_000 + 61_999,
      src: samplePeer({ sequenceLow: 0xfffffff0, sequenceHigh: 16 }),
      nk: sampleKey(["2001:db8:2::1", 443], ["2001:db8::5", 50_123]),
      sk: sampleKey(["2001:db8:9::9", 8443], ["fd00::10", 51_515]),
    }),
    `em0 tcp 2001:db8::5[50123] (fd00::10[51515]) -> 2001:db8:2::1[443] (2001:db8:9::9[8443])       ESTABLISHED:ESTABLISHED
   [4294967280 + 32] wscale 7   [1000 + 65536] wscale 7
   age 100:01:01, expires in 23:59:51, 12:9 pkts, 1840:5120 bytes, rule 7
   id: 5f3c2a1b00000042 creatorid: 1a2b3c4d`.replace(
      "[1000 + 65536] wscale 7\n",
      "[9000 + 65536] wscale 8\n",
    ),
  ],
  [
    "ICMP has no names of levels",
    sampleDatagramState({
      protocol: 1,
      protocolName: "icmp",
      direction: "out",
      src: ICMP_PEER,
      dst: ICMP_PEER,
      nk: sampleKey(["198.51.100.7", 8], ["192.0.2.1", 4711]),
      sk: sampleKey(["198.51.100.7", 8], ["192.0.2.1", 4711]),
      rule: null,
    }),
    `em0 icmp 192.0.2.1:4711 -> 198.51.100.7:8       0:0
   age 00:00:04, expires in 00:00:26, 1:1 pkts, 60:120 bytes
   id: 5f3c2a1b00000042 creatorid: 1a2b3c4d`,
  ],
  [
    "ICMPv6, incoming",
    sampleDatagramState({
      family: 6,
      protocol: 58,
      protocolName: "ipv6-icmp",
      src: ICMP_PEER,
      dst: ICMP_PEER,
      nk: sampleKey(["2001:db8::7", 4711], ["2001:db8::1", 128]),
      sk: sampleKey(["2001:db8::7", 4711], ["2001:db8::1", 128]),
    }),
    `em0 ipv6-icmp 2001:db8::1[128] <- 2001:db8::7[4711]       0:0
   age 00:00:04, expires in 00:00:26, 1:1 pkts, 60:120 bytes, rule 7
   id: 5f3c2a1b00000042 creatorid: 1a2b3c4d`,
  ],
  [
    "a protocol without ports, an anchor, the default of a chain, every flag",
    sampleDatagramState({
      interface: "",
      protocol: 47,
      protocolName: "gre",
      nk: sampleKey(["198.51.100.7", 0], ["192.0.2.1", 0]),
      sk: sampleKey(["198.51.100.7", 0], ["192.0.2.1", 0]),
      anchor: { index: 4, name: "tunnels" },
      rule: { chain: "tunnels", index: null, revision: 1, label: "" },
      flags: { sloppy: true, pflow: true, sourceTrack: true, stickyAddress: true, noSync: true },
      creatorId: 7,
    }),
    `all gre 192.0.2.1 <- 198.51.100.7       SINGLE:SINGLE
   age 00:00:04, expires in 00:00:26, 1:1 pkts, 60:120 bytes, anchor 4, sloppy, pflow, source-track, sticky-address
   id: 5f3c2a1b00000042 creatorid: 00000007 (no-sync)`,
  ],
  [
    "another zone shows the same address twice",
    sampleDatagramState({
      nk: sampleKey(["198.51.100.7", 40_001], ["192.0.2.1", 53], 9),
      sk: sampleKey(["198.51.100.7", 40_001], ["192.0.2.1", 53]),
    }),
    `em0 udp 192.0.2.1:53 (192.0.2.1:53) <- 198.51.100.7:40001       SINGLE:SINGLE
   age 00:00:04, expires in 00:00:26, 1:1 pkts, 60:120 bytes, rule 7
   id: 5f3c2a1b00000042 creatorid: 1a2b3c4d`,
  ],
  [
    "what the kernel does not tell is zero",
    sampleState({
      ageMs: null,
      expiresInMs: null,
      packets: null,
      bytes: null,
      rule: null,
      src: samplePeer({ sequenceLow: null, sequenceHigh: null }),
      flags: { ...FLAGS },
    }),
    `em0 tcp 203.0.113.5:50123 (192.168.1.10:51515) -> 198.51.100.7:443       ESTABLISHED:ESTABLISHED
   [0 + 0] wscale 7   [9000 + 65536] wscale 8
   age 00:00:00, expires in 00:00:00, 0:0 pkts, 0:0 bytes
   id: 5f3c2a1b00000042 creatorid: 1a2b3c4d`,
  ],
];

describe("verbose form", () => {
  for (const [name, state, text] of VERBOSE) {
    it(name, () => assert.equal(verboseLines(state).join("\n"), text));
  }

  it("names proxies and levels that are none", () => {
    const at = (level: number): string =>
      verboseLines(sampleState({ src: samplePeer({ level, levelName: "" }) }))[0]?.split("       ")[1] ?? "";
    assert.equal(at(11), "PROXY:SRC");
    assert.equal(at(12), "PROXY:DST");
    assert.equal(at(77), "<BAD STATE LEVELS 77:4>");
  });
});

describe("the manual's sample", () => {
  const rows: readonly (readonly [string, State, string])[] = [
    [
      "outgoing, translated",
      sampleState(),
      `State 0x5f3c2a1b00000042 on em0 (203.0.113.5:50123 (192.168.1.10:51515) -> 198.51.100.7:443)
Packets: 12:9
Bytes: 1840:5120
Expires in 86391 seconds`,
    ],
    [
      "incoming, IPv6",
      sampleDatagramState({
        family: 6,
        nk: sampleKey(["2001:db8::7", 40_001], ["2001:db8::1", 53]),
        sk: sampleKey(["2001:db8::7", 40_001], ["2001:db8::1", 53]),
      }),
      `State 0x5f3c2a1b00000042 on em0 (2001:db8::1[53] <- 2001:db8::7[40001])
Packets: 1:1
Bytes: 60:120
Expires in 26 seconds`,
    ],
  ];
  for (const [name, state, text] of rows) {
    it(name, () => assert.equal(chapterLines(state).join("\n"), text));
  }
});
