import assert from "node:assert/strict";
import { test } from "node:test";
import { HOOK, type Hook } from "../base/index.ts";
import { Packet } from "../wire/index.ts";
import { InterfaceCounters } from "./interface-counters.ts";

// oxlint-disable-next-line max-params -- what a packet is counted by
function packetAt(hook: Hook, inInterface: number, outInterface: number, family: 4 | 6 = 4): Packet {
  return Object.assign(new Packet(), { hook, inInterface, outInterface, family, wireBytes: 100 });
}

const NOTHING = { bytes: 0, passedPackets: 0, blockedPackets: 0 };

test("each direction, family and verdict has its own count, and a forwarded packet two", () => {
  const counters = new InterfaceCounters();
  counters.count(packetAt(HOOK.INPUT, 2, 0), true);
  counters.count(packetAt(HOOK.INPUT, 2, 0), false);
  counters.count(packetAt(HOOK.OUTPUT, 0, 2, 6), true);
  counters.count(packetAt(HOOK.FORWARD, 2, 3), true);
  assert.deepEqual(counters.read(), [
    {
      index: 2,
      in: { ipv4: { bytes: 300, passedPackets: 2, blockedPackets: 1 }, ipv6: NOTHING },
      out: { ipv4: NOTHING, ipv6: { bytes: 100, passedPackets: 1, blockedPackets: 0 } },
    },
    {
      index: 3,
      in: { ipv4: NOTHING, ipv6: NOTHING },
      out: { ipv4: { bytes: 100, passedPackets: 1, blockedPackets: 0 }, ipv6: NOTHING },
    },
  ]);
});

test("interfaces beyond the limit are counted together, and none is lost", () => {
  const counters = new InterfaceCounters();
  for (let index = 1; index <= 100; index += 1) counters.count(packetAt(HOOK.INPUT, index, 0), true);
  const read = counters.read();
  assert.equal(read.length, 65);
  assert.equal(
    read.reduce((sum, traffic) => sum + traffic.in.ipv4.passedPackets, 0),
    100,
  );
  assert.deepEqual(read.at(-1)?.index, 0);
});

test("interfaces whose indexes meet in one row are told apart", () => {
  const counters = new InterfaceCounters();
  for (const index of [5, 69, 133, 69]) counters.count(packetAt(HOOK.INPUT, index, 0), true);
  const counts = counters.read().map(({ index, in: { ipv4 } }) => [index, ipv4.passedPackets]);
  assert.deepEqual(
    new Map(counts as [number, number][]),
    new Map([
      [5, 1],
      [69, 2],
      [133, 1],
    ]),
  );
});
