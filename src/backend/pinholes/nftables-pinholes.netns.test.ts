import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Prefix } from "../../base/index.ts";
import { GATEWAY, type Namespace } from "../../lab/index.ts";
import {
  type Drift,
  type Element,
  Endpoint,
  makeElement,
  type StandingElement,
} from "../../pinhole/index.ts";
import { inNamespace, RuleEvents } from "../../system/index.ts";
import { eventually, netnsTest } from "../../testing/index.ts";
import type { ChainPlan } from "./chain-plan.ts";
import { NftablesPinholes } from "./nftables-pinholes.ts";

const OWN_TABLE: ChainPlan = {
  table: "postern-pinholes",
  chain: "pinholes",
  hooks: ["FORWARD"],
  otherwise: "drop",
};

function openIn(host: Namespace): NftablesPinholes {
  return inNamespace(host.fullName, () => NftablesPinholes.open(OWN_TABLE));
}

function endpoint(address: string, port: number): Endpoint {
  const prefix = Prefix.parse(address);
  assert.ok(prefix !== undefined);
  return new Endpoint(prefix, { low: port, high: port });
}

const UDP = 17;

function both(a: Endpoint, b: Endpoint): Element[] {
  return [
    makeElement("pass", { protocol: UDP, source: a, destination: b }),
    makeElement("pass", { protocol: UDP, source: b, destination: a }),
  ];
}

const NOTHING = { put: [], remove: [], putLimits: [], removeLimits: [] };

netnsTest("a pinhole lets one UDP flow through, and closing it ends that", GATEWAY, async (hosts) => {
  const { client, firewall, server } = hosts;
  const backend = openIn(firewall);
  await backend.restore({ now: 0, generation: 1, elements: [], limits: [] });
  await server.traffic.listenUdp({ port: 6004 });
  const send = async (localPort: number): Promise<string> => {
    const destination = { address: server.ipv4, port: 6004, localPort, timeoutMs: 200 };
    return (await client.traffic.sendUdp({ ...destination, say: "media" })).outcome;
  };
  assert.equal(await send(5004), "silent");

  const elements = both(endpoint(client.ipv4, 5004), endpoint(server.ipv4, 6004));
  const put = elements.map((element) => ({ ...element, deadline: 60_000, limiter: 0 }));
  await backend.commit(backend.prepare({ ...NOTHING, generation: 2, now: 0, put }));
  assert.equal(await send(5004), "answered");
  assert.equal(await send(5006), "silent");

  await backend.commit(backend.prepare({ ...NOTHING, generation: 3, now: 0, remove: elements }));
  assert.equal(await send(5004), "silent");
  await backend.close();
});

/** So many elements, each between a port of the client and one port of the server. */
function manyElements(count: number, firstPort: number): StandingElement[] {
  return Array.from({ length: count }, (_, at) => {
    const [source, destination] = [endpoint("10.1.0.7", firstPort + at), endpoint("198.51.100.9", 6004)];
    return { ...makeElement("pass", { protocol: UDP, source, destination }), deadline: 600_000, limiter: 0 };
  });
}

netnsTest(
  "a commit sends the kernel as much beside thousands of pinholes as beside none",
  GATEWAY,
  async (hosts) => {
    const { firewall } = hosts;
    const backend = openIn(firewall);
    await backend.restore({ now: 0, generation: 1, elements: [], limits: [] });
    const events = inNamespace(firewall.fullName, () => RuleEvents.open());
    /** How often the kernel tells that it has done something. */
    const told = (): number => {
      let count = 0;
      events.read({ news: () => void (count += 1), done: () => undefined });
      return count;
    };
    let generation = 1;
    const commit = async (count: number, firstPort: number): Promise<number> => {
      generation += 1;
      told();
      const put = manyElements(count, firstPort);
      await backend.commit(backend.prepare({ ...NOTHING, generation, now: 0, put }));
      return told();
    };
    // The first one makes a set too.
    await commit(1, 500);
    const alone = await commit(16, 1000);
    assert.ok(alone >= 16, `${alone}: of each element one is told`);
    await commit(4000, 2000);
    assert.equal(await commit(16, 10_000), alone);
    events.close();
    await backend.close();
  },
);

