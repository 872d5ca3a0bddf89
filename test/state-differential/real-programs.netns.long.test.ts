/** Many programs at once over a bad line, step by step in our table and in the kernel's. */
import assert from "node:assert/strict";
import { GATEWAY, type Namespace } from "#lab";
import { netnsTest } from "#testing";
import { type Hosts, ProgramTraffic, withLoss } from "./program-traffic.ts";

const ECHO = 80;
const DIGEST = 81;
const NOBODY = 9;

/** Conversations at a time, and rounds of them. */
const AT_ONCE = 24;
const ROUNDS = 12;

/** One packet in so many is lost on its way to either end. */
const LOSS = "tcp dport 1-65535 numgen random mod 12 == 0";

/**
 * One conversation that ends in one of four ways. What fails on a bad line fails: only states are of
 * interest.
 */
async function converse(from: Namespace, address: string, number: number): Promise<void> {
  const { traffic } = from;
  const timeoutMs = 5000;
  if (number % 6 === 0) await traffic.connectTcp({ address, port: NOBODY, timeoutMs });
  if (number % 6 === 1) await traffic.transfer({ address, port: DIGEST, bytes: 200_000, timeoutMs });
  if (number % 6 < 2) return;
  const connection = await traffic.openTcp({ address, port: ECHO, timeoutMs });
  for (let at = 0; at < number % 5; at += 1) await connection.exchange(`line ${at}`, 3000);
  if (number % 3 === 0) await connection.reset();
  else await connection.close();
}

async function talk({ client, firewall, server }: Hosts): Promise<void> {
  const addresses = [server.ipv4, server.ipv6, firewall.ipv4, firewall.ipv6];
  for (let round = 0; round < ROUNDS; round += 1) {
    const conversations = Array.from({ length: AT_ONCE }, (_, number) =>
      converse(client, addresses[(round + number) % addresses.length] ?? "", number),
    );
    await Promise.allSettled(conversations);
  }
}

netnsTest(
  "many programs over a bad line: both tables hold the same states, or differ under a listed name",
  GATEWAY,
  async (hosts) => {
    const { client, firewall, server } = hosts;
    for (const host of [firewall, server]) {
      await host.traffic.listenTcp({ port: ECHO });
      await host.traffic.listenTcp({ port: DIGEST, manner: "digest" });
    }
    const traffic = await ProgramTraffic.open(hosts);
    await traffic.run("a bad line", () =>
      withLoss(server, LOSS, () => withLoss(client, LOSS, () => talk(hosts))),
    );
    traffic.close();
    const { ledger } = traffic;
    process.stdout.write(`programs over a bad line: ${ledger.lines().join("\n")}\n`);
    assert.deepEqual(ledger.failures, []);
    assert.ok(ledger.steps > 1000 && ledger.agreement > 0.8, ledger.lines().join("\n"));
  },
);
