/** Connections that the kernel carries from their handshake to their end. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { PROTOCOL, TCP_FLAG } from "#base";
import { connect, type FirewallStatus } from "#client";
import {
  GATEWAY,
  HOST_PAIR,
  type Namespace,
  type OpenConnection,
  type RunningFirewall,
  startFirewall,
  type Topology,
} from "#lab";
import { eventually, netnsTest } from "#testing";
import type { State } from "#view";
import { buildPacket } from "#wire";
import { inject } from "./injection.ts";

/** How long an answer may take on a busy machine, in milliseconds. */
const PATIENCE_MS = 10_000;

/** Of what is under way all passes, and at port 80 connections begin. */
const CHAIN = [
  { name: "FlowRule", is: "known", action: "ACCEPT" },
  { name: "PortRule", protocol: "TCP", dst_port: 80, action: "ACCEPT" },
];

function policy(settings: object = {}): Readonly<Record<string, unknown>> {
  return {
    settings: { workers: 1, offload: "flows", ...settings },
    default_chain: "DROP",
    INPUT: CHAIN,
    OUTPUT: CHAIN,
    FORWARD: CHAIN,
  };
}

function status({ socket }: RunningFirewall): Promise<FirewallStatus> {
  return connect({ socket }).getStatus();
}

/** States of our table. @param filter - chooses some of them */
async function ownStates({ socket }: RunningFirewall, filter = ""): Promise<State[]> {
  const states: State[] = [];
  for await (const state of connect({ socket }).getStates({ source: "own", filter })) states.push(state);
  return states;
}

/** How far connections of a port have come. */
async function levelOf(firewall: RunningFirewall, port: number): Promise<string> {
  return (await ownStates(firewall, `port ${port}`)).map(({ src }) => src.levelName).join();
}

async function packetsSeen(firewall: RunningFirewall): Promise<number> {
  return (await status(firewall)).counters["packets"] ?? 0;
}

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  assert.ok(await eventually(condition, Boolean), "what was waited for has not come");
}

async function exchangeMany(connection: OpenConnection, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    assert.equal(await connection.exchange(`line ${at}`, PATIENCE_MS), `line ${at}`);
  }
}

netnsTest(
  "of a whole connection three packets come up, and its reset, and its ends may meet again",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const firewall = await startFirewall(host, { policy: policy() });
    await host.traffic.listenTcp({ port: 80 });
    for (const ending of ["reset", "reset", "close"] as const) {
      const before = await packetsSeen(firewall);
      const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort: 40_000 });
      await exchangeMany(connection, 5);
      assert.equal((await status(firewall)).offloaded.active, 1);
      await connection[ending]();
      const expected = ending === "reset" ? 4 : 3;
      await waitFor(async () => (await packetsSeen(firewall)) - before >= expected);
      assert.equal((await packetsSeen(firewall)) - before, expected, ending);
    }
    assert.equal((await ownStates(firewall)).length, 1, "one entry for all of them");
    await firewall.stop();
  },
);

netnsTest(
  "a full table forgets connections that are over, and none that goes on",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const firewall = await startFirewall(host, { policy: policy({ limits: { flows: 16 } }) });
    await host.traffic.listenTcp({ port: 80 });
    const open = (localPort: number): Promise<OpenConnection> =>
      client.traffic.openTcp({ address: host.ipv4, port: 80, localPort });
    const lasting = await open(40_000);
    await exchangeMany(lasting, 2);
    for (let port = 40_001; port <= 40_040; port += 1) {
      const brief = await open(port);
      await exchangeMany(brief, 2);
      await brief.close();
    }
    const gaveWay = (await status(firewall)).pf.counters["state-limit"] ?? 0;
    assert.ok(gaveWay >= 25, `${gaveWay} gave way`);
    assert.equal(await levelOf(firewall, 40_000), "ESTABLISHED");
    // Judged anew, it is known.
    await connect({ socket: firewall.socket }).reload();
    await exchangeMany(lasting, 2);
    // And its reset is told to the other end.
    await lasting.reset();
    await waitFor(async () => (await levelOf(firewall, 40_000)) === "CLOSED");
    await firewall.stop();
  },
);

