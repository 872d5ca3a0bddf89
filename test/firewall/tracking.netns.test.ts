/** Connections as the tracker sees them on real traffic. */
import assert from "node:assert/strict";
import { HOST_PAIR, startFirewall } from "#lab";
import { netnsTest } from "#testing";

/** PyWall's example.json: nothing unsolicited comes in. */
const EXAMPLE = {
  default_chain: "ACCEPT",
  INPUT: [{ name: "TCPStateRule", match_if: ["CLOSED"], action: "DROP" }],
};

netnsTest(
  "unsolicited connections are blocked, replies to own ones pass",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: EXAMPLE });
    await host.traffic.listenTcp({ port: 80 });
    await client.traffic.listenTcp({ port: 80 });
    for (const [mine, other] of [
      [host.ipv4, client.ipv4],
      [host.ipv6, client.ipv6],
    ] as const) {
      const inbound = await client.traffic.connectTcp({ address: mine, port: 80, timeoutMs: 300 });
      assert.equal(inbound.outcome, "timeout");
      const outbound = await host.traffic.connectTcp({ address: other, port: 80, say: "hello" });
      assert.equal(outbound.heard, "hello");
    }
    await firewall.stop();
  },
);

netnsTest(
  "a connection older than the firewall is adopted when this host speaks",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await client.traffic.listenTcp({ port: 80 });
    const connection = await host.traffic.openTcp({ address: client.ipv4, port: 80 });
    assert.equal(await connection.exchange("before"), "before");
    const firewall = await startFirewall(host, { policy: EXAMPLE });
    assert.equal(await connection.exchange("after", 3000), "after");
    await firewall.stop();
  },
);

netnsTest(
  "an outgoing SYN is seen: SYN_SENT1, then the handshake's states",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: EXAMPLE, words: ["-l", "DEBUG"] });
    await client.traffic.listenTcp({ port: 80 });
    await host.traffic.connectTcp({ address: client.ipv4, port: 80, localPort: 4000 });
    const tuple = "(192.0.2.2:80, 192.0.2.1:4000)";
    await firewall.program.waitForLine(/192\.0\.2\.1:4000\).* => ESTABLISHED$/);
    const steps = firewall.program.lines.flatMap((line) => {
      const [before, after] = line.split(tuple);
      return after === undefined ? [] : [`${before?.slice(-"SND ".length)}${after.trim()}`];
    });
    assert.deepEqual(steps.slice(0, 3), [
      "SND (CLOSED) syn=1 ack=0 fin=0 => SYN_SENT1",
      "RCV (SYN_SENT1) syn=1 ack=1 fin=0 => SYN_SENT2",
      "SND (SYN_SENT2) syn=0 ack=1 fin=0 => ESTABLISHED",
    ]);
    await firewall.stop();
  },
);

netnsTest(
  "a reset connection is closed for the rules at once",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: EXAMPLE, words: ["-l", "DEBUG"] });
    await client.traffic.listenTcp({ port: 80 });
    const connection = await host.traffic.openTcp({ address: client.ipv4, port: 80, localPort: 4001 });
    assert.equal(await connection.exchange("hello"), "hello");
    await connection.reset();
    await firewall.program.waitForLine(
      /SND \(192\.0\.2\.2:80, 192\.0\.2\.1:4001\) \(ESTABLISHED\).*=> CLOSED/,
    );
    await firewall.stop();
  },
);
