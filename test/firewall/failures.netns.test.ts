/** What may go wrong in a running firewall, and what the policy promised for it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "#client";
import { HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { eventually, netnsTest, PATIENCE_MS } from "#testing";
import { datagramBetween, inject } from "./injection.ts";
import { ownRule } from "./own-rule.ts";

async function answers(from: Namespace, address: string, port: number, timeoutMs = 500): Promise<boolean> {
  return (await from.traffic.sendUdp({ address, port, say: "x", timeoutMs })).outcome === "answered";
}

netnsTest(
  "a worker that dies is started anew on its queue, and judges as before",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const { folder, policyFile } = ownRule("match() { process.exit(7); }");
    const firewall = await startFirewall(host, { policy: policyFile });
    await host.traffic.listenUdp({ port: 5000 });
    await host.traffic.listenUdp({ port: 5001 });
    assert.equal(await answers(client, host.ipv4, 5000), false, "the packet dies with its worker");
    await firewall.program.waitForLine(/was started anew/);
    assert.equal(await answers(client, host.ipv4, 5001, PATIENCE_MS), true, "the next one is judged");
    const status = await connect({ socket: firewall.socket }).getStatus();
    assert.equal(status.workers[0]?.restarts, 1);
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);

netnsTest(
  "a worker that hangs is started anew on its queue, and judges as before",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const { folder, policyFile } = ownRule("match() { for (;;); }");
    const firewall = await startFirewall(host, { policy: policyFile });
    await host.traffic.listenUdp({ port: 5001 });
    await answers(client, host.ipv4, 5000, 100);
    await firewall.program.waitForLine(/worker 0 died: .*a rule hangs/);
    const isJudging = (): Promise<boolean> => answers(client, host.ipv4, 5001);
    assert.equal(await eventually(isJudging, Boolean), true);
    const status = await connect({ socket: firewall.socket }).getStatus();
    assert.equal(status.workers[0]?.restarts, 1);
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);

netnsTest(
  "a worker that has no memory left is started anew on its queue, and the firewall goes on",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const { folder, policyFile } = ownRule(
      "match() { const all = []; for (;;) all.push(new Array(999).fill(all)); }",
    );
    const socket = join(folder, "control.sock");
    const up = [process.execPath, POSTERN, "up", policyFile, "--socket", socket];
    const program = host.start(["env", "NODE_OPTIONS=--max-old-space-size=100", ...up]);
    await program.waitForLine(/ready/);
    await host.traffic.listenUdp({ port: 5001 });
    await answers(client, host.ipv4, 5000, 100);
    await program.waitForLine(/worker 0 died: .*memory/);
    const isJudging = (): Promise<boolean> => answers(client, host.ipv4, 5001);
    assert.equal(await eventually(isJudging, Boolean), true);
    assert.equal((await connect({ socket }).getStatus()).workers[0]?.restarts, 1);
    await program.stop();
    rmSync(folder, { recursive: true });
  },
);

/** Packets that one kernel queue takes, and how many are sent to it. */
const QUEUED = 16;
const SENT = 200;

for (const { failMode, outcome, passed } of [
  { failMode: "closed", outcome: "dropped", passed: 0 },
  { failMode: "open", outcome: "passed", passed: SENT - QUEUED },
]) {
  netnsTest(
    `a firewall that stands still judges what waited; what found its queue full is ${outcome}`,
    HOST_PAIR,
    async ({ client, firewall: host }) => {
      const settings = { compatibility: "strict", offload: "none", workers: 1, failMode };
      const policy = { settings: { ...settings, limits: { queuePackets: QUEUED } }, INPUT: [] };
      const firewall = await startFirewall(host, { policy });
      const server = await host.traffic.listenUdp({ port: 5000 });
      const heard = async (): Promise<number> =>
        (await server.heard()).filter(({ text }) => text !== "x").length;
      const { pid } = await connect({ socket: firewall.socket }).getStatus();
      process.kill(pid, "SIGSTOP");
      await inject(client, [datagramBetween(client, host, 20)], SENT);
      assert.equal(await eventually(heard, (count) => count >= passed), passed, "while it stands still");
      process.kill(pid, "SIGCONT");
      assert.equal(await eventually(heard, (count) => count >= passed + QUEUED), passed + QUEUED);
      assert.equal(await eventually(() => answers(client, host.ipv4, 5000), Boolean), true);
      await firewall.stop();
    },
  );
}

netnsTest(
  "workers that keep dying end the firewall, closed if the policy wants no packet unjudged",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const { folder, policyFile } = ownRule("match() { process.exit(7); }");
    const firewall = await startFirewall(host, { policy: policyFile });
    await host.traffic.listenUdp({ port: 5001 });
    while (firewall.program.isRunning) await answers(client, host.ipv4, 5000, 100);
    const { status } = await firewall.program.ended;
    assert.equal(status, 3, firewall.program.output);
    assert.match(firewall.program.output, /table inet postern stays: packets are dropped/);
    assert.equal(await answers(client, host.ipv4, 5001), false);
    await host.must([process.execPath, POSTERN, "down", "--socket", firewall.socket]);
    assert.equal(await answers(client, host.ipv4, 5001), true);
    rmSync(folder, { recursive: true });
  },
);

