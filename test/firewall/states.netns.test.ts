/** The state table of a running firewall: listed, watched, killed, and the same in the kernel's table. */
import assert from "node:assert/strict";
import { connect, type WatchEvent } from "#client";
import { GATEWAY, HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { netnsTest } from "#testing";
import type { State } from "#view";

const settings = { compatibility: "strict", offload: "none" };

async function all(states: AsyncIterable<State>): Promise<State[]> {
  const found: State[] = [];
  for await (const state of states) found.push(state);
  return found;
}

/** Makes the kernel track connections in a namespace, and count. */
async function trackInKernel(host: Namespace): Promise<void> {
  const rules = "table inet track {\n chain c { type filter hook input priority 0; ct state new accept; }\n}";
  assert.equal((await host.run(["nft", rules])).status, 0);
  const accounting = "echo 1 > /proc/sys/net/netfilter/nf_conntrack_acct";
  assert.equal((await host.run(["sh", "-c", accounting])).status, 0);
}

netnsTest(
  "a connection is one state, field by field, from rule to window",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const web = { name: "PortRule", protocol: "TCP", dst_port: 80, action: "ACCEPT", comment: "web" };
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [web] } });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: 80 });
    for (const [mine, other] of [
      [host.ipv4, client.ipv4],
      [host.ipv6, client.ipv6],
    ] as const) {
      const connection = await client.traffic.openTcp({ address: mine, port: 80, localPort: 4000 });
      await connection.exchange("x".repeat(1000));
      const [state, ...rest] = await all(
        remote.getStates({ filter: `tcp to ${mine} port 80`, source: "own" }),
      );
      assert.ok(state !== undefined && rest.length === 0, mine);
      assert.equal(state.direction, "in");
      assert.equal(state.interface, "to-client");
      assert.deepEqual(state.nk.addresses, [other, mine]);
      assert.deepEqual(state.nk.ports, [4000, 80]);
      assert.deepEqual(state.rule, { chain: "INPUT", index: 0, revision: 1, label: "web" });
      assert.deepEqual([state.src.levelName, state.dst.levelName], ["ESTABLISHED", "ESTABLISHED"]);
      const header = mine.includes(":") ? 60 : 40;
      assert.ok((state.bytes?.[0] ?? 0) > 1000 + 3 * header, "what the client sent");
      assert.ok((state.bytes?.[1] ?? 0) > 1000 + 2 * header, "what came back");
      assert.ok((state.src.maxWindowBytes ?? 0) > 1000 && (state.src.windowScale ?? -1) >= 0);
      assert.deepEqual(await remote.getState(state.id).then(({ id }) => id), state.id);
      await connection.close();
    }
    await firewall.stop();
  },
);

netnsTest(
  "a watcher hears of a connection's life, and of nothing that it did not ask for",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [] } });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: 80 });
    await host.traffic.listenTcp({ port: 81 });
    const heard: WatchEvent[] = [];
    const watching = (async () => {
      for await (const event of remote.watchStates({ filter: "tcp to any port 80", source: "own" })) {
        heard.push(event);
        if (event.kind === "destroy") return;
      }
    })();
    // The watch has begun when its first event comes; connections before that are not its business.
    while (heard.length === 0) {
      await client.traffic.connectTcp({ address: host.ipv4, port: 81 });
      await client.traffic.connectTcp({ address: host.ipv4, port: 80 });
    }
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    await connection.exchange("hello");
    await remote.killStates({ filter: "tcp to any port 80 and state ESTABLISHED" });
    await watching;
    const kinds = new Set(heard.map((event) => event.kind));
    assert.deepEqual([...kinds].sort(), ["destroy", "new", "update"]);
    assert.ok(heard.every((event) => event.kind === "gap" || event.state.nk.ports[1] === 80));
    await firewall.stop();
  },
);

netnsTest(
  "a killed transfer really stops, for both ends, in both tables",
  GATEWAY,
  async ({ client, firewall: host, server }) => {
    const firewall = await startFirewall(host, { policy: { settings, FORWARD: [] } });
    await trackInKernel(host);
    const remote = connect({ socket: firewall.socket });
    await server.traffic.listenTcp({ port: 7000, manner: "digest" });
    const bytes = 2_000_000_000;
    const transfer = client.traffic
      .transfer({ address: server.ipv4, port: 7000, bytes, timeoutMs: 20_000 })
      .then((result) => (result.isIntact ? "completed" : "cut"))
      .catch(() => "cut");
    let moving: State | undefined;
    while ((moving?.bytes?.[0] ?? 0) < 1_000_000) {
      [moving] = await all(remote.getStates({ filter: "tcp to any port 7000", source: "own" }));
    }
    const answer = await remote.killStates({ filter: "tcp to any port 7000", reset: true });
    assert.equal(answer.own, 1);
    assert.equal(answer.resets, 2);
    assert.equal(await transfer, "cut");
    assert.deepEqual(await all(remote.getStates({ filter: "tcp to any port 7000", source: "own" })), []);
    await firewall.stop();
  },
);

