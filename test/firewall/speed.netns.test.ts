/**
 * A floor under speed, far below what bench/ measures: the reference system's paper reports 0.375 ms added to
 * a mean round trip and 14 Mbit/s.
 */
import assert from "node:assert/strict";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";

/** What the paper reports for the reference system. */
const PAPER = { addedRoundTripMs: 0.375, megabitsPerSecond: 14 };

/** How often a measurement is repeated when the machine was busy with something else. */
const ATTEMPTS = 3;

const POLICY = {
  INPUT: [{ name: "TCPStateRule", match_if: ["CLOSED"], action: "DROP" }],
  OUTPUT: [{ name: "PortRule", protocol: "TCP", dst_port: 25, action: "DROP" }],
};

/** Mean round trip of two hundred echo requests, in milliseconds. */
async function meanRoundTripMs(from: Namespace, address: string): Promise<number> {
  const output = await from.must(["ping", "-q", "-i", "0.005", "-c", "200", address]);
  const mean = /= [\d.]+\/([\d.]+)\//.exec(output)?.[1];
  assert.ok(mean !== undefined, output);
  return Number(mean);
}

netnsTest(
  "a round trip takes less longer than the paper's 0.375 ms",
  HOST_PAIR,
  async ({ client, firewall }) => {
    const withoutMs = await meanRoundTripMs(client, firewall.ipv4);
    const { stop } = await startFirewall(firewall, { policy: POLICY });
    const added: number[] = [];
    do added.push((await meanRoundTripMs(client, firewall.ipv4)) - withoutMs);
    while ((added.at(-1) ?? 0) >= PAPER.addedRoundTripMs && added.length < ATTEMPTS);
    await stop();
    assert.ok(Math.min(...added) < PAPER.addedRoundTripMs, `added ${added.join(", ")} ms`);
  },
);

netnsTest("a stream is at least thirty times as fast as the paper's 14 Mbit/s", HOST_PAIR, async (hosts) => {
  const { client, firewall } = hosts;
  const bytes = 50_000_000;
  await client.traffic.listenTcp({ port: 9000, manner: "digest" });
  const { stop } = await startFirewall(firewall, { policy: POLICY });
  const { isIntact, elapsedMs } = await firewall.traffic.transfer({
    address: client.ipv4,
    port: 9000,
    bytes,
    timeoutMs: 30_000,
  });
  await stop();
  const megabitsPerSecond = (bytes * 8) / 1000 / elapsedMs;
  assert.equal(isIntact, true);
  assert.ok(megabitsPerSecond > 30 * PAPER.megabitsPerSecond, `${megabitsPerSecond.toFixed(0)} Mbit/s`);
});
