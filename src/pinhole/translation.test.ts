import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defaultLimits, FirewallError } from "../base/index.ts";
import { ADMIN, ALICE, BOB, fakeEntropy } from "../testing/index.ts";
import type { OperationAnswer } from "./commit.ts";
import type { Moment } from "./moment.ts";
import { unpackPinhole } from "./record.ts";
import { PinholeRefusal } from "./refusal.ts";
import type { PinholeSpec } from "./specification.ts";
import { PinholeStore } from "./store.ts";
import type { Operation } from "./transaction.ts";
import type { TranslationPlan } from "./translation.ts";

const UDP = 17;

const POOLS: TranslationPlan = {
  outside: { addresses: ["203.0.113.7"], ports: [40_000, 40_009], hosts: ["203.0.113.9"] },
  inside: { addresses: ["10.255.0.9", "fd01::9"], ports: [50_000, 50_009] },
};

function makeStore(translation: TranslationPlan | undefined = POOLS): PinholeStore {
  const parts = { limits: defaultLimits(), expansionMax: 8, entropy: fakeEntropy() };
  return new PinholeStore(translation === undefined ? parts : { ...parts, translation });
}

const START: Moment = { now: 1000, wall: 1_700_000_000_000 };

function apply(
  store: PinholeStore,
  operations: readonly Operation[],
  { agent = ALICE, now = START.now } = {},
): readonly OperationAnswer[] {
  const moment = { now, wall: START.wall + now };
  const transaction = store.stage(agent, moment);
  for (const operation of operations) transaction.stage(operation);
  const prepared = store.prepare([{ transaction, options: {} }], moment);
  prepared.settle();
  const [outcome] = prepared.outcomes;
  if (outcome === undefined || outcome instanceof PinholeRefusal) throw outcome ?? new Error("no outcome");
  return outcome.results;
}

function open(
  store: PinholeStore,
  changes: Partial<PinholeSpec> = {},
  where: { readonly agent?: typeof ALICE; readonly now?: number } = {},
): OperationAnswer {
  const [answer] = apply(store, [{ op: "open", spec: flow(changes) }], where);
  assert.ok(answer !== undefined);
  return answer;
}

function flow(changes: Partial<PinholeSpec> = {}): PinholeSpec {
  return {
    kind: "permit",
    internal: { family: 4, address: "10.1.0.1", ports: [5004, 5004] },
    external: { family: 4, address: "198.51.100.1", ports: [6004, 6004] },
    protocol: UDP,
    direction: "both",
    lifetime: 60,
    nat: { mode: "traditional" },
    ...changes,
  };
}

function ours(low: number, high = low, address = "10.1.0.1"): Partial<PinholeSpec> {
  return { internal: { family: 4, address, ports: [low, high] } };
}

function reserve(changes: Partial<PinholeSpec> = {}): PinholeSpec {
  return { kind: "reserve", protocol: UDP, lifetime: 60, nat: { mode: "traditional" }, ...changes };
}

