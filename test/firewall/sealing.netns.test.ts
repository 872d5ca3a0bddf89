/** Flows whose fate is sealed: what still comes up, what does not, and how seals end. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { PROTOCOL, TCP_FLAG } from "#base";
import { connect, type FirewallStatus } from "#client";
import {
  HOST_PAIR,
  type Namespace,
  type OpenConnection,
  type RunningFirewall,
  startFirewall,
  type Topology,
} from "#lab";
import { SEAL_GENERATIONS } from "#netlink";
import { eventually, netnsTest } from "#testing";
import type { State } from "#view";
import { buildPacket } from "#wire";
import { expectDropped } from "./dropping.ts";
import { inject } from "./injection.ts";

/** How long an answer may take on a busy machine, in milliseconds. */
const PATIENCE_MS = 10_000;

const folder = mkdtempSync(join(tmpdir(), "postern-sealing-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Everything is inspected, nothing that these tests speak is unwelcome. */
const INSPECTING = {
  settings: { workers: 1, offload: "flows" },
  default_chain: "DROP",
  INPUT: [
    { name: "ProtocolRule", protocols: ["BitTorrent"], action: "DROP" },
    { name: "TCPRule", action: "ACCEPT" },
    { name: "UDPRule", action: "ACCEPT" },
  ],
  OUTPUT: [
    { name: "ProtocolRule", protocols: ["BitTorrent"], action: "DROP" },
    { name: "TCPRule", action: "ACCEPT" },
    { name: "UDPRule", action: "ACCEPT" },
  ],
};

const MEGABYTES = 32;

function status({ socket }: RunningFirewall): Promise<FirewallStatus> {
  return connect({ socket }).getStatus();
}

async function ownStates({ socket }: RunningFirewall): Promise<State[]> {
  const states: State[] = [];
  for await (const state of connect({ socket }).getStates({ source: "own" })) states.push(state);
  return states;
}

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  assert.ok(await eventually(condition, Boolean), "what was waited for has not come");
}

async function packetsSeen(firewall: RunningFirewall): Promise<number> {
  return (await status(firewall)).counters["packets"] ?? 0;
}

/** A TLS server that sends some megabytes to whoever connects, and a client that counts them. */
async function transferTls(server: Namespace, client: Namespace): Promise<number> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const make = `openssl req -x509 -newkey rsa:2048 -nodes -keyout ${key} -out ${cert} -days 2 -subj /CN=a.example`;
  await server.must(["sh", "-c", `${make} 2>/dev/null`]);
  const serve = `
    const { readFileSync } = require("node:fs");
    const options = { key: readFileSync("${key}"), cert: readFileSync("${cert}") };
    require("node:tls").createServer(options, (socket) => {
      socket.on("error", () => undefined);
      socket.end(Buffer.alloc(${MEGABYTES} * 1048576, 7));
    }).listen(443, "::", () => console.log("listening"));`;
  const program = server.start([process.execPath, "-e", serve]);
  await program.waitForLine(/listening/);
  const fetch = `
    let bytes = 0;
    const socket = require("node:tls").connect({ host: "${server.ipv4}", port: 443, rejectUnauthorized: false });
    socket.on("data", (data) => { bytes += data.length; });
    socket.on("end", () => console.log(bytes));`;
  const { output } = await client.run([process.execPath, "-e", fetch]);
  await program.stop();
  return Number(output.trim());
}

netnsTest("of a long TLS flow at most eight packets reach userspace", HOST_PAIR, async (hosts) => {
  const { client, firewall: host } = hosts;
  const firewall = await startFirewall(host, { policy: INSPECTING });
  const counts: number[] = [];
  for (let run = 1; run <= 3; run += 1) {
    const before = await packetsSeen(firewall);
    assert.equal(await transferTls(host, client), MEGABYTES * 1_048_576);
    counts.push((await packetsSeen(firewall)) - before);
    assert.equal((await status(firewall)).offloaded.total, run);
  }
  // Packets that are on their way while the verdict is given come up too.
  const seen = Math.min(...counts);
  assert.ok(seen >= 4 && seen <= 8, `${counts.join(", ")} packets came up`);
  await firewall.stop();
});

