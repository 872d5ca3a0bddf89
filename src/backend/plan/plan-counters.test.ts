import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PlanLine } from "./kernel-plan.ts";
import { readCounts } from "./plan-counters.ts";

const LINES: readonly PlanLine[] = [0, 1, 2].map((rule) => ({
  match: [],
  action: { kind: "drop" },
  origin: { chain: 0, rule },
}));
const COUNTED = new Map([["map", [...LINES, undefined]]]);

/** A listing that shows elements of these numbers; one of number n has met n + 1 packets. */
function listing(...numbers: readonly number[]): string {
  const elements = numbers.map((number) => {
    const counter = { packets: number + 1, bytes: 100 };
    return [{ elem: { val: number, comment: `${number} rule`, counter } }, { drop: null }];
  });
  return JSON.stringify({ nftables: [{ map: { name: "map", elem: elements } }] });
}

/** Packets by the rules that count them. */
function packetsOf(listings: readonly string[]): { readonly packets: number[][]; readonly asked: number } {
  let asked = 0;
  const list = (): string => {
    asked += 1;
    return listings[Math.min(asked, listings.length) - 1] as string;
  };
  const packets = readCounts(list, COUNTED).map((count) => [count.rule, count.packets]);
  return { packets, asked };
}

const ALL = [
  [0, 1],
  [1, 2],
  [2, 3],
];

describe("counts of a map", () => {
  it("are those of its elements that count", () => {
    assert.deepEqual(packetsOf([listing(0, 1, 2, 3)]), { packets: ALL, asked: 1 });
  });

  it("are read again while the listing leaves elements out and shows others twice", () => {
    const listings = [listing(0, 1, 1, 3), listing(0, 1, 2), listing(0, 1, 2, 3)];
    assert.deepEqual(packetsOf(listings), { packets: ALL, asked: 3 });
  });

  it("count no element twice", () => {
    assert.deepEqual(packetsOf([listing(0, 1, 1, 2, 3)]), { packets: ALL, asked: 1 });
  });

  it("are what there is when somebody has taken elements away", () => {
    assert.deepEqual(packetsOf([listing(0, 0, 3)]), { packets: [[0, 1]], asked: 5 });
  });
});
