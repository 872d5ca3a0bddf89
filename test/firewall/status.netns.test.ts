/** What a running firewall says of itself under pf's names: counters move with what happens. */
import assert from "node:assert/strict";
import { PROTOCOL, TCP_FLAG } from "#base";
import { connect } from "#client";
import { HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import { buildPacket } from "#wire";
import { inject } from "./injection.ts";

const settings = { compatibility: "strict", offload: "none" };
const TRACKED = "table inet track {\n chain c { type filter hook input priority 0; ct state new accept; }\n}";

async function postern(host: Namespace, words: readonly string[]): Promise<string> {
  return host.must([process.execPath, POSTERN, ...words]);
}

netnsTest(
  "pf's counters move: searches, inserts, matches, half-open, mismatches, short packets",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await host.must(["nft", TRACKED]);
    const blocked = { name: "PortRule", protocol: "TCP", dst_port: 23, action: "DROP" };
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [blocked] } });
    const remote = connect({ socket: firewall.socket });
    const before = (await remote.getStatus()).pf;
    assert.equal(before.running, true);
    assert.match(before.checksum, /^0x[0-9a-f]{64}$/);
    assert.equal(before.states, before.activity.inserts - before.activity.removals);
    await host.traffic.listenTcp({ port: 80 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort: 4001 });
    await connection.exchange("hello");
    await client.traffic.connectTcp({ address: host.ipv4, port: 23, timeoutMs: 200 });
    // The answers to a forged source get lost.
    await host.must(["ip", "route", "add", "203.0.113.0/24", "via", client.ipv4]);
    const ends = { source: "203.0.113.7", destination: host.ipv4, protocol: PROTOCOL.TCP, sourcePort: 4000 };
    const syn = buildPacket({ ...ends, destinationPort: 80, flags: TCP_FLAG.SYN });
    const truncated = syn.slice(0, 24);
    const forged = buildPacket({
      ...ends,
      source: client.ipv4,
      sourcePort: 4001,
      destinationPort: 80,
      flags: TCP_FLAG.ACK,
      sequence: 1,
      acknowledgement: 1,
      payload: new Uint8Array(10),
    });
    await inject(client, [syn, truncated, forged]);
    const after = (await remote.getStatus()).pf;
    const moved = {
      match: after.counters.match - before.counters.match,
      short: after.counters.short - before.counters.short,
      searches: after.activity.searches - before.activity.searches,
      inserts: after.activity.inserts - before.activity.inserts,
    };
    assert.ok(moved.match >= 9 && moved.searches >= 9, JSON.stringify(moved));
    assert.equal(moved.short, 1);
    assert.ok(after.counters["state-mismatch"] > before.counters["state-mismatch"], "outside the window");
    assert.equal(moved.inserts, 2, "the connection and the forged one; what was dropped made none");
    assert.equal(after.halfOpenStates, 1, "the forged one");
    assert.equal(after.states, before.states + 2);
    assert.ok((after.kernel?.entries ?? 0) >= 1 && (after.kernel?.limit ?? 0) > 1000);
    await firewall.stop();
  },
);

netnsTest(
  "interface statistics move: bytes and packets by interface, direction, family and verdict",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const blocked = { name: "PortRule", protocol: "UDP", dst_port: 9, action: "DROP" };
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [blocked] } });
    const remote = connect({ socket: firewall.socket });
    const trafficOf = async (): Promise<{ in4: number[]; out4: number[]; in6: number[] }> => {
      const { interfaces } = (await remote.getStatus()).pf;
      const found = interfaces.find(({ name }) => name === "to-client");
      const [in4 = [], out4 = [], in6 = []] = [found?.in.ipv4, found?.out.ipv4, found?.in.ipv6].map(
        (traffic) => [traffic?.bytes ?? 0, traffic?.passedPackets ?? 0, traffic?.blockedPackets ?? 0],
      );
      return { in4, out4, in6 };
    };
    await host.traffic.listenUdp({ port: 53 });
    // Neighbours find each other before anything is counted.
    for (const address of [host.ipv4, host.ipv6])
      await client.traffic.sendUdp({ address, port: 53, say: "x" });
    const before = await trafficOf();
    for (const address of [host.ipv4, host.ipv6]) {
      await client.traffic.sendUdp({ address, port: 53, say: "four" });
      await client.traffic.sendUdp({ address, port: 9, say: "dropped", timeoutMs: 100 });
    }
    const after = await trafficOf();
    const moved = (name: keyof typeof after): number[] =>
      after[name].map((value, at) => value - (before[name][at] ?? 0));
    assert.deepEqual(moved("in4"), [20 + 8 + 4 + 20 + 8 + 7, 1, 1]);
    assert.deepEqual(moved("out4"), [20 + 8 + 4, 1, 0]);
    const [bytes = 0, passed = 0, dropped = 0] = moved("in6");
    assert.ok(bytes >= 40 + 8 + 4 + 40 + 8 + 7 && passed >= 1 && dropped === 1, "and what neighbours say");
    await firewall.stop();
  },
);

netnsTest(
  "postern status --pf prints the figures as pfctl does",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { settings } });
    await host.traffic.listenTcp({ port: 80 });
    await client.traffic.connectTcp({ address: host.ipv4, port: 80, say: "hello" });
    const words = ["status", "--pf", "--socket", firewall.socket];
    const text = await postern(host, words);
    assert.match(text, /^Status: Enabled for 0 days 00:00:\d\d +Debug: INFO$/m);
    assert.match(text, /^Interface Stats for to-client +IPv4 +IPv6$/m);
    assert.match(text, /^State Table +Total +Rate$/m);
    assert.match(text, /^ {2}searches +[1-9]\d* +\d+\.\d\/s$/m);
    assert.match(text, /^ {2}half-open tcp +\d+$/m);
    const json = JSON.parse(await postern(host, [...words, "--json"])) as { states: number };
    assert.ok(json.states >= 1);
    await firewall.stop();
  },
);