netnsTest(
  "where seals are switched off a connection that was carried goes on, and one that is over may begin anew",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const firewall = await startFirewall(host, { policy: policy() });
    await host.traffic.listenTcp({ port: 80 });
    const connections: OpenConnection[] = [];
    for (const localPort of [40_000, 40_001]) {
      const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort });
      await exchangeMany(connection, 2);
      connections.push(connection);
    }
    const [lasting, brief] = connections as [OpenConnection, OpenConnection];
    await brief.close();
    writeFileSync(firewall.policyFile, JSON.stringify(policy({ offload: "none" })));
    await connect({ socket: firewall.socket }).reload();
    const before = await ownStates(firewall);
    assert.deepEqual(
      before.map(({ src }) => src.levelName),
      ["ESTABLISHED", "ESTABLISHED"],
    );
    for (const sourcePort of [40_000, 40_001]) {
      const syn = buildPacket({
        source: client.ipv4,
        destination: host.ipv4,
        protocol: PROTOCOL.TCP,
        sourcePort,
        destinationPort: 80,
        flags: TCP_FLAG.SYN,
        sequence: 1,
      });
      await inject(client, [syn]);
    }
    const idOf = (states: readonly State[], port: number): string | undefined =>
      states.find(({ nk, sk }) => [...nk.ports, ...sk.ports].includes(port))?.id;
    await waitFor(async () => idOf(await ownStates(firewall), 40_001) !== idOf(before, 40_001));
    const after = await ownStates(firewall);
    assert.equal(idOf(after, 40_000), idOf(before, 40_000));
    assert.equal(await levelOf(firewall, 40_000), "ESTABLISHED");
    await exchangeMany(lasting, 2);
    await firewall.stop();
  },
);

netnsTest("of a connection both ends of which are translated FINs come up", GATEWAY, async (hosts) => {
  const { client, firewall: host, server } = hosts;
  const rules = `table ip translate {
    chain before { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to ${server.ipv4}:80; }
    chain behind { type nat hook postrouting priority srcnat; meta l4proto tcp masquerade; }
  }`;
  await host.must(["nft", rules]);
  const firewall = await startFirewall(host, { policy: policy() });
  await server.traffic.listenTcp({ port: 80 });
  const open = async (address: string, port: number, localPort: number): Promise<void> => {
    const connection = await client.traffic.openTcp({ address, port, localPort });
    await exchangeMany(connection, 5);
    await connection.close();
  };
  await open(server.ipv4, 80, 40_000);
  await open(host.ipv4, 8080, 40_001);
  await waitFor(async () => (await levelOf(firewall, 40_001)) !== "ESTABLISHED");
  assert.equal(await levelOf(firewall, 40_000), "ESTABLISHED", "the kernel has carried this one");
  await firewall.stop();
});

/**
 * Has an end hold segments back that it sends.
 *
 * @param segments - which, in the words of nft
 * @returns what ends that
 */
async function withhold(end: Namespace, segments: string): Promise<() => Promise<void>> {
  const chain = `chain sent { type filter hook output priority -500; ${segments} drop; }`;
  await end.must(["nft", `table ip withhold { ${chain}; }`]);
  return async () => {
    await end.must(["nft", "delete", "table", "ip", "withhold"]);
  };
}

/** What says nothing but an acknowledgement, of the connection from port 40000. */
const ACKNOWLEDGEMENTS = "tcp flags == ack tcp dport 80 tcp sport 40000";
/** All answers to its SYN but the first. */
const FURTHER_ANSWERS = "tcp flags == syn|ack tcp dport 40000 limit rate over 1/hour burst 1 packets";

/** Packets that wait in the queue of known flows. */
async function waiting(host: Namespace): Promise<number> {
  const lines = (await host.must(["cat", "/proc/net/netfilter/nfnetlink_queue"])).split("\n");
  const [queue = ""] = lines.filter((line) => /^ *0 /.test(line));
  return Number(queue.trim().split(/ +/)[2]);
}

