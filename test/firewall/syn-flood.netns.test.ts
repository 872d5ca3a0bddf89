/** A small flood of forged requests; syn-flood.netns.long.test.ts has the large one. */
import assert from "node:assert/strict";
import { GATEWAY } from "#lab";
import { netnsTest } from "#testing";
import { surviveFlood } from "./syn-flood.ts";

netnsTest(
  "a flood of 40,000 forged SYNs leaves 200 connections alive, the table bounded and memory flat",
  GATEWAY,
  async (hosts) => {
    const alive = await surviveFlood(hosts, {
      syns: 40_000,
      connections: 200,
      flows: 4096,
      patienceMs: 60_000,
    });
    assert.equal(alive, 200);
  },
);
