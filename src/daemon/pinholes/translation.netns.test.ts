/**
 * Translation of addresses with real packets: a client inside, a server outside, the firewall's addresses
 * between.
 */
import assert from "node:assert/strict";
import { NftablesPinholes } from "../../backend/index.ts";
import { defaultLimits, type Family } from "../../base/index.ts";
import { GATEWAY, type Heard, type Topology } from "../../lab/index.ts";
import {
  type Operation,
  type OperationAnswer,
  type PinholeSpec,
  PinholeStore,
  type PortLease,
  type TranslationPlan,
} from "../../pinhole/index.ts";
import { Conntrack, inNamespace, machineMoment } from "../../system/index.ts";
import { ALICE, BOB, eventually, fakeEntropy, netnsTest } from "../../testing/index.ts";
import { MemoryJournal, type PinholeJournal } from "./journal.ts";
import { PinholeService } from "./service.ts";

type Hosts = Topology<"client" | "firewall" | "server">;

const TCP = 6;
const UDP = 17;
const ICMP = 1;

/** Addresses of the firewall that are leased as a whole. */
const WHOLE = { 4: "198.51.100.50", 6: "2001:db8:2::50" } as const;
/** Addresses of the firewall: outside and inside. */
const OUTSIDE = { 4: "198.51.100.1", 6: "2001:db8:2::1" } as const;
const INSIDE = { 4: "192.0.2.1", 6: "2001:db8:1::1" } as const;

const POOLS: TranslationPlan = {
  outside: { addresses: [OUTSIDE[4], OUTSIDE[6]], ports: [40_000, 40_999], hosts: [WHOLE[4], WHOLE[6]] },
  inside: { addresses: [INSIDE[4], INSIDE[6]], ports: [50_000, 50_999] },
};

const FAMILIES: readonly Family[] = [4, 6];

async function start(hosts: Hosts, journal: PinholeJournal = new MemoryJournal()): Promise<PinholeService> {
  for (const family of FAMILIES) {
    const address = `${WHOLE[family]}/${family === 4 ? 24 : 64}`;
    await hosts.firewall.run(["ip", "addr", "add", address, "dev", "to-server", "nodad"]);
  }
  const backend = inNamespace(hosts.firewall.fullName, () =>
    NftablesPinholes.open({ table: "pinholes", chain: "ph", hooks: ["FORWARD"], otherwise: "drop" }),
  );
  return PinholeService.start({
    store: new PinholeStore({
      limits: defaultLimits(),
      expansionMax: backend.abilities.expansionMax,
      entropy: fakeEntropy(Date.now()),
      translation: POOLS,
    }),
    journal,
    backend,
    moment: machineMoment,
    bootId: "boot",
    eventsKept: 100,
  });
}

function addressOf(hosts: Hosts, host: "client" | "server", family: Family): string {
  return family === 4 ? hosts[host].ipv4 : hosts[host].ipv6;
}

/** From port 5004 of the client to port 6004 of the server, translated the traditional way. */
function flow(hosts: Hosts, family: Family, changes: Partial<PinholeSpec> = {}): PinholeSpec {
  return {
    kind: "permit",
    internal: { family, address: addressOf(hosts, "client", family), ports: [5004, 5004] },
    external: { family, address: addressOf(hosts, "server", family), ports: [6004, 6004] },
    protocol: UDP,
    direction: "both",
    lifetime: 600,
    nat: { mode: "traditional" },
    ...changes,
  };
}

async function open(service: PinholeService, spec: PinholeSpec, agent = ALICE): Promise<OperationAnswer> {
  return act(service, { op: "open", spec }, agent);
}

async function act(service: PinholeService, operation: Operation, agent = ALICE): Promise<OperationAnswer> {
  const [answer] = (await service.apply(agent, [operation])).results;
  assert.ok(answer !== undefined);
  return answer;
}

function leaseOf({ outside }: OperationAnswer): PortLease {
  assert.ok(outside !== undefined);
  return outside;
}

/** Where a listener heard its last message from. */
function lastFrom(heard: readonly Heard[]): string {
  const last = heard.at(-1);
  return `${last?.from.replace("::ffff:", "") ?? ""} ${last?.fromPort ?? 0}`;
}

