import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { HOST_PAIR, type Namespace } from "../lab/index.ts";
import { netnsTest, QueueHost } from "../testing/index.ts";

const SYSTEM = new URL("../system/index.js", import.meta.url).href;
const BACKEND = new URL("./index.js", import.meta.url).href;
const HOST_PROGRAM = fileURLToPath(new URL("../testing/programs/queue-host.js", import.meta.url));

/** Everything an administrator can list. */
async function ruleSet(host: Namespace): Promise<string> {
  const commands = ["nft -a list ruleset", "iptables-save", "ip6tables-save"];
  const outputs: string[] = [];
  for (const command of commands)
    outputs.push((await host.run(["sh", "-c", `${command} 2>/dev/null`])).output);
  return outputs.join("\n").replaceAll(/\[\d+:\d+\]|^# .*$/gm, "");
}

/** Rules of others, of every kind: nftables tables of three families, and iptables rules. */
async function addForeignRules(host: Namespace): Promise<void> {
  const script = `
    iptables -A INPUT -p tcp --dport 1 -j DROP && ip6tables -A OUTPUT -p udp --dport 2 -j ACCEPT
    nft 'table inet foreign { set s { type ipv4_addr; elements = { 192.0.2.77 }; }
      chain c { type filter hook input priority 5; ip saddr @s drop; }; }'
    nft 'table ip6 foreign { chain c { type nat hook prerouting priority -100; }; }'`;
  const { status, output } = await host.run(["sh", "-ec", script]);
  assert.equal(status, 0, output);
}

function evaluate(host: Namespace, expression: string): Promise<{ status: number | null; output: string }> {
  const script = `const backend = await import("${BACKEND}"); console.log(JSON.stringify(${expression}));`;
  return host.run([process.execPath, "--input-type=module", "-e", script]);
}

netnsTest(
  "the rule set is afterwards as it was before, and others' tables all the while",
  HOST_PAIR,
  async (hosts) => {
    const { client, firewall } = hosts;
    await addForeignRules(firewall);
    await firewall.traffic.listenTcp({ port: 80 });
    const before = await ruleSet(firewall);
    const foreign = [
      "sh",
      "-c",
      "nft -a list table inet foreign; nft -a list table ip6 foreign; iptables-save | grep -v '^#'",
    ];
    const foreignBefore = (await firewall.run(foreign)).output;

    const host = await QueueHost.start(firewall, {
      hooks: ["INPUT", "OUTPUT", "FORWARD"],
      orders: [],
      queues: 2,
    });
    assert.equal(
      (await client.traffic.connectTcp({ address: firewall.ipv4, port: 80, say: "a" })).heard,
      "a",
    );
    assert.equal((await firewall.run(foreign)).output, foreignBefore);
    assert.notEqual(await ruleSet(firewall), before);
    const listing = await firewall.run(["nft", "list", "ruleset"]);
    assert.equal(listing.status, 0);
    assert.match(listing.output, /queue num 0-1/);
    const { removed, order } = await host.stop();
    assert.ok(removed);
    assert.deepEqual(order, ["ready", "drained", "drained", "statistics", "stopped"]);
    assert.equal(await ruleSet(firewall), before);
  },
);

netnsTest("a stop is quick and loses no packet", HOST_PAIR, async ({ client, firewall }) => {
  const host = await QueueHost.start(firewall, { hooks: ["INPUT", "OUTPUT"], orders: [], queues: 2 });
  const ping = client.start(["ping", "-i", "0.005", "-c", "200", "-W", "1", firewall.ipv4]);
  await ping.waitForLine(/icmp_seq=50/);
  const { stopMs, counters } = await host.stop();
  assert.equal((await ping.ended).status, 0);
  assert.match(ping.output, /200 received, 0% packet loss/);
  assert.ok(counters.packets >= 100, `${counters.packets} packets judged`);
  // Some ten milliseconds when nothing else runs.
  assert.ok(stopMs < 1000, `${stopMs} ms`);
});

for (const bypass of [true, false]) {
  const what = bypass ? "passes" : "is dropped";
  netnsTest(
    `when we are killed, traffic ${what}, and what we left can be removed`,
    HOST_PAIR,
    async (hosts) => {
      const { client, firewall } = hosts;
      await addForeignRules(firewall);
      await firewall.traffic.listenTcp({ port: 80 });
      const address = firewall.ipv4;
      const before = await ruleSet(firewall);
      const host = await QueueHost.start(firewall, { hooks: ["INPUT", "OUTPUT"], orders: [], bypass });
      assert.equal((await client.traffic.connectTcp({ address, port: 80 })).outcome, "connected");
      await host.program.stop("SIGKILL");
      const orphaned = await client.traffic.connectTcp({ address, port: 80, timeoutMs: 500 });
      assert.equal(orphaned.outcome, bypass ? "connected" : "timeout");

      assert.equal((await evaluate(firewall, "backend.removeLeftovers()")).output, "true\n");
      assert.equal(await ruleSet(firewall), before);
      assert.equal((await client.traffic.connectTcp({ address, port: 80 })).outcome, "connected");
      assert.equal((await evaluate(firewall, "backend.removeLeftovers()")).output, "false\n");
    },
  );
}

netnsTest("a start takes over what a killed run left", HOST_PAIR, async ({ client, firewall }) => {
  await firewall.traffic.listenTcp({ port: 80 });
  const address = firewall.ipv4;
  const first = await QueueHost.start(firewall, {
    hooks: ["INPUT", "OUTPUT"],
    orders: [{ port: 80, action: "drop" }],
  });
  await first.program.stop("SIGKILL");
  const second = await QueueHost.start(firewall, { hooks: ["INPUT"], orders: [] });
  assert.equal((await client.traffic.connectTcp({ address, port: 80 })).outcome, "connected");
  assert.ok((await second.stop()).removed);
});

netnsTest(
  "a queue that somebody holds is not taken, and the rules stay theirs",
  HOST_PAIR,
  async ({ client, firewall }) => {
    await firewall.traffic.listenTcp({ port: 80 });
    const host = await QueueHost.start(firewall, {
      hooks: ["INPUT"],
      orders: [{ port: 80, action: "reset" }],
    });
    const rival = await firewall.run([process.execPath, HOST_PROGRAM, '{"hooks":["INPUT"],"orders":[]}']);
    assert.notEqual(rival.status, 0);
    assert.match(rival.output, /Cannot bind queue 0: another program holds this queue number/);
    assert.equal((await client.traffic.connectTcp({ address: firewall.ipv4, port: 80 })).outcome, "refused");
    await host.stop();
  },
);

netnsTest(
  "a table with rules that the kernel refuses leaves nothing behind",
  HOST_PAIR,
  async ({ firewall }) => {
    const before = await ruleSet(firewall);
    const plan = `{ table: "postern", hooks: ["INPUT"], priority: 5, markMask: 0x70000000,
    queues: { first: 65535, count: 2, bypass: true } }`;
    const { status, output } = await evaluate(firewall, `backend.KernelRules.install(${plan}, "target")`);
    assert.notEqual(status, 0);
    assert.match(output, /NETLINK_REFUSED/);
    assert.equal(await ruleSet(firewall), before);
  },
);

netnsTest("nftables says what it refuses, and where", HOST_PAIR, async ({ firewall }) => {
  const before = await ruleSet(firewall);
  const script = `
    const { Nftables } = await import("${SYSTEM}");
    const nftables = Nftables.open();
    const attempt = (commands, options) => {
      try {
        return nftables.run(commands, options);
      } catch ({ code, message, details: { line, column } }) {
        return { code, message, line, column };
      }
    };
    const outcomes = [
      attempt("add table inet t\\nadd chian inet t c"),
      attempt("add table inet t\\nadd rule inet t nowhere accept"),
      attempt("add table inet t", { dryRun: true }),
      JSON.parse(attempt("list tables", { json: true })).nftables.filter(({ table }) => table),
      attempt("add table inet t") + attempt("list tables") + attempt("delete table inet t"),
    ];
    nftables.close();
    console.log(JSON.stringify(outcomes));`;
  const { output } = await firewall.run([process.execPath, "--input-type=module", "-e", script]);
  const [misspelt, refused, dry, tables, done] = JSON.parse(output) as Record<string, unknown>[];
  assert.deepEqual([misspelt?.["code"], misspelt?.["line"]], ["NFTABLES_REFUSED", 2], output);
  assert.match(String(misspelt?.["message"]), /at "add chian inet t c" \(line 2, column \d+\): syntax error/);
  assert.deepEqual([refused?.["code"], refused?.["line"]], ["NFTABLES_REFUSED", 2], output);
  assert.match(String(refused?.["message"]), /No such file or directory/);
  assert.equal(dry, "");
  assert.deepEqual(tables, [], "what was refused and what was only tried left nothing");
  assert.equal(done, "table inet t\n");
  assert.equal(await ruleSet(firewall), before);
});

netnsTest("probing leaves nothing behind and finds a way to queue", HOST_PAIR, async ({ firewall }) => {
  await addForeignRules(firewall);
  const before = await ruleSet(firewall);
  const { output } = await evaluate(firewall, "backend.probeKernel()");
  const report = JSON.parse(output) as {
    findings: Record<string, { available: boolean }>;
    queueExpression?: string;
  };
  assert.equal(await ruleSet(firewall), before);
  for (const name of ["namespaces", "queue", "nftables", "reject", "rules"]) {
    assert.ok(report.findings[name]?.available, output);
  }
  assert.match(report.queueExpression ?? "", /^(queue|target)$/);
});
