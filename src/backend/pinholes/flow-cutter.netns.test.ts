import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { type Family, Prefix } from "../../base/index.ts";
import { GATEWAY, type Topology } from "../../lab/index.ts";
import { ConntrackEntry } from "../../netlink/index.ts";
import {
  ALL_PORTS,
  allAddresses,
  type Box,
  type Cut,
  Endpoint,
  type PacketFacts,
} from "../../pinhole/index.ts";
import { ConntrackList, inNamespace } from "../../system/index.ts";
import { netnsTest } from "../../testing/index.ts";
import { FlowCutter } from "./flow-cutter.ts";

type Hosts = Topology<"client" | "firewall" | "server">;

const UDP = 17;

/** More than are judged together. */
const FLOWS = 300;

/** So many flows to each of some ports, over both families. */
async function makeFlows({ client, firewall, server }: Hosts, ports: readonly number[]): Promise<void> {
  const rules = "table inet t { chain c { type filter hook forward priority 0; ct state new counter; }; }";
  await firewall.must(["nft", rules]);
  const targets = ports.flatMap((port) =>
    [server.ipv4, server.ipv6].map((host) => `/dev/udp/${host}/${port}`),
  );
  const send = targets.map((target) => `echo media > ${target}`).join("; ");
  await client.must(["bash", "-c", `for at in $(seq ${FLOWS}); do ${send}; done 2>/dev/null`]);
}

/** How many connections to a port the gateway knows. */
function countFlows({ firewall }: Hosts, family: Family, port: number): number {
  const list = inNamespace(firewall.fullName, () => ConntrackList.open());
  let count = 0;
  list.begin({ family });
  list.readAll(new ConntrackEntry(), ({ original }) => {
    if (original.destinationPort === port) count += 1;
  });
  list.close();
  return count;
}

function boxTo(address: string, port: number): Box {
  const prefix = Prefix.parse(address);
  assert.ok(prefix !== undefined);
  const source = new Endpoint(allAddresses(prefix.family), ALL_PORTS);
  return { protocol: UDP, source, destination: new Endpoint(prefix, { low: port, high: port }) };
}

function cutOf(boxes: readonly Box[], isPermitted: (first: PacketFacts) => boolean = () => false): Cut {
  return { boxes, translated: [], isPermitted, whenSettled: async (work) => work() };
}

netnsTest(
  "connections in a wide box end, and none that is permitted or elsewhere",
  GATEWAY,
  async (hosts) => {
    await makeFlows(hosts, [7003, 7004]);
    const { firewall, server } = hosts;
    const cutter = inNamespace(firewall.fullName, () => FlowCutter.open());
    const isOdd = ({ sourcePort }: PacketFacts): boolean => sourcePort % 2 === 1;
    const before = { 4: countFlows(hosts, 4, 7003), 6: countFlows(hosts, 6, 7003) };
    assert.ok(before[4] > 128 && before[6] > 128, "more than one round of judging");
    const ended4 = await cutter.cut(cutOf([boxTo(server.ipv4, 7003)], isOdd));
    assert.equal(before[4] - countFlows(hosts, 4, 7003), ended4);
    assert.ok(ended4 > 0 && ended4 < before[4]);
    const ended6 = await cutter.cut(cutOf([boxTo(server.ipv6, 7003)]));
    assert.equal(ended6, before[6]);
    assert.equal(countFlows(hosts, 6, 7003), 0);
    assert.ok(countFlows(hosts, 4, 7004) > 128 && countFlows(hosts, 6, 7004) > 128);
    await cutter.close();
  },
);

netnsTest("wide boxes that come at the same time share one reading of the table", GATEWAY, async (hosts) => {
  const ports = Array.from({ length: 20 }, (_, at) => 7000 + at);
  await makeFlows(hosts, [7000, 7019]);
  const { firewall, server } = hosts;
  const cutter = inNamespace(firewall.fullName, () => FlowCutter.open());
  const cuts = ports.map((port) => cutter.cut(cutOf([boxTo(server.ipv4, port), boxTo(server.ipv6, port)])));
  await Promise.all(cuts);
  assert.equal(cutter.readings, 2, "the first alone, since it began at once, and one for all others");
  for (const port of [7000, 7019]) {
    assert.equal(countFlows(hosts, 4, port) + countFlows(hosts, 6, port), 0);
  }
  await cutter.close();
});

netnsTest("while the table is read the event loop goes on", GATEWAY, async ({ firewall, server }) => {
  const cutter = inNamespace(firewall.fullName, () => FlowCutter.open());
  const order: string[] = [];
  const cut = cutter.cut(cutOf([boxTo(server.ipv4, 7003)])).then(() => order.push("ended"));
  await turn();
  order.push("a turn of the event loop");
  await cut;
  assert.deepEqual(order, ["a turn of the event loop", "ended"]);
  await cutter.close();
});
