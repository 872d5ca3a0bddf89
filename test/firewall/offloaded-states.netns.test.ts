/** States of flows that the kernel judges by itself: what is told of them, and that a killed one stops. */
import assert from "node:assert/strict";
import { connect, type FirewallClient } from "#client";
import { GATEWAY, type Namespace, POSTERN, startFirewall, type Topology } from "#lab";
import { netnsTest } from "#testing";
import type { State, StateSource } from "#view";

const PORT = 7000;
const FILTER = `tcp to any port ${PORT}`;
const ENDLESS_BYTES = 1e15;

type Hosts = Topology<"client" | "firewall" | "server">;

async function statesOf(remote: FirewallClient, source: StateSource): Promise<State[]> {
  const found: State[] = [];
  for await (const state of remote.getStates({ filter: FILTER, source })) found.push(state);
  return found;
}

/** Waits until an end has no connection to the port. */
async function closed(end: Namespace): Promise<boolean> {
  const words = ["ss", "-Htn", "state", "established", `( sport = :${PORT} or dport = :${PORT} )`];
  const deadline = performance.now() + 20_000;
  while ((await end.must(words)) !== "") if (performance.now() > deadline) return false;
  return true;
}

/** Begins a transfer without an end; resolves with the state once many bytes have moved. */
async function startTransfer({ client, server }: Hosts, remote: FirewallClient): Promise<State> {
  // It ends when the connection is cut; that is looked for at its ends.
  client.traffic
    .transfer({ address: server.ipv4, port: PORT, bytes: ENDLESS_BYTES, timeoutMs: 60_000 })
    .catch(() => undefined);
  for (;;) {
    const [moving] = await statesOf(remote, "both");
    if (moving !== undefined && (moving.bytes?.[0] ?? 0) > 10_000_000) return moving;
  }
}

const MASQUERADE =
  "table inet translate { chain c { type nat hook postrouting priority srcnat; meta l4proto tcp masquerade; }; }";

/** Sources of the states of a flow, and their counts. */
const CASES = [
  { name: "offload full", offload: "full", translates: false, source: "kernel", own: 0 },
  { name: "offload full, masqueraded", offload: "full", translates: true, source: "kernel", own: 0 },
  { name: "offload flows", offload: "flows", translates: false, source: "both", own: 1 },
] as const;

for (const { name, offload, translates, source, own } of CASES) {
  netnsTest(
    `a killed connection ends at both ends, under way and idle: ${name}`,
    GATEWAY,
    async (hosts) => {
      const { client, firewall: host, server } = hosts;
      await host.must(["sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1"]);
      if (translates) await host.must(["nft", MASQUERADE]);
      const before = await host.must(["nft", "list", "ruleset"]);
      const firewall = await startFirewall(host, { policy: { settings: { offload }, FORWARD: [] } });
      const remote = connect({ socket: firewall.socket });
      const listener = await server.traffic.listenTcp({ port: PORT, manner: "digest" });
      const moving = await startTransfer(hosts, remote);
      assert.equal(moving.source, source);
      const killed = await remote.killStates({ filter: FILTER, reset: true });
      assert.deepEqual(killed, { own, kernel: 1, resets: 2 });
      for (const end of [server, client]) assert.ok(await closed(end), `${end.fullName} under way`);
      await listener.close();
      await server.traffic.listenTcp({ port: PORT });
      // The same ends may speak anew at once, and once more.
      for (const address of [server.ipv4, server.ipv6, server.ipv4]) {
        const connection = await client.traffic.openTcp({ address, port: PORT, localPort: 4000 });
        assert.equal(await connection.exchange("hello", 10_000), "hello");
        const idle = await remote.killStates({ filter: FILTER, reset: true });
        assert.deepEqual(idle, { own, kernel: 1, resets: 2 }, address);
        for (const end of [server, client]) assert.ok(await closed(end), `${end.fullName} idle`);
        assert.deepEqual(await statesOf(remote, "both"), []);
      }
      await firewall.stop();
      assert.equal(await host.must(["nft", "list", "ruleset"]), before);
    },
    ["ss"],
  );
}

netnsTest(
  "a connection that the kernel judged alone stays ended without resets, until it begins anew",
  GATEWAY,
  async ({ client, firewall: host, server }) => {
    const firewall = await startFirewall(host, { policy: { settings: {}, FORWARD: [] } });
    const remote = connect({ socket: firewall.socket });
    await server.traffic.listenTcp({ port: PORT });
    const open = async (localPort: number) =>
      client.traffic.openTcp({ address: server.ipv4, port: PORT, localPort, timeoutMs: 10_000 });
    const connection = await open(4000);
    const other = await open(4001);
    assert.equal(await connection.exchange("hello", 10_000), "hello");
    const filter = "tcp from any port 4000";
    const known = await statesOf(remote, "kernel");
    assert.equal(known.length, 2);
    for (const { id, sk } of known) assert.deepEqual((await remote.getState(id)).sk, sk);
    assert.deepEqual(await remote.killStates({ filter }), { own: 0, kernel: 1, resets: 0 });
    assert.equal(await connection.exchange("hello", 1000), "");
    assert.equal(await other.exchange("hello", 10_000), "hello");
    assert.deepEqual(
      (await statesOf(remote, "both")).map(({ sk }) => sk.ports[0]),
      [4001],
    );
    const gone = known.find(({ sk }) => sk.ports[0] === 4000);
    await assert.rejects(remote.getState(gone?.id ?? ""), { code: "STATE_GONE" });
    await connection.reset();
    const anew = await open(4000);
    assert.equal(await anew.exchange("hello", 10_000), "hello");
    await firewall.stop();
  },
);

netnsTest("a sealed flow says so, with the kernel's counts: list of both tables", GATEWAY, async (hosts) => {
  const { firewall: host, server } = hosts;
  await host.must(["sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1"]);
  const policy = { settings: { offload: "flows" }, FORWARD: [] };
  const firewall = await startFirewall(host, { policy });
  const remote = connect({ socket: firewall.socket });
  await server.traffic.listenTcp({ port: PORT, manner: "digest" });
  await startTransfer(hosts, remote);
  const words = ["states", "list", "tcp", "offloaded", "--json", "--socket", firewall.socket];
  const list = async (source: StateSource): Promise<State> =>
    JSON.parse(await host.must([process.execPath, POSTERN, ...words, "--source", source])) as State;
  const [own, both] = [await list("own"), await list("both")];
  assert.deepEqual([own.source, own.offload], ["own", "mark"]);
  assert.deepEqual([both.source, both.offload], ["both", "mark"]);
  assert.ok((own.bytes?.[0] ?? 0) < 1_000_000, "few packets of a sealed flow come up");
  assert.ok((both.bytes?.[0] ?? 0) > 10_000_000, "the kernel counts all");
  await firewall.stop();
});
