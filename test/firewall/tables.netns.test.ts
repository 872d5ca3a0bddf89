/** Address tables of a running firewall: what commands change is what the next packet meets. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { connect, type FirewallClient, type TableEntryReport, type TableReport } from "#client";
import { HOST_PAIR, type Namespace, POSTERN, startFirewall } from "#lab";
import { eventually, netnsTest, PATIENCE_MS, SILENCE_MS } from "#testing";

const settings = { compatibility: "strict", workers: 2, tables: { blocked: { counters: true } } };
const BLOCKING = { settings, INPUT: [{ name: "TableRule", table: "blocked", action: "DROP" }] };

async function entriesOf(remote: FirewallClient, name: string): Promise<TableEntryReport[]> {
  const entries: TableEntryReport[] = [];
  for await (const entry of remote.showTable(name)) entries.push(entry);
  return entries;
}

async function tableOf(remote: FirewallClient, name: string): Promise<TableReport> {
  const table = (await remote.listTables()).find((each) => each.name === name);
  assert.ok(table, name);
  return table;
}

/** Runs a command line in a namespace; its exit status and the lines it wrote. */
async function postern(
  host: Namespace,
  socket: string,
  ...words: string[]
): Promise<{ status: number | null; lines: string[] }> {
  const { status, output } = await host.run([process.execPath, POSTERN, ...words, "--socket", socket]);
  return { status, lines: output.trimEnd().split("\n") };
}

netnsTest(
  "an address that is added while traffic flows is blocked at once, and passes when it is deleted",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: BLOCKING });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenUdp({ port: 5000 });
    await host.traffic.listenTcp({ port: 80 });
    const expect = async (address: string, wanted: "answered" | "silent", why?: string): Promise<void> => {
      const timeoutMs = wanted === "silent" ? SILENCE_MS : PATIENCE_MS;
      const { outcome } = await client.traffic.sendUdp({ address, port: 5000, say: "x", timeoutMs });
      assert.equal(outcome, wanted, why);
    };
    for (const [mine, theirs, network] of [
      [host.ipv4, client.ipv4, "192.0.2.0/24"],
      [host.ipv6, client.ipv6, "2001:db8:1::/64"],
    ] as const) {
      const connection = await client.traffic.openTcp({ address: mine, port: 80 });
      assert.equal(await connection.exchange("before"), "before");
      for (let round = 0; round < 3; round += 1) {
        await expect(mine, "answered", `${theirs}: round ${round}`);
        assert.equal((await remote.addAddresses("blocked", { addresses: [network] })).added, 1);
        // From the answer on, no packet passes: not one of a new flow, and none of an open connection.
        await expect(mine, "silent");
        if (round === 0) assert.equal(await connection.exchange("blocked", 150), "");
        assert.equal((await remote.addAddresses("blocked", { addresses: [`!${theirs}`] })).added, 1);
        await expect(mine, "answered", "the longest entry decides");
        await remote.deleteAddresses("blocked", { addresses: [`!${theirs}`] });
        await expect(mine, "silent");
        assert.equal((await remote.deleteAddresses("blocked", { addresses: [network] })).deleted, 1);
      }
      // What waited may have been sent again, and answered, in one of the moments in between.
      assert.match(await connection.exchange("after", 5000), /after$|^blocked/, "the connection lives on");
      await connection.close();
    }
    await firewall.stop();
  },
);

