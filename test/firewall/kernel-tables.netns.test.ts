/** Address tables that the kernel asks by itself, through the running firewall. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type FirewallClient, type TableReport } from "#client";
import { HOST_PAIR, type Namespace, startFirewall } from "#lab";
import { netnsTest } from "#testing";

/** What is known lets pass; all else of the client is as the table says. */
function policyOf(addresses: readonly string[], ...rules: readonly object[]): Record<string, unknown> {
  return {
    settings: { compatibility: "strict", tables: { some: { addresses } } },
    INPUT: rules,
    OUTPUT: [{ name: "TrueRule", action: "ACCEPT" }],
  };
}

const BLOCK = { name: "TableRule", table: "some", action: "DROP" };

async function tableOf(remote: FirewallClient): Promise<TableReport> {
  const [table] = await remote.listTables();
  assert.ok(table !== undefined);
  return table;
}

/** Which of the host's addresses answer, IPv4 first. */
async function answers(client: Namespace, host: Namespace): Promise<boolean[]> {
  const statuses = [host.ipv4, host.ipv6].map(async (address) => {
    const { status } = await client.run(["ping", "-q", "-c", "1", "-W", "0.3", address]);
    return status === 0;
  });
  return Promise.all(statuses);
}

netnsTest(
  "each change of a table is in force in the kernel when it is answered",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await answers(client, host);
    const firewall = await startFirewall(host, { policy: policyOf([], BLOCK) });
    const remote = connect({ socket: firewall.socket });
    assert.deepEqual(await answers(client, host), [true, true], "an empty table");
    assert.equal((await remote.getStatus()).counters["packets"], 0, "nothing comes to userspace");
    await remote.addAddresses("some", { addresses: ["192.0.2.0/24", "!192.0.2.77"] });
    assert.deepEqual(await answers(client, host), [false, true], "a network");
    await remote.addAddresses("some", { addresses: [`!${client.ipv4}`, client.ipv6] });
    assert.deepEqual(await answers(client, host), [true, false], "a hole in it, and the other family");
    await remote.deleteAddresses("some", { addresses: [`!${client.ipv4}`] });
    assert.deepEqual(await answers(client, host), [false, false], "no hole");
    await remote.setAddresses("some", { addresses: ["0.0.0.0/0"] });
    assert.deepEqual(await answers(client, host), [false, true], "other entries altogether");
    await remote.clearTable("some");
    assert.deepEqual(await answers(client, host), [true, true], "no entry");
    const { rules } = await remote.getRules();
    assert.equal(rules.find(({ rule, chain }) => chain === "INPUT" && rule === 0)?.place, "both");
    await firewall.stop();
  },
);

netnsTest(
  "an entry that ends by itself is judged in the kernel until its last second, and ends to the moment",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await answers(client, host);
    const ping = { name: "ICMPRule", type: "echo-request", action: "asked" };
    const chain = [
      { name: "TableRule", table: "some", action: "ACCEPT" },
      { name: "TrueRule", action: "DROP" },
    ];
    const firewall = await startFirewall(host, { policy: { ...policyOf([], ping), asked: chain } });
    const remote = connect({ socket: firewall.socket });
    const packets = async (): Promise<number> => (await remote.getStatus()).counters["packets"] ?? 0;
    await remote.addAddresses("some", { addresses: [client.ipv6] });
    const lasts = { addresses: [client.ipv4], lifetimeSeconds: 600 };
    await remote.addAddresses("some", lasts);
    assert.deepEqual(await answers(client, host), [true, true]);
    assert.equal(await packets(), 0, "more than a second is left");
    await remote.addAddresses("some", { ...lasts, lifetimeSeconds: 2 });
    await sleep(2100);
    assert.deepEqual(await answers(client, host), [false, true]);
    const before = await packets();
    await remote.addAddresses("some", lasts);
    assert.deepEqual(await answers(client, host), [true, true]);
    assert.equal(await packets(), before, "and comes into the kernel again");
    await firewall.stop();
  },
);

netnsTest(
  "what the kernel counts for a table is counted as in userspace, also after a reload, until it is zeroed",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await answers(client, host);
    const pass = { name: "TableRule", table: "some", action: "ACCEPT" };
    const other = { name: "TableRule", table: "some", not: true, action: "ACCEPT" };
    const ping = { name: "ICMPRule", type: "echo-request", action: "asked" };
    const policy = (addresses: readonly string[], rule: object): Record<string, unknown> => ({
      ...policyOf(addresses, ping),
      asked: [rule, { name: "TrueRule", action: "ACCEPT" }],
    });
    const firewall = await startFirewall(host, { policy: policy([client.ipv4], pass) });
    const remote = connect({ socket: firewall.socket });
    assert.deepEqual(await answers(client, host), [true, true]);
    const bytes = 84;
    const none = { packets: 0, bytes: 0 };
    const counted = await tableOf(remote);
    assert.deepEqual(counted.statistics, {
      in: { block: none, pass: { packets: 1, bytes }, xpass: none },
      out: { block: none, pass: none, xpass: none },
      match: 1,
      noMatch: 1,
    });
    // The policy names other entries and another rule; the table and its counters stay.
    writeFileSync(firewall.policyFile, JSON.stringify(policy([client.ipv6], other)));
    await remote.reload();
    assert.deepEqual(await answers(client, host), [true, true]);
    const { statistics } = await tableOf(remote);
    assert.deepEqual(statistics.in.xpass, { packets: 1, bytes }, "IPv4 is no longer in the table");
    assert.deepEqual([statistics.in.pass.packets, statistics.match, statistics.noMatch], [1, 2, 2]);
    assert.equal((await remote.getStatus()).counters["packets"], 0, "all of it in the kernel");
    await remote.zeroTable("some");
    await answers(client, host);
    const zeroed = await tableOf(remote);
    assert.deepEqual([zeroed.statistics.match, zeroed.statistics.noMatch], [1, 1]);
    await firewall.stop();
  },
);

netnsTest(
  "a packet that misses a table in the kernel and goes up behind it is looked up twice, and passes once",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    await answers(client, host);
    const ping = { name: "ICMPRule", type: "echo-request", action: "asked" };
    const policy = policyOf([client.ipv4], ping);
    const settings = {
      compatibility: "strict",
      tables: { some: { addresses: [client.ipv4] }, up: { counters: true } },
    };
    const asked = [
      { name: "TableRule", table: "some", action: "ACCEPT" },
      { name: "TableRule", table: "up", not: true, action: "ACCEPT" },
    ];
    const firewall = await startFirewall(host, { policy: { ...policy, settings, asked } });
    const remote = connect({ socket: firewall.socket });
    assert.deepEqual(await answers(client, host), [true, true]);
    assert.equal((await remote.getStatus()).counters["packets"], 1, "only what misses goes up");
    const [some, up] = await remote.listTables();
    assert.deepEqual([some?.statistics.match, some?.statistics.noMatch], [1, 2]);
    assert.equal(some?.statistics.in.pass.packets, 1);
    assert.equal(up?.statistics.noMatch, 1);
    assert.equal(up.statistics.in.xpass.packets, 1);
    await firewall.stop();
  },
);
