/** Hostile traffic: every packet gets a verdict, and the firewall stays in force. */
import assert from "node:assert/strict";
import { PROTOCOL, TCP_FLAG } from "#base";
import type { FirewallStatus } from "#client";
import { HOST_PAIR, type Namespace, POSTERN, type RunningFirewall, startFirewall } from "#lab";
import { netnsTest, PATIENCE_MS, SILENCE_MS } from "#testing";
import { inject } from "./injection.ts";
import { type Door, KNOCKED_PORT, knock, knockingRules, TWO_DOORS } from "../knocking.ts";
import { buildPacket } from "#wire";

async function statusOf(host: Namespace, firewall: RunningFirewall): Promise<FirewallStatus> {
  const status = await host.run([process.execPath, POSTERN, "status", "--json", "--socket", firewall.socket]);
  assert.equal(status.status, 0, status.output);
  return JSON.parse(status.output) as FirewallStatus;
}

/** Waits until no packet waits for a verdict; a packet without one would wait for ever. */
async function settled(host: Namespace, firewall: RunningFirewall): Promise<FirewallStatus> {
  for (let attempt = 0; ; attempt += 1) {
    const status = await statusOf(host, firewall);
    const queues = status.workers.flatMap((worker) => worker.queues);
    const waiting = queues.reduce((sum, { kernel }) => sum + (kernel?.waiting ?? 0), 0);
    if (waiting === 0) return status;
    assert.ok(attempt < 20, `${waiting} packets wait for a verdict`);
  }
}

/**
 * TCP and UDP headers that lie, and TCP and UDP cut short; the IP header is right, or the kernel would drop
 * them.
 */
function badPackets(source: string, destination: string): Uint8Array[] {
  const ends = { source, destination, sourcePort: 4000, destinationPort: 80 };
  const tcp = buildPacket({ ...ends, protocol: PROTOCOL.TCP, flags: TCP_FLAG.SYN });
  const udp = buildPacket({ ...ends, protocol: PROTOCOL.UDP, payload: new Uint8Array(8) });
  const at = source.includes(":") ? 40 : 20;
  const changed = (packet: Uint8Array, offset: number, value: number): Uint8Array => {
    const copy = packet.slice();
    copy[at + offset] = value;
    return copy;
  };
  const cut = (packet: Uint8Array, bytes: number): Uint8Array => {
    const copy = packet.slice(0, at + bytes);
    const view = new DataView(copy.buffer);
    if (at === 40) view.setUint16(4, bytes);
    else view.setUint16(2, copy.length);
    return copy;
  };
  return [
    changed(tcp, 12, 0x40),
    changed(tcp, 12, 0xf0),
    changed(tcp, 13, 0xff),
    changed(tcp, 13, 0x00),
    changed(udp, 4, 0x00),
    changed(udp, 5, 0x07),
    changed(udp, 4, 0xff),
    ...[0, 1, 4, 13, 19].map((bytes) => cut(tcp, bytes)),
    ...[0, 1, 7].map((bytes) => cut(udp, bytes)),
  ];
}

for (const outcome of ["DROP", "ACCEPT"] as const) {
  netnsTest(
    `malformed and truncated packets take the declared outcome (${outcome}), and none waits for ever`,
    HOST_PAIR,
    async ({ client, firewall: host }) => {
      const settings = { compatibility: "strict", outcomes: { malformed: outcome } };
      const firewall = await startFirewall(host, {
        policy: { settings, INPUT: [{ name: "TCPRule", action: "ACCEPT" }] },
      });
      const packets = [...badPackets(client.ipv4, host.ipv4), ...badPackets(client.ipv6, host.ipv6)];
      await inject(client, packets, 20);
      const { counters } = await settled(host, firewall);
      assert.ok((counters["malformed"] ?? 0) >= 200, JSON.stringify(counters));
      const dropped = counters["dropped"] ?? 0;
      assert.equal(dropped, outcome === "DROP" ? counters["malformed"] : 0);
      await host.traffic.listenTcp({ port: 80 });
      const result = await client.traffic.connectTcp({ address: host.ipv4, port: 80, say: "still here" });
      assert.equal(result.heard, "still here");
      await firewall.stop();
    },
  );
}