/** The next packet of each connection begins a new one. */
function forgetConnections({ firewall }: Hosts): void {
  const tracker = inNamespace(firewall.fullName, () => Conntrack.open());
  tracker.flush();
  tracker.close();
}

netnsTest(
  "a datagram to the leased address and port reaches our host, ours comes from there, and answers find back",
  GATEWAY,
  async (hosts) => {
    const service = await start(hosts);
    const { client, server } = hosts;
    const outer = await server.traffic.listenUdp({ port: 6004 });
    for (const family of FAMILIES) {
      const inner = await client.traffic.listenUdp({ port: 5004 });
      const inbound = await open(service, flow(hosts, family, { direction: "in" }));
      const { address, port, count } = leaseOf(inbound);
      assert.deepEqual([address, count], [OUTSIDE[family], 1]);
      const knock = { address, port, localPort: 6104, say: "in", timeoutMs: 300 };
      assert.notEqual(
        (await server.traffic.sendUdp(knock)).outcome,
        "answered",
        "another port of the server",
      );
      await act(service, { op: "close", id: inbound.id });

      const wide = flow(hosts, family, { external: { family, address: addressOf(hosts, "server", family) } });
      const both = await open(service, wide);
      const leased = leaseOf(both);
      assert.notEqual(leased.port, port, "what was given back rests");
      const call = {
        address: leased.address,
        port: leased.port,
        localPort: 6104,
        say: "in",
        timeoutMs: 1000,
      };
      assert.equal(
        (await server.traffic.sendUdp(call)).heard,
        "in",
        "the answer comes from where it was sent",
      );
      assert.equal(lastFrom(await inner.heard()), `${addressOf(hosts, "server", family)} 6104`);
      await inner.close();
      const destination = { address: addressOf(hosts, "server", family), port: 6004, localPort: 5004 };
      assert.equal((await client.traffic.sendUdp({ ...destination, say: "out" })).heard, "out");
      assert.equal(lastFrom(await outer.heard()), `${leased.address} ${leased.port}`);
      await act(service, { op: "close", id: both.id });
      const late = { ...destination, say: "late", timeoutMs: 300 };
      assert.equal((await client.traffic.sendUdp(late)).outcome, "silent");
    }
    await service.close();
  },
);

netnsTest("TCP is translated for whoever may set it up, and for nobody else", GATEWAY, async (hosts) => {
  const service = await start(hosts);
  const { client, server } = hosts;
  await client.traffic.listenTcp({ port: 5060 });
  const outer = await server.traffic.listenTcp({ port: 6060 });
  for (const family of FAMILIES) {
    const ends = (direction: "in" | "out"): Partial<PinholeSpec> => ({
      protocol: TCP,
      direction,
      internal: { family, address: addressOf(hosts, "client", family), ports: [5060, 5060] },
      external: { family, address: addressOf(hosts, "server", family) },
    });
    const inward = await open(service, flow(hosts, family, ends("in")));
    const { address, port } = leaseOf(inward);
    assert.equal((await server.traffic.connectTcp({ address, port, say: "hello" })).heard, "hello");
    const outward = {
      address: addressOf(hosts, "server", family),
      port: 6060,
      localPort: 5061,
      timeoutMs: 300,
    };
    assert.equal((await client.traffic.connectTcp(outward)).outcome, "timeout");
    await act(service, { op: "close", id: inward.id });

    const from = { family, address: addressOf(hosts, "client", family), ports: [5061, 5061] } as const;
    const out = await open(service, flow(hosts, family, { ...ends("out"), internal: from }));
    const leased = leaseOf(out);
    assert.equal(
      (await client.traffic.connectTcp({ ...outward, timeoutMs: 2000, say: "hello" })).heard,
      "hello",
    );
    assert.equal(lastFrom(await outer.heard()), `${leased.address} ${leased.port}`);
    const knock = { address: leased.address, port: leased.port, timeoutMs: 300 };
    assert.notEqual((await server.traffic.connectTcp(knock)).outcome, "connected");
    await act(service, { op: "close", id: out.id });
  }
  await service.close();
});

