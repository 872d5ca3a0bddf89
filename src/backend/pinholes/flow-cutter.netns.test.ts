import assert from "node:assert/strict";
import { mock } from "node:test";
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

/** The source ports of the connections to a port that the gateway knows. */
function flowsTo({ firewall }: Hosts, family: Family, port: number): number[] {
  const list = inNamespace(firewall.fullName, () => ConntrackList.open());
  const ports: number[] = [];
  list.begin({ family });
  list.readAll(new ConntrackEntry(), ({ original }) => {
    if (original.destinationPort === port) ports.push(original.sourcePort);
  });
  list.close();
  return ports;
}

function countFlows(hosts: Hosts, family: Family, port: number): number {
  return flowsTo(hosts, family, port).length;
}

function end(address: string, port: number): Endpoint {
  const prefix = Prefix.parse(address);
  assert.ok(prefix !== undefined);
  return new Endpoint(prefix, { low: port, high: port });
}

function boxTo(address: string, port: number): Box {
  const destination = end(address, port);
  return { protocol: UDP, source: new Endpoint(allAddresses(destination.family), ALL_PORTS), destination };
}

/** Counts what happens in each turn of the event loop. */
function countTurns(): { readonly count: () => void; readonly end: () => readonly number[] } {
  const turns = [0];
  const begin = (): void => {
    turns.push(0);
    next = setImmediate(begin).unref();
  };
  let next = setImmediate(begin).unref();
  const count = (): void => {
    turns[turns.length - 1] = (turns.at(-1) ?? 0) + 1;
  };
  const stop = (): readonly number[] => {
    clearImmediate(next);
    return turns;
  };
  return { count, end: stop };
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

netnsTest("the table is read part by part, each while the event loop goes on", GATEWAY, async (hosts) => {
  await makeFlows(hosts, [7003]);
  const { firewall, server } = hosts;
  const cutter = inNamespace(firewall.fullName, () => FlowCutter.open());
  const { prototype } = ConntrackList;
  const inTurn = [mock.method(prototype, "begin"), mock.method(prototype, "read")];
  const beside = mock.method(prototype, "readLater");
  const turns = countTurns();
  await cutter.cut(cutOf([boxTo(server.ipv4, 7003)]));
  const parts = beside.mock.callCount();
  assert.ok(parts > 3, `${parts} parts`);
  assert.ok(turns.end().length >= parts, "a turn of the event loop for each");
  const calls = inTurn.map((method) => method.mock.callCount());
  mock.restoreAll();
  assert.deepEqual(calls, [0, 0], "nothing is asked of the kernel while everybody waits");
  await cutter.close();
});

netnsTest(
  "between single values a connection stays whose beginning is permitted, whatever its answers are",
  GATEWAY,
  async (hosts) => {
    await makeFlows(hosts, [7003]);
    const { client, firewall, server } = hosts;
    const cutter = inNamespace(firewall.fullName, () => FlowCutter.open());
    const [port = 0] = flowsTo(hosts, 4, 7003);
    const there = { ...boxTo(server.ipv4, 7003), source: end(client.ipv4, port) };
    const back = { ...there, source: there.destination, destination: there.source };
    const fromClient = ({ sourcePort }: PacketFacts): boolean => sourcePort === port;
    for (const boxes of [[there], [back], [there, back]]) {
      assert.equal(await cutter.cut(cutOf(boxes, fromClient)), 0);
      assert.ok(flowsTo(hosts, 4, 7003).includes(port));
    }
    assert.equal(await cutter.cut(cutOf([back], (first) => !fromClient(first))), 1);
    assert.equal(flowsTo(hosts, 4, 7003).includes(port), false);
    await cutter.close();
  },
);

netnsTest("of very many exact boxes a turn of the event loop sees a few", GATEWAY, async (hosts) => {
  const { client, firewall, server } = hosts;
  await makeFlows(hosts, [7003]);
  const cutter = inNamespace(firewall.fullName, () => FlowCutter.open());
  const flows = flowsTo(hosts, 4, 7003);
  const idle = Array.from({ length: 2000 - flows.length }, (_, at) => 1 + at);
  const boxes = [...flows, ...idle].map((port) => ({
    ...boxTo(server.ipv4, 7003),
    source: end(client.ipv4, port),
  }));
  const turns = countTurns();
  const asked: number[] = [];
  const ended = await cutter.cut(
    cutOf(boxes, ({ sourcePort }) => {
      asked.push(sourcePort);
      turns.count();
      return sourcePort === flows[0];
    }),
  );
  assert.ok(asked.length >= 4000, "each in both directions");
  assert.equal(ended, flows.length - 1);
  assert.deepEqual(flowsTo(hosts, 4, 7003), [flows[0]]);
  const most = Math.max(...turns.end());
  assert.ok(most > 0 && most <= 256, `${most} in one turn`);
  await cutter.close();
});
