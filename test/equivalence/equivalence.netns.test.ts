/** One policy, judged by the interpreter and by the kernel: the same verdict for every packet. */
import assert from "node:assert/strict";
import { netnsTest } from "#testing";
import { GATEWAY } from "#lab";
import { compareRuns } from "./comparison.ts";

netnsTest("the kernel's plan gives every packet the interpreter's verdict", GATEWAY, async (hosts) => {
  const { all } = await compareRuns(hosts, { policies: 60, packets: 100 });
  assert.ok(all >= 6000, `${all} packets were compared`);
});
