/** The flood of two million forged requests, through the running firewall. */
import assert from "node:assert/strict";
import { GATEWAY } from "#lab";
import { netnsTest } from "#testing";
import { surviveFlood } from "./syn-flood.ts";

netnsTest(
  "a flood of 2 million forged SYNs leaves 10,000 connections alive, the table bounded and memory flat",
  GATEWAY,
  async (hosts) => {
    const alive = await surviveFlood(hosts, {
      syns: 2_000_000,
      connections: 10_000,
      flows: 65_536,
      patienceMs: 600_000,
    });
    assert.equal(alive, 10_000);
  },
);
