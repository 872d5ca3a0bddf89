import assert from "node:assert/strict";
import { HOOK_NAMES } from "../base/index.ts";
import { HOST_PAIR } from "../lab/index.ts";
import { DEFAULT_MARK_MASK } from "../netlink/index.ts";
import { inNamespace } from "../system/index.ts";
import { netnsTest } from "../testing/index.ts";
import {
  DEFAULT_PRIORITY,
  DEFAULT_TABLE,
  KernelRules,
  probeKernel,
  requireQueueExpression,
} from "./index.ts";

const V4 = { source: "192.0.2.1", sourcePort: 80, destination: "192.0.2.2", destinationPort: 4000 };
const V6 = { source: "2001:db8::1", sourcePort: 80, destination: "2001:db8::2", destinationPort: 4000 };

netnsTest(
  "chains for ended connections are there only while connections are being ended",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const within = <Result>(work: () => Result): Result => inNamespace(host.fullName, work);
    const list = (): Promise<string> =>
      host.must(["sh", "-c", `nft list table inet ${DEFAULT_TABLE} 2>/dev/null`]);
    const rules = within(() =>
      KernelRules.install(
        {
          table: DEFAULT_TABLE,
          hooks: HOOK_NAMES,
          priority: DEFAULT_PRIORITY,
          markMask: DEFAULT_MARK_MASK,
          queues: { first: 0, count: 1, bypass: true },
        },
        requireQueueExpression(probeKernel()),
      ),
    );
    const before = await list();
    // The same connection twice, with both fates and in both families; and all of it once more.
    for (let time = 1; time <= 2; time += 1) {
      within(() => {
        rules.stopEnded([V4, V6], "silenced");
        rules.stopEnded([V4], "refused");
        rules.stopEnded([V4, V6], "refused");
      });
      const meanwhile = await list();
      assert.match(meanwhile, /type filter hook prerouting priority raw;/);
      assert.equal(meanwhile.match(/192\.0\.2\.2 \. 4000 \. 192\.0\.2\.1 \. 80 /g)?.length, 2);
      assert.equal(meanwhile.match(/2001:db8::2 \. 4000 \. 2001:db8::1 \. 80 /g)?.length, 2);
      within(() => rules.forgetEnded());
      assert.equal(await list(), before);
    }
    within(() => {
      rules.forgetEnded();
      rules.stopEnded([V6], "refused");
      rules.remove();
    });
    assert.doesNotMatch(await host.must(["nft", "list", "tables"]), /postern/);
  },
);