netnsTest(
  "counters of a table and of its entries move with the traffic of all workers",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const passing = { name: "TableRule", table: "blocked", address: "destination", action: "ACCEPT" };
    const policy = { ...BLOCKING, OUTPUT: [passing] };
    const firewall = await startFirewall(host, { policy });
    const remote = connect({ socket: firewall.socket });
    await host.traffic.listenUdp({ port: 5000 });
    // An open port: a closed one would answer with an ICMP error, which counts.
    await client.traffic.listenUdp({ port: 9, manner: "mute" });
    await remote.addAddresses("blocked", { addresses: [client.ipv4] });
    const send = async (timeoutMs: number): Promise<void> => {
      await client.traffic.sendUdp({ address: host.ipv4, port: 5000, say: "x".repeat(72), timeoutMs });
    };
    for (let packet = 0; packet < 5; packet += 1) await send(20);
    const blocked = { packets: 5, bytes: 500 };
    const table = await eventually(
      () => tableOf(remote, "blocked"),
      ({ statistics }) => statistics.in.block.packets >= blocked.packets,
    );
    assert.deepEqual(table.statistics.in.block, blocked);
    assert.equal(table.statistics.match >= 5, true);
    assert.deepEqual([table.uses, table.declared, table.entries], [2, true, 1]);
    const [entry] = await entriesOf(remote, "blocked");
    assert.deepEqual(entry?.statistics?.in, { block: blocked, pass: { packets: 0, bytes: 0 } });
    await host.traffic.sendUdp({ address: client.ipv4, port: 9, say: "x".repeat(72), timeoutMs: 20 });
    const [passed] = await eventually(
      () => entriesOf(remote, "blocked"),
      ([found]) => found?.statistics?.out.pass.packets !== 0,
    );
    assert.deepEqual(passed?.statistics?.out.pass, { packets: 1, bytes: 100 });
    assert.deepEqual((await remote.zeroTable("blocked")).statistics.in.block, { packets: 0, bytes: 0 });
    await send(20);
    const again = await eventually(
      async () => (await tableOf(remote, "blocked")).statistics.in.block.packets,
      (packets) => packets > 0,
    );
    assert.equal(again, 1);
    await firewall.stop();
  },
);

netnsTest("an entry with a lifetime ends by itself", HOST_PAIR, async ({ client, firewall: host }) => {
  const firewall = await startFirewall(host, { policy: BLOCKING });
  const remote = connect({ socket: firewall.socket });
  await host.traffic.listenUdp({ port: 5000 });
  const ask = async (): Promise<string> =>
    (await client.traffic.sendUdp({ address: host.ipv4, port: 5000, say: "x", timeoutMs: 100 })).outcome;
  await remote.addAddresses("blocked", { addresses: [client.ipv4], lifetimeSeconds: 2.5 });
  assert.equal(await ask(), "silent");
  assert.equal(await eventually(ask, (outcome) => outcome !== "silent"), "answered");
  const entries = async (): Promise<number> => (await tableOf(remote, "blocked")).entries;
  assert.equal(await eventually(entries, (count) => count === 0), 0, "and its place is free again");
  await firewall.stop();
});

netnsTest(
  "a table survives a reload, follows its file, and keeps all when the reload is refused",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: BLOCKING });
    const remote = connect({ socket: firewall.socket });
    const file = join(dirname(firewall.policyFile), "blocked.txt");
    const write = (table: object): void =>
      writeFileSync(
        firewall.policyFile,
        JSON.stringify({ ...BLOCKING, settings: { ...settings, tables: { blocked: table } } }),
      );
    await host.traffic.listenUdp({ port: 5000 });
    const ask = async (): Promise<string> =>
      (await client.traffic.sendUdp({ address: host.ipv4, port: 5000, say: "x", timeoutMs: 100 })).outcome;
    await remote.addAddresses("blocked", { addresses: [client.ipv4] });
    write({ counters: true });
    await remote.reload();
    assert.equal(await ask(), "silent", "what a command added is still there");
    const seen = (await tableOf(remote, "blocked")).statistics.in.block.packets;
    assert.ok(seen > 0);

    writeFileSync(file, "198.51.100.0/24\nnonsense\n");
    write({ counters: true, file: "blocked.txt" });
    await assert.rejects(remote.reload(), (error: unknown) => {
      const { code, problems } = error as { code: string; problems: { file: string; line: number }[] };
      assert.deepEqual(
        [code, problems.map((problem) => [problem.file, problem.line])],
        ["POLICY_INVALID", [[file, 2]]],
      );
      return true;
    });
    assert.equal(await ask(), "silent", "a refused policy changes nothing");

    writeFileSync(file, "198.51.100.0/24\n");
    await remote.reload();
    assert.equal(
      await eventually(ask, (outcome) => outcome !== "silent"),
      "answered",
      "the file says what is in the table",
    );
    writeFileSync(file, `198.51.100.0/24\n${client.ipv4}\n`);
    await remote.reload();
    assert.equal(await ask(), "silent");
    write({ counters: true, file: "blocked.txt", capacity: 10 });
    await remote.reload();
    assert.equal(await ask(), "silent", "another size, the same entries");
    assert.deepEqual(
      (await entriesOf(remote, "blocked")).map(({ address }) => address),
      [client.ipv4, "198.51.100.0/24"],
    );
    await firewall.stop();
  },
);