netnsTest(
  "fragments are judged, and what they carry arrives whole",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = {
      settings: { compatibility: "strict" },
      INPUT: [{ name: "PortRule", protocol: "UDP", dst_port: 5001, action: "DROP" }],
    };
    const firewall = await startFirewall(host, { policy });
    const server = await host.traffic.listenUdp({ port: 5000 });
    await host.traffic.listenUdp({ port: 5001 });
    const say = "x".repeat(20_000);
    for (const address of [host.ipv4, host.ipv6]) {
      const good = await client.traffic.sendUdp({ address, port: 5000, say, timeoutMs: 2000 });
      assert.equal(good.outcome, "answered");
      const bad = await client.traffic.sendUdp({ address, port: 5001, say, timeoutMs: 300 });
      assert.equal(bad.outcome, "silent");
    }
    const heard = await server.heard();
    assert.deepEqual(
      heard.map((entry) => entry.bytes),
      [20_000, 20_000],
    );
    await firewall.stop();
  },
);

netnsTest(
  "a large transfer arrives unchanged, in packets larger than the MTU",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, {
      policy: { settings: { compatibility: "strict", offload: "none" } },
    });
    await host.traffic.listenTcp({ port: 7000, manner: "digest" });
    const before = await statusOf(host, firewall);
    const bytes = 50_000_000;
    const result = await client.traffic.transfer({
      address: host.ipv4,
      port: 7000,
      bytes,
      timeoutMs: 30_000,
    });
    assert.equal(result.isIntact, true);
    const after = await settled(host, firewall);
    const packets = (after.counters["packets"] ?? 0) - (before.counters["packets"] ?? 0);
    const judged = (after.counters["bytes"] ?? 0) - (before.counters["bytes"] ?? 0);
    assert.ok(judged > bytes, "every byte was judged");
    assert.ok(judged / packets > 1500, `${Math.round(judged / packets)} bytes a packet`);
    assert.equal(after.counters["truncated"], 0);
    await firewall.stop();
  },
);

for (const { full, counter, limits } of [
  { full: "queue", counter: "queueDropped", limits: { queuePackets: 16 } },
  { full: "buffer", counter: "userDropped", limits: { receiveBufferBytes: 65_536 } },
] as const) {
  netnsTest(
    `a flood that is larger than the ${full} leaves the firewall installed and filtering`,
    HOST_PAIR,
    async ({ client, firewall: host }) => {
      const settings = {
        compatibility: "strict",
        // Nothing of the flood is judged before it is queued.
        offload: "none",
        workers: 1,
        limits: { batchPackets: 4, ...limits },
      };
      const policy = {
        settings,
        INPUT: [
          { name: "PortRule", protocol: "UDP", dst_port: 9, action: "DROP" },
          { name: "PortRule", protocol: "TCP", dst_port: 23, action: "DROP" },
        ],
      };
      const firewall = await startFirewall(host, { policy });
      await host.traffic.listenTcp({ port: 80 });
      await host.traffic.listenTcp({ port: 23 });
      const packet = buildPacket({
        source: client.ipv4,
        destination: host.ipv4,
        protocol: PROTOCOL.UDP,
        sourcePort: 1,
        destinationPort: 9,
        payload: new Uint8Array(1000),
      });
      const floods = [1, 2, 3].map(() =>
        inject(
          client,
          Array.from({ length: 50 }, () => packet),
          1000,
        ),
      );
      await Promise.all(floods);
      const { workers } = await settled(host, firewall);
      const queues = workers.flatMap((worker) => worker.queues);
      const lost = queues.reduce((sum, { kernel }) => sum + (kernel?.[counter] ?? 0), 0);
      assert.ok(lost > 0, `the flood was larger than the ${full}`);
      assert.equal(workers[0]?.restarts, 0);
      const attempt = async (port: number, timeoutMs = SILENCE_MS): Promise<string> =>
        (await client.traffic.connectTcp({ address: host.ipv4, port, timeoutMs })).outcome;
      assert.deepEqual([await attempt(80, PATIENCE_MS), await attempt(23)], ["connected", "timeout"]);
      await firewall.stop();
    },
  );
}

netnsTest(
  "two workers share the load, and a knock that meets both still opens the door",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const doors: readonly Door[] = [...TWO_DOORS, ["TCP", 49_021], ["UDP", 49_031]];
    const settings = { compatibility: "strict", workers: 4 };
    const policy = { settings, INPUT: knockingRules(doors) };
    const firewall = await startFirewall(host, { policy });
    await host.traffic.listenTcp({ port: KNOCKED_PORT });
    for (const address of [host.ipv4, host.ipv6]) {
      await knock(client, address, doors);
      const behind = { address, port: KNOCKED_PORT, timeoutMs: PATIENCE_MS };
      const result = await client.traffic.connectTcp(behind);
      assert.equal(result.outcome, "connected", address);
    }
    const { workers } = await statusOf(host, firewall);
    assert.equal(workers.length, 4);
    await firewall.stop();
  },
);
