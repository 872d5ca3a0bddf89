/** `postern explain --flow`: chain, rule, file and line of live flows, whoever judges their packets. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connect, type FlowJudge, type FlowReport, type RuleHits } from "#client";
import {
  GATEWAY,
  type Namespace,
  type OpenConnection,
  POSTERN,
  type RunningFirewall,
  startFirewall,
  type Topology,
} from "#lab";
import { netnsTest } from "#testing";
import { expectDropped } from "./dropping.ts";

const PATIENCE_MS = 10_000;
const PORT = 7000;
const CLIENT_PORT = 40_000;

type Hosts = Topology<"client" | "firewall" | "server">;

/** The first line of a rule with this comment in a policy file as it is written here. */
function lineOf(policy: object, comment: string): number {
  const lines = JSON.stringify(policy, null, 2).split("\n");
  const at = lines.findIndex((line) => line.includes(`"comment": "${comment}"`));
  return lines.slice(0, at).findLastIndex((line) => line.trim() === "{") + 1;
}

async function openFlow({ client, server }: Hosts): Promise<OpenConnection> {
  const ends = { address: server.ipv4, port: PORT, localPort: CLIENT_PORT };
  const connection = await client.traffic.openTcp(ends);
  for (const text of ["one", "two", "three"])
    assert.equal(await connection.exchange(text, PATIENCE_MS), text);
  return connection;
}

/** What the command says, as JSON and for people. */
async function explain(
  { client, firewall: host, server }: Hosts,
  { socket }: RunningFirewall,
): Promise<{ report: FlowReport; text: string }> {
  const ends = `tcp ${client.ipv4}:${CLIENT_PORT} > ${server.ipv4}:${PORT}`;
  const words = [process.execPath, POSTERN, "explain", "--flow", ends, "--socket", socket];
  const report = JSON.parse(await host.must([...words, "--json"])) as FlowReport;
  return { report, text: await host.must(words) };
}

const other = { name: "PortRule", protocol: "TCP", dst_port: 9, action: "DROP", comment: "other" };
const wanted = { name: "PortRule", protocol: "TCP", dst_port: PORT, action: "ACCEPT", comment: "wanted" };
const answers = { name: "PortRule", protocol: "TCP", src_port: PORT, action: "ACCEPT", comment: "answers" };
const rules = { default_chain: "DROP", FORWARD: [other, wanted, answers] };

/** Each way of judging a flow that is accepted, with what is to be said of it. */
const CASES = [
  { name: "in the kernel alone", offload: "full", judge: "kernel", evidence: "proven" },
  { name: "in the kernel, sealed", offload: "flows", judge: "sealed", evidence: "noted" },
  { name: "in userspace", offload: "none", judge: "userspace", evidence: "noted" },
] as const;

for (const { name, offload, judge, evidence } of CASES) {
  netnsTest(`a flow judged ${name} has its chain, rule, file and line`, GATEWAY, async (hosts) => {
    const { firewall: host, server } = hosts;
    await host.must(["sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1"]);
    await host.must(["sysctl", "-qw", "net.netfilter.nf_conntrack_timestamp=1"]);
    const policy = { settings: { workers: 1, offload }, ...rules };
    const firewall = await startFirewall(host, { policy });
    const listener = await server.traffic.listenTcp({ port: PORT });
    const connection = await openFlow(hosts);
    const { report, text } = await explain(hosts, firewall);
    const line = lineOf(policy, "wanted");
    const rule = {
      chain: "FORWARD",
      rule: 1,
      name: "PortRule",
      line,
      comment: "wanted",
      file: firewall.policyFile,
    };
    assert.deepEqual(report.cause, { evidence, rules: [rule] });
    assert.deepEqual([report.judge, report.verdict], [judge, "ACCEPT"]);
    assert.equal(report.generation, judge === "sealed" ? 1 : null);
    assert.deepEqual(
      report.answers?.rules.map((each) => each.comment),
      judge === "kernel" ? ["answers"] : undefined,
    );
    assert.ok((report.state.packets?.[0] ?? 0) >= 5 && (report.state.bytes?.[1] ?? 0) > 11, text);
    assert.ok(report.state.ageMs !== null);
    const hits = (report.hits?.kernel.packets ?? 0) + (report.hits?.userspacePackets ?? 0);
    assert.ok(hits >= 1 && (judge !== "kernel" || (report.hits?.kernel.bytes ?? 0) > 200), text);
    assert.match(text, new RegExp(`FORWARD rule 1 PortRule, ${firewall.policyFile}:${line}  # wanted`));
    assert.match(text, judge === "sealed" ? /sealed in generation 1/ : /judged by/);
    // The same by the state's own id.
    const byId = await connect({ socket: firewall.socket }).explainFlow(report.state.id);
    assert.deepEqual([byId.judge, byId.cause], [report.judge, report.cause]);

    // The rule that a packet in words meets has the same counts, as long as the file is what is in force.
    const packet = `forward tcp ${hosts.client.ipv4}:${CLIENT_PORT} > ${server.ipv4}:${PORT} ack`;
    const explained = [firewall.policyFile, packet, "--socket", firewall.socket, "--json"];
    const hitsOf = async (): Promise<RuleHits | undefined> => {
      const steps = await host.must([process.execPath, POSTERN, "explain", ...explained]);
      const met = steps.split("\n").find((step) => step.includes('"matched":true')) ?? "";
      return (JSON.parse(met) as { hits?: RuleHits }).hits;
    };
    assert.deepEqual(await hitsOf(), report.hits);
    // Under another policy it is another rule, or at least another place.
    const next = { settings: policy.settings, default_chain: "DROP", FORWARD: [wanted, answers] };
    writeFileSync(firewall.policyFile, JSON.stringify(next, null, 2));
    assert.equal(await hitsOf(), undefined);
    await connect({ socket: firewall.socket }).reload();
    assert.equal(await connection.exchange("four", PATIENCE_MS), "four");
    const after = (await explain(hosts, firewall)).report;
    assert.equal(after.judge, judge);
    assert.deepEqual(
      after.cause.rules.map((each) => [each.rule, each.line]),
      [[0, lineOf(next, "wanted")]],
    );
    if (judge === "sealed") assert.equal(after.generation, 2);
    await connection.close();
    await listener.close();
    await firewall.stop();
  });
}