netnsTest(
  "a connection whose last segment of the handshake a full queue let pass is listed once it would expire, and is killed",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const short = { packets: 1, failMode: "open" };
    const settings = { queues: { known: short }, timeouts: { "tcp.opening": 10 } };
    const firewall = await startFirewall(host, { policy: policy(settings) });
    await host.traffic.listenTcp({ port: 80 });
    const open = (localPort: number): Promise<OpenConnection> =>
      client.traffic.openTcp({ address: host.ipv4, port: 80, localPort });
    const other = await open(40_001);
    await exchangeMany(other, 2);
    const before = await packetsSeen(firewall);
    await withhold(host, FURTHER_ANSWERS);
    const release = await withhold(client, ACKNOWLEDGEMENTS);
    const connection = await open(40_000);
    await waitFor(async () => (await packetsSeen(firewall)) >= before + 2);
    const { pid } = firewall.program;
    assert.ok(pid !== undefined);
    process.kill(pid, "SIGSTOP");
    try {
      await other.reset();
      await waitFor(async () => (await waiting(host)) === 1);
      await release();
      await exchangeMany(connection, 5);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await waitFor(async () => (await packetsSeen(firewall)) >= before + 3);
    assert.equal(await levelOf(firewall, 40_000), "SYN_RCVD");
    await waitFor(async () => (await levelOf(firewall, 40_000)) === "ESTABLISHED");
    assert.equal((await status(firewall)).offloaded.active, 1);
    await exchangeMany(connection, 2);
    assert.equal(await levelOf(firewall, 40_000), "ESTABLISHED");
    await connect({ socket: firewall.socket }).killStates({ filter: "port 40000", source: "own" });
    assert.notEqual(await connection.exchange("after its end", 1000), "after its end");
    await firewall.stop();
  },
);

/**
 * Opens a connection the SYN of which is answered once more while the firewall stands still. The kernel,
 * which has seen its handshake end, carries it meanwhile beyond any window that the handshake has told of.
 */
async function overtake(
  { client, firewall: host, server }: Topology<"client" | "firewall" | "server">,
  firewall: RunningFirewall,
): Promise<OpenConnection> {
  await server.traffic.listenTcp({ port: 80 });
  const before = await packetsSeen(firewall);
  const answer = await withhold(server, FURTHER_ANSWERS);
  const release = await withhold(client, ACKNOWLEDGEMENTS);
  const connection = await client.traffic.openTcp({ address: server.ipv4, port: 80, localPort: 40_000 });
  await waitFor(async () => (await packetsSeen(firewall)) >= before + 2);
  const { pid } = firewall.program;
  assert.ok(pid !== undefined);
  const line = "line".repeat(300);
  process.kill(pid, "SIGSTOP");
  try {
    await answer();
    await waitFor(async () => (await waiting(host)) === 1);
    await release();
    for (let at = 0; at < 200; at += 1) assert.equal(await connection.exchange(line, PATIENCE_MS), line);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await waitFor(async () => (await packetsSeen(firewall)) >= before + 3);
  assert.equal(await levelOf(firewall, 40_000), "SYN_RCVD");
  return connection;
}

/** A full queue of known flows lets packets pass. */
const OVERTAKEN = { queues: { known: { packets: 1, failMode: "open" } } };

netnsTest(
  "a repeated answer to a SYN that waits while the kernel carries the connection takes no seal away",
  GATEWAY,
  async (hosts) => {
    const settings = { ...OVERTAKEN, timeouts: { "tcp.opening": 10 } };
    const firewall = await startFirewall(hosts.firewall, { policy: policy(settings) });
    const connection = await overtake(hosts, firewall);
    const seen = await packetsSeen(firewall);
    await exchangeMany(connection, 5);
    assert.equal(await packetsSeen(firewall), seen, "the kernel carries it still");
    await waitFor(async () => (await levelOf(firewall, 40_000)) === "ESTABLISHED");
    assert.equal((await status(firewall)).offloaded.active, 1);
    await exchangeMany(connection, 2);
    await firewall.stop();
  },
);

netnsTest(
  "where seals are void a connection stands once the kernel vouches for it, its handshake unseen",
  GATEWAY,
  async (hosts) => {
    const firewall = await startFirewall(hosts.firewall, { policy: policy(OVERTAKEN) });
    const connection = await overtake(hosts, firewall);
    await connect({ socket: firewall.socket }).reload();
    assert.equal(await levelOf(firewall, 40_000), "SYN_RCVD");
    await exchangeMany(connection, 3);
    assert.equal(await levelOf(firewall, 40_000), "ESTABLISHED");
    const seen = await packetsSeen(firewall);
    await exchangeMany(connection, 5);
    assert.equal(await packetsSeen(firewall), seen, "it is sealed again");
    await connection.reset();
    await waitFor(async () => (await levelOf(firewall, 40_000)) === "CLOSED");
    await firewall.stop();
  },
);
