/** A hundred thousand packets and more, each judged by the interpreter and by the kernel. */
import assert from "node:assert/strict";
import { GATEWAY } from "#lab";
import { netnsTest } from "#testing";
import { compareRuns } from "./comparison.ts";

netnsTest(
  "a hundred thousand packets get the interpreter's verdict from the kernel's plan",
  GATEWAY,
  async (hosts) => {
    const { all } = await compareRuns(hosts, { policies: 1000, packets: 110 });
    assert.ok(all >= 100_000, `${all} packets were compared`);
  },
);