netnsTest(
  "a rule that waits for bytes is said to wait, and not to have let a flow in",
  GATEWAY,
  async (hosts) => {
    const { firewall: host, server } = hosts;
    const waiting = { name: "ProtocolRule", protocols: ["SSH"], action: "DROP", comment: "no shells" };
    const policy = {
      settings: { workers: 1, offload: "flows", compatibility: "strict" },
      FORWARD: [waiting, wanted, answers],
    };
    const firewall = await startFirewall(host, { policy });
    await server.traffic.listenTcp({ port: PORT });
    const { client } = hosts;
    const ends = { address: server.ipv4, port: PORT, localPort: CLIENT_PORT };
    const connection = await client.traffic.openTcp(ends);
    const before = await explain(hosts, firewall);
    assert.deepEqual(
      [before.report.cause.evidence, before.report.cause.rules[0]?.comment],
      ["waiting", "no shells"],
    );
    assert.match(before.text, /waits for bytes/);
    for (const text of ["GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "two", "three"])
      assert.equal(await connection.exchange(text, PATIENCE_MS), text);
    const { report, text } = await explain(hosts, firewall);
    assert.deepEqual([report.judge, report.cause.evidence], ["sealed", "noted"], text);
    assert.equal(report.cause.rules[0]?.comment, "wanted");
    assert.equal(report.state.packets, null, "nobody counts the packets of a sealed flow");
    assert.match(text, /traffic +not counted by the kernel/);
    await firewall.stop();
  },
);

netnsTest("a translated flow of the kernel's is found by either of its ends", GATEWAY, async (hosts) => {
  const { client, firewall: host, server } = hosts;
  const translate = `chain pre { type nat hook prerouting priority dstnat; tcp dport 80 dnat ip to ${server.ipv4}:${PORT}; };
    chain post { type nat hook postrouting priority srcnat; meta l4proto tcp masquerade; };`;
  await host.must(["nft", `table inet translate { ${translate} }`]);
  const firewall = await startFirewall(host, { policy: { settings: {}, ...rules } });
  await server.traffic.listenTcp({ port: PORT });
  const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80, localPort: CLIENT_PORT });
  assert.equal(await connection.exchange("one", PATIENCE_MS), "one");
  const remote = connect({ socket: firewall.socket });
  for (const filter of [`from ${client.ipv4} to ${host.ipv4} port 80`, `to ${server.ipv4} port ${PORT}`]) {
    const { judge, cause, answers: back } = await remote.explainFlow(filter);
    assert.deepEqual(
      [judge, cause.evidence, cause.rules[0]?.comment],
      ["kernel", "proven", "wanted"],
      filter,
    );
    assert.deepEqual([back?.evidence, back?.rules[0]?.comment], ["proven", "answers"]);
  }
  await firewall.stop();
});