netnsTest(
  "a run of ports is translated port by port, contiguous and of the parity that was asked for",
  GATEWAY,
  async (hosts) => {
    const service = await start(hosts);
    const { client, server } = hosts;
    for (const family of FAMILIES) {
      const range = flow(hosts, family, {
        internal: { family, address: addressOf(hosts, "client", family), ports: [7000, 7003] },
        external: { family, address: addressOf(hosts, "server", family), ports: [8000, 8003] },
        portMode: "pairwise",
        parity: "same",
      });
      const { port, count } = leaseOf(await open(service, range));
      assert.deepEqual([count, port % 2], [4, 0]);
      for (const offset of [0, 1, 2, 3]) {
        const listener = await server.traffic.listenUdp({ port: 8000 + offset });
        const destination = {
          address: addressOf(hosts, "server", family),
          port: 8000 + offset,
          localPort: 7000 + offset,
          say: `${offset}`,
        };
        assert.equal((await client.traffic.sendUdp(destination)).heard, `${offset}`);
        assert.equal(lastFrom(await listener.heard()), `${OUTSIDE[family]} ${port + offset}`);
        const crossed = { ...destination, localPort: 7000 + ((offset + 1) % 4), timeoutMs: 150 };
        assert.equal((await client.traffic.sendUdp(crossed)).outcome, "silent");
        await listener.close();
        const inner = await client.traffic.listenUdp({ port: 7000 + offset });
        const back = { address: OUTSIDE[family], port: port + offset, localPort: 8000 + offset, say: "back" };
        assert.equal((await server.traffic.sendUdp(back)).heard, "back");
        await inner.close();
      }
    }
    await service.close();
  },
);

netnsTest("translated twice, both hosts see addresses of the firewall only", GATEWAY, async (hosts) => {
  const service = await start(hosts);
  const { client, server } = hosts;
  for (const family of FAMILIES) {
    const inner = await client.traffic.listenUdp({ port: 5004 });
    const { outside, inside } = await open(service, flow(hosts, family, { nat: { mode: "twice" } }));
    assert.ok(outside !== undefined && inside !== undefined);
    assert.equal(inside.address, INSIDE[family]);
    const call = { address: outside.address, port: outside.port, localPort: 6004, say: "in" };
    assert.equal((await server.traffic.sendUdp(call)).heard, "in");
    assert.equal(lastFrom(await inner.heard()), `${inside.address} ${inside.port}`);
    await inner.close();
    // The connection of before would answer; the next one begins inside.
    forgetConnections(hosts);
    const outer = await server.traffic.listenUdp({ port: 6004 });
    const back = { address: inside.address, port: inside.port, localPort: 5004, say: "out" };
    assert.equal((await client.traffic.sendUdp(back)).heard, "out");
    assert.equal(lastFrom(await outer.heard()), `${outside.address} ${outside.port}`);
    await outer.close();
  }
  await service.close();
});

netnsTest(
  "what is sent to the end itself is translated by the ends the traditional way, and not at all by twice",
  GATEWAY,
  async (hosts) => {
    const service = await start(hosts);
    const { client, server } = hosts;
    for (const family of FAMILIES) {
      const { nat: _none, ...plain } = flow(hosts, family);
      const [ours, theirs] = [addressOf(hosts, "client", family), addressOf(hosts, "server", family)];
      /** Sends to the other end itself, out and in, and says whom the other end heard. */
      const heardDirectly = async (): Promise<readonly [out: string, into: string]> => {
        forgetConnections(hosts);
        const outer = await server.traffic.listenUdp({ port: 6004 });
        const out = { address: theirs, port: 6004, localPort: 5004, say: "out" };
        assert.equal((await client.traffic.sendUdp(out)).heard, "out", "answers find back");
        const outward = lastFrom(await outer.heard());
        await outer.close();
        forgetConnections(hosts);
        const inner = await client.traffic.listenUdp({ port: 5004 });
        const into = { address: ours, port: 5004, localPort: 6004, say: "in" };
        assert.equal((await server.traffic.sendUdp(into)).heard, "in", "answers find back");
        const inward = lastFrom(await inner.heard());
        await inner.close();
        return [outward, inward];
      };
      await open(service, plain, BOB);
      const untranslated = [`${ours} 5004`, `${theirs} 6004`];
      assert.deepEqual(await heardDirectly(), untranslated);
      const { id, outside, inside } = await open(service, flow(hosts, family, { nat: { mode: "twice" } }));
      assert.deepEqual(await heardDirectly(), untranslated, "nothing was sent to a leased address");
      assert.ok(outside !== undefined && inside !== undefined);
      await act(service, { op: "close", id });
      assert.deepEqual(await heardDirectly(), untranslated);
      const traditional = await open(service, flow(hosts, family));
      const lease = leaseOf(traditional);
      assert.deepEqual(await heardDirectly(), [`${lease.address} ${lease.port}`, `${theirs} 6004`]);
      await act(service, { op: "close", id: traditional.id });
    }
    await service.close();
  },
);

