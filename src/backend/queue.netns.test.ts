import assert from "node:assert/strict";
import { LIMITS } from "../base/index.ts";
import { GATEWAY, HOST_PAIR } from "../lab/index.ts";
import { DEFAULT_MARK_MASK } from "../netlink/index.ts";
import { inNamespace, QueueSocket, RawSocket, readQueueStatistics } from "../system/index.ts";
import { buildPacket } from "../wire/index.ts";
import { DEFAULT_PRIORITY, DEFAULT_TABLE, KernelRules } from "./kernel-rules.ts";
import { probeKernel, requireQueueExpression } from "./probe.ts";
import { netnsTest, QueueHost, type SeenPacket } from "../testing/index.ts";

const UDP = 17;
const MTU_BYTES = 1500;

function endpoints({ source, destination }: SeenPacket): string {
  return [source, destination]
    .map((text) => text.replace(/:\d+$/, ""))
    .sort()
    .join(" ");
}

netnsTest(
  "packets of every kind come up with hook, interfaces, owner and bytes",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall } = hosts;
    await firewall.traffic.listenTcp({ port: 80 });
    await firewall.traffic.listenUdp({ port: 81 });
    const host = await QueueHost.start(firewall, {
      hooks: ["INPUT", "OUTPUT"],
      orders: [],
      tellPackets: true,
    });
    for (const address of [firewall.ipv4, firewall.ipv6]) {
      assert.equal((await client.traffic.connectTcp({ address, port: 80, say: "tcp" })).heard, "tcp");
      assert.equal((await client.traffic.sendUdp({ address, port: 81, say: "udp" })).heard, "udp");
      assert.equal((await client.run(["ping", "-c", "1", address])).status, 0);
    }
    const { counters } = await host.stop();
    const { packets } = host;
    for (const protocol of [1, 6, UDP, 58]) {
      const both = packets.filter((packet) => packet.protocol === protocol);
      assert.ok(
        both.some(
          ({ hook, inInterface, outInterface }) =>
            hook === 1 && inInterface === "to-client" && outInterface === "",
        ),
      );
      assert.ok(
        both.some(
          ({ hook, inInterface, outInterface }) =>
            hook === 3 && inInterface === "" && outInterface === "to-client",
        ),
      );
    }
    const answers = packets.filter(({ hook, protocol }) => hook === 3 && protocol === UDP);
    assert.deepEqual(
      answers.map(({ userId, copiedBytes }) => [userId, copiedBytes]),
      [
        [0, 31],
        [0, 51],
      ],
    );
    assert.equal(counters.packets, packets.length);
    assert.equal(counters.unanswered + counters.unreadable + counters.gone + counters.refused, 0);
  },
);

netnsTest(
  "super-packets come up whole with the GSO flag, and in pieces without",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall } = hosts;
    await firewall.traffic.listenTcp({ port: 80, manner: "digest" });
    for (const wholeSuperPackets of [true, false]) {
      const host = await QueueHost.start(firewall, {
        hooks: ["INPUT"],
        orders: [],
        wholeSuperPackets,
        tellPackets: true,
      });
      const bytes = 5_000_000;
      const result = await client.traffic.transfer({
        address: firewall.ipv4,
        port: 80,
        bytes,
        timeoutMs: 20_000,
      });
      assert.ok(result.isIntact);
      const { counters } = await host.stop();
      const longest = Math.max(...host.packets.map(({ copiedBytes }) => copiedBytes));
      if (wholeSuperPackets) {
        assert.ok(longest > 4 * MTU_BYTES, `${longest}`);
        assert.ok(
          host.packets.some(({ segmentsToCome, checksumNotReady }) => segmentsToCome && checksumNotReady),
        );
      } else {
        assert.ok(longest <= MTU_BYTES, `${longest}`);
      }
      assert.equal(counters.shortCopies, 0);
    }
  },
);

netnsTest("a short copy still tells how long the packet is", HOST_PAIR, async ({ client, firewall }) => {
  const host = await QueueHost.start(firewall, {
    hooks: ["INPUT"],
    orders: [],
    copyRangeBytes: 128,
    tellPackets: true,
  });
  assert.equal((await client.run(["ping", "-c", "2", "-i", "0.1", "-s", "1000", firewall.ipv4])).status, 0);
  const { counters } = await host.stop();
  assert.deepEqual(
    host.packets.map(({ copiedBytes, wireBytes }) => [copiedBytes, wireBytes]),
    [
      [128, 1028],
      [128, 1028],
    ],
  );
  assert.equal(counters.shortCopies, 2);
});

netnsTest("both directions of an address pair meet in one of several queues", GATEWAY, async (hosts) => {
  const { client, firewall, server } = hosts;
  const sources = Array.from({ length: 12 }, (_, at) => `192.0.2.${20 + at}`);
  const add = sources.map((source) => `ip address add ${source}/24 dev to-firewall`).join("; ");
  assert.equal((await client.run(["sh", "-ec", add])).status, 0);
  await server.traffic.listenUdp({ port: 81 });
  const host = await QueueHost.start(firewall, {
    hooks: ["FORWARD"],
    orders: [],
    queues: 4,
    tellPackets: true,
  });
  for (const localAddress of sources) {
    const result = await client.traffic.sendUdp({ address: server.ipv4, port: 81, localAddress, say: "x" });
    assert.equal(result.outcome, "answered");
  }
  await host.stop();
  const queues = new Map<string, Set<number>>();
  for (const packet of host.packets.filter(({ protocol }) => protocol === UDP)) {
    const pair = endpoints(packet);
    queues.set(pair, (queues.get(pair) ?? new Set()).add(packet.queue));
  }
  assert.equal(queues.size, sources.length);
  for (const [pair, used] of queues) assert.equal(used.size, 1, pair);
  assert.ok(
    new Set([...queues.values()].flatMap((used) => [...used])).size > 1,
    "more than one queue is used",
  );
});