netnsTest(
  "where rules read more than ends, every rule that may have judged is named",
  GATEWAY,
  async (hosts) => {
    const { firewall: host, server } = hosts;
    const byInterface = { name: "InterfaceRule", in: "to-client", action: "ACCEPT", comment: "inside" };
    const policy = { ...rules, FORWARD: [byInterface, wanted, answers] };
    const firewall = await startFirewall(host, { policy });
    await server.traffic.listenTcp({ port: PORT });
    await openFlow(hosts);
    const { report, text } = await explain(hosts, firewall);
    assert.equal(report.cause.evidence, "possible");
    assert.deepEqual(
      report.cause.rules.map(({ comment }) => comment),
      ["inside", "wanted"],
    );
    assert.match(text, /may be this one/);
    await firewall.stop();
  },
);

/** Starts a firewall that says nothing when it is ready, since its log has warnings only. */
async function startSilent(
  host: Namespace,
  policy: object,
): Promise<{ socket: string; end: () => Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "postern-explain-"));
  const [file, socket] = [join(folder, "policy.json"), join(folder, "control.sock")];
  writeFileSync(file, JSON.stringify(policy, null, 2));
  const words = ["up", file, "--socket", socket, "--log-level", "WARNING"];
  const program = host.start([process.execPath, POSTERN, ...words]);
  const until = Date.now() + 2 * PATIENCE_MS;
  const isReady = async (): Promise<boolean> =>
    connect({ socket })
      .getStatus()
      .then(
        () => true,
        () => false,
      );
  while (!(await isReady())) {
    assert.ok(Date.now() < until, "the firewall has not become ready");
    await delay(100);
  }
  const end = async (): Promise<void> => {
    await program.stop("SIGTERM");
    rmSync(folder, { recursive: true });
  };
  return { socket, end };
}

netnsTest("a flow that a rule has ended for its bytes names that rule", GATEWAY, async (hosts) => {
  const { client, firewall: host, server } = hosts;
  const ending = { name: "ProtocolRule", protocols: ["SSH"], action: "DROP", comment: "no shells" };
  const policy = {
    settings: { workers: 1, offload: "flows", compatibility: "strict" },
    default_chain: "ACCEPT",
    FORWARD: [other, ending],
  };
  await server.traffic.listenTcp({ port: PORT });
  const check = async (socket: string, localPort: number, judge: FlowJudge): Promise<void> => {
    const connection = await client.traffic.openTcp({ address: server.ipv4, port: PORT, localPort });
    await expectDropped({ socket }, connection, "SSH-2.0-OpenSSH_9.7\r\n");
    const report = await connect({ socket }).explainFlow(`port ${localPort}`);
    assert.deepEqual([report.judge, report.verdict, report.cause.evidence], [judge, "DROP", "noted"]);
    const [rule] = report.cause.rules;
    assert.deepEqual([rule?.chain, rule?.rule, rule?.comment], ["FORWARD", 1, "no shells"]);
  };
  // A line of the log for each dropped packet needs each of them.
  const firewall = await startFirewall(host, { policy });
  await check(firewall.socket, CLIENT_PORT, "userspace");
  await firewall.stop();
  const silent = await startSilent(host, policy);
  await check(silent.socket, CLIENT_PORT + 1, "sealed");
  await silent.end();
});

netnsTest(
  "no flow, several flows and a flow that is gone are errors that say what to do",
  GATEWAY,
  async (hosts) => {
    const { client, firewall: host, server } = hosts;
    const firewall = await startFirewall(host, { policy: { settings: {}, ...rules } });
    const remote = connect({ socket: firewall.socket });
    const run = async (...words: string[]) =>
      host.run([process.execPath, POSTERN, "explain", "--socket", firewall.socket, ...words]);
    await assert.rejects(remote.explainFlow("tcp port 9"), { code: "FLOW_UNKNOWN", status: 404 });
    await assert.rejects(remote.explainFlow("0000000000ffffff"), { code: "STATE_GONE", status: 404 });
    await assert.rejects(remote.explainFlow("tcp prt 9"), { code: "FILTER_INVALID", status: 400 });
    await server.traffic.listenTcp({ port: PORT });
    await openFlow(hosts);
    await client.traffic.openTcp({ address: server.ipv4, port: PORT });
    await assert.rejects(remote.explainFlow(`port ${PORT}`), (error: Error & { code?: string }) => {
      assert.equal(error.code, "FLOW_AMBIGUOUS");
      assert.match(error.message, new RegExp(`take the id of one.*\n  ff[0-9a-f]{14}  tcp .*:${PORT}`));
      return true;
    });
    assert.equal((await run("--flow", "tcp port 9")).status, 1);
    assert.equal((await run("--flow", `port ${PORT}`)).status, 2);
    assert.equal((await run()).status, 2);
    assert.equal((await run(firewall.policyFile, "--flow", "tcp")).status, 2);
    await firewall.stop();
  },
);
