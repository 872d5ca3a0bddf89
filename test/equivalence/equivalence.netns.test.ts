/** One policy, judged by the interpreter and by the kernel: the same verdict for every packet. */
import assert from "node:assert/strict";
import { netnsTest } from "#testing";
import { GATEWAY } from "#lab";
import { compareCounts, compareJumps, compareKnocks, compareRuns } from "./comparison.ts";

netnsTest("the kernel's plan gives every packet the interpreter's verdict", GATEWAY, async (hosts) => {
  const { all } = await compareRuns(hosts, { policies: 60, packets: 100 });
  assert.ok(all >= 6000, `${all} packets were compared`);
});

netnsTest(
  "rules that count in the kernel give every packet the interpreter's verdict",
  GATEWAY,
  async (hosts) => {
    const { rules, met, sentBack } = await compareCounts(hosts, { policies: 60, packets: 60 });
    assert.ok(rules > 20 && met > 30, `${rules} rules stood in the kernel, and met ${met} packets`);
    assert.ok(sentBack > 30, `${sentBack} packets came back to the kernel`);
  },
);

netnsTest(
  "knocks that the kernel remembers get every packet the interpreter's verdict",
  GATEWAY,
  async (hosts) => {
    const { rules, met } = await compareKnocks(hosts, { policies: 60, packets: 100 });
    assert.ok(rules > 20 && met > 80, `${rules} rules stood in the kernel, and met ${met} packets`);
  },
);

netnsTest(
  "where rules about flows stand behind jumps every packet gets the interpreter's verdict",
  GATEWAY,
  async (hosts) => {
    const { inKernel, all, sealed } = await compareJumps(hosts, { policies: 60, packets: 100 });
    assert.ok(inKernel > all / 10, `the kernel judged ${inKernel} of ${all}`);
    assert.ok(sealed > 0, "no flow was sealed");
  },
);
