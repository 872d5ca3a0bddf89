/**
 * Enabling and disabling twice. pf's `enable` of what is enabled is an error that changes nothing, and so is
 * its `disable`; here the second `up` says so, and the second `down` finds nothing to do.
 */
import assert from "node:assert/strict";
import { connect } from "#client";
import { type FinishedProgram, HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const settings = { compatibility: "strict" };
const TELNET = { name: "PortRule", protocol: "TCP", dst_port: 23, action: "DROP" };

/** The rule set without counters, and without what nft says of it on standard error. */
async function rulesOf(host: Namespace): Promise<string> {
  return host.must(["sh", "-c", "nft --stateless list ruleset 2>/dev/null"]);
}

netnsTest(
  "up when it is up already says so and changes nothing: rules, policy, flows and queues stay",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [TELNET] } });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: 80 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    await connection.exchange("before");
    const rules = await rulesOf(host);
    const { pid, policy } = await remote.getStatus();
    for (const socket of [firewall.socket, `${firewall.socket}.other`]) {
      const words = ["up", firewall.policyFile, "--socket", socket];
      const again = await host.run([process.execPath, POSTERN, ...words]);
      assert.equal(again.status, 3, again.output);
      assert.match(again.output, /a firewall is running in this network namespace with the table postern/);
    }
    assert.equal(await rulesOf(host), rules);
    const after = await remote.getStatus();
    assert.deepEqual([after.pid, after.policy], [pid, policy]);
    assert.equal(
      after.workers.every(({ restarts }) => restarts === 0),
      true,
    );
    assert.equal(await connection.exchange("after"), "after");
    const blocked = await client.traffic.connectTcp({ address: host.ipv4, port: 23, timeoutMs: 300 });
    assert.equal(blocked.outcome, "timeout", "the policy is in force");
    await firewall.stop();
  },
);

netnsTest(
  "down while it is up is refused and changes nothing; down twice afterwards is harmless",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const before = await rulesOf(host);
    const firewall = await startFirewall(host, { policy: { settings, INPUT: [TELNET] } });
    const down = async (): Promise<FinishedProgram> =>
      host.run([process.execPath, POSTERN, "down", "--socket", firewall.socket]);
    const refused = await down();
    assert.equal(refused.status, 3, refused.output);
    assert.match(refused.output, /a firewall is running/);
    await host.traffic.listenTcp({ port: 23 });
    const blocked = await client.traffic.connectTcp({ address: host.ipv4, port: 23, timeoutMs: 300 });
    assert.equal(blocked.outcome, "timeout", "the policy is in force");
    await firewall.stop("SIGKILL");
    const first = await down();
    assert.equal(first.status, 0, first.output);
    assert.match(first.output, /Tore down nftables/);
    const second = await down();
    assert.equal(second.status, 0, second.output);
    assert.match(second.output, /nothing to remove/);
    assert.equal(await rulesOf(host), before);
  },
);
