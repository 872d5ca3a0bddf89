import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PINHOLE_MARK, PROTOCOL } from "../../base/index.ts";
import { PolicyProbe, type ProbePacket } from "../../testing/policy-probe.ts";

const PACKET: ProbePacket = {
  source: "10.1.2.3",
  destination: "198.51.100.7",
  protocol: PROTOCOL.UDP,
  sourcePort: 5004,
  destinationPort: 6004,
};

describe("PinholeRule", () => {
  // Each row: the packet's mark, and whether the rule matches.
  const rows: readonly (readonly [number, boolean])[] = [
    [0, false],
    [PINHOLE_MARK, true],
    [0xffff_ffff, true],
    [~PINHOLE_MARK >>> 0, false],
    [0x7000_0000, false],
  ];
  for (const [mark, expected] of rows) {
    test(`mark 0x${mark.toString(16)}: it ${expected ? "matches" : "does not match"}`, () => {
      const probe = new PolicyProbe({
        settings: { compatibility: "strict" },
        INPUT: [
          { name: "PinholeRule", action: "ACCEPT" },
          { name: "TrueRule", action: "DROP" },
        ],
      });
      assert.equal(probe.judge({ ...PACKET, mark }), expected ? "ACCEPT" : "DROP");
      const reason = probe.explain({ ...PACKET, mark }).map((step) => ("reason" in step ? step.reason : ""));
      assert.match(reason.join(), expected ? /says that a pinhole/ : /does not say that a pinhole/);
    });
  }
});
