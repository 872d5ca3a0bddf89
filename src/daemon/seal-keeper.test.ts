import assert from "node:assert/strict";
import { test } from "node:test";
import { FirewallError, PROTOCOL } from "../base/index.ts";
import { SealMarks } from "../netlink/index.ts";
import type { Tracker } from "../state/index.ts";
import { SealKeeper } from "./seal-keeper.ts";

/** Enough of a tracker: the flow in slot n has source port n. */
const TRACKER = {
  flows: {
    id: (slot: number) => slot,
    slotOf: (id: number) => id,
    isOffloaded: () => true,
    originalFlowing: () => 0,
    copyAddress: () => undefined,
    protocol: () => PROTOCOL.UDP,
    port: (slot: number, peer: number) => (peer === 0 ? slot : 53),
    family: () => 4,
  },
  ended: () => undefined,
  expiry: () => 0,
} as unknown as Tracker;

/** A keeper whose kernel refuses some ports, and the ports that it was asked about with success. */
function open(refused: Set<number>) {
  const unsealed: number[] = [];
  const looked: number[] = [];
  const admit = (port: number): void => {
    if (refused.has(port)) throw new FirewallError("NETLINK_REFUSED", "out of memory");
  };
  const keeper = new SealKeeper(new SealMarks(0xff), () => ({
    update: ({ original }) => {
      admit(original.sourcePort);
      unsealed.push(original.sourcePort);
      return true;
    },
    get: ({ original }) => {
      admit(original.sourcePort);
      if (original.sourcePort !== 53) looked.push(original.sourcePort);
      return undefined;
    },
    close: () => undefined,
  }));
  return { keeper, unsealed, looked };
}

test("what the kernel refuses once is asked again, and keeps nothing else waiting", () => {
  const refused = new Set([1001]);
  const { keeper, unsealed, looked } = open(refused);
  for (const port of [1001, 1002, 1003]) {
    keeper.lost(TRACKER, port);
    keeper.idle(TRACKER, port);
  }
  keeper.turn(TRACKER, 0);
  assert.deepEqual(unsealed, [1002, 1003]);
  assert.deepEqual(looked, [1002, 1003]);
  refused.clear();
  keeper.turn(TRACKER, 0);
  assert.deepEqual(unsealed, [1002, 1003, 1001]);
  assert.deepEqual(looked, [1002, 1003, 1001]);
});

test("a turn asks the kernel a bounded number of questions; a kill ends all seals that wait", () => {
  const { keeper, unsealed } = open(new Set());
  for (let port = 2000; port < 2100; port += 1) keeper.lost(TRACKER, port);
  keeper.turn(TRACKER, 0);
  assert.equal(unsealed.length, 32);
  keeper.drain();
  assert.equal(unsealed.length, 100);
});