function keysOf(elements: readonly Element[]): string[] {
  return elements.map(({ key }) => key).sort();
}

netnsTest(
  "an audit puts right what others did, and plans are carried out meanwhile",
  GATEWAY,
  async ({ firewall }) => {
    const backend = openIn(firewall);
    const began = performance.now();
    const clock = (): number => performance.now() - began;
    await backend.restore({ now: clock(), generation: 1, elements: [], limits: [] });
    // They never end: what else is put right must not depend on how long all this takes.
    const lasting = (count: number, firstPort: number): StandingElement[] =>
      manyElements(count, firstPort).map((element) => ({ ...element, deadline: Number.POSITIVE_INFINITY }));
    const elements = lasting(3000, 10_000);
    const others = lasting(10, 20_000);
    const put = [...elements, ...others];
    await backend.commit(backend.prepare({ ...NOTHING, generation: 2, now: clock(), put }));
    assert.deepEqual(await backend.audit(clock), {
      found: 2,
      held: 3010,
      added: [],
      renewed: [],
      removed: [],
    });

    const set = "inet postern-pinholes pinholes-pass-v4-saddr.sport.daddr.dport.proto";
    const key = (port: number): string => `10.1.0.7 . ${port} . 198.51.100.9 . 6004 . udp`;
    await firewall.must(["nft", `flush set ${set}`]);
    await firewall.must(["nft", `add element ${set} { ${key(9)} }`]);
    await firewall.must(["nft", `add element ${set} { ${key(20_000)} timeout 1h }`]);
    await firewall.must(["nft", "flush chain inet postern-pinholes pinholes-v4-pass"]);
    const order: string[] = [];
    const audit = backend.audit(clock).then((restoration) => {
      order.push("audited");
      return restoration;
    });
    const [come, gone] = [lasting(5, 30_000), elements.slice(0, 100)];
    const plan = { ...NOTHING, generation: 3, now: clock(), put: come, remove: gone };
    await backend.commit(backend.prepare(plan));
    order.push("committed");
    const restoration = await audit;
    assert.deepEqual(order, ["committed", "audited"]);
    assert.deepEqual(
      [...(restoration?.added ?? [])].sort(),
      keysOf([...elements.slice(100), ...others.slice(1)]),
    );
    assert.deepEqual(restoration?.renewed, keysOf(others.slice(0, 1)));
    assert.deepEqual(restoration?.removed, keysOf(manyElements(1, 9)));

    const standing = [...elements.slice(100), ...others, ...come];
    const { added, renewed, removed } = await backend.restore({
      now: clock(),
      generation: 3,
      elements: standing,
      limits: [],
    });
    assert.deepEqual({ added, renewed, removed }, { added: [], renewed: [], removed: [] });
    const { output } = await firewall.run([
      "nft",
      "list",
      "chain",
      "inet",
      "postern-pinholes",
      "pinholes-v4-pass",
    ]);
    assert.match(output, /@pinholes-pass-v4/, "the rule that asks the set is there again");

    await firewall.must(["nft", `delete table inet ${OWN_TABLE.table}`]);
    assert.equal(await backend.audit(clock), undefined, "what is gone altogether must be restored");
    await backend.close();
  },
);

netnsTest(
  "a restoration that comes while an audit goes on has the last word",
  GATEWAY,
  async ({ firewall }) => {
    const backend = openIn(firewall);
    const clock = (): number => 0;
    const elements = manyElements(2000, 10_000);
    await backend.restore({ now: 0, generation: 1, elements, limits: [] });
    await firewall.must([
      "nft",
      "flush set inet postern-pinholes pinholes-pass-v4-saddr.sport.daddr.dport.proto",
    ]);
    const audit = backend.audit(clock);
    const rest = elements.slice(0, 10);
    await backend.restore({ now: 0, generation: 2, elements: rest, limits: [] });
    await audit;
    const { held } = await backend.restore({ now: 0, generation: 2, elements: rest, limits: [] });
    assert.equal(held, 10);
    await backend.close();
  },
);

