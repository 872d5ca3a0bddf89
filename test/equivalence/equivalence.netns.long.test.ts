/** A hundred thousand packets and more, each judged by the interpreter and by the kernel. */
import assert from "node:assert/strict";
import { GATEWAY } from "#lab";
import { netnsTest } from "#testing";
import { compareCounts, compareJumps, compareKnocks, compareRuns } from "./comparison.ts";

netnsTest(
  "a hundred thousand packets get the interpreter's verdict from the kernel's plan",
  GATEWAY,
  async (hosts) => {
    const { all } = await compareRuns(hosts, { policies: 1000, packets: 110 });
    assert.ok(all >= 100_000, `${all} packets were compared`);
  },
);

netnsTest(
  "rules that count in the kernel agree with the interpreter in many policies",
  GATEWAY,
  async (hosts) => {
    const { rules, met, sentBack } = await compareCounts(hosts, { policies: 1000, packets: 100 });
    assert.ok(rules > 400 && met > 800, `${rules} rules stood in the kernel, and met ${met} packets`);
    assert.ok(sentBack > 800, `${sentBack} packets came back to the kernel`);
  },
);

netnsTest(
  "knocks that the kernel remembers agree with the interpreter in many policies",
  GATEWAY,
  async (hosts) => {
    const { rules, met } = await compareKnocks(hosts, { policies: 1000, packets: 100 });
    assert.ok(rules > 400 && met > 1500, `${rules} rules stood in the kernel, and met ${met} packets`);
  },
);

netnsTest(
  "rules about flows behind jumps agree with the interpreter in many policies",
  GATEWAY,
  async (hosts) => {
    const { inKernel, all, sealed } = await compareJumps(hosts, { policies: 1000, packets: 100 });
    assert.ok(inKernel > all / 10, `the kernel judged ${inKernel} of ${all}`);
    assert.ok(sealed > 100, `${sealed} flows were sealed`);
  },
);