/** An open connection to a port of the firewall's host whose fate is sealed. */
async function openSealed(
  { client, firewall: host }: Topology<"client" | "firewall">,
  firewall: RunningFirewall,
): Promise<OpenConnection> {
  await host.traffic.listenTcp({ port: 80 });
  const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort: 40_000 });
  assert.equal(await connection.exchange("GET / HTTP/1.0\r\n\r\n", PATIENCE_MS), "GET / HTTP/1.0\r\n\r\n");
  // What is said goes back, so both sides have spoken and the protocol is settled.
  assert.equal(await connection.exchange("HTTP/1.0 200 OK\r\n\r\n", PATIENCE_MS), "HTTP/1.0 200 OK\r\n\r\n");
  await exchangeMany(connection, 20);
  const { offloaded } = await status(firewall);
  assert.equal(offloaded.active, 1, "the flow is sealed");
  return connection;
}

async function exchangeMany(connection: OpenConnection, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    assert.equal(await connection.exchange(`line ${at}`, PATIENCE_MS), `line ${at}`);
  }
}

netnsTest("nothing of a sealed flow comes up, and another policy takes it back", HOST_PAIR, async (hosts) => {
  const firewall = await startFirewall(hosts.firewall, { policy: INSPECTING });
  const connection = await openSealed(hosts, firewall);
  const before = await packetsSeen(firewall);
  await exchangeMany(connection, 20);
  assert.equal(await packetsSeen(firewall), before);
  const [state] = await ownStates(firewall);
  assert.notEqual(state?.offload, "none");

  const closed = {
    ...INSPECTING,
    INPUT: [{ name: "PortRule", protocol: "TCP", dst_port: 80, action: "DROP" }],
  };
  writeFileSync(firewall.policyFile, JSON.stringify(closed));
  await connect({ socket: firewall.socket }).reload();
  await expectDropped(firewall, connection, "after");
  assert.equal((await status(firewall)).offloaded.active, 0);
  await firewall.stop();
});

netnsTest("a killed flow loses its seal with its entry", HOST_PAIR, async (hosts) => {
  const firewall = await startFirewall(hosts.firewall, { policy: INSPECTING });
  const connection = await openSealed(hosts, firewall);
  await connect({ socket: firewall.socket }).killStates({ filter: "port 80", source: "own" });
  await expectDropped(firewall, connection, "after");
  await firewall.stop();
});

netnsTest(
  "an address that is put into a table is kept out of a sealed flow at once",
  HOST_PAIR,
  async (hosts) => {
    const policy = {
      ...INSPECTING,
      settings: { ...INSPECTING.settings, tables: { bad: {} } },
      INPUT: [{ name: "TableRule", table: "bad", action: "DROP" }, ...INSPECTING.INPUT],
    };
    const firewall = await startFirewall(hosts.firewall, { policy });
    const connection = await openSealed(hosts, firewall);
    const remote = connect({ socket: firewall.socket });
    await remote.addAddresses("bad", { addresses: [hosts.client.ipv4] });
    await expectDropped(firewall, connection, "after");
    await remote.deleteAddresses("bad", { addresses: [hosts.client.ipv4] });
    await firewall.stop();
  },
);

