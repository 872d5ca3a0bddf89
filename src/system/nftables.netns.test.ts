import assert from "node:assert/strict";
import { Session } from "node:inspector/promises";
import { GATEWAY } from "../lab/index.ts";
import { netnsTest } from "../testing/index.ts";
import { inNamespace } from "./network-namespace.ts";
import { Nftables } from "./nftables.ts";

/** Time between two signals of V8's profiler, in microseconds of the processor. */
const SIGNAL_EVERY_US = 20;

/** Without the signals being held back, about one of 180 runs fails. */
const RUNS = 3000;

/** Works while signals come to this thread, again and again. */
async function amongSignals(work: () => void): Promise<void> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: SIGNAL_EVERY_US });
  await session.post("Profiler.start");
  try {
    work();
  } finally {
    await session.post("Profiler.stop");
    session.disconnect();
  }
}

netnsTest("what nftables has done is no failure because a signal came", GATEWAY, async ({ firewall }) => {
  const nftables = inNamespace(firewall.fullName, () => Nftables.open());
  nftables.run("add table inet t; add chain inet t c");
  await amongSignals(() => {
    for (let run = 0; run < RUNS; run += 1) {
      nftables.run("flush chain inet t c; add rule inet t c counter");
    }
  });
  assert.equal(nftables.run("list chain inet t c").match(/counter/g)?.length, 1);
  nftables.close();
});