/** Keeps the event loop busy, in milliseconds. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const SET = "inet postern-pinholes pinholes-pass-v4-saddr.sport.daddr.dport.proto";

netnsTest(
  "a lease ends at its time, however long a restoration waited for an audit, which ends early for it",
  GATEWAY,
  async ({ firewall }) => {
    const backend = openIn(firewall);
    const began = performance.now();
    const clock = (): number => performance.now() - began;
    const elements = manyElements(20_000, 10_000);
    await backend.restore({ now: clock(), generation: 1, elements, limits: [] });
    await firewall.must(["nft", `flush set ${SET}`]);
    await backend.restore({ now: clock(), generation: 1, elements, limits: [] });
    let looks = 0;
    const counting = (): number => {
      looks += 1;
      return clock();
    };
    const audit = backend.audit(counting);
    const come = manyElements(10, 40_000);
    const desired = { now: clock(), generation: 2, elements: [...elements, ...come], limits: [] };
    const restoration = backend.restore(desired);
    // More than what an audit lets pass.
    block(1500);
    assert.equal(await audit, undefined);
    assert.equal(looks, 0, "an audit that has been overtaken looks at nothing more");
    assert.deepEqual([...(await restoration).added].sort(), keysOf(come));
    assert.deepEqual((await backend.audit(clock))?.renewed, []);
    await backend.close();
  },
);

netnsTest(
  "an audit that is kept waiting for the processor finds nothing to put right",
  GATEWAY,
  async ({ firewall }) => {
    const backend = openIn(firewall);
    const began = performance.now();
    const clock = (): number => performance.now() - began;
    const elements = manyElements(3000, 10_000);
    await backend.restore({ now: clock(), generation: 1, elements, limits: [] });
    const audit = backend.audit(clock);
    // More than what an audit lets pass: the kernel wrote the list before that.
    block(1500);
    const { held, renewed } = (await audit) ?? {};
    assert.deepEqual({ held, renewed }, { held: 3000, renewed: [] });
    await backend.close();
  },
);

netnsTest(
  "a lease ends at its time, however long the disk took before the kernel was told",
  GATEWAY,
  async ({ firewall }) => {
    const backend = openIn(firewall);
    const began = performance.now();
    const clock = (): number => performance.now() - began;
    await backend.restore({ now: clock(), generation: 1, elements: [], limits: [] });
    const prepared = backend.prepare({
      ...NOTHING,
      generation: 2,
      now: clock(),
      put: manyElements(3, 10_000),
    });
    // More than what an audit lets pass.
    await delay(1500);
    await backend.commit(prepared);
    assert.deepEqual((await backend.audit(clock))?.renewed, []);
    await backend.close();
  },
);

netnsTest(
  "what was read ahead counts from when it was read, and who changes it since is noticed",
  GATEWAY,
  async ({ firewall }) => {
    const began = performance.now();
    const clock = (): number => performance.now() - began;
    const elements = manyElements(3000, 10_000);
    const first = openIn(firewall);
    await first.restore({ now: clock(), generation: 1, elements, limits: [] });
    await first.close();

    const backend = openIn(firewall);
    backend.foresee();
    // Long enough for the list, and then more than what a comparison lets pass.
    await delay(500);
    block(1500);
    const key = "10.1.0.7 . 10000 . 198.51.100.9 . 6004 . udp";
    await firewall.must(["nft", `delete element ${SET} { ${key} }`]);
    const restoration = await backend.restore({ now: clock(), generation: 1, elements, limits: [] });
    assert.deepEqual(restoration, { found: 1, held: 3000, added: [], renewed: [], removed: [] });
    const drifts: Drift[] = [];
    backend.watch((drift) => drifts.push(drift));
    await eventually(
      () => drifts.length,
      (count) => count > 0,
    );
    assert.match(drifts[0]?.what ?? "", /elements were deleted/);
    assert.deepEqual((await backend.audit(clock))?.added, keysOf(elements.slice(0, 1)));
    await backend.close();
  },
);