netnsTest(
  "every filter chooses what it says, and kills no more",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [], OUTPUT: [] } });
    const remote = connect({ socket: firewall.socket });
    for (const port of [80, 81, 82]) await host.traffic.listenTcp({ port });
    await client.traffic.listenTcp({ port: 90 });
    for (const port of [80, 81, 82]) await client.traffic.openTcp({ address: host.ipv4, port });
    await client.traffic.openTcp({ address: host.ipv6, port: 80 });
    await host.traffic.openTcp({ address: client.ipv4, port: 90 });
    const kill = async (filter: string): Promise<number> =>
      (await remote.killStates({ filter, source: "own" })).own;
    assert.equal(await kill("tcp from any port 1:1023 to any port 80"), 0);
    assert.equal(await kill("udp and not icmp"), 0);
    assert.equal(await kill("out tcp to any port 90"), 1, "direction and port");
    assert.equal(await kill(`tcp from ${client.ipv6}/64 to any`), 1, "prefix of IPv6");
    assert.equal(await kill("tcp to any port > 81"), 1, "port operator");
    assert.equal(await kill("tcp and not port 80 and on to-client"), 1, "negation and interface");
    assert.equal(await kill("tcp and age > 1h"), 0, "age");
    assert.equal((await remote.clearStates("own")).own >= 1, true, "the rest");
    assert.deepEqual(await all(remote.getStates({ filter: "tcp", source: "own" })), []);
    await firewall.stop();
  },
);

netnsTest(
  "filters by rule, label, user, recognised protocol, age, mask and negation kill what they say",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const web = { name: "PortRule", protocol: "TCP", dst_port: 80, action: "ACCEPT", comment: "web" };
    const content = { name: "ProtocolRule", protocols: ["HTTP"], action: "ACCEPT" };
    const policy = { settings, INPUT: [web, content], OUTPUT: [] };
    const firewall = await startFirewall(host, { policy });
    const remote = connect({ socket: firewall.socket });
    for (const port of [80, 81, 82]) await host.traffic.listenTcp({ port });
    await client.traffic.listenTcp({ port: 90 });
    await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    await client.traffic.openTcp({ address: host.ipv6, port: 80 });
    const http = await client.traffic.openTcp({ address: host.ipv4, port: 81 });
    await http.exchange("GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
    await client.traffic.openTcp({ address: host.ipv4, port: 82 });
    await host.traffic.openTcp({ address: client.ipv4, port: 90 });
    const kill = async (filter: string): Promise<number> =>
      (await remote.killStates({ filter, source: "own" })).own;
    for (const nobody of ["label we", "rule INPUT:7", "user 12345", "app TLS", "tcp age > 1d"])
      assert.equal(await kill(nobody), 0, nobody);
    assert.equal(await kill("label web and inet6"), 1, "label");
    assert.equal(await kill("rule INPUT:0"), 1, "rule");
    assert.equal(await kill("app HTTP"), 1, "recognised protocol");
    assert.equal(await kill("user 0 and out"), 1, "user");
    assert.equal(await kill("tcp from ! 192.0.2.0/255.255.255.0 to any"), 0, "negation");
    assert.equal(await kill("tcp from 192.0.2.0/255.255.255.0 to any age < 1h"), 1, "mask and age");
    await firewall.stop();
  },
);

netnsTest(
  "the kernel's table is listed and killed without a running firewall",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await trackInKernel(host);
    await host.traffic.listenTcp({ port: 80 });
    await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort: 4001 });
    const words = ["--source", "kernel", "--json"];
    const listed = await host.run([
      process.execPath,
      POSTERN,
      "states",
      "list",
      "tcp to any port 80",
      ...words,
    ]);
    assert.equal(listed.status, 0, listed.output);
    const states = listed.output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as State);
    assert.equal(states.length, 1);
    assert.deepEqual(states[0]?.nk.ports, [4001, 80]);
    assert.equal(states[0]?.src.levelName, "ESTABLISHED");
    const killed = await host.run([
      process.execPath,
      POSTERN,
      "states",
      "kill",
      "tcp to any port 80",
      ...words,
    ]);
    assert.deepEqual(JSON.parse(killed.output), { own: 0, kernel: 1, resets: 0 });
    const none = await host.run([
      process.execPath,
      POSTERN,
      "states",
      "kill",
      "tcp to any port 80",
      ...words,
    ]);
    assert.equal(none.status, 1, "nothing was there any more");
  },
);

