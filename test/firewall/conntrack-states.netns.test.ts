/** Rules about the kernel's connection tracking, through the running firewall. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "#client";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";

const settings = { compatibility: "strict" };

/** Switches connection tracking on, gives packets a mark before our table, and counts marks behind it. */
function witness(mark: number): string {
  return `table inet witness {
    chain before { type filter hook input priority 0; ct state new; meta mark set ${mark}; }
    chain behind { type filter hook input priority 20; meta mark ${mark} counter; meta mark != ${mark} counter; }
  }`;
}

/** Packets that came through with their mark, and with another. */
async function marksBehind(host: Namespace): Promise<readonly number[]> {
  const listed = await host.must(["nft", "list", "chain", "inet", "witness", "behind"]);
  return [...listed.matchAll(/packets (\d+)/g)].map(([, packets]) => Number(packets));
}

netnsTest(
  "what is under way and what is open passes without a packet in userspace",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const policy = {
      settings,
      default_chain: "DROP",
      INPUT: [
        { name: "SourceIPRule", cidr_range: "203.0.113.0/24", action: "DROP" },
        { name: "ConntrackRule", states: ["established", "related"], action: "ACCEPT" },
        { name: "PortRule", protocol: "TCP", dst_port: 80, action: "ACCEPT" },
        { name: "ICMPRule", protocol: "ICMPv6", action: "ACCEPT" },
      ],
      OUTPUT: [{ name: "TrueRule", action: "ACCEPT" }],
    };
    const firewall = await startFirewall(host, { policy });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenTcp({ port: 80 });
    await host.traffic.listenTcp({ port: 81 });
    await client.traffic.listenUdp({ port: 5000 });
    const connection = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    assert.equal(await connection.exchange("x".repeat(1000)), "x".repeat(1000));
    await connection.close();
    const answer = { address: client.ipv6, port: 5000, say: "x" };
    assert.equal((await host.traffic.sendUdp(answer)).outcome, "answered", "an answer is established");
    const closed = await host.traffic.sendUdp({ ...answer, port: 5001 });
    assert.equal(closed.outcome, "refused", "an ICMP error is related");
    const shut = await client.traffic.connectTcp({ address: host.ipv4, port: 81, timeoutMs: 300 });
    assert.equal(shut.outcome, "timeout");
    assert.equal(
      (await remote.getStatus()).counters["packets"],
      1,
      "what is dropped is logged, nothing else",
    );
    const { rules } = await remote.getRules();
    const rule = rules.find((each) => each.chain === "INPUT" && each.rule === 1);
    assert.ok(rule?.place === "kernel" && rule.kernel.packets >= 5, JSON.stringify(rule));
    await firewall.stop();
  },
);

netnsTest(
  "userspace hears the kernel's state of each packet, and foreign marks go through as they came",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    // A rule that prints wants every packet, so the states are told, not asked in the kernel.
    const asking = {
      settings,
      INPUT: [
        { name: "PrintRule" },
        { name: "ConntrackRule", states: ["new", "invalid"], action: "DROP" },
        { name: "ConntrackRule", states: ["established"], not: true, action: "ACCEPT" },
      ],
    };
    await host.must(["nft", witness(0x5)]);
    await host.traffic.listenTcp({ port: 80 });
    const known = await client.traffic.openTcp({ address: host.ipv4, port: 80 });
    const firewall = await startFirewall(host, { policy: asking });
    const remote = connect({ socket: firewall.socket });
    const pings = async (): Promise<number | null> =>
      (await client.run(["ping", "-q", "-c", "1", "-W", "1", host.ipv4])).status;
    assert.equal(await known.exchange("x"), "x", "older than the firewall, and established all the same");
    assert.notEqual(await pings(), 0, "what is new is dropped");
    const [kept = 0, changed] = await marksBehind(host);
    assert.ok(kept > 0);
    assert.equal(changed, 0, "what was told is cleared again");

    // Without such a rule the bits are nobody's of ours; with one again, what is told is the kernel's word.
    await host.must(["nft", `delete table inet witness; ${witness(0x0200_0005)}`]);
    writeFileSync(firewall.policyFile, JSON.stringify({ settings, INPUT: [{ name: "PrintRule" }] }));
    await remote.reload();
    assert.equal(await pings(), 0);
    const [untouched = 0, touched] = await marksBehind(host);
    assert.ok(untouched > 0);
    assert.equal(touched, 0);
    writeFileSync(firewall.policyFile, JSON.stringify(asking));
    await remote.reload();
    assert.notEqual(await pings(), 0, "a foreign mark says nothing of a packet's state");
    assert.equal(await known.exchange("y"), "y");
    await known.close();
    await firewall.stop();
  },
);
