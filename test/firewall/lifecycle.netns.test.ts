/** What a firewall leaves behind: nothing, however it ends; and what holds while it is dead. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { netnsTest, PATIENCE_MS, SILENCE_MS } from "#testing";

const DROP_TELNET = {
  settings: { compatibility: "strict" },
  INPUT: [{ name: "PortRule", protocol: "TCP", dst_port: 23, action: "DROP" }],
};

/** Rules of somebody else, in both generations of tools. */
const FOREIGN = [
  [
    "nft",
    "table inet mine {\n set s { type ipv4_addr; elements = { 203.0.113.9 }; }\n chain c { type filter hook input priority 0; ip saddr @s drop; }\n}",
  ],
  ["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9999", "-j", "DROP"],
  ["ip6tables", "-A", "OUTPUT", "-p", "udp", "--dport", "9998", "-j", "REJECT"],
];

async function output(host: Namespace, ...command: string[]): Promise<string> {
  const { status, output: text } = await host.run(command);
  assert.equal(status, 0, `${command.join(" ")}: ${text}`);
  return text;
}

/** Everything the kernel has of rules; counters and comments with the time do not count. */
async function allRules(host: Namespace): Promise<string> {
  // nft warns on standard error of tables that iptables made.
  const nft = await output(host, "sh", "-c", "nft list ruleset 2>/dev/null");
  const saved = await output(host, "sh", "-c", "iptables-save; ip6tables-save");
  return `${nft}\n${saved.replace(/^#.*$/gm, "").replace(/\[\d+:\d+\]/g, "")}`;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  netnsTest(
    `${signal} leaves the rule set as it was, foreign rules included`,
    HOST_PAIR,
    async ({ firewall: host }) => {
      for (const command of FOREIGN) await output(host, ...command);
      const before = await allRules(host);
      const firewall = await startFirewall(host, { policy: DROP_TELNET });
      assert.match(await output(host, "nft", "list", "table", "inet", "postern"), /queue/);
      await firewall.stop(signal);
      const { status } = await firewall.program.ended;
      assert.equal(status, 0);
      assert.equal(await allRules(host), before);
      assert.equal(existsSync(firewall.socket), false, "the control socket is gone");
    },
  );
}

netnsTest("the log says what was set up and torn down", HOST_PAIR, async ({ firewall: host }) => {
  const firewall = await startFirewall(host, { policy: DROP_TELNET });
  await firewall.stop("SIGINT");
  assert.match(firewall.program.output, /\]\[INFO\] Set up nftables: table inet postern/);
  assert.match(firewall.program.output, /\]\[INFO\] Tore down nftables: table inet postern/);
});

netnsTest(
  "--log-dir writes the same lines into the file of the day",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-logs-"));
    try {
      const firewall = await startFirewall(host, { policy: DROP_TELNET, words: ["--log-dir", folder] });
      await firewall.stop("SIGINT");
      const names = readdirSync(folder);
      assert.match(names.join(), /^\d{4}-\d{2}-\d{2}-logfile\.log/);
      const text = names.map((name) => readFileSync(join(folder, name), "utf8")).join("");
      assert.match(text, /\]\[INFO\] ready\n/);
      assert.match(text, /\]\[INFO\] Tore down nftables: table inet postern\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

for (const { queueBypass, outcome } of [
  { queueBypass: true, outcome: "connected" },
  { queueBypass: false, outcome: "timeout" },
]) {
  netnsTest(
    `killed with -9 and queueBypass ${queueBypass}: traffic is ${outcome === "timeout" ? "dropped" : "passed"}, and down cleans up`,
    HOST_PAIR,
    async ({ client, firewall: host }) => {
      const before = await allRules(host);
      const settings = { ...DROP_TELNET.settings, offload: "none", queueBypass };
      const firewall = await startFirewall(host, { policy: { ...DROP_TELNET, settings } });
      await host.traffic.listenTcp({ port: 80 });
      const attempt = async (expected: string): Promise<void> => {
        const timeoutMs = expected === "timeout" ? SILENCE_MS : PATIENCE_MS;
        const { outcome: found } = await client.traffic.connectTcp({
          address: host.ipv4,
          port: 80,
          timeoutMs,
        });
        assert.equal(found, expected);
      };
      await attempt("connected");
      await firewall.stop("SIGKILL");
      await attempt(outcome);
      const down = await host.run([process.execPath, POSTERN, "down", "--socket", firewall.socket]);
      assert.equal(down.status, 0, down.output);
      await attempt("connected");
      assert.equal(await allRules(host), before);
    },
  );
}

netnsTest("a firewall starts over what a killed one left", HOST_PAIR, async ({ client, firewall: host }) => {
  const first = await startFirewall(host, { policy: DROP_TELNET });
  await first.stop("SIGKILL");
  const second = await startFirewall(host, { policy: DROP_TELNET });
  await host.traffic.listenTcp({ port: 80 });
  const result = await client.traffic.connectTcp({ address: host.ipv6, port: 80 });
  assert.equal(result.outcome, "connected");
  await second.stop();
});

netnsTest("down with nothing to remove says so and is no failure", HOST_PAIR, async ({ firewall: host }) => {
  const down = await host.run([process.execPath, POSTERN, "down", "--socket", "/nowhere.sock"]);
  assert.equal(down.status, 0, down.output);
  assert.match(down.output, /nothing to remove/);
});

netnsTest("down that may not look says so, and ends", HOST_PAIR, async ({ firewall: host }) => {
  const words = [process.execPath, POSTERN, "down", "--socket", "/nowhere.sock"];
  const down = await host.run(["setpriv", "--bounding-set=-net_admin", ...words]);
  assert.equal(down.status, 3, down.output);
  assert.match(down.output, /Run as root, or with CAP_NET_ADMIN/);
});

netnsTest("an invalid policy is refused before anything is set up", HOST_PAIR, async ({ firewall: host }) => {
  const before = await allRules(host);
  await assert.rejects(
    startFirewall(host, { policy: { INPUT: [{ name: "NoRule" }] } }),
    /there is no rule "NoRule"/,
  );
  assert.equal(await allRules(host), before);
});

netnsTest(
  "a queue that another program holds is named, and nothing is left",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const first = await startFirewall(host, { policy: DROP_TELNET });
    const running = await allRules(host);
    await assert.rejects(
      startFirewall(host, { policy: DROP_TELNET, words: ["--table", "second"] }),
      /another program holds this queue number/,
    );
    assert.equal(await allRules(host), running);
    const second = await startFirewall(host, {
      policy: DROP_TELNET,
      words: ["--table", "second", "--first-queue", "100"],
    });
    await second.stop();
    assert.equal(await allRules(host), running);
    await first.stop();
  },
);
