/**
 * Queues for classes of packets: what a flood does to the others, with a rule that makes each of the flood's
 * packets dear and with short queues, so that it is surely more than the firewall can judge.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { connect, type QueueStatus } from "#client";
import { PROTOCOL, type QueueClass } from "#base";
import { HOST_PAIR, type Namespace, type RunningFirewall, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import { buildPacket } from "#wire";
import { flood, inject } from "./injection.ts";
import { ownRule } from "./own-rule.ts";

const SLOW = "match() { const end = performance.now() + 0.3; while (performance.now() < end); return true; }";
const SETTINGS = { limits: { queuePackets: 64, batchPackets: 16 } };

/** Datagrams to the dear rule, each from another source. */
function floodOf(host: Namespace): Uint8Array[] {
  return Array.from({ length: 200 }, (_, at) =>
    buildPacket({
      source: `10.9.${at % 7}.${at + 1}`,
      destination: host.ipv4,
      protocol: PROTOCOL.UDP,
      sourcePort: 1024 + at,
      destinationPort: 5000,
      payload: new Uint8Array(20),
    }),
  );
}

async function queuesOf(firewall: RunningFirewall): Promise<QueueStatus[]> {
  const { workers } = await connect({ socket: firewall.socket }).getStatus();
  return workers.flatMap(({ queues }) => queues);
}

function dropped(queues: readonly QueueStatus[], of: QueueClass): number {
  return queues
    .filter((queue) => queue.class === of)
    .reduce((sum, { kernel }) => sum + (kernel?.queueDropped ?? 0) + (kernel?.userDropped ?? 0), 0);
}

/** Segments that TCP of a host had to send again. */
async function sentAgain(host: Namespace): Promise<number> {
  const [names, values] = (await host.must(["cat", "/proc/net/snmp"]))
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values?.[names?.indexOf("RetransSegs") ?? -1]);
}

for (const offload of ["none", "flows"]) {
  netnsTest(
    `a flood of UDP from many sources that overflows its queue loses no packet of TCP (offload ${offload})`,
    HOST_PAIR,
    async ({ client, firewall: host }) => {
      const { folder, policyFile } = ownRule(SLOW, { ...SETTINGS, offload });
      const firewall = await startFirewall(host, { policy: policyFile });
      const again = await sentAgain(client);
      await host.traffic.listenTcp({ port: 80 });
      const standing = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
      const endFlood = flood(client, floodOf(host));
      try {
        while (dropped(await queuesOf(firewall), "other") === 0)
          await standing.exchange("until it overflows", 30_000);
        for (let round = 0; round < 20; round += 1) {
          assert.equal(await standing.exchange(`round ${round}`, 30_000), `round ${round}`);
          const destination = { address: host.ipv4, port: 80, say: "hello", timeoutMs: 30_000 };
          const { outcome, heard } = await client.traffic.connectTcp(destination);
          assert.deepEqual([outcome, heard], ["connected", "hello"]);
        }
      } finally {
        await endFlood();
      }
      const queues = await queuesOf(firewall);
      assert.equal(dropped(queues, "tcp") + dropped(queues, "known"), 0);
      const repeated = (await sentAgain(client)) - again;
      assert.ok(
        repeated < 10,
        `${repeated} segments were sent again, in twenty connections and twenty exchanges`,
      );
      const wait = queues.find((queue) => queue.class === "other")?.wait;
      assert.ok((wait?.p50Ms ?? 0) > 1, `what a flood waits in its queue is told: ${JSON.stringify(wait)}`);
      await firewall.stop();
      rmSync(folder, { recursive: true });
    },
  );
}

netnsTest(
  "each class of packets has a queue of its own, with the length and the fail mode that the policy gives it",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const queues = { other: { packets: 8, failMode: "open" }, tcp: { packets: 77 } };
    const { folder, policyFile } = ownRule(SLOW, { ...SETTINGS, queues, offload: "flows" });
    const firewall = await startFirewall(host, { policy: policyFile });
    const heard = await host.traffic.listenUdp({ port: 5000 });
    await host.traffic.listenTcp({ port: 80 });
    await client.traffic.connectTcp({ address: host.ipv4, port: 80, say: "hello" });
    await inject(client, floodOf(host), 10);
    const status = await queuesOf(firewall);
    assert.deepEqual(
      status.map((queue) => [queue.class, queue.queue]),
      [
        ["known", 0],
        ["tcp", 1],
        ["other", 2],
      ],
    );
    const queued = status.map(({ kernel }) => kernel?.queued ?? 0);
    assert.ok(
      queued.every((count) => count > 0),
      `each class had packets: ${queued.join(", ")}`,
    );
    assert.equal(dropped(status, "other"), 0, "what finds an open queue full passes, and is not counted");
    assert.ok((await heard.heard()).length > (queued[2] ?? 0), "more came through than were queued");
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);