netnsTest("as many packets wait as a queue may be told, and no more", HOST_PAIR, ({ firewall }) => {
  const { max } = LIMITS.queuePackets;
  const { ipv4 } = firewall;
  const datagram = buildPacket({ source: ipv4, destination: ipv4, protocol: UDP, destinationPort: 9 });
  const statistics = inNamespace(firewall.fullName, () => {
    const queue = QueueSocket.open({
      queue: 0,
      copyRangeBytes: 64,
      queuePackets: max,
      batchPackets: 1,
      receiveBufferBytes: LIMITS.receiveBufferBytes.max,
      failOpen: false,
      wholeSuperPackets: true,
      acceptUnanswered: false,
      wakeFd: -1,
    });
    const plan = {
      table: DEFAULT_TABLE,
      hooks: ["INPUT"],
      priority: DEFAULT_PRIORITY,
      markMask: DEFAULT_MARK_MASK,
      queues: { first: 0, count: 1, bypass: false },
    } as const;
    const rules = KernelRules.install(plan, requireQueueExpression(probeKernel()));
    const socket = RawSocket.open(4);
    // What a host sends to itself has left its socket when it arrives: nothing waits there.
    for (let sent = 0; sent < max; sent += 1) socket.send(datagram);
    const found = [readQueueStatistics()];
    socket.send(datagram);
    found.push(readQueueStatistics());
    socket.close();
    rules.stopQueueing();
    rules.remove();
    queue.close();
    return found;
  });
  assert.deepEqual(
    statistics.flat().map(({ waiting, queueDropped, userDropped }) => [waiting, queueDropped, userDropped]),
    [
      [max, 0, 0],
      [max, 1, 0],
    ],
  );
  return Promise.resolve();
});

for (const failOpen of [true, false]) {
  const what = failOpen ? "passes" : "is dropped";
  netnsTest(
    `when the judge hangs and the queue is full, what comes ${what}`,
    HOST_PAIR,
    async ({ client, firewall }) => {
      const listener = await firewall.traffic.listenUdp({ port: 81, manner: "mute" });
      const orders = [{ port: 7, action: "stall" }] as const;
      const host = await QueueHost.start(firewall, {
        hooks: ["INPUT"],
        orders,
        failOpen,
        queuePackets: 8,
        batchPackets: 1,
      });
      const send = (port: number, say: string): Promise<unknown> =>
        client.traffic.sendUdp({ address: firewall.ipv4, port, say, timeoutMs: 20 });
      await send(7, "stall");
      for (let at = 0; at < 20; at += 1) await send(81, `${at}`);
      const heard = (await listener.heard()).map(({ text }) => text);
      // Eight packets wait: the one that stalls the judge and the seven behind it. ARP is no IP packet.
      assert.deepEqual(heard, failOpen ? Array.from({ length: 13 }, (_, at) => `${at + 7}`) : []);
      await host.program.stop("SIGKILL");
    },
  );

  netnsTest(
    `a flood that overruns the queue is survived (${what})`,
    HOST_PAIR,
    async ({ client, firewall }) => {
      const listener = await firewall.traffic.listenUdp({ port: 81 });
      const host = await QueueHost.start(firewall, {
        hooks: ["INPUT"],
        orders: [],
        failOpen,
        queuePackets: 32,
        receiveBufferBytes: 65_536,
      });
      const script = `
        const socket = require("dgram").createSocket("udp4");
        const bytes = Buffer.alloc(1000);
        let left = 30000;
        const go = () => {
          for (let at = 0; at < 100; at += 1) socket.send(bytes, 9, "${firewall.ipv4}");
          left -= 100;
          if (left > 0) setImmediate(go);
          else setTimeout(() => socket.close(), 50);
        };
        go();`;
      assert.equal((await client.run([process.execPath, "-e", script])).status, 0);
      assert.equal(
        (await client.traffic.sendUdp({ address: firewall.ipv4, port: 81, say: "after" })).heard,
        "after",
      );
      assert.equal((await listener.heard()).length, 1);
      const { counters, statistics } = await host.stop();
      const dropped = (statistics[0]?.queueDropped ?? 0) + (statistics[0]?.userDropped ?? 0);
      assert.ok(counters.packets > 1000, `${counters.packets} packets judged`);
      assert.equal(counters.refused + counters.unreadable + counters.unanswered, 0);
      if (failOpen) assert.equal(dropped, 0);
      assert.equal(statistics[0]?.waiting, 0);
    },
  );
}

netnsTest(
  "verdicts for packets that the kernel gave up are counted",
  HOST_PAIR,
  async ({ client, firewall }) => {
    const host = await QueueHost.start(firewall, { hooks: ["INPUT"], orders: [] });
    host.program.kill("SIGSTOP");
    const lost = await client.traffic.sendUdp({ address: firewall.ipv4, port: 81, say: "x", timeoutMs: 100 });
    assert.equal(lost.outcome, "silent");
    // The kernel drops all queued packets of a namespace when any chain is taken from a hook.
    const script =
      "nft 'table inet t { chain c { type filter hook input priority 9; }; }'; nft delete table inet t";
    assert.equal((await firewall.run(["sh", "-ec", script])).status, 0);
    host.program.kill("SIGCONT");
    assert.equal((await client.run(["ping", "-c", "1", firewall.ipv4])).status, 0);
    const { counters } = await host.stop();
    assert.equal(counters.gone, 1);
    assert.ok(counters.packets >= 2);
  },
);