describe("a reservation with translation", () => {
  it("gets consecutive ports of the parity that it asks for, and no more than there are", () => {
    const store = makeStore();
    const leases = [4, 4, 2].map((portCount) => {
      const [answer] = apply(store, [{ op: "open", spec: reserve({ portCount, parity: "even" }) }]);
      return answer?.outside;
    });
    const ports = leases.flatMap((lease) =>
      Array.from({ length: lease?.count ?? 0 }, (_, index) => (lease?.port ?? 0) + index),
    );
    assert.ok(leases.every((lease) => lease !== undefined && lease.port % 2 === 0));
    assert.equal(new Set(ports).size, 10);
    assert.ok(ports.every((port) => port >= 40_000 && port <= 40_009));
    assert.throws(() => apply(store, [{ op: "open", spec: reserve() }]), {
      code: "NO_PORTS",
    });
  });

  it("gets an address as a whole for no ports, for all of them, and for protocols without", () => {
    for (const wish of [{ portCount: 0 }, { portCount: 65_535 }, { protocol: 47 }]) {
      const [answer] = apply(makeStore(), [{ op: "open", spec: reserve(wish) }]);
      const { address, port, count } = answer?.outside ?? {};
      assert.deepEqual({ address, port, count }, { address: "203.0.113.9", port: 0, count: 0 });
    }
  });

  it("keeps its ports when it is enabled, and what does not fit is refused", () => {
    const store = makeStore();
    const [reserved] = apply(store, [
      { op: "open", spec: reserve({ portCount: 2, parity: "odd", nat: { mode: "twice" } }) },
    ]);
    const { id = "", outside, inside } = reserved ?? {};
    assert.deepEqual([outside?.count, inside?.count, inside?.address], [2, 2, "10.255.0.9"]);
    const pair = {
      ...ours(5005, 5006),
      external: { family: 4, address: "198.51.100.1", ports: [6005, 6006] },
      portMode: "pairwise",
      nat: { mode: "twice" },
    } as const;
    const enable = (changes: Partial<PinholeSpec>) => (): readonly OperationAnswer[] =>
      apply(store, [{ op: "enable", id, spec: flow({ ...pair, ...changes }) }]);
    const even = { ...ours(5004, 5005), parity: "same" } as const;
    assert.throws(enable(even), { code: "PARITY_MISMATCH" });
    assert.throws(enable({ nat: { mode: "traditional" } }), { code: "SPEC_INCONSISTENT" });
    assert.throws(enable({ ...ours(5005, 5007), portMode: "product" }), { code: "SPEC_INCONSISTENT" });
    assert.throws(enable({ internal: { family: 4, address: "10.1.0.0", prefix: 24, ports: [5005, 5006] } }), {
      code: "SPEC_INCONSISTENT",
    });
    const { nat: _, ...bare } = flow({ ...pair, parity: "same" });
    const [enabled] = apply(store, [{ op: "enable", id, spec: bare }]);
    assert.deepEqual([enabled?.outside, enabled?.inside], [outside, inside]);
    const pinhole = store.find(ALICE, id);
    assert.ok(pinhole !== undefined);
    const translations = store.elementsOf(pinhole).filter(({ target }) => target !== undefined);
    assert.equal(translations.length, 8, "two ports, two directions, two ends");
  });
});

