/** Rules that the kernel judges by itself, through the running firewall. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect, type RuleReport } from "#client";
import { HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { netnsTest, PATIENCE_MS } from "#testing";

const settings = { compatibility: "strict" };

netnsTest(
  "what rules judge in the kernel is counted by the policy's own rule, and comes to no queue",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = {
      settings,
      default_chain: "DROP",
      INPUT: [
        { name: "PortRule", protocol: "TCP", dst_port: 80, action: "ACCEPT", comment: "web" },
        { name: "PortRule", protocol: "TCP", dst_port: 81, action: "REJECT" },
        { name: "ICMPRule", action: "ACCEPT" },
        { name: "PrintRule" },
      ],
      OUTPUT: [{ name: "TrueRule", action: "ACCEPT" }],
    };
    const firewall = await startFirewall(host, { policy });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: 80 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    await connection.exchange("x".repeat(1000));
    const refused = await client.traffic.connectTcp({ address: host.ipv6, port: 81 });
    assert.equal(refused.outcome, "refused");
    const { kernel, kernelJudges, rules } = await remote.getRules();
    assert.equal(kernelJudges, true);
    const rule = (index: number | null, chain = "INPUT"): RuleReport => {
      const found = rules.find((each) => each.chain === chain && each.rule === index);
      assert.ok(found !== undefined);
      return found;
    };
    assert.ok(rule(0).kernel.packets >= 3 && rule(0).kernel.bytes > 1000, JSON.stringify(rule(0)));
    assert.deepEqual([rule(0).place, rule(0).line !== null, rule(0).comment], ["kernel", true, "web"]);
    assert.deepEqual(
      [rule(1).kernel.packets, rule(1).userspacePackets],
      [0, 1],
      "refused packets are logged",
    );
    assert.equal(rule(3).place, "userspace");
    assert.deepEqual([rule(null).place, rule(null).reasons.length], ["userspace", 1]);
    assert.ok(kernel.accepted.packets > rule(0).kernel.packets && kernel.rejected.packets === 0);
    const { counters } = await remote.getStatus();
    assert.equal(counters["packets"], 1, "no other packet came to userspace");
    const shown = await host.run([
      process.execPath,
      POSTERN,
      "status",
      "--rules",
      "--socket",
      firewall.socket,
    ]);
    assert.match(shown.output, /INPUT +0 +\d+ +PortRule +kernel +\d+ +\d+ +0\n/);
    assert.match(shown.output, /INPUT +3 +\d+ +PrintRule +userspace +0 +0 +0\n/);
    await connection.close();
    await firewall.stop();
  },
);

netnsTest(
  "--no-offload, settings.offload and a log of every packet keep all packets in userspace",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    for (const { words, offload } of [
      { words: ["--no-offload"], offload: "full" },
      { words: ["--log-level", "DEBUG"], offload: "full" },
      { words: [], offload: "none" },
    ]) {
      const policy = { settings: { ...settings, offload }, INPUT: [{ name: "TrueRule", action: "ACCEPT" }] };
      const firewall = await startFirewall(host, { policy, words });
      const remote = connect({ socket: firewall.socket });
      await client.must(["ping", "-q", "-c", "1", host.ipv4]);
      assert.equal((await remote.getRules()).kernelJudges, false);
      assert.ok(((await remote.getStatus()).counters["packets"] ?? 0) >= 1, words.join(" "));
      await firewall.stop();
    }
  },
);

netnsTest(
  "dropped packets are logged one by one while the log asks for it",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = { settings, INPUT: [{ name: "UDPRule", action: "DROP" }] };
    const firewall = await startFirewall(host, { policy });
    await client.traffic.sendUdp({ address: host.ipv4, port: 5000, say: "x", timeoutMs: 20 });
    await firewall.program.waitForLine(/DROP .*192\.0\.2\.2.*INPUT rule 0/, 10_000);
    await firewall.stop();
  },
);

const SAYING = "x".repeat(1000);

/** Has TCP send again what was lost, and not what is late because the machine is busy. */
async function repeatLate(from: Namespace, to: Namespace): Promise<void> {
  await from.must(["sysctl", "-qw", "net.ipv4.tcp_early_retrans=0"]);
  const route = (await from.must(["ip", "-o", "route", "get", to.ipv4])).split(" ");
  const device = route[route.indexOf("dev") + 1] ?? "";
  await from.must(["ip", "route", "add", `${to.ipv4}/32`, "dev", device, "rto_min", "10s"]);
}

netnsTest(
  "ten thousand rules are swapped under load: no packet is lost, and none is judged by a mixture",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    // Both policies let everything pass that the client sends, one by its first rule, the other by its end.
    // The beginning of the second with the end of the first would drop it.
    const list = (octet: number): object[] =>
      Array.from({ length: 10_000 }, (_, at) => ({
        name: "SourceIPRule",
        cidr_range: `${octet}.${at >> 8}.${at & 255}.0/24`,
        action: "DROP",
      }));
    const all = { name: "TrueRule" };
    const first = { name: "SourceIPRule", cidr_range: "192.0.2.0/24", action: "ACCEPT" };
    const policies = [
      { settings, default_chain: "DROP", INPUT: [first, ...list(10), { ...all, action: "DROP" }] },
      { settings, default_chain: "DROP", INPUT: [...list(11), { ...all, action: "ACCEPT" }] },
    ];
    const repeated = async (): Promise<number[]> =>
      Promise.all(
        [client, host].map(async (each) => {
          const rows = (await each.must(["cat", "/proc/net/snmp"]))
            .split("\n")
            .filter((line) => line.startsWith("Tcp:"));
          const [names = [], values = []] = rows.map((row) => row.split(" "));
          return Number(values[names.indexOf("RetransSegs")]);
        }),
      );
    await repeatLate(client, host);
    await repeatLate(host, client);
    const firewall = await startFirewall(host, { policy: policies[0] ?? {} });
    await host.traffic.listenTcp({ port: 80 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    const before = await repeated();
    const remote = connect({ socket: firewall.socket });
    for (const at of [1, 0, 1]) {
      writeFileSync(firewall.policyFile, JSON.stringify(policies[at]));
      const reloaded = { done: false };
      const reload = remote.reload().finally(() => {
        reloaded.done = true;
      });
      for (let round = 0; round < 20 || !reloaded.done; round += 1)
        assert.equal(await connection.exchange(SAYING, PATIENCE_MS), SAYING);
      await reload;
    }
    assert.deepEqual(await repeated(), before, "no segment had to be sent again");
    const { kernelJudges, kernel, rules } = await remote.getRules();
    assert.deepEqual([kernelJudges, kernel.dropped.packets, rules.length], [true, 0, 10_001]);
    await connection.close();
    await firewall.stop();
  },
);