netnsTest("py-pf's table scenarios through the control socket", HOST_PAIR, async ({ firewall: host }) => {
  const firewall = await startFirewall(host, { policy: BLOCKING });
  const remote = connect({ socket: firewall.socket });
  const shown = async (): Promise<string[]> =>
    (await entriesOf(remote, "made")).map(({ address, negated }) => `${negated ? "!" : ""}${address}`);
  await remote.createTable({ name: "made", counters: true });
  assert.deepEqual(
    (await remote.listTables()).map(({ name }) => name),
    ["blocked", "made"],
  );
  const first = ["10.0.0.0/8", "!10.1.0.0/16", "2001:db8::/32"];
  assert.equal((await remote.addAddresses("made", { addresses: first })).added, 3);
  const tested = await remote.testAddresses("made", ["10.2.0.1", "10.1.0.1", "2001:db8::1", "::1"]);
  assert.deepEqual(
    tested.map(({ matches }) => matches),
    [true, false, true, false],
  );
  assert.equal((await remote.deleteAddresses("made", { addresses: ["2001:db8::/32"] })).deleted, 1);
  const set = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1"];
  assert.deepEqual(await remote.setAddresses("made", { addresses: set }), {
    added: 1,
    deleted: 0,
    changed: 1,
    conflicts: 0,
  });
  assert.deepEqual(await shown(), set);
  assert.equal((await remote.zeroTable("made")).entries, 3);
  assert.equal((await remote.clearTable("made")).deleted, 3);
  assert.deepEqual(await shown(), []);
  await remote.removeTable("made");
  await assert.rejects(entriesOf(remote, "made"), { code: "TABLE_UNKNOWN", status: 404 });
  await assert.rejects(remote.removeTable("blocked"), { code: "TABLE_DECLARED", status: 409 });
  await assert.rejects(remote.addAddresses("blocked", { addresses: ["10.0.0.0/40"] }), {
    code: "TABLE_ENTRY",
    status: 400,
  });
  await assert.rejects(remote.addAddresses("blocked", { addresses: [], lifetimeSeconds: -1 }), {
    code: "BAD_REQUEST",
  });
  await firewall.stop();
});

