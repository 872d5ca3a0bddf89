import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import type { TopologyPlan } from "../lab/index.ts";
import { netnsTest } from "../testing/index.ts";
import { inNamespace } from "./network-namespace.ts";
import { RuleEvents } from "./rule-events.ts";

const ALONE: TopologyPlan<"firewall"> = { hosts: ["firewall"], links: [], routers: [], defaultRoutes: [] };

const ELEMENTS = 5000;

netnsTest("news that are many are read page by page, and none is read twice", ALONE, async ({ firewall }) => {
  const events = inNamespace(firewall.fullName, () => RuleEvents.open());
  const list = Array.from({ length: ELEMENTS }, (_, index) => index).join(", ");
  execFileSync("ip", ["netns", "exec", firewall.fullName, "nft", "-f", "-"], {
    input: `table inet t {\n set s { type mark; elements = { ${list} } }\n }\n`,
  });
  const heard: number[] = [];
  let ends = 0;
  for (let isEmpty = false; !isEmpty; ) {
    let news = 0;
    const listener = {
      news: () => {
        news += 1;
      },
      done: () => {
        ends += 1;
      },
    };
    const reading = events.read(listener, 1);
    assert.ok(reading.isWhole);
    ({ isEmpty } = reading);
    heard.push(news);
  }
  events.close();
  // Besides the elements, the table and the set.
  assert.equal(
    heard.reduce((sum, news) => sum + news, 0),
    ELEMENTS + 2,
  );
  assert.equal(ends, 1);
  assert.ok(Math.max(...heard) < ELEMENTS / 10, `${Math.max(...heard)} in one read`);
});