netnsTest(
  "a host with an address of its own keeps its ports, also for protocols that have none",
  GATEWAY,
  async (hosts) => {
    const service = await start(hosts);
    const { client, server } = hosts;
    const spec: PinholeSpec = {
      kind: "permit",
      internal: { family: 4, address: client.ipv4 },
      external: { family: 4, address: server.ipv4 },
      protocol: 0,
      direction: "both",
      lifetime: 600,
      nat: { mode: "traditional" },
    };
    const lease = leaseOf(await open(service, spec));
    assert.deepEqual([lease.address, lease.port, lease.count], [WHOLE[4], 0, 0]);
    const inner = await client.traffic.listenTcp({ port: 4321 });
    assert.equal((await server.traffic.connectTcp({ address: WHOLE[4], port: 4321, say: "x" })).heard, "x");
    assert.equal((await inner.heard()).length, 1);
    const outer = await server.traffic.listenUdp({ port: 9999 });
    const sent = { address: server.ipv4, port: 9999, localPort: 1234, say: "y" };
    assert.equal((await client.traffic.sendUdp(sent)).heard, "y");
    assert.equal(lastFrom(await outer.heard()), `${WHOLE[4]} 1234`);
    assert.equal((await server.run(["ping", "-c", "1", "-W", "1", WHOLE[4]])).status, 0);

    const echo = { ...spec, protocol: ICMP, internal: { family: 4, address: "192.0.2.77" } as const };
    await assert.rejects(open(service, echo), { code: "NO_ADDRESSES" });
    await service.close();
  },
);

netnsTest("what is reserved is translated when it is enabled, and nothing before", GATEWAY, async (hosts) => {
  const service = await start(hosts);
  const { client, server } = hosts;
  const reserve: PinholeSpec = {
    kind: "reserve",
    protocol: UDP,
    portCount: 2,
    parity: "even",
    lifetime: 600,
    nat: { mode: "traditional" },
  };
  const reserved = await open(service, reserve);
  const { address, port, count } = leaseOf(reserved);
  assert.deepEqual([count, port % 2], [2, 0]);
  await client.traffic.listenUdp({ port: 5004 });
  await client.traffic.listenUdp({ port: 5005 });
  const call = { address, port: port + 1, localPort: 6005, say: "rtcp", timeoutMs: 300 };
  assert.notEqual((await server.traffic.sendUdp(call)).outcome, "answered");
  const { nat: _, ...bare } = flow(hosts, 4, {
    internal: { family: 4, address: client.ipv4, ports: [5004, 5005] },
    external: { family: 4, address: server.ipv4, ports: [6004, 6005] },
    portMode: "pairwise",
  });
  const enabled = await act(service, { op: "enable", id: reserved.id, spec: bare });
  assert.deepEqual(enabled.outside, reserved.outside);
  assert.equal((await server.traffic.sendUdp({ ...call, timeoutMs: 1000 })).heard, "rtcp");
  const [view] = await service.read((store) => [...store.all()].map((pinhole) => pinhole.leases));
  assert.deepEqual(view, [reserved.outside]);
  await service.close();
});

netnsTest(
  "closing ends the live translated connections of a pinhole, and those of another stay",
  GATEWAY,
  async (hosts) => {
    const service = await start(hosts);
    const { client, server } = hosts;
    await client.traffic.listenTcp({ port: 5060 });
    await client.traffic.listenTcp({ port: 5070 });
    const at = (ours: number): PinholeSpec =>
      flow(hosts, 4, {
        protocol: TCP,
        internal: { family: 4, address: client.ipv4, ports: [ours, ours] },
        external: { family: 4, address: server.ipv4 },
      });
    const one = await open(service, at(5060));
    const again = await open(service, at(5060), BOB);
    const other = await open(service, at(5070));
    assert.deepEqual(again.outside, one.outside, "one host and port has one name in the world");
    const connect = (answer: OperationAnswer): ReturnType<typeof server.traffic.openTcp> =>
      server.traffic.openTcp({ address: leaseOf(answer).address, port: leaseOf(answer).port });
    const [first, second] = [await connect(one), await connect(other)];
    assert.equal(await first.exchange("before"), "before");
    assert.equal(await second.exchange("before"), "before");
    await act(service, { op: "close", id: one.id });
    assert.equal(await first.exchange("still held by the other owner"), "still held by the other owner");
    await act(service, { op: "close", id: again.id }, BOB);
    assert.equal(await first.exchange("after", 300), "");
    assert.equal(await second.exchange("after"), "after");
    assert.ok(service.status.counters.cutConnections >= 1);
    await first.reset();
    await second.close();
    await service.close();
  },
);