netnsTest(
  "a list of a hundred thousand networks goes in and out in one piece",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const firewall = await startFirewall(host, { policy: BLOCKING });
    const remote = connect({ socket: firewall.socket });
    const addresses = Array.from(
      { length: 100_000 },
      (_, at) => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
    );
    assert.equal((await remote.setAddresses("blocked", { addresses })).added, 100_000);
    const entries = await entriesOf(remote, "blocked");
    assert.deepEqual(
      entries.map(({ address }) => address),
      addresses,
    );
    const beyond = Array.from(
      { length: 150_000 },
      (_, at) => `11.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
    );
    await assert.rejects(remote.addAddresses("blocked", { addresses: beyond }), { code: "TABLE_FULL" });
    assert.equal((await tableOf(remote, "blocked")).entries, 100_000);
    await firewall.stop();
  },
);

netnsTest(
  "postern tables: lists for people and programs, exit status 1 for no",
  HOST_PAIR,
  async ({ client, firewall: host }) => {
    const firewall = await startFirewall(host, { policy: BLOCKING });
    const run = (...words: string[]): ReturnType<typeof postern> =>
      postern(host, firewall.socket, "tables", ...words);
    const file = join(dirname(firewall.policyFile), "list.txt");
    writeFileSync(file, "# two\n192.0.2.0/24\n!192.0.2.9\n");
    assert.deepEqual(await run("add", "blocked", "2001:db8::/32", "--file", file), {
      status: 0,
      lines: ["3 added"],
    });
    assert.deepEqual(await run("show", "blocked"), {
      status: 0,
      lines: ["192.0.2.0/24", "!192.0.2.9", "2001:db8::/32"],
    });
    const details = await run("show", "blocked", "--verbose");
    assert.match(
      details.lines[0] ?? "",
      /^entry +age +ends in +in blocked +in passed +out blocked +out passed$/,
    );
    const list = await run();
    assert.match(list.lines[0] ?? "", /^table +entries +capacity +rules +match +no match/);
    assert.match(list.lines[1] ?? "", /^blocked +3 +200000 +1 +\d+ +\d+ +\d+ +\d+ +\d+ +counters$/);
    assert.deepEqual(await run("test", "blocked", client.ipv4), {
      status: 0,
      lines: [`${client.ipv4}  yes  192.0.2.0/24`, "1/1 addresses match"],
    });
    assert.deepEqual(await run("test", "blocked", client.ipv4, "192.0.2.9", "--json"), {
      status: 1,
      lines: [
        `{"address":"${client.ipv4}","matches":true,"entry":"192.0.2.0/24"}`,
        '{"address":"192.0.2.9","matches":false,"entry":"!192.0.2.9"}',
      ],
    });
    assert.deepEqual(await run("add", "blocked", "192.0.2.9", "--verbose"), {
      status: 1,
      lines: ["X 192.0.2.9", "nothing changed; 1 there with the other sign, left alone"],
    });
    assert.equal((await run("delete", "blocked", "10.0.0.1")).status, 1, "nothing there to delete");
    assert.deepEqual(await run("set", "blocked", "10.0.0.1", "192.0.2.9"), {
      status: 0,
      lines: ["1 added, 2 deleted, 1 changed"],
    });
    assert.equal(
      (await run("clear", "blocked", "--json")).lines[0],
      '{"added":0,"deleted":2,"changed":0,"conflicts":0}',
    );
    assert.equal((await run("show", "nothing")).status, 2);
    assert.equal((await run("add", "blocked", "10.0.0.0/33")).status, 2);
    assert.equal((await run("add", "blocked")).status, 2);
    assert.equal((await run("remove", "blocked")).status, 3);
    await firewall.stop();
  },
);

netnsTest(
  "limits under pf's names are shown and set; what cannot be changed meanwhile says so",
  HOST_PAIR,
  async ({ firewall: host }) => {
    const firewall = await startFirewall(host, { policy: BLOCKING });
    const remote = connect({ socket: firewall.socket });
    const values = Object.fromEntries((await remote.getLimits()).map(({ name, value }) => [name, value]));
    assert.deepEqual(values, {
      states: 262_144,
      "src-nodes": 65_536,
      tables: 1000,
      "table-entries": 200_000,
    });
    const changed = await remote.setLimits({ tables: 2, "table-entries": 5 });
    assert.deepEqual(
      changed.filter(({ changes }) => changes === "now").map(({ value, used }) => [value, used]),
      [
        [2, 1],
        [5, 0],
      ],
    );
    assert.equal((await remote.createTable({ name: "small" })).capacity, 5);
    await assert.rejects(remote.createTable({ name: "third" }), { code: "TABLE_LIMIT" });
    await assert.rejects(remote.setLimits({ "table-entries": 9, tables: 1 }), { code: "LIMIT_IN_USE" });
    assert.equal((await remote.getLimits()).at(-1)?.value, 5, "all or nothing");
    await assert.rejects(remote.setLimits({ frags: 1 }), { code: "LIMIT_UNKNOWN" });
    await assert.rejects(remote.setLimits({ tables: 0 }), { code: "LIMIT_INVALID" });
    await assert.rejects(remote.setLimits({ states: 1 }), {
      code: "LIMIT_FIXED",
      message: /set settings\.limits\.flows in the policy and start the firewall anew/,
    });
    const shown = await postern(host, firewall.socket, "limits");
    assert.match(
      shown.lines[1] ?? "",
      /^states +262144 +\d+ +flows per worker +limits\.flows +in the policy, by a start$/,
    );
    const set = await postern(host, firewall.socket, "limits", "tables=7", "--json");
    assert.equal((JSON.parse(set.lines[2] ?? "") as { value: number }).value, 7);
    assert.equal((await postern(host, firewall.socket, "limits", "src-nodes=7")).status, 3);
    assert.equal((await postern(host, firewall.socket, "limits", "tables")).status, 2);
    await firewall.stop();
  },
);