netnsTest(
  "both tables are one: a flow that both know is one state with the kernel's facts",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await trackInKernel(host);
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [] } });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: 80 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    await connection.exchange("hello");
    const found = await all(remote.getStates({ filter: "tcp to any port 80" }));
    assert.equal(found.length, 1);
    assert.equal(found[0]?.source, "both");
    assert.ok((found[0]?.kernel?.id ?? 0) !== 0);
    assert.ok((found[0]?.src.sequenceLow ?? null) !== null, "windows are our tracker's");
    await firewall.stop();
  },
);

netnsTest("timeouts are changed for flows that are there", HOST_PAIR, async ({ client, firewall: host }) => {
  const firewall = await startFirewall(host, { policy: { settings, INPUT: [] } });
  const remote = connect({ socket: firewall.socket });
  await client.traffic.sendUdp({ address: host.ipv4, port: 5000, say: "x", timeoutMs: 20 });
  assert.equal((await all(remote.getStates({ filter: "udp", source: "own" }))).length, 1);
  const before = await remote.getTimeouts();
  const after = await remote.setTimeouts({ "udp.first": 200, "udp.single": 200 });
  assert.deepEqual(after, { ...before, "udp.first": 200, "udp.single": 200 });
  for (let left = 1; left > 0; )
    left = (await all(remote.getStates({ filter: "udp", source: "own" }))).length;
  await assert.rejects(remote.setTimeouts({ "adaptive.start": 10, "adaptive.end": 5 }), {
    code: "TIMEOUT_INVALID",
  });
  const words = ["timeouts", "--profile", "aggressive", "--json", "--socket", firewall.socket];
  const profile = await host.run([process.execPath, POSTERN, ...words]);
  assert.equal((JSON.parse(profile.output) as Record<string, number>)["tcp.established"], 18_000_000);
  await firewall.stop();
});

netnsTest(
  "a filter that is not understood is pointed at, and an id that is gone is gone",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [] } });
    const remote = connect({ socket: firewall.socket });
    await assert.rejects(all(remote.getStates({ filter: "tcp frm" })), {
      code: "FILTER_INVALID",
      message: /\n {2}tcp frm\n {6}\^\^\^/,
    });
    await assert.rejects(remote.killStates({ filter: "port >" }), { code: "FILTER_INVALID" });
    await assert.rejects(remote.getState("0100000000000000"), { code: "STATE_GONE" });
    await firewall.stop();
  },
);

netnsTest(
  "a kernel that does not count is said to, with the command that changes it, and is changed only when asked",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await host.must([
      "nft",
      "table inet t { chain c { type filter hook input priority 0; ct state new accept; }; }",
    ]);
    await host.must([
      "sysctl",
      "-qw",
      "net.netfilter.nf_conntrack_acct=0",
      "net.netfilter.nf_conntrack_timestamp=0",
    ]);
    await host.traffic.listenTcp({ port: 80 });
    const postern = async (...words: string[]): Promise<{ status: number | null; output: string }> =>
      host.run([process.execPath, POSTERN, "states", ...words]);
    await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    const before = await postern("list", "tcp", "--source", "kernel");
    assert.match(
      before.output,
      /the kernel keeps no packets and bytes, and no age of connections; postern states acc/,
    );
    const [uncounted] = JSON.parse(
      `[${(await postern("list", "tcp", "--source", "kernel", "--json")).output}]`,
    ) as State[];
    assert.deepEqual([uncounted?.packets, uncounted?.bytes, uncounted?.ageMs], [null, null, null]);
    const told = await postern("accounting");
    assert.equal(told.status, 1);
    assert.match(told.output, /to change it: sysctl -w net\.netfilter\.nf_conntrack_acct=1/);
    assert.equal((await postern("accounting", "--enable")).status, 0);
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort: 4002 });
    await connection.exchange("hello");
    const after = await postern("list", "tcp", "port", "4002", "--source", "kernel", "--json");
    const counted = JSON.parse(after.output) as State;
    assert.ok((counted.bytes?.[0] ?? 0) > 40 && (counted.ageMs ?? -1) >= 0, after.output);
  },
);