netnsTest(
  "a rule that leaves a failing promise behind takes the declared outcome and ends nothing",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const { folder, policyFile } = ownRule('async match() { throw new Error("late"); }');
    const firewall = await startFirewall(host, { policy: policyFile });
    await host.traffic.listenUdp({ port: 5000 });
    await host.traffic.listenUdp({ port: 5001 });
    for (let at = 0; at < 20; at += 1) assert.equal(await answers(client, host.ipv4, 5000, 20), false);
    await host.must([process.execPath, POSTERN, "reload", "--socket", firewall.socket]);
    assert.equal(await answers(client, host.ipv4, 5001, PATIENCE_MS), true);
    const status = await connect({ socket: firewall.socket }).getStatus();
    assert.equal(status.workers[0]?.restarts, 0);
    assert.ok((status.counters["ruleErrors"] ?? 0) >= 20);
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);

netnsTest(
  "a rule that hangs does not keep the firewall from ending",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const { folder, policyFile } = ownRule("match() { for (;;); }");
    const before = await host.must(["nft", "list", "ruleset"]);
    const firewall = await startFirewall(host, { policy: policyFile });
    await answers(client, host.ipv4, 5000, 50);
    await firewall.stop("SIGTERM");
    const { status, signal } = await firewall.program.ended;
    assert.deepEqual({ status, signal }, { status: 0, signal: null });
    assert.equal(await host.must(["nft", "list", "ruleset"]), before);
    rmSync(folder, { recursive: true });
  },
);

netnsTest(
  "a second firewall is refused and takes nothing from the first, and neither does down",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const first = await startFirewall(host, { policy: { INPUT: [{ name: "UDPRule", action: "DROP" }] } });
    await host.traffic.listenUdp({ port: 5001 });
    for (const words of [[], ["--first-queue", "40"]]) {
      await assert.rejects(
        startFirewall(host, { policy: { INPUT: [] }, words }),
        /a firewall is running in this network namespace with the table postern \(process \d+\)/,
      );
    }
    const down = await host.run([process.execPath, POSTERN, "down", "--socket", first.socket]);
    assert.equal(down.status, 3, down.output);
    assert.equal(await answers(client, host.ipv4, 5001), false, "the first still judges");
    assert.equal((await connect({ socket: first.socket }).getStatus()).pid > 0, true);
    await first.stop();
  },
);

netnsTest(
  "a user who takes the name that firewalls lock keeps the firewall out, and is named with his process",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const take =
      'require("node:net").createServer().listen("\\0postern/postern", () => console.log("taken"))';
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const squatter = host.start([...nobody, process.execPath, "-e", take]);
    await squatter.waitForLine(/taken/);
    const refusal =
      /user 65534 holds the name .*, and is none: end that process \(process \d+\), or choose another table/;
    await assert.rejects(startFirewall(host, { policy: { INPUT: [] } }), refusal);
    const words = ["--table", "elsewhere"];
    await (await startFirewall(host, { policy: { INPUT: [] }, words })).stop();
    await squatter.stop();
  },
);

netnsTest(
  "readers that leave, and a log file that is full, cost lines and not the firewall",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-readers-"));
    const policyFile = join(folder, "policy.json");
    const socket = join(folder, "control.sock");
    writeFileSync(
      policyFile,
      JSON.stringify({
        settings: { compatibility: "strict" },
        INPUT: [{ name: "PrintRule" }, { name: "UDPRule", action: "DROP" }],
      }),
    );
    const up = `exec ${process.execPath} ${POSTERN} up ${policyFile} --socket ${socket} -l DEBUG -f /dev/full`;
    const program = host.start(["bash", "-c", `(${up} 2> >(head -n 6 >&2)) | head -n 1`]);
    // The readers show nothing before they leave, so the socket tells that the firewall is up.
    const isUp = (): Promise<boolean> =>
      connect({ socket })
        .getStatus()
        .then(
          () => true,
          () => !program.isRunning,
        );
    assert.ok(await eventually(isUp, Boolean), program.output);
    await host.traffic.listenUdp({ port: 5001 });
    for (let at = 0; at < 10; at += 1) assert.equal(await answers(client, host.ipv4, 5001, 30), false);
    const { pid, counters } = await connect({ socket }).getStatus();
    assert.ok((counters["dropped"] ?? 0) >= 10);
    const before = await host.must(["sh", "-c", "nft list tables 2>/dev/null"]);
    assert.match(before, /inet postern/);
    process.kill(pid, "SIGTERM");
    await program.ended;
    assert.doesNotMatch(await host.must(["sh", "-c", "nft list tables 2>/dev/null"]), /inet postern/);
    rmSync(folder, { recursive: true });
  },
);

netnsTest(
  "a SIGHUP at any moment of the start is no reason to end",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const folder = mkdtempSync(join(tmpdir(), "postern-hup-"));
    const policyFile = join(folder, "policy.json");
    writeFileSync(policyFile, "{}");
    const command = `${process.execPath} ${POSTERN} up ${policyFile} --socket ${join(folder, "control.sock")}`;
    // The last digit of SigCgt is odd as soon as the process catches SIGHUP.
    const caught = "grep -q 'SigCgt:.*[13579bdf]$' /proc/$!/status";
    const log = join(folder, "log");
    const hangUps = `until grep -q 'is in force' ${log}; do kill -HUP $! || break; sleep 0.05; done`;
    const script = `${command} > ${log} 2>&1 & until ${caught}; do sleep 0.01; done; ${hangUps}
      kill -TERM $!; wait $!; status=$?; cat ${log}; exit $status`;
    const end = await host.run(["bash", "-c", script]);
    assert.equal(end.status, 0, end.output);
    assert.match(end.output, /ready[^]*policy revision \d+ is in force/);
    rmSync(folder, { recursive: true });
  },
);
