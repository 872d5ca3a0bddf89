/** The whole way: service, journal on disk, nftables in a namespace, real packets and connections. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NftablesPinholes } from "../../backend/index.ts";
import { defaultLimits } from "../../base/index.ts";
import { GATEWAY, type Namespace, type Topology } from "../../lab/index.ts";
import { type PinholeEventRecord, type PinholeSpec, PinholeStore } from "../../pinhole/index.ts";
import { inNamespace, machineBootId, machineMoment } from "../../system/index.ts";
import {
  ALICE,
  BOB,
  eventually,
  fakeEntropy,
  netnsTest,
  PATIENCE_MS,
  SILENCE_MS,
} from "../../testing/index.ts";
import { DiskJournal } from "./disk-journal.ts";
import { PinholeService } from "./service.ts";

const PLAN = { table: "filter", chain: "ph" } as const;

/**
 * As on the slides: the administrator's own table, with a jump to our chain, and a rule for what is
 * established.
 */
async function administer(firewall: Namespace): Promise<string> {
  const rules = [
    "add table inet filter",
    "add chain inet filter ph",
    "add chain inet filter forward { type filter hook forward priority 0; policy drop; }",
    "add rule inet filter forward ct state established accept",
    "add rule inet filter forward jump ph",
    'add rule inet filter forward counter comment "the last word"',
    "add table ip mangle",
    "add chain ip mangle own",
    "add rule ip mangle own ip saddr 192.0.2.99 counter drop",
  ];
  await firewall.must(["nft", rules.join("; ")]);
  return foreignRules(firewall);
}

/** Everything that is not ours, without counters. */
async function foreignRules(firewall: Namespace): Promise<string> {
  const text = await firewall.must(["nft", "--stateless", "--handle", "list", "ruleset"]);
  const blocks = text.split(/\n(?=\t(?:set|map|chain|limit|quota) |table|\})/);
  return blocks
    .filter((block) => !/^\t(?:set|map|chain|limit|quota) ph\b/.test(block))
    .join("\n")
    .replaceAll(/\n\s*\n/g, "\n");
}

interface Rig {
  readonly service: PinholeService;
  readonly events: PinholeEventRecord[];
}

async function start(firewall: Namespace, folder: string): Promise<Rig> {
  const backend = inNamespace(firewall.fullName, () => NftablesPinholes.open(PLAN));
  const service = await PinholeService.start({
    store: new PinholeStore({
      limits: defaultLimits(),
      expansionMax: backend.abilities.expansionMax,
      entropy: fakeEntropy(Date.now()),
    }),
    journal: new DiskJournal(folder, machineBootId()),
    backend,
    moment: machineMoment,
    bootId: machineBootId(),
    eventsKept: 100,
  });
  const events: PinholeEventRecord[] = [];
  service.listen((event) => events.push(event));
  return { service, events };
}

