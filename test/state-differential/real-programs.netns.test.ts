/** What real programs do, step by step in our table and in the kernel's. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "#client";
import { GATEWAY, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import type { State } from "#view";
import { type Hosts, ProgramTraffic, withLoss } from "./program-traffic.ts";

const ECHO = 80;
const DIGEST = 81;
const DEAF = 82;
const IDLE = 83;
const NOBODY = 9;
const DATAGRAMS = 53;

/** Accepts connections and never reads. */
const DEAF_SERVER = `require("node:net")
  .createServer({ pauseOnConnect: true }, (socket) => socket.on("error", () => {}))
  .listen(${DEAF}, "::", () => console.log("listens"));`;

/** Sends more than the other end takes, and waits. */
const INSISTENT_CLIENT = `const socket = require("node:net").connect(${DEAF}, process.argv[1]);
  socket.on("error", () => process.exit(0));
  socket.write(Buffer.alloc(16_000_000));`;

/** Connects, says nothing, and asks now and then whether the other end is still there. */
const PATIENT_CLIENT = `const socket = require("node:net").connect(${IDLE}, process.argv[1]);
  socket.setKeepAlive(true, 1000);
  setTimeout(() => socket.end(), 2500);`;

/** One thing that programs do. */
interface Scenario {
  readonly name: string;
  readonly act: (hosts: Hosts) => Promise<void>;
}

async function converse(from: Namespace, address: string, exchanges: number): Promise<void> {
  const connection = await from.traffic.openTcp({ address, port: ECHO });
  for (let at = 0; at < exchanges; at += 1) await connection.exchange(`line ${at}`);
  await connection.close();
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: "short connections, forwarded, to this host and from it",
    act: async ({ client, firewall, server }) => {
      for (const address of [server.ipv4, server.ipv6, firewall.ipv4, firewall.ipv6]) {
        await converse(client, address, 1);
        await converse(client, address, 10);
      }
      for (const address of [client.ipv4, client.ipv6]) await converse(firewall, address, 10);
    },
  },
  {
    name: "long transfers",
    act: async ({ client, server }) => {
      const transfer = { port: DIGEST, bytes: 20_000_000, timeoutMs: 20_000 };
      for (const address of [server.ipv4, server.ipv6])
        await client.traffic.transfer({ ...transfer, address });
    },
  },
  {
    name: "half-closed: the answer comes behind the question's FIN",
    act: async ({ client, firewall, server }) => {
      const transfer = { port: DIGEST, bytes: 1000 };
      for (const address of [server.ipv4, firewall.ipv6])
        await client.traffic.transfer({ ...transfer, address });
    },
  },
  {
    name: "refused",
    act: async ({ client, firewall, server }) => {
      for (const address of [server.ipv4, server.ipv6, firewall.ipv4]) {
        await client.traffic.connectTcp({ address, port: NOBODY });
      }
      await firewall.traffic.connectTcp({ address: client.ipv4, port: NOBODY });
    },
  },
  {
    name: "reset by an end",
    act: async ({ client, firewall, server }) => {
      for (const address of [server.ipv4, firewall.ipv6]) {
        const connection = await client.traffic.openTcp({ address, port: ECHO });
        await connection.exchange("hello");
        await connection.reset();
      }
    },
  },
  {
    name: "timed out, its SYN sent again",
    act: ({ client, server }) =>
      withLoss(server, "tcp dport 80", async () => {
        await client.traffic.connectTcp({ address: server.ipv4, port: ECHO, timeoutMs: 1500 });
      }),
  },
  {
    name: "a lost SYN, a lost SYN-ACK",
    act: async ({ client, server }) => {
      const call = { address: server.ipv4, port: ECHO, say: "hello", timeoutMs: 4000 };
      const lose = async (host: Namespace, flags: string): Promise<void> =>
        withLoss(host, `tcp flags & (syn | ack) == ${flags} numgen inc mod 2 == 0`, async () => {
          assert.equal((await client.traffic.connectTcp(call)).heard, "hello");
        });
      await Promise.all([lose(server, "syn"), lose(client, "syn | ack")]);
    },
  },
  {
    name: "lost data: selective acknowledgements and retransmissions",
    act: async ({ client, server }) => {
      const call = { address: server.ipv4, port: DIGEST, bytes: 5_000_000, timeoutMs: 20_000 };
      await withLoss(server, "tcp dport 81 numgen random mod 20 == 0", async () => {
        await client.traffic.transfer(call);
      });
    },
  },
  {
    name: "a lost FIN",
    act: ({ client, server }) =>
      withLoss(server, "tcp flags & fin == fin numgen inc mod 2 == 0", async () => {
        await converse(client, server.ipv4, 2);
        await sleep(700);
      }),
  },
  {
    name: "a window of zero, probed, and the deaf end killed",
    act: async ({ client, server }) => {
      const deaf = server.start([process.execPath, "-e", DEAF_SERVER]);
      await deaf.waitForLine(/listens/);
      const insistent = client.start([process.execPath, "-e", INSISTENT_CLIENT, server.ipv4]);
      await sleep(1200);
      deaf.kill("SIGKILL");
      await insistent.ended;
    },
  },
  {
    name: "kept alive",
    act: async ({ client, server }) => {
      await client.must([process.execPath, "-e", PATIENT_CLIENT, server.ipv4]);
    },
  },
  {
    name: "datagrams and echoes",
    act: async ({ client, firewall, server }) => {
      for (const address of [server.ipv4, server.ipv6, firewall.ipv4]) {
        await client.traffic.sendUdp({ address, port: DATAGRAMS, say: "hello" });
        await client.traffic.sendUdp({ address, port: NOBODY, say: "hello", timeoutMs: 100 });
        await client.must(["ping", "-q", "-c", "3", "-i", "0.05", address]);
      }
    },
  },
];