describe("a permit with translation", () => {
  it("shares what stands for its host and port already, whoever opened that, until the last one closes", () => {
    const store = makeStore();
    const first = open(store, ours(5004, 5007));
    const part = open(store, { ...ours(5005, 5006), external: { family: 4 } }, { agent: BOB });
    assert.equal(part.outside?.port, (first.outside?.port ?? 0) + 1);
    apply(store, [{ op: "close", id: first.id }]);
    assert.deepEqual(open(store, ours(5005, 5006)).outside, part.outside);
    assert.throws(() => open(store, ours(5004, 5005)), { code: "CONFLICT" }, "half of it is bound");
    assert.throws(
      () => open(store, { internal: { family: 4, address: "10.1.0.1" } }),
      { code: "CONFLICT" },
      "a host as a whole beside its ports",
    );
  });

  it("rests what was given back for two minutes", () => {
    const store = makeStore({ outside: { addresses: ["203.0.113.7"], ports: [40_000, 40_000] } });
    const { id } = open(store);
    apply(store, [{ op: "close", id }]);
    assert.throws(() => open(store, {}, { now: 120_999 }), { code: "NO_PORTS" });
    assert.equal(open(store, {}, { now: 121_000 }).outside?.port, 40_000);
  });

  it("leaves no trace of what was refused or taken back", () => {
    const store = makeStore({ outside: { addresses: ["203.0.113.7"], ports: [40_000, 40_001] } });
    const fails: Operation[] = [
      { op: "open", spec: flow() },
      { op: "close", id: "nobody" },
    ];
    for (let round = 0; round < 4; round += 1) assert.throws(() => apply(store, fails));
    const transaction = store.stage(ALICE, START);
    transaction.open(flow());
    store.prepare([{ transaction, options: {} }], START).takeBack();
    assert.deepEqual(
      [5004, 5005].map((port) => open(store, ours(port)).outside?.count),
      [1, 1],
    );
    assert.throws(() => open(store, ours(5006)), { code: "NO_PORTS" });
  });

  it("gets the address and port that it wishes for, exactly or as near as can be", () => {
    const store = makeStore();
    const outside = { address: "203.0.113.7", port: 40_004 };
    const nat = { mode: "traditional", outside, exact: true } as const;
    assert.equal(open(store, { nat }).outside?.port, 40_004);
    assert.throws(() => open(store, { ...ours(5010), nat }), { code: "CONFLICT" });
    assert.notEqual(open(store, { ...ours(5010), nat: { ...nat, exact: false } }).outside?.port, 40_004);
    const elsewhere = { ...nat, outside: { address: "203.0.113.99" } };
    assert.throws(() => open(store, { ...ours(5012), nat: elsewhere }), { code: "ADDRESS_FORBIDDEN" });
    assert.equal(open(store, { nat }).outside?.port, 40_004, "the same host and port again");
    const other = { ...nat, outside: { ...outside, port: 40_008 } };
    assert.throws(() => open(store, { nat: other }), { code: "CONFLICT" }, "a second name for one port");
  });

  it("lives on in the next run with the same addresses and ports", async () => {
    const store = makeStore();
    const transaction = store.stage(ALICE, START);
    const outside = { address: "203.0.113.7", port: 40_000 };
    transaction.open(flow({ nat: { mode: "traditional", outside, exact: true } }));
    transaction.open(reserve({ portCount: 9 }));
    const prepared = store.prepare([{ transaction, options: {} }], START);
    const pinholes = prepared.journal.put.map(({ text }) => text);
    assert.equal(pinholes.length, 2);
    prepared.settle();
    const next = makeStore();
    await next.load({ head: { ...store.journalHead, bootId: "boot" }, pinholes, answers: [] }, START, "boot");
    const keysOf = (one: PinholeStore): string[] => [...one.desired(0).elements].map(({ key }) => key).sort();
    assert.deepEqual(keysOf(next), keysOf(store));
    assert.throws(() => open(next, ours(5005)), { code: "NO_PORTS" }, "all ten are leased");
    const [leased] = unpackPinhole(pinholes[0] ?? "").leases;
    assert.deepEqual(open(next).outside, leased, "and the binding is known");
  });

  it("is refused where it cannot be", () => {
    const twice = { mode: "twice" } as const;
    const host = { family: 6, address: "fd01::1", ports: [5004, 5004] } as const;
    const refused: readonly (readonly [string, Partial<PinholeSpec>])[] = [
      ["SPEC_INCONSISTENT", { internal: { family: 4, address: "10.1.0.0", prefix: 24 } }],
      ["SPEC_INCONSISTENT", { nat: twice, external: { family: 4 } }],
      ["SPEC_INCONSISTENT", { nat: { mode: "traditional", inside: { address: "10.255.0.9" } } }],
      ["SPEC_INCONSISTENT", { kind: "block" }],
      ["SPEC_MALFORMED", { nat: { mode: "thrice" as "twice" } }],
      ["ADDRESS_ILLEGAL", { nat: { mode: "traditional", outside: { address: "fd01::1" } } }],
      ["PORT_ILLEGAL", { nat: { mode: "traditional", outside: { address: "203.0.113.7", port: 0 } } }],
      ["PORT_COUNT_ILLEGAL", ours(1000, 3000)],
      ["NO_PORTS", ours(1000, 1010)],
      ["IP_VERSION_MISMATCH", { internal: host, external: { family: 6 } }],
    ];
    for (const [code, changes] of refused) {
      assert.throws(() => open(makeStore(), changes), { code }, JSON.stringify(changes));
    }
    const bare = makeStore({ outside: POOLS.outside });
    assert.deepEqual(bare.natModes, ["traditional"]);
    assert.throws(() => open(bare, { nat: twice }), { code: "NAT_MODE_UNSUPPORTED" });
    const none = new PinholeStore({ limits: defaultLimits(), expansionMax: 8, entropy: fakeEntropy() });
    assert.deepEqual(none.natModes, []);
    for (const spec of [flow(), reserve()]) {
      const refusal = { code: "NAT_MODE_UNSUPPORTED", facts: { simco: 0x034e, http: 422, pcp: 2 } };
      assert.throws(() => apply(none, [{ op: "open", spec }], { agent: ADMIN }), refusal);
    }
  });

  it("needs pools that make sense", () => {
    const make = (outside: TranslationPlan["outside"]) => (): PinholeStore => makeStore({ outside });
    assert.throws(make({ addresses: ["here"], ports: [1, 2] }), { code: "POOL_ADDRESS_INVALID" });
    assert.throws(make({ addresses: [], ports: [9, 2] }), FirewallError);
  });
});
