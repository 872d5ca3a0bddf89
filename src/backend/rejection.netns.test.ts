import assert from "node:assert/strict";
import { GATEWAY, HOST_PAIR, type Namespace } from "../lab/index.ts";
import { netnsTest, QueueHost, type SeenPacket } from "../testing/index.ts";

const ICMP = 1;
const TCP = 6;
const RESET_PORT = 98;
const HOST_PORT = 97;
const PROHIBITED_PORT = 96;
const DROP_PORT = 95;

const ORDERS = [
  { port: RESET_PORT, action: "reset" },
  { port: HOST_PORT, action: "host" },
  { port: PROHIBITED_PORT, action: "prohibited" },
  { port: DROP_PORT, action: "drop" },
] as const;

/** TCP packets from a refused port, and ICMP: there is none but the answers. ICMPv6 also finds neighbours. */
function answersAmong(packets: readonly SeenPacket[]): SeenPacket[] {
  return packets.filter(({ protocol, source }) => protocol === ICMP || /:9[678]$/.test(source));
}

/** SYNs to refused ports that were sent again: who is answered at once sends none. */
function repeatedAmong(packets: readonly SeenPacket[]): string[] {
  const connections = packets
    .filter(({ protocol, destination }) => protocol === TCP && /:9[678]$/.test(destination))
    .map(({ source, destination }) => `${source} > ${destination}`);
  return connections.filter((connection, at) => connections.indexOf(connection) !== at);
}

/** Rules of the client's that count what it is answered, by family and code. */
const ANSWER_COUNTERS = `table inet answers {
  chain c { type filter hook input priority 0;
    tcp flags & rst == rst counter comment "reset"
    icmp code port-unreachable icmp type destination-unreachable counter comment "v4 port"
    icmp code host-unreachable icmp type destination-unreachable counter comment "v4 host"
    icmp code admin-prohibited icmp type destination-unreachable counter comment "v4 prohibited"
    icmpv6 code port-unreachable icmpv6 type destination-unreachable counter comment "v6 port"
    icmpv6 code addr-unreachable icmpv6 type destination-unreachable counter comment "v6 host"
    icmpv6 code admin-prohibited icmpv6 type destination-unreachable counter comment "v6 prohibited"
  }
}`;

/** How often each form of answer came. */
async function countAnswers(client: Namespace): Promise<Record<string, number>> {
  const { output } = await client.run(["nft", "list", "table", "inet", "answers"]);
  const counted = output.matchAll(/counter packets (\d+) bytes \d+ comment "([^"]+)"/g);
  return Object.fromEntries([...counted].map((match) => [match[2], Number(match[1])]));
}

netnsTest("a refused packet is answered at once, as any kernel would", HOST_PAIR, async (hosts) => {
  const { client, firewall } = hosts;
  assert.equal((await client.run(["nft", ANSWER_COUNTERS])).status, 0);
  const orders = { hooks: ["INPUT", "OUTPUT"], orders: ORDERS, tellPackets: true } as const;
  const host = await QueueHost.start(firewall, orders);
  for (const address of [firewall.ipv4, firewall.ipv6]) {
    // What Linux makes of an answer: a UDP socket hears nothing of an unreachable host (it may come back),
    // and "administratively prohibited" is EHOSTUNREACH for IPv4 and EACCES for IPv6.
    const prohibited = address === firewall.ipv6 ? "EACCES" : "EHOSTUNREACH";
    for (const [port, tcp, udp] of [
      [RESET_PORT, "ECONNREFUSED", "ECONNREFUSED"],
      [HOST_PORT, "EHOSTUNREACH", ""],
      [PROHIBITED_PORT, prohibited, prohibited],
    ] as const) {
      const connection = await client.traffic.connectTcp({ address, port, timeoutMs: 3000 });
      assert.equal(connection.error, tcp, `TCP ${address} ${port}`);
      const timeoutMs = udp === "" ? 100 : 3000;
      const datagram = await client.traffic.sendUdp({ address, port, say: "x", timeoutMs });
      assert.equal(datagram.error, udp, `UDP ${address} ${port}`);
    }
    const dropped = await client.traffic.connectTcp({ address, port: DROP_PORT, timeoutMs: 300 });
    assert.equal(dropped.outcome, "timeout");
  }
  assert.deepEqual(await countAnswers(client), {
    reset: 2,
    "v4 port": 1,
    "v4 host": 2,
    "v4 prohibited": 2,
    "v6 port": 1,
    "v6 host": 2,
    "v6 prohibited": 2,
  });
  const { counters } = await host.stop();
  assert.deepEqual(answersAmong(host.packets), [], "answers to refused packets are not queued");
  assert.deepEqual(repeatedAmong(host.packets), []);
  assert.equal(counters.gone + counters.refused + counters.unreadable, 0);
});

