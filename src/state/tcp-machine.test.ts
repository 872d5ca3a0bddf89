import assert from "node:assert/strict";
import { test } from "node:test";
import { TCP_FLAG, TCP_STATES, type TcpState, tcpStateIndex } from "../base/index.ts";
import { type PywallAnswer, pywallCases } from "../testing/pywall-cases.ts";
import { FLOWING } from "./direction.ts";
import {
  NEXT_STATE,
  patternFits,
  segmentOf,
  stepReference,
  stepReset,
  stepSegment,
  stepUnknown,
  UNDEFINED,
} from "./tcp-machine.ts";
import { EXTENSION_TABLE, PYWALL_TABLE, RESET_TABLE, type SegmentPattern } from "./tcp-table.ts";

function read(cell: number): PywallAnswer {
  return { next: TCP_STATES[cell & NEXT_STATE] ?? "?", undefined: (cell & UNDEFINED) !== 0 };
}

test("PyWall's machine gives the reference's answer in each of its 240 cases", () => {
  let count = 0;
  for (const { state, flowing, flags, expected } of pywallCases()) {
    const actual = read(stepReference(tcpStateIndex(state), flowing, segmentOf(flags)));
    assert.deepEqual(actual, expected, `${state} ${flowing} ${flags}`);
    count += 1;
  }
  assert.equal(count, 240);
});

test("a flow that is not known gets the state that the reference's CLOSED row gives", () => {
  for (const { state, flowing, flags, expected } of pywallCases()) {
    if (state !== "CLOSED") continue;
    assert.equal(TCP_STATES[stepUnknown(flowing, segmentOf(flags))], expected.next);
  }
});

/** Where the whole machine goes elsewhere than the reference, although that has an answer. */
const DEPARTURES = new Set([
  "CLOSED", // an entry that is over stays so
  "FIN_WAIT_3 sent A", // TIME_WAIT in place of CLOSED
  "CLOSING2 received A",
]);

test("the whole machine agrees with PyWall's wherever that has an answer, but for what is listed", () => {
  for (const { state, flowing, flags, expected } of pywallCases()) {
    if (expected.undefined) continue;
    const acknowledges = (flags & TCP_FLAG.ACK) !== 0 ? "A" : "";
    const name = `${state} ${flowing === FLOWING.RECEIVED ? "received" : "sent"} ${acknowledges}`;
    const actual = read(stepSegment(tcpStateIndex(state), flowing, segmentOf(flags)));
    if (!DEPARTURES.has(state) && !DEPARTURES.has(name)) assert.deepEqual(actual, expected, name);
  }
});

test("where PyWall has no answer the extension keeps the state, save for the simultaneous cases", () => {
  const moves = new Set<string>();
  for (const { state, flowing, flags, expected } of pywallCases()) {
    const actual = read(stepSegment(tcpStateIndex(state), flowing, segmentOf(flags)));
    if (expected.undefined && actual.next !== state) moves.add(`${state} ${flowing} ${actual.next}`);
  }
  assert.deepEqual([...moves].sort(), [
    "CLOSE_WAIT1 1 CLOSING",
    "SYN_RCVD1 1 SYN_SENT3",
    "SYN_SENT3 0 SYN_SENT2",
  ]);
});

test("nothing but a new connection leaves CLOSED and TIME_WAIT", () => {
  for (const state of ["CLOSED", "TIME_WAIT"] as const) {
    for (let segment = 0; segment < 8; segment += 1) {
      for (const flowing of [FLOWING.RECEIVED, FLOWING.SENT]) {
        const actual = read(stepSegment(tcpStateIndex(state), flowing, segment));
        assert.deepEqual(actual, { next: state, undefined: false });
      }
    }
  }
});

test("a reset closes every state but TIME_WAIT (RFC 1337)", () => {
  for (const [state, next] of Object.entries(RESET_TABLE)) {
    assert.equal(TCP_STATES[stepReset(tcpStateIndex(state as TcpState))], next);
    assert.equal(next, state === "TIME_WAIT" ? "TIME_WAIT" : "CLOSED");
  }
});

test("the patterns of one row never overlap", () => {
  const rows = [PYWALL_TABLE, EXTENSION_TABLE].flatMap((table) => Object.values(table));
  for (const cells of rows.flatMap((row): object[] => [row.received, row.sent])) {
    const patterns = Object.keys(cells) as SegmentPattern[];
    for (let segment = 0; segment < 8; segment += 1) {
      const fitting = patterns.filter((pattern) => patternFits(pattern, segment));
      assert.ok(fitting.length <= 1, fitting.join(" and "));
    }
  }
});