netnsTest("a forged reset does not end a sealed connection, a genuine one does", HOST_PAIR, async (hosts) => {
  const { client, firewall: host } = hosts;
  const firewall = await startFirewall(host, { policy: INSPECTING });
  const connection = await openSealed(hosts, firewall);
  const forged = buildPacket({
    source: client.ipv4,
    destination: host.ipv4,
    protocol: PROTOCOL.TCP,
    sourcePort: 40_000,
    destinationPort: 80,
    flags: TCP_FLAG.RST,
    sequence: 1,
  });
  await inject(client, [forged]);
  const stateOf = async (): Promise<string> =>
    (await ownStates(firewall)).map(({ src }) => src.levelName).join();
  assert.equal(await stateOf(), "ESTABLISHED");
  await exchangeMany(connection, 2);
  await connection.reset();
  await waitFor(async () => (await stateOf()) === "CLOSED");
  await firewall.stop();
});

netnsTest(
  "a forged FIN that seems delayed to the kernel cuts no sealed connection",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const open = ["CLOSED", "SYN_RCVD1", "SYN_RCVD2", "ESTABLISHED"];
    const chain = [{ name: "TCPStateRule", match_if: open, action: "ACCEPT" }];
    const settings = { workers: 1, offload: "flows" };
    const firewall = await startFirewall(host, {
      policy: { settings, default_chain: "DROP", INPUT: chain, OUTPUT: chain },
    });
    const connection = await openSealed(hosts, firewall);
    const before = await packetsSeen(firewall);
    // Of numbers in all quarters, those of one lie behind both ends': the kernel takes it for delayed.
    for (const sequence of [0, 0x8000_0000]) {
      for (const acknowledgement of [0, 0x8000_0000]) {
        const forged = buildPacket({
          source: client.ipv4,
          destination: host.ipv4,
          protocol: PROTOCOL.TCP,
          sourcePort: 40_000,
          destinationPort: 80,
          flags: TCP_FLAG.FIN | TCP_FLAG.ACK,
          sequence,
          acknowledgement,
        });
        await inject(client, [forged]);
      }
    }
    const stateOf = async (): Promise<string> =>
      (await ownStates(firewall)).map(({ dst }) => dst.levelName).join();
    assert.ok((await packetsSeen(firewall)) >= before + 4, "they have come up");
    assert.equal(await stateOf(), "ESTABLISHED");
    assert.equal((await status(firewall)).offloaded.active, 1);
    await exchangeMany(connection, 2);
    await connection.close();
    await waitFor(async () => (await stateOf()) !== "ESTABLISHED");
    await firewall.stop();
  },
);

netnsTest("a sealed flow lives as long as the kernel sees packets of it", HOST_PAIR, async (hosts) => {
  const { client, firewall: host } = hosts;
  const settings = { ...INSPECTING.settings, timeouts: { "udp.multiple": 3 } };
  const firewall = await startFirewall(host, { policy: { ...INSPECTING, settings } });
  await host.traffic.listenUdp({ port: 5000 });
  const say = async (text: string): Promise<void> => {
    const destination = { address: host.ipv4, port: 5000, localPort: 40_001, timeoutMs: PATIENCE_MS };
    assert.equal((await client.traffic.sendUdp({ ...destination, say: text })).heard, text);
  };
  const active = async (): Promise<number> => (await status(firewall)).offloaded.active;
  await waitFor(async () => {
    await say("hello");
    return (await active()) === 1;
  });
  // Longer than the timeout, never silent for so long.
  const seen = await packetsSeen(firewall);
  const until = Date.now() + 15_000;
  while (Date.now() < until) {
    await say("still here");
    await delay(300);
  }
  assert.equal(await packetsSeen(firewall), seen, "no packet came up");
  assert.equal(await active(), 1);
  await waitFor(async () => (await active()) === 0);
  await firewall.stop();
});