netnsTest("a gateway refuses what it does not forward", GATEWAY, async ({ client, firewall, server }) => {
  await server.traffic.listenTcp({ port: 80 });
  const host = await QueueHost.start(firewall, {
    hooks: ["FORWARD", "OUTPUT"],
    orders: ORDERS,
    tellPackets: true,
  });
  for (const address of [server.ipv4, server.ipv6]) {
    assert.equal((await client.traffic.connectTcp({ address, port: 80, say: "hi" })).heard, "hi");
    const refused = await client.traffic.connectTcp({ address, port: RESET_PORT, timeoutMs: 3000 });
    assert.equal(refused.outcome, "refused");
    const datagram = await client.traffic.sendUdp({ address, port: RESET_PORT, say: "x", timeoutMs: 3000 });
    assert.equal(datagram.outcome, "refused");
  }
  await host.stop();
  assert.deepEqual(repeatedAmong(host.packets), []);
  assert.ok(
    host.packets.some(({ hook, inInterface, outInterface }) => {
      return hook === 2 && inInterface === "to-client" && outInterface === "to-server";
    }),
  );
  assert.deepEqual(
    host.packets.filter(({ source }) => source.endsWith(`:${RESET_PORT}`)),
    [],
  );
});

netnsTest(
  "a program of this host is refused too, also on the loopback interface",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall } = hosts;
    const host = await QueueHost.start(firewall, {
      hooks: ["INPUT", "OUTPUT"],
      orders: ORDERS,
      tellPackets: true,
    });
    for (const address of [client.ipv4, client.ipv6, "127.0.0.1", "::1"]) {
      const connection = await firewall.traffic.connectTcp({ address, port: RESET_PORT, timeoutMs: 3000 });
      assert.equal(connection.outcome, "refused", address);
      const datagram = await firewall.traffic.sendUdp({
        address,
        port: RESET_PORT,
        say: "x",
        timeoutMs: 3000,
      });
      assert.equal(datagram.outcome, "refused", address);
    }
    await host.stop();
    assert.deepEqual(repeatedAmong(host.packets), []);
    assert.deepEqual(
      host.packets.filter(({ source }) => source.endsWith(`:${RESET_PORT}`)),
      [],
    );
  },
);

netnsTest(
  "answers that inherit the mark (fwmark_reflect) are sent all the same",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall } = hosts;
    const script = "echo 1 > /proc/sys/net/ipv4/fwmark_reflect; echo 1 > /proc/sys/net/ipv6/fwmark_reflect";
    assert.equal((await firewall.run(["sh", "-c", script])).status, 0);
    const host = await QueueHost.start(firewall, { hooks: ["INPUT", "OUTPUT"], orders: ORDERS });
    for (const address of [firewall.ipv4, firewall.ipv6]) {
      const connection = await client.traffic.connectTcp({ address, port: RESET_PORT, timeoutMs: 3000 });
      assert.equal(connection.outcome, "refused");
      const datagram = await client.traffic.sendUdp({ address, port: RESET_PORT, say: "x", timeoutMs: 3000 });
      assert.equal(datagram.outcome, "refused");
    }
    await host.stop();
  },
);

netnsTest(
  "foreign bits of the mark pass untouched, and bits that look like ours mean nothing",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall } = hosts;
    const foreign = `table inet foreign {
    chain before { type filter hook prerouting priority -300; meta mark set 0x3000abcd; }
    chain behind { type filter hook input priority 100; tcp dport 80 meta mark 0x0000abcd counter; }
  }`;
    assert.equal((await firewall.run(["nft", foreign])).status, 0);
    await firewall.traffic.listenTcp({ port: 80 });
    const address = firewall.ipv4;
    const host = await QueueHost.start(firewall, {
      hooks: ["INPUT"],
      orders: ORDERS,
      bypass: true,
      tellPackets: true,
    });
    assert.equal((await client.traffic.connectTcp({ address, port: 80, say: "hi" })).heard, "hi");
    assert.ok(host.packets.length > 0);
    assert.ok(
      host.packets.every(({ mark }) => mark === 0xabcd),
      JSON.stringify(host.packets[0]),
    );
    const counted = (await firewall.run(["nft", "list", "table", "inet", "foreign"])).output;
    assert.doesNotMatch(counted, /counter packets 0 /);
    await host.program.stop("SIGKILL");
    assert.equal((await client.traffic.connectTcp({ address, port: 80, say: "hi" })).heard, "hi");
  },
);