/** Starts the servers that the scenarios speak to. */
async function serve({ client, firewall, server }: Hosts): Promise<void> {
  for (const host of [client, firewall, server]) {
    await host.traffic.listenTcp({ port: ECHO });
    await host.traffic.listenTcp({ port: DIGEST, manner: "digest" });
    await host.traffic.listenTcp({ port: IDLE, manner: "mute" });
    await host.traffic.listenUdp({ port: DATAGRAMS });
  }
}

netnsTest(
  "programs: after each packet both tables hold the same state, or differ under a listed name",
  GATEWAY,
  async (hosts) => {
    await serve(hosts);
    const traffic = await ProgramTraffic.open(hosts);
    for (const { name, act } of SCENARIOS) await traffic.run(name, () => act(hosts));
    traffic.close();
    const { ledger } = traffic;
    process.stdout.write(`programs: ${ledger.lines().join("\n")}\n`);
    assert.deepEqual(ledger.failures, []);
    assert.ok(ledger.steps > 300, "packets were compared");
    assert.ok(ledger.agreement > 0.95, ledger.lines().join("\n"));
  },
);

/** States of one table by their ends, as pairs of levels. */
async function levelsOf(states: AsyncIterable<State>): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const state of states) {
    const { addresses, ports } = state.sk;
    const ends = `${state.protocolName} ${addresses.join(" ")} ${ports.join(" ")}`;
    found.set(ends, `${state.src.levelName}:${state.dst.levelName}`);
  }
  return found;
}

netnsTest(
  "the running firewall and the kernel list the same connections in the same states",
  GATEWAY,
  async (hosts) => {
    const { client, firewall: host, server } = hosts;
    const rules =
      "table inet track {\n chain c { type filter hook input priority 0; ct state new accept; }\n}";
    await host.must(["nft", rules]);
    const firewall = await startFirewall(host, {
      policy: { settings: { compatibility: "strict", offload: "none" } },
    });
    await serve(hosts);
    const remote = connect({ socket: firewall.socket });
    const compare = async (): Promise<number> => {
      const [own, kernel] = await Promise.all([
        levelsOf(remote.getStates({ filter: "tcp", source: "own" })),
        levelsOf(remote.getStates({ filter: "tcp", source: "kernel" })),
      ]);
      assert.deepEqual(own, kernel);
      return own.size;
    };
    const connections = [];
    for (const address of [server.ipv4, server.ipv6, host.ipv4, host.ipv6]) {
      connections.push(await client.traffic.openTcp({ address, port: ECHO }));
      connections.push(await client.traffic.openTcp({ address, port: IDLE }));
    }
    connections.push(await host.traffic.openTcp({ address: client.ipv4, port: ECHO }));
    assert.equal(await compare(), connections.length);
    for (const connection of connections) await connection.exchange("hello", 100);
    assert.equal(await compare(), connections.length);
    for (const connection of connections.splice(0, 3)) await connection.reset();
    await compare();
    await firewall.stop();
  },
);
