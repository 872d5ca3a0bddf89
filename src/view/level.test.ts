import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TCP_STATES } from "../base/index.ts";
import { CONNTRACK_TCP_STATES } from "../netlink/index.ts";
import { kernelDatagramLevels } from "./level.ts";
import { kernelTcpLevels, levelName, TCP_LEVEL, TRACKER_LEVELS } from "./index.ts";

describe("levels of our tracker's states", () => {
  // The reference's list, state by state.
  const REFERENCE =
    "CLOSED 0:0; SYN_SENT1 2:0; SYN_SENT2 2:3; SYN_SENT3 3:2; SYN_RCVD1 0:2; SYN_RCVD2 3:2; ESTABLISHED 4:4; " +
    "CLOSE_WAIT1 5:6; CLOSE_WAIT2 5:9; LAST_ACK 8:9; FIN_WAIT_1 6:4; FIN_WAIT_2 9:5; FIN_WAIT_3 10:8; " +
    "CLOSING 7:7; CLOSING2 7:8";
  const expected = new Map(REFERENCE.split("; ").map((row) => row.split(" ") as [string, string]));

  it("are the reference's", () => {
    for (const [name, levels] of expected) {
      const state = TCP_STATES.find((candidate) => candidate === name);
      assert.ok(state, name);
      assert.equal(TRACKER_LEVELS[state].join(":"), levels, name);
    }
    assert.equal(expected.size, 15);
    assert.deepEqual(TRACKER_LEVELS.TIME_WAIT, [10, 10]);
  });
});

describe("levels of the kernel's TCP states", () => {
  // State, who spoke first, who closes; local level : remote level.
  const rows: readonly [(typeof CONNTRACK_TCP_STATES)[number], boolean, boolean, string][] = [
    ["NONE", true, false, "0:0"],
    ["SYN_SENT", true, false, "2:0"],
    ["SYN_SENT", false, false, "0:2"],
    ["SYN_RECV", true, false, "2:3"],
    ["SYN_RECV", false, false, "3:2"],
    ["SYN_SENT2", true, false, "2:2"],
    ["ESTABLISHED", true, false, "4:4"],
    ["FIN_WAIT", true, true, "6:4"],
    ["FIN_WAIT", false, true, "6:4"],
    ["FIN_WAIT", true, false, "5:6"],
    ["CLOSE_WAIT", true, true, "9:5"],
    ["CLOSE_WAIT", false, false, "5:9"],
    ["LAST_ACK", true, true, "10:8"],
    ["LAST_ACK", false, false, "8:9"],
    ["TIME_WAIT", true, true, "10:10"],
    ["CLOSE", false, false, "0:0"],
  ];
  for (const [state, first, closes, levels] of rows) {
    it(`${state}, ${first ? "local" : "remote"} spoke first, ${closes ? "local" : "remote"} closes`, () => {
      assert.equal(kernelTcpLevels(state, first, closes).join(":"), levels);
    });
  }

  it("are pairs that our tracker has too, but for a simultaneous open", () => {
    const known = new Set(Object.values(TRACKER_LEVELS).map((pair) => pair.join(":")));
    for (const state of CONNTRACK_TCP_STATES) {
      for (const first of [true, false]) {
        for (const closes of [true, false]) {
          const pair = kernelTcpLevels(state, first, closes).join(":");
          assert.ok(known.has(pair) || pair === "2:2", `${state} ${pair}`);
        }
      }
    }
  });
});

describe("levels of flows without handshake in the kernel", () => {
  it("follow the traffic as far as the kernel tells", () => {
    assert.deepEqual(kernelDatagramLevels(false, 5), [1, 0]);
    assert.deepEqual(kernelDatagramLevels(true, 1), [2, 1]);
    assert.deepEqual(kernelDatagramLevels(true, 2), [2, 2]);
    assert.deepEqual(kernelDatagramLevels(true, undefined), [2, 1]);
  });
});

describe("names of levels", () => {
  it("are pf's", () => {
    assert.equal(levelName(6, TCP_LEVEL.FIN_WAIT_2), "FIN_WAIT_2");
    assert.equal(levelName(17, 2), "MULTIPLE");
    assert.equal(levelName(17, 3), "");
  });
});
