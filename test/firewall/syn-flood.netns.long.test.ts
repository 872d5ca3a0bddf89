/** The flood of two million forged requests, through the running firewall. */
import assert from "node:assert/strict";
import { GATEWAY } from "#lab";
import { longNetnsTest } from "#testing";
import { surviveFlood } from "./syn-flood.ts";

/** How long a flood may take on a machine that has much to do, in milliseconds. */
const PATIENCE_MS = 600_000;

longNetnsTest(
  "a flood of 2 million forged SYNs leaves 10,000 connections alive, the table bounded and memory flat",
  GATEWAY,
  async (hosts) => {
    const alive = await surviveFlood(hosts, {
      syns: 2_000_000,
      connections: 10_000,
      flows: 65_536,
      patienceMs: PATIENCE_MS,
    });
    assert.equal(alive, 10_000);
  },
);
