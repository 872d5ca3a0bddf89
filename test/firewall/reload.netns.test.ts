/** Another policy while traffic flows: no packet lost, no flow lost, and nothing changed by a bad one. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "#client";
import { HOST_PAIR, POSTERN, startFirewall } from "#lab";
import { netnsTest, PATIENCE_MS, SILENCE_MS } from "#testing";
import { KNOCKED_PORT, knock, knockingRules, TWO_DOORS } from "../knocking.ts";

/** Accepts connections that are known; whatever port is named is open to anybody. */
function policyFor(port: number): Readonly<Record<string, unknown>> {
  return {
    default_chain: "ACCEPT",
    settings: { compatibility: "strict" },
    INPUT: [
      { name: "PortRule", protocol: "TCP", dst_port: port, action: "ACCEPT" },
      { name: "TCPStateRule", match_if: ["CLOSED"], action: "DROP" },
    ],
  };
}

netnsTest(
  "a policy swapped thirty times under traffic loses no packet and no flow",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: policyFor(80) });
    await host.traffic.listenTcp({ port: 80 });
    await host.traffic.listenUdp({ port: 5000 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    const postern = connect({ socket: firewall.socket });
    let isSwapped = false;
    const swap = async (port: number): Promise<number> => {
      isSwapped = false;
      writeFileSync(firewall.policyFile, JSON.stringify(policyFor(port)));
      const { revision } = await postern.reload().finally(() => (isSwapped = true));
      return revision;
    };
    const talk = async (say: string): Promise<void> => {
      do {
        assert.equal(await connection.exchange(say, 20_000), say, "the connection lives");
        const datagram = { address: host.ipv6, port: 5000, say, timeoutMs: 20_000 };
        assert.equal((await client.traffic.sendUdp(datagram)).outcome, "answered", "no datagram is lost");
      } while (!isSwapped);
    };
    for (let round = 0; round < 30; round += 1) {
      // From the first swap on, only its state keeps the open connection alive.
      const [revision] = await Promise.all([swap(round % 2 === 0 ? 81 : 82), talk(`message ${round}`)]);
      assert.equal(revision, round + 2);
    }
    const reload = await host.run([
      process.execPath,
      POSTERN,
      "reload",
      "--json",
      "--socket",
      firewall.socket,
    ]);
    assert.deepEqual([reload.status, JSON.parse(reload.output)], [0, { revision: 32 }]);
    const closed = await client.traffic.connectTcp({ address: host.ipv4, port: 80, timeoutMs: 300 });
    assert.equal(closed.outcome, "timeout", "the last policy is in force");
    await firewall.stop();
  },
);

netnsTest(
  "SIGHUP reads the policy anew; an invalid one changes nothing and is named",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: policyFor(80) });
    await host.traffic.listenTcp({ port: 80 });
    await host.traffic.listenTcp({ port: 81 });
    const open = async (port: number, timeoutMs = SILENCE_MS): Promise<string> =>
      (await client.traffic.connectTcp({ address: host.ipv4, port, timeoutMs })).outcome;
    writeFileSync(firewall.policyFile, JSON.stringify(policyFor(81)));
    firewall.program.kill("SIGHUP");
    await firewall.program.waitForLine(/policy revision 2 is in force/);
    assert.deepEqual([await open(80), await open(81, PATIENCE_MS)], ["timeout", "connected"]);

    writeFileSync(firewall.policyFile, '{ "INPUT": [ { "name": "PortRul" } ] }');
    firewall.program.kill("SIGHUP");
    await firewall.program.waitForLine(/ERROR.*the policy stays as it is/);
    const reload = await host.run([process.execPath, POSTERN, "reload", "--socket", firewall.socket]);
    assert.equal(reload.status, 1);
    assert.match(reload.output, /:1:24: error: there is no rule "PortRul"/);
    assert.deepEqual([await open(80), await open(81, PATIENCE_MS)], ["timeout", "connected"]);
    await firewall.stop();
  },
);

netnsTest("knocks survive the change of other rules", HOST_PAIR, async ({ client, firewall: host }) => {
  const rules = knockingRules(TWO_DOORS);
  const firewall = await startFirewall(host, { policy: { INPUT: rules } });
  await host.traffic.listenTcp({ port: KNOCKED_PORT });
  await knock(client, host.ipv4, TWO_DOORS.slice(0, 1));
  writeFileSync(
    firewall.policyFile,
    JSON.stringify({ INPUT: [...rules, { name: "TrueRule", action: "ACCEPT" }] }),
  );
  firewall.program.kill("SIGHUP");
  await firewall.program.waitForLine(/policy revision 2/);
  await knock(client, host.ipv4, TWO_DOORS.slice(1));
  const behind = { address: host.ipv4, port: KNOCKED_PORT, timeoutMs: PATIENCE_MS };
  const result = await client.traffic.connectTcp(behind);
  assert.equal(result.outcome, "connected");
  await firewall.stop();
});