function webPinhole(hosts: Topology<"client" | "server" | "firewall">, lifetime = 60): PinholeSpec {
  return {
    kind: "permit",
    internal: { family: 4, address: hosts.server.ipv4, ports: [8080, 8080] },
    external: { family: 4, address: hosts.client.ipv4 },
    protocol: 6,
    direction: "in",
    lifetime,
  };
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pinhole-journal-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

netnsTest("closing a pinhole ends the live connection that only it allowed, and no other", GATEWAY, (hosts) =>
  withFolder(async (folder) => {
    await administer(hosts.firewall);
    const { service } = await start(hosts.firewall, folder);
    await hosts.server.traffic.listenTcp({ port: 8080 });
    const wide = {
      ...webPinhole(hosts),
      internal: { family: 4, address: hosts.server.ipv4, ports: [8000, 8099] },
    } as const;
    const [only] = (await service.apply(ALICE, [{ op: "open", spec: webPinhole(hosts) }])).results;
    const destination = { address: hosts.server.ipv4, port: 8080 };
    const connection = await hosts.client.traffic.openTcp(destination);
    assert.equal(await connection.exchange("before"), "before");

    const [other] = (await service.apply(BOB, [{ op: "open", spec: wide }])).results;
    await service.apply(ALICE, [{ op: "close", id: only?.id ?? "" }]);
    assert.equal(await connection.exchange("still allowed"), "still allowed");

    await service.apply(BOB, [{ op: "close", id: other?.id ?? "" }]);
    assert.equal(
      await connection.exchange("after", 300),
      "",
      "the administrator's own rule knows it no more",
    );
    assert.ok(service.status.counters.cutConnections >= 1);
    await connection.reset();
    await service.close();
  }),
);

netnsTest("a block ends what is established at once, whoever permitted it", GATEWAY, (hosts) =>
  withFolder(async (folder) => {
    await administer(hosts.firewall);
    const { service, events } = await start(hosts.firewall, folder);
    await hosts.server.traffic.listenTcp({ port: 8080 });
    await service.apply(ALICE, [{ op: "open", spec: webPinhole(hosts) }]);
    const connection = await hosts.client.traffic.openTcp({ address: hosts.server.ipv4, port: 8080 });
    assert.equal(await connection.exchange("before"), "before");
    const attacker: PinholeSpec = {
      kind: "block",
      internal: { family: 4 },
      external: { family: 4, address: hosts.client.ipv4 },
      protocol: 0,
      lifetime: 60,
    };
    await service.apply(BOB, [{ op: "open", spec: attacker }]);
    assert.equal(await connection.exchange("after", 300), "");
    assert.ok(
      events.some((event) => event.type === "pinhole.ended" && event.pinhole?.end?.reason === "conflict"),
    );
    await connection.reset();
    await service.close();
  }),
);

netnsTest("the rules of others are the same before, meanwhile and after", GATEWAY, (hosts) =>
  withFolder(async (folder) => {
    const before = await administer(hosts.firewall);
    const { service } = await start(hosts.firewall, folder);
    const [opened] = (await service.apply(ALICE, [{ op: "open", spec: webPinhole(hosts) }])).results;
    assert.equal(await foreignRules(hosts.firewall), before);
    await service.apply(ALICE, [{ op: "close", id: opened?.id ?? "" }]);
    await service.close();
    assert.equal(await foreignRules(hosts.firewall), before);
  }),
);

netnsTest("what others delete or flush is put right, and told with the culprit's name", GATEWAY, (hosts) =>
  withFolder(async (folder) => {
    await administer(hosts.firewall);
    const { service, events } = await start(hosts.firewall, folder);
    await hosts.server.traffic.listenTcp({ port: 8080 });
    await service.apply(ALICE, [{ op: "open", spec: webPinhole(hosts) }]);
    const connect = async (): Promise<string> => {
      const destination = { address: hosts.server.ipv4, port: 8080 };
      return (await hosts.client.traffic.connectTcp(destination)).outcome;
    };
    const setNames = (await hosts.firewall.must(["nft", "list", "table", "inet", "filter"]))
      .split("\n")
      .flatMap((line) => /^\tset (ph-setup-\S+) \{/.exec(line)?.[1] ?? []);
    const misdeeds = [
      ...setNames.map((name) => `flush set inet filter ${name}`),
      "flush chain inet filter ph",
      "flush chain inet filter ph-v4-setup",
    ];
    assert.ok(misdeeds.length >= 3);
    for (const misdeed of misdeeds) {
      events.length = 0;
      await hosts.firewall.must(["nft", misdeed]);
      const findDrift = (): PinholeEventRecord | undefined =>
        events.find(({ type }) => type === "backend.drift");
      const drift = await eventually(findDrift, (found) => found !== undefined);
      assert.match(drift?.text ?? "", /^nft \(\d+\)/, misdeed);
      const isPutRight = (): boolean => service.status.enforced === service.status.desired;
      assert.ok(await eventually(isPutRight, Boolean), misdeed);
      assert.equal(await connect(), "connected", misdeed);
    }
    assert.equal(service.status.enforced, service.status.desired);
    await service.close();
  }),
);

netnsTest(
  "leases end at their time when nobody watches, and the next start takes up the rest",
  GATEWAY,
  (hosts) =>
    withFolder(async (folder) => {
      await administer(hosts.firewall);
      await hosts.server.traffic.listenUdp({ port: 9000 });
      const udp = (port: number, lifetime: number): PinholeSpec => ({
        kind: "permit",
        internal: { family: 4, address: hosts.server.ipv4, ports: [9000, 9000] },
        external: { family: 4, address: hosts.client.ipv4, ports: [port, port] },
        protocol: 17,
        direction: "both",
        lifetime,
      });
      const first = await start(hosts.firewall, folder);
      const [short, long] = (
        await first.service.apply(ALICE, [
          { op: "open", spec: udp(4001, 8) },
          { op: "open", spec: udp(4002, 600) },
        ])
      ).results;
      await first.service.close();
      const send = async (localPort: number, timeoutMs = PATIENCE_MS): Promise<string> => {
        const destination = { address: hosts.server.ipv4, port: 9000, localPort, timeoutMs, say: "x" };
        return (await hosts.client.traffic.sendUdp(destination)).outcome;
      };
      assert.equal(await send(4001), "answered");
      // The administrator's own rule keeps the flow that the dead service could not end; a new one does not
      // begin.
      await hosts.firewall.must([
        "nft",
        "flush chain inet filter forward; add rule inet filter forward jump ph",
      ]);
      const outcome = await eventually(
        () => send(4001, SILENCE_MS),
        (each) => each === "silent",
      );
      assert.equal(outcome, "silent");
      assert.equal(await send(4002), "answered");

      const second = await start(hosts.firewall, folder);
      const ids = await second.service.read((store) => [...store.all()].map(({ id }) => id));
      assert.deepEqual(ids, [long?.id]);
      assert.notEqual(short?.id, long?.id);
      assert.equal(await send(4002), "answered");
      await second.service.close();
    }),
);