netnsTest(
  "seals of a generation that comes into force again keep no verdict of an old policy",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const firewall = await startFirewall(host, { policy: INSPECTING });
    const remote = connect({ socket: firewall.socket });
    const connections = [await openSealed(hosts, firewall)];
    // One flow is sealed in each of the first generations, and all of them are silent from then on.
    for (let generation = 2; generation <= 4; generation += 1) {
      await remote.reload();
      const localPort = 40_000 + generation;
      const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort });
      assert.equal(
        await connection.exchange("GET / HTTP/1.0\r\n\r\n", PATIENCE_MS),
        "GET / HTTP/1.0\r\n\r\n",
      );
      assert.equal(
        await connection.exchange("HTTP/1.0 200 OK\r\n\r\n", PATIENCE_MS),
        "HTTP/1.0 200 OK\r\n\r\n",
      );
      await exchangeMany(connection, 20);
      const report = await remote.explainFlow(`port ${localPort}`);
      assert.deepEqual([report.judge, report.generation], ["sealed", generation]);
      connections.push(connection);
    }
    const closed = {
      ...INSPECTING,
      INPUT: [{ name: "PortRule", protocol: "TCP", dst_port: 80, action: "DROP" }],
    };
    writeFileSync(firewall.policyFile, JSON.stringify(closed));
    // Generation 4 was the last; behind the last of all comes the first again.
    for (let generation = 5; generation <= SEAL_GENERATIONS; generation += 1) await remote.reload();
    for (const connection of connections) {
      await remote.reload();
      await expectDropped(firewall, connection, "after");
    }
    const { policy } = await status(firewall);
    assert.equal(policy.revision, SEAL_GENERATIONS + connections.length);
    await firewall.stop();
  },
);

/** Lets pass what is under way, and begins at a port. */
const underWay = (protocol: string, port: number): object => {
  const rules = [
    { name: "FlowRule", is: "known", action: "ACCEPT" },
    { name: "PortRule", protocol, dst_port: port, action: "ACCEPT" },
  ];
  return { default_chain: "DROP", INPUT: rules, OUTPUT: rules };
};

/** Answers datagrams that ask for it, and no others. */
const SILENT_SERVER = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (data, from) => {
    if (String(data) === "answer") socket.send("answered", from.port, from.address);
  });
  socket.bind(5000, () => console.log("listening"));`;

/** Says much, some time later as much again, then asks for an answer, and goes on. */
const talker = (address: string): string => `
  const socket = require("node:dgram").createSocket("udp4");
  const send = (text) => new Promise((sent) => socket.send(text, 5000, "${address}", sent));
  const many = async (done) => {
    for (let at = 0; at < 40; at += 1) await send("on and on");
    console.log(done);
  };
  socket.on("message", (data) => console.log(String(data)));
  many("said much");
  setTimeout(() => many("said more"), 4000);
  setTimeout(() => send("answer"), 6000);
  setInterval(() => send("still here"), 300);`;

netnsTest(
  "a flow that nobody answers is sealed, and lives on when it is answered",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall: host } = hosts;
    const settings = { workers: 1, offload: "flows", timeouts: { "udp.single": 5 } };
    const firewall = await startFirewall(host, { policy: { settings, ...underWay("UDP", 5000) } });
    const server = host.start([process.execPath, "-e", SILENT_SERVER]);
    await server.waitForLine(/listening/);
    const speaker = client.start([process.execPath, "-e", talker(host.ipv4)]);
    await speaker.waitForLine(/said much/, PATIENCE_MS);
    await waitFor(async () => (await status(firewall)).offloaded.active === 1);
    // What was said at once has come up as a whole, and the packet behind it: of connections that begin at
    // once the kernel keeps one, which need not be the one with the seal.
    await delay(2000);
    const seen = await packetsSeen(firewall);
    await speaker.waitForLine(/said more/, PATIENCE_MS);
    await speaker.waitForLine(/answered/, PATIENCE_MS);
    assert.equal(await packetsSeen(firewall), seen, "no packet came up");
    // The firewall hears of the answer when it asks the kernel whether the flow is still alive.
    await waitFor(async () => (await ownStates(firewall)).some(({ dst }) => dst.levelName === "MULTIPLE"));
    assert.equal((await status(firewall)).offloaded.active, 1);
    await speaker.stop("SIGKILL");
    await server.stop("SIGKILL");
    await firewall.stop();
  },
);
