/** What becomes of flows while packets wait longer than the policy's objective. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { connect, type FirewallStatus } from "#client";
import { HOST_PAIR, type RunningFirewall, startFirewall } from "#lab";
import { eventually, netnsTest } from "#testing";
import { expectDropped } from "./dropping.ts";
import { datagramBetween, flood } from "./injection.ts";
import { ownRule } from "./own-rule.ts";

/** Takes its time with each packet. */
const SLOW = "match() { const end = performance.now() + 0.3; while (performance.now() < end); return true; }";

/** Recognition informs about connections to port 80, and decides about those to port 81. */
const CHAINS = {
  INPUT: [
    { name: "PortRule", protocol: "TCP", dst_port: 81, action: "watched" },
    { name: "ProtocolRule", protocols: ["HTTP"], action: "ACCEPT" },
  ],
  watched: [{ name: "ProtocolRule", protocols: ["SSH"], action: "DROP" }],
};

const BANNER = "SSH-2.0-OpenSSH_9.2\r\n";
const PATIENCE_MS = 30_000;

function status({ socket }: RunningFirewall): Promise<FirewallStatus> {
  return connect({ socket }).getStatus();
}

async function isPressed(firewall: RunningFirewall): Promise<boolean> {
  return (await status(firewall)).workers[0]?.isPressed ?? false;
}

netnsTest(
  "past the objective a flow of which bytes only inform is sealed early, and no other; then it is as before",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const settings = {
      offload: "flows",
      queueWaitObjectiveMs: 5,
      limits: { queuePackets: 64, batchPackets: 16 },
    };
    const { folder, policyFile } = ownRule(SLOW, settings, CHAINS);
    const firewall = await startFirewall(host, { policy: policyFile });
    for (const port of [80, 81]) await host.traffic.listenTcp({ port });
    const open = (port: number) => client.traffic.openTcp({ address: host.ipv4, port });
    const early = async (): Promise<number> => (await status(firewall)).offloaded.early;
    await open(80);
    assert.equal((await status(firewall)).offloaded.total, 0, "its bytes are waited for");

    const endFlood = flood(client, [datagramBetween(client, host, 20)]);
    try {
      assert.ok(await eventually(() => isPressed(firewall), Boolean), firewall.program.output);
      const informed = await open(80);
      const decided = await open(81);
      assert.equal(await eventually(early, (count) => count > 0), 1);
      assert.equal(await informed.exchange(BANNER, PATIENCE_MS), BANNER);
      // What a rule drops for its bytes is dropped.
      await expectDropped(firewall, decided, BANNER);
      assert.equal(await early(), 1);
    } finally {
      await endFlood();
    }
    const wasPressed = await eventually(
      () => isPressed(firewall),
      (pressed) => !pressed,
    );
    assert.equal(wasPressed, false, firewall.program.output);
    const later = await open(80);
    assert.equal(await later.exchange("x", PATIENCE_MS), "x");
    assert.equal(await early(), 1, "its bytes are waited for again");
    assert.match(firewall.program.output, /packets wait longer than 5 ms/);
    assert.match(firewall.program.output, /packets wait no longer than they should/);
    await firewall.stop();
    rmSync(folder, { recursive: true });
  },
);
