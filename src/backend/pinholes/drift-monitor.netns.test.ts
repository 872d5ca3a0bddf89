import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mock } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Namespace, TopologyPlan } from "../../lab/index.ts";
import { type Drift, Endpoint, makeElement, type StandingElement } from "../../pinhole/index.ts";
import { parseAddress, Prefix } from "../../base/index.ts";
import { inNamespace, NETLINK_PROTOCOL, NetlinkSocket } from "../../system/index.ts";
import { eventually, netnsTest } from "../../testing/index.ts";
import { DriftMonitor } from "./drift-monitor.ts";
import { NftablesPinholes } from "./nftables-pinholes.ts";

const ALONE: TopologyPlan<"firewall"> = { hosts: ["firewall"], links: [], routers: [], defaultRoutes: [] };
const PLAN = { table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" } as const;

function host(address: string, port: number): Endpoint {
  const words = parseAddress(address)?.words ?? new Uint32Array(4);
  return new Endpoint(new Prefix(4, words, 32), { low: port, high: port });
}

/** So many that their transaction is not heard of. */
function manyElements(): StandingElement[] {
  return Array.from({ length: 5000 }, (_, index) => ({
    ...makeElement("pass", {
      protocol: 17,
      source: host("203.0.113.1", 6004),
      destination: host("10.1.0.1", 1 + index),
    }),
    deadline: 600_000,
    limiter: 0,
  }));
}

function nft({ fullName }: Namespace, text: string): void {
  execFileSync("ip", ["netns", "exec", fullName, "nft", text]);
}

/** A monitor in a namespace, and the socket whose transactions are its owner's. */
function openMonitor({ fullName }: Namespace): readonly [socket: NetlinkSocket, monitor: DriftMonitor] {
  return inNamespace(fullName, () => {
    const own = NetlinkSocket.open(NETLINK_PROTOCOL.NETFILTER);
    return [own, DriftMonitor.open(PLAN, own.port)] as const;
  });
}

async function until(holds: () => boolean): Promise<void> {
  assert.ok(await eventually(holds, Boolean));
}

netnsTest("our own transactions, small and large, are no drift; what others do is", ALONE, async (hosts) => {
  const backend = inNamespace(hosts.firewall.fullName, () => NftablesPinholes.open(PLAN));
  const drifts: Drift[] = [];
  backend.watch((drift) => drifts.push(drift));
  const nothing = { now: 0, put: [], remove: [], putLimits: [], removeLimits: [] };
  await backend.restore({ now: 0, generation: 1, elements: [], limits: [] });
  const put = manyElements();
  await backend.commit(backend.prepare({ ...nothing, generation: 2, put }));
  await backend.commit(backend.prepare({ ...nothing, generation: 3, remove: put.slice(0, 8) }));
  await delay(600);
  assert.equal(drifts.length, 0);
  nft(hosts.firewall, "add table inet another");
  nft(hosts.firewall, "add element inet pinholes ph-generation { 1 . 2 . 3 }");
  await until(() => drifts.length > 0);
  assert.match(drifts[0]?.culprit ?? "", /^nft \(\d+\)$/);
  assert.equal(drifts[0]?.what, "elements came");
  await backend.close();
});

netnsTest(
  "what others do while we do not listen is noticed by counting transactions",
  ALONE,
  async (hosts) => {
    const { firewall } = hosts;
    const [socket, monitor] = openMonitor(firewall);
    const drifts: Drift[] = [];
    monitor.start((drift) => drifts.push(drift));
    monitor.unheard(socket, () => nft(firewall, "add table inet ours"));
    await delay(600);
    assert.equal(drifts.length, 0, "one transaction is ours");
    monitor.unheard(socket, () => {
      nft(firewall, "add table inet theirs");
      nft(firewall, "delete table inet ours");
    });
    await until(() => drifts.length > 0);
    assert.equal(drifts.length, 1);
    const failing = (): void => {
      monitor.unheard(socket, () => {
        nft(firewall, "delete table inet theirs");
        throw new Error("refused");
      });
    };
    assert.throws(failing, /refused/);
    await until(() => drifts.length > 1);
    assert.equal(drifts.length, 2, "what was refused was not ours");
    monitor.close();
    socket.close();
  },
);

netnsTest(
  "a table of our table's name and another family is none of our business",
  ALONE,
  async ({ firewall }) => {
    const [socket, monitor] = openMonitor(firewall);
    const drifts: Drift[] = [];
    monitor.start((drift) => drifts.push(drift));
    for (const family of ["ip", "ip6", "inet"]) nft(firewall, `add table ${family} ${PLAN.table}`);
    nft(firewall, `add chain ip ${PLAN.table} ${PLAN.chain}`);
    nft(firewall, `delete table ip ${PLAN.table}`);
    nft(firewall, `delete table inet ${PLAN.table}`);
    await until(() => drifts.length > 1);
    assert.deepEqual(
      drifts.map(({ what }) => what),
      ["a table came", "the table was deleted"],
    );
    monitor.close();
    socket.close();
  },
);

netnsTest(
  "what others do is heard by the next look, of which there are four in a second",
  ALONE,
  async ({ firewall }) => {
    const [socket, monitor] = openMonitor(firewall);
    const drifts: Drift[] = [];
    mock.timers.enable({ apis: ["setInterval"] });
    monitor.start((drift) => drifts.push(drift));
    nft(firewall, `add table inet ${PLAN.table}`);
    mock.timers.tick(249);
    assert.equal(drifts.length, 0);
    mock.timers.tick(1);
    assert.equal(drifts.length, 1);
    mock.timers.reset();
    monitor.close();
    socket.close();
  },
);

netnsTest("what others do is told once, however many news it makes", ALONE, async ({ firewall }) => {
  const [socket, monitor] = openMonitor(firewall);
  const drifts: Drift[] = [];
  monitor.start((drift) => drifts.push(drift));
  const list = Array.from({ length: 20_000 }, (_, index) => index).join(", ");
  execFileSync("ip", ["netns", "exec", firewall.fullName, "nft", "-f", "-"], {
    input: `table inet pinholes {\n set ph-s { type mark; elements = { ${list} } }\n }\n`,
  });
  await until(() => drifts.length > 0);
  nft(firewall, "delete set inet pinholes ph-s");
  await until(() => drifts.length > 1);
  assert.deepEqual(
    drifts.map(({ what }) => what),
    ["a table came, a set came, elements came", "a set was deleted"],
  );
  monitor.close();
  socket.close();
});
