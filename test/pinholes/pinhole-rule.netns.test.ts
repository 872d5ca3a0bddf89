/** PinholeRule: what programs open passes the policy, and nothing else of what it drops. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, connectPinholes, type FirewallStatus } from "#client";
import { GATEWAY, HOST_PAIR, POSTERN, startFirewall } from "#lab";
import { eventually, netnsTest, PATIENCE_MS, SILENCE_MS } from "#testing";

const POLICY = {
  INPUT: [],
  FORWARD: [
    { name: "PinholeRule", action: "ACCEPT" },
    { name: "ICMPRule", action: "ACCEPT" },
    { name: "TrueRule", action: "DROP" },
  ],
};

netnsTest("a policy lets pass what a pinhole permits, from its commit to its end", GATEWAY, async (hosts) => {
  const { client, firewall: gateway, server } = hosts;
  const folder = mkdtempSync(join(tmpdir(), "postern-rule-"));
  const socket = join(folder, "pinholes.sock");
  const words = ["--pinholes", "--pinhole-socket", socket, "--pinhole-state", join(folder, "state")];
  const before = await gateway.must(["nft", "list", "ruleset"]);
  const firewall = await startFirewall(gateway, { policy: POLICY, words });
  const pinholes = connectPinholes({ socket });
  await server.traffic.listenUdp({ port: 6004 });
  await server.traffic.listenTcp({ port: 8080 });
  const send = async (localPort: number, timeoutMs = SILENCE_MS): Promise<string> => {
    const destination = { address: server.ipv4, port: 6004, localPort, timeoutMs };
    return (await client.traffic.sendUdp({ ...destination, say: "media" })).outcome;
  };
  const connect = async (): Promise<string> =>
    (await client.traffic.connectTcp({ address: server.ipv4, port: 8080, timeoutMs: 1500 })).outcome;
  assert.deepEqual([await send(5004), await connect()], ["silent", "timeout"]);

  const change = pinholes.begin();
  const sides = { internal: `${client.ipv4}:5004`, external: `${server.ipv4}:6004` };
  const audio = change.open({ ...sides, protocol: "udp", lifetime: 60 });
  const web = {
    internal: client.ipv4,
    external: `${server.ipv4}:8080`,
    protocol: "tcp",
    lifetime: 60,
  } as const;
  change.open({ ...web, direction: "out" });
  await change.commit();
  assert.deepEqual(
    [await send(5004, PATIENCE_MS), await send(5006), await connect()],
    ["answered", "silent", "connected"],
  );
  assert.ok(
    ((await pinholes.get(audio, true)).traffic?.packets ?? 0) >= 2,
    "the kernel counts as without a policy",
  );

  await pinholes.close(audio);
  assert.deepEqual([await send(5004), await connect()], ["silent", "connected"]);

  await firewall.stop("SIGKILL");
  await gateway.must([process.execPath, POSTERN, "down"]);
  assert.equal(await gateway.must(["nft", "list", "ruleset"]), before, "down leaves nothing behind");
  const again = await startFirewall(gateway, { policy: POLICY, words });
  assert.equal(await connect(), "connected", "the journal has kept it");
  await again.stop();
  assert.equal(await gateway.must(["nft", "list", "ruleset"]), before, "an end in order does neither");
  pinholes.end();
  rmSync(folder, { recursive: true });
});

const CONTENT_POLICY = {
  settings: { workers: 1 },
  INPUT: [],
  FORWARD: [
    { name: "PinholeRule", action: "ACCEPT" },
    { name: "ProtocolRule", protocols: ["SSH"], action: "DROP" },
    { name: "TrueRule", action: "ACCEPT" },
  ],
};

/** Levels of the log, and whether the kernel drops what is dropped for good: with INFO each has a line. */
const DROPPED_BY: readonly (readonly [level: string, byKernel: boolean])[] = [
  ["INFO", false],
  ["WARNING", true],
];

for (const [level, byKernel] of DROPPED_BY) {
  const who = byKernel ? "the kernel" : "a worker";
  netnsTest(
    `a pinhole frees a connection that ${who} drops for what it speaks, and no other`,
    GATEWAY,
    async (hosts) => {
      const { client, firewall: gateway, server } = hosts;
      const folder = mkdtempSync(join(tmpdir(), "postern-rule-"));
      const socket = join(folder, "pinholes.sock");
      const words = ["--pinholes", "--pinhole-socket", socket, "--pinhole-state", join(folder, "state")];
      const [file, control] = [join(folder, "policy.json"), join(folder, "control.sock")];
      writeFileSync(file, JSON.stringify(CONTENT_POLICY));
      const up = [process.execPath, POSTERN, "up", file, "--socket", control, "-l", level, ...words];
      const firewall = gateway.start(up);
      const status = (): Promise<FirewallStatus | undefined> =>
        connect({ socket: control })
          .getStatus()
          .catch(() => undefined);
      assert.ok(await eventually(status, (one) => one !== undefined), "it has become ready");
      const pinholes = connectPinholes({ socket });
      await server.traffic.listenTcp({ port: 8022 });
      const destination = { address: server.ipv4, port: 8022 };
      const freed = await client.traffic.openTcp({ ...destination, localPort: 40_001 });
      const other = await client.traffic.openTcp({ ...destination, localPort: 40_002 });
      const banner = "SSH-2.0-OpenSSH_9.6\r\n";
      assert.equal(await freed.exchange(banner, 500), "");
      assert.equal(await other.exchange(banner, 500), "");
      const sealed = (await status())?.counters["sealed"] ?? 0;
      assert.equal(sealed > 0, byKernel);
      const change = pinholes.begin();
      const ends = { internal: `${client.ipv4}:40001`, external: `${server.ipv4}:8022` };
      const id = change.open({ ...ends, protocol: "tcp", direction: "out", lifetime: 60 });
      await change.commit();
      assert.match(await freed.exchange("more", 10_000), /^SSH-2\.0/, "what was dropped comes again");
      assert.equal(await other.exchange("more", 500), "", "nothing permits the other");
      await pinholes.close(id);
      assert.doesNotMatch(await freed.exchange("again", 1000), /again/, "it is what it was before");
      await freed.reset();
      await other.reset();
      await firewall.stop();
      pinholes.end();
      rmSync(folder, { recursive: true });
    },
  );
}

netnsTest(
  "a mark that a program puts on its packets does not pass for a pinhole",
  HOST_PAIR,
  async (hosts) => {
    const { client: peer, firewall: host } = hosts;
    const folder = mkdtempSync(join(tmpdir(), "postern-rule-"));
    const words = [
      "--pinholes",
      "--pinhole-socket",
      join(folder, "s"),
      "--pinhole-state",
      join(folder, "state"),
    ];
    const policy = {
      OUTPUT: [
        { name: "PinholeRule", action: "ACCEPT" },
        { name: "UDPRule", action: "DROP" },
      ],
    };
    await host.must(["nft", "add table inet forger"]);
    await host.must(["nft", "add chain inet forger output { type filter hook output priority -1; }"]);
    await host.must(["nft", "add rule inet forger output meta mark set 0x08000000"]);
    const firewall = await startFirewall(host, { policy, words });
    await peer.traffic.listenUdp({ port: 6004 });
    const destination = { address: peer.ipv4, port: 6004, timeoutMs: 500 };
    assert.equal((await host.traffic.sendUdp({ ...destination, say: "forged" })).outcome, "silent");
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);