netnsTest(
  "media that came before its pinhole is translated from the moment of the commit",
  GATEWAY,
  async (hosts) => {
    const service = await start(hosts);
    const { client, server } = hosts;
    const inner = await client.traffic.listenUdp({ port: 5004 });
    const nat = { mode: "traditional", outside: { address: OUTSIDE[4], port: 40_500 }, exact: true } as const;
    const early = { address: OUTSIDE[4], port: 40_500, localPort: 6004, say: "media", timeoutMs: 300 };
    // The firewall itself answers that nobody listens, and remembers the connection.
    assert.equal((await server.traffic.sendUdp(early)).outcome, "refused");
    assert.equal(leaseOf(await open(service, flow(hosts, 4, { nat }))).port, 40_500);
    assert.equal((await server.traffic.sendUdp({ ...early, timeoutMs: 1000 })).heard, "media");
    assert.equal((await inner.heard()).length, 1);
    const taken = flow(hosts, 4, { nat, internal: { family: 4, address: client.ipv4, ports: [5010, 5010] } });
    await assert.rejects(open(service, taken), { code: "CONFLICT" });
    await service.close();
  },
);

netnsTest(
  "translation survives the service, is put right when somebody flushes it, and ends with its lease",
  GATEWAY,
  async (hosts) => {
    const journal = new MemoryJournal();
    const first = await start(hosts, journal);
    const { client, firewall, server } = hosts;
    await client.traffic.listenUdp({ port: 5004 });
    const { outside } = await open(first, flow(hosts, 4));
    const brief = flow(hosts, 4, {
      lifetime: 3,
      internal: { family: 4, address: client.ipv4, ports: [5005, 5005] },
    });
    await open(first, brief);
    await first.close();
    const call = { address: outside?.address ?? "", port: outside?.port ?? 0, localPort: 6004, say: "media" };
    assert.equal((await server.traffic.sendUdp(call)).heard, "media");

    const second = await start(hosts, journal);
    assert.equal(second.status.counters.drifts, 0, "nothing was to be put right");
    let drifts = 0;
    second.listen(({ type }) => {
      if (type === "backend.drift") drifts += 1;
    });
    const maps = (await firewall.must(["nft", "list", "table", "inet", "pinholes"])).matchAll(
      /map (ph-\S+) \{/g,
    );
    const names = [...maps].map(([, name]) => name ?? "");
    assert.ok(
      names.some((name) => name.startsWith("ph-dnat")) && names.some((name) => name.startsWith("ph-snat")),
    );
    for (const misdeed of [
      ...names.map((name) => `flush map inet pinholes ${name}`),
      "flush chain inet pinholes ph-nat-prerouting",
      "flush chain inet pinholes ph-v4-dnat",
    ]) {
      const told = drifts;
      await firewall.must(["nft", misdeed]);
      const isPutRight = (): boolean => drifts > told && second.status.enforced === second.status.desired;
      assert.ok(await eventually(isPutRight, Boolean), misdeed);
      forgetConnections(hosts);
      assert.equal((await server.traffic.sendUdp(call)).heard, "media", misdeed);
    }
    const held = await firewall.must(["nft", "list", "table", "inet", "pinholes"]);
    assert.match(held, /192\.0\.2\.2 \. 5004/);
    const left = await eventually(
      () => second.status.pinholes,
      (count) => count === 1,
    );
    assert.equal(left, 1);
    assert.doesNotMatch(await firewall.must(["nft", "list", "table", "inet", "pinholes"]), /5005/);
    await second.close();
  },
);
