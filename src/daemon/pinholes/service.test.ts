import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { defaultLimits, FirewallError, ipv4Words } from "../../base/index.ts";
import { SimulatedPinholes } from "../../backend/index.ts";
import {
  type Cut,
  type KernelPlan,
  type Moment,
  packPinhole,
  type PinholeEventRecord,
  type PinholeLimits,
  PinholeRefusal,
  PinholeRequest,
  type PinholeSpec,
  PinholeStore,
  type Restoration,
  type TranslationPlan,
  unpackPinhole,
} from "../../pinhole/index.ts";
import {
  ADMIN,
  ALICE,
  ATTACKER,
  AUDIO,
  audio,
  BOB,
  eventually,
  fakeEntropy,
  startService,
} from "../../testing/index.ts";
import { MemoryJournal, type PinholeJournal } from "./journal.ts";
import { PinholeService } from "./service.ts";

/** A specification that the filter of a test refuses. */
const POISON: PinholeSpec = { ...AUDIO, protocol: 47, internal: { family: 4 }, external: { family: 4 } };

interface Rig {
  readonly service: PinholeService;
  readonly filter: SimulatedPinholes;
  readonly journal: PinholeJournal;
  readonly plans: KernelPlan[];
  readonly events: PinholeEventRecord[];
  clock: Moment;
  /** What the filter says to the next plans; undefined for yes. */
  answers: (FirewallError | undefined)[];
}

const services: PinholeService[] = [];

afterEach(async () => {
  for (const service of services.splice(0)) await service.close();
});

async function makeRig(journal: PinholeJournal = new MemoryJournal()): Promise<Rig> {
  const rig: Partial<Rig> = { journal, plans: [], events: [], answers: [] };
  rig.clock = { now: 1000, wall: 1_700_000_000_000 };
  const filter = new SimulatedPinholes((plan, occasion) => {
    const answer = occasion === "commit" ? rig.answers?.shift() : undefined;
    if (answer !== undefined) throw answer;
    const isPoisoned = plan.put.some((element) => element.box.protocol === 47);
    if (isPoisoned) throw new FirewallError("BACKEND_REFUSED", "no protocol 47 here");
    if (occasion === "commit") rig.plans?.push(plan);
  });
  const service = await startService({
    journal,
    backend: filter,
    moment: () => rig.clock ?? { now: 0, wall: 0 },
  });
  service.listen((event) => rig.events?.push(event));
  services.push(service);
  return Object.assign(rig, { service, filter }) as Rig;
}

async function refusalOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "accepted";
  } catch (error) {
    assert.ok(error instanceof PinholeRefusal, String(error));
    return error.code;
  }
}

/** A filter that takes its time to end connections: until it is told that they have ended. */
function delayEndings(filter: SimulatedPinholes): { readonly cuts: Cut[]; end: (ended: number) => void } {
  const control = { cuts: [] as Cut[], end: (_ended: number): void => assert.fail("nothing is to end") };
  filter.cut = (cut) => {
    control.cuts.push(cut);
    return new Promise((resolve) => {
      control.end = resolve;
    });
  };
  return control;
}

describe("the end of connections", () => {
  it("is what the close waits for, and no other commit", async () => {
    const { service, filter } = await makeRig();
    const endings = delayEndings(filter);
    const [first] = (await service.apply(ALICE, [{ op: "open", spec: AUDIO }])).results;
    const order: string[] = [];
    const closing = service.apply(ALICE, [{ op: "close", id: first?.id ?? "" }]);
    void closing.then(() => order.push("closed"));
    await service.apply(ALICE, [{ op: "open", spec: audio(5006) }]);
    order.push("opened");
    endings.end(3);
    await closing;
    assert.deepEqual(order, ["opened", "closed"]);
    assert.equal(service.status.counters.cutConnections, 3);
  });

  it("is judged by what is in force, and not by what is being written", async () => {
    const journal = new MemoryJournal();
    const { service, filter } = await makeRig(journal);
    const endings = delayEndings(filter);
    const [first] = (await service.apply(ALICE, [{ op: "open", spec: AUDIO }])).results;
    const closing = service.apply(ALICE, [{ op: "close", id: first?.id ?? "" }]);
    await turn();
    let write = (): void => assert.fail("nothing is being written");
    journal.append = () =>
      new Promise((_resolve, reject) => {
        write = () => reject(new FirewallError("JOURNAL_UNAVAILABLE", "full"));
      });
    const again = refusalOf(service.apply(ALICE, [{ op: "open", spec: AUDIO }]));
    const packet = {
      family: 4,
      protocol: 17,
      opensTcp: false,
      sourcePort: 6004,
      destinationPort: 5004,
    } as const;
    const [source, destination] = [ipv4Words(0xc633_6401), ipv4Words(0x0a01_0001)];
    const isPermitted = endings.cuts[0]?.whenSettled(() =>
      endings.cuts[0]?.isPermitted({ ...packet, source, destination }),
    );
    await turn();
    write();
    assert.equal(await again, "JOURNAL_UNAVAILABLE");
    assert.equal(await isPermitted, false, "what could not be written permits nothing");
    endings.end(1);
    await closing;
  });

  it("is waited for when the service closes", async () => {
    const { service, filter } = await makeRig();
    const endings = delayEndings(filter);
    const [first] = (await service.apply(ALICE, [{ op: "open", spec: AUDIO }])).results;
    const closing = service.apply(ALICE, [{ op: "close", id: first?.id ?? "" }]);
    await turn();
    const order: string[] = [];
    const stop = service.close().then(() => order.push("stopped"));
    await turn();
    order.push("ended");
    endings.end(1);
    await Promise.all([stop, closing]);
    assert.deepEqual(order, ["ended", "stopped"]);
  });
});

describe("an audit", () => {
  const found: Restoration = { found: 1, held: 0, added: ["pass"], renewed: [], removed: [] };

  it("holds no commit up where the filter can be read beside, and who comes meanwhile shares the next", async () => {
    const { service, filter, events } = await makeRig();
    const ends: ((restoration: Restoration) => void)[] = [];
    Object.assign(filter, { audit: () => new Promise((resolve) => ends.push(resolve)) });
    const audits = [service.audit()];
    await turn();
    audits.push(service.audit(), service.audit());
    await service.apply(ALICE, [{ op: "open", spec: AUDIO }]);
    assert.equal(ends.length, 1, "one at a time");
    ends[0]?.(found);
    await turn();
    assert.equal(ends.length, 2);
    ends[1]?.({ ...found, added: [] });
    assert.deepEqual(
      (await Promise.all(audits)).map(({ added }) => added.length),
      [1, 0, 0],
    );
    assert.equal(events.filter(({ type }) => type === "backend.recovered").length, 1);
  });

  it("of what drifted tells that nothing counts as enforced, until it is put right", async () => {
    const { service, filter } = await makeRig();
    await service.apply(ALICE, [{ op: "open", spec: AUDIO }]);
    let end: (restoration: Restoration | undefined) => void = () => assert.fail("nothing is audited");
    Object.assign(filter, {
      audit: () =>
        new Promise((resolve) => {
          end = resolve;
        }),
    });
    filter.tamper([]);
    await turn();
    assert.equal(service.status.enforced, 0);
    end(found);
    await turn();
    assert.equal(service.status.enforced, service.status.desired);
  });

  it("becomes a restoration where the filter cannot be audited", async () => {
    const { service, filter } = await makeRig();
    await service.apply(ALICE, [{ op: "open", spec: AUDIO }]);
    Object.assign(filter, { audit: () => Promise.resolve(undefined) });
    filter.tamper();
    assert.equal((await service.audit()).added.length, 2);
    assert.equal(filter.keys.length, 2);
    assert.equal(service.status.enforced, 2);
  });
});

describe("a commit", () => {
  it("is in force when it is answered, and carries the slides' example", async () => {
    const { service, filter } = await makeRig();
    const first = service.begin(ALICE);
    const { id } = first.open(AUDIO);
    assert.deepEqual(filter.keys, [], "nothing takes effect before the commit");
    const answer = await service.commit(first);
    assert.equal(answer.results[0]?.id, id);
    assert.deepEqual(filter.keys, [
      "pass 17 10.1.0.1/32:5004 198.51.100.1/32:6004",
      "pass 17 198.51.100.1/32:6004 10.1.0.1/32:5004",
    ]);
    const second = service.begin(ALICE);
    second.close(id);
    second.open({ ...AUDIO, direction: "out" });
    await service.commit(second);
    assert.deepEqual(filter.keys, ["pass 17 10.1.0.1/32:5004 198.51.100.1/32:6004"]);
  });

  it("leaves no trace when one of its operations is refused, and names that", async () => {
    const { service, filter, plans } = await makeRig();
    const transaction = service.begin(ALICE);
    transaction.open(AUDIO);
    transaction.close("ph_nobody");
    await assert.rejects(service.commit(transaction), (error: PinholeRefusal) => {
      assert.equal(error.code, "NO_SUCH_PINHOLE");
      assert.equal(error.context.operation, 1);
      return true;
    });
    assert.deepEqual(filter.keys, []);
    assert.equal(plans.length, 0);
    assert.equal(await service.read((store) => store.size), 0);
  });

  it("is over after a rollback, and after half a minute", async () => {
    const rig = await makeRig();
    const one = rig.service.begin(ALICE);
    rig.service.rollback(one);
    assert.equal(await refusalOf(rig.service.commit(one)), "NO_SUCH_TRANSACTION");
    const other = rig.service.begin(ALICE);
    other.open(AUDIO);
    rig.clock = { now: 32_000, wall: rig.clock.wall + 31_000 };
    assert.equal(await refusalOf(rig.service.commit(other)), "NO_SUCH_TRANSACTION");
    assert.deepEqual(rig.filter.keys, []);
  });

  it("after another, without a rest, keeps nobody from reading and no lease from ending", async () => {
    const rig = await makeRig();
    const { service } = rig;
    await service.apply(ALICE, [{ op: "open", spec: { ...audio(4000), lifetime: 1 } }]);
    const last = 300;
    let begun = 0;
    const finished = new Promise<void>((resolve) => {
      // The next commit comes before the one that is told of is answered: there is always one that waits.
      service.listen(({ type }) => {
        if (type !== "pinhole.enabled") return;
        begun += 1;
        if (begun === 100) rig.clock = { now: rig.clock.now + 5000, wall: rig.clock.wall + 5000 };
        if (begun === last) resolve();
        else void service.apply(BOB, [{ op: "open", spec: audio(10_000 + begun) }]);
      });
    });
    await service.apply(BOB, [{ op: "open", spec: audio(10_000) }]);
    await service.read(() => undefined);
    assert.ok(begun < 20, `${begun} commits before the first reader was served`);
    while (!rig.events.some(({ type }) => type === "pinhole.ended")) {
      await service.read(() => undefined);
      assert.ok(begun < 200, `${begun} commits, and the lease has not ended`);
    }
    await finished;
    assert.equal(await service.read((store) => store.size), last);
  });

  it("goes together with others that come while one is on its way", async () => {
    const { service, plans, filter } = await makeRig();
    const answers = Array.from({ length: 1000 }, (_, index) =>
      service.apply(ALICE, [{ op: "open", spec: audio(10_000 + index) }]),
    );
    await Promise.all(answers);
    assert.equal(filter.keys.length, 2000);
    assert.ok(plans.length <= 5, `${plans.length} kernel transactions`);
  });

  it("tells the filter what changes and nothing else, however much stands", async () => {
    const { service, plans } = await makeRig();
    const standing = Array.from({ length: 2000 }, (_, index) => audio(10_000 + index));
    const { results } = await service.apply(
      ALICE,
      standing.map((spec) => ({ op: "open", spec })),
    );
    const call = Array.from({ length: 8 }, (_, index) => audio(20_000 + index));
    await service.apply(
      ALICE,
      call.map((spec) => ({ op: "open", spec })),
    );
    await service.apply(ALICE, [
      { op: "close", id: results[0]?.id ?? "" },
      { op: "open", spec: audio(10_000) },
      { op: "renew", id: results[1]?.id ?? "", lifetime: 30 },
    ]);
    const sizes = plans.map(({ put, remove }) => [put.length, remove.length]);
    assert.deepEqual(sizes, [
      [4000, 0],
      [16, 0],
      [2, 0],
    ]);
  });

  it("after another, without a rest, keeps nobody from putting right what has drifted", async () => {
    const { service } = await makeRig();
    let commits = 0;
    const keepCommitting = async (): Promise<void> => {
      while (commits < 1000) {
        commits += 1;
        await service.apply(ALICE, [{ op: "open", spec: audio(10_000 + commits) }]);
      }
    };
    const busy = [keepCommitting(), keepCommitting()];
    await service.audit();
    const before = commits;
    await Promise.all(busy);
    assert.ok(before < 100, `${before} commits before the first audit`);
  });

  it("has one effect and one answer under an idempotency key, and refuses other operations under it", async () => {
    const { service, plans } = await makeRig();
    const options = { idempotencyKey: "call-1" };
    const [first, second] = await Promise.all([
      service.apply(ALICE, [{ op: "open", spec: AUDIO }], options),
      service.apply(ALICE, [{ op: "open", spec: AUDIO }], options),
    ]);
    assert.deepEqual(first, second);
    assert.equal(plans.length, 1);
    const other = service.apply(ALICE, [{ op: "open", spec: audio(7000) }], options);
    assert.equal(await refusalOf(other), "KEY_REUSED");
    await service.apply(BOB, [{ op: "open", spec: AUDIO }], options);
    assert.equal(await service.read((store) => store.size), 2);
  });

  it("is refused when another generation is in force than was expected", async () => {
    const { service } = await makeRig();
    const { generation } = await service.apply(ALICE, [{ op: "open", spec: AUDIO }]);
    await service.apply(BOB, [{ op: "open", spec: AUDIO }]);
    const late = service.apply(ALICE, [{ op: "open", spec: audio(7) }], { expectGeneration: generation });
    assert.equal(await refusalOf(late), "GENERATION_MISMATCH");
  });
});

describe("the packet filter", () => {
  it("refuses one commit of many, and the others stand", async () => {
    const { service, filter, journal } = await makeRig();
    const blocker = service.apply(ALICE, [{ op: "open", spec: audio(4000) }]);
    const wishes = Array.from({ length: 16 }, (_, index) =>
      refusalOf(service.apply(ADMIN, [{ op: "open", spec: index === 11 ? POISON : audio(5000 + index) }])),
    );
    await blocker;
    const outcomes = await Promise.all(wishes);
    assert.equal(outcomes[11], "BACKEND_REFUSED");
    assert.equal(outcomes.filter((outcome) => outcome === "accepted").length, 15);
    assert.equal(filter.keys.length, 32);
    assert.equal([...journal.load().pinholes].length, 16, "the journal knows nothing of what was refused");
    assert.equal(service.status.generation, filter.generation);
  });

  it("is asked again when it is short of something, and counts as degraded after three failures", async () => {
    const rig = await makeRig();
    const busy = new FirewallError("BACKEND_UNAVAILABLE", "no buffer space");
    rig.answers = [busy];
    await rig.service.apply(ALICE, [{ op: "open", spec: AUDIO }]);
    assert.equal(rig.filter.keys.length, 2);
    rig.answers = [busy, busy, busy, busy];
    const refused = rig.service.apply(ALICE, [{ op: "open", spec: audio(7) }]);
    assert.equal(await refusalOf(refused), "BACKEND_UNAVAILABLE");
    assert.equal(rig.filter.keys.length, 2, "the former generation is in force");
    assert.ok(rig.events.some((event) => event.type === "backend.degraded"));
    await rig.service.apply(ALICE, [{ op: "open", spec: audio(8) }]);
    assert.equal(rig.events.at(-2)?.type, "backend.recovered");
  });

  it("is restored when somebody empties it, and the commit on its way comes along", async () => {
    const rig = await makeRig();
    await rig.service.apply(ALICE, [{ op: "open", spec: AUDIO }]);
    rig.filter.tamper();
    const isTold = (): boolean => rig.events.at(-1)?.type === "backend.recovered";
    assert.ok(await eventually(isTold, Boolean));
    assert.equal(rig.filter.keys.length, 2);
    assert.deepEqual(
      rig.events.slice(-2).map((event) => event.type),
      ["backend.drift", "backend.recovered"],
    );
    rig.answers = [new FirewallError("BACKEND_DRIFTED", "the mark is gone")];
    await rig.service.apply(ALICE, [{ op: "open", spec: audio(7) }]);
    assert.equal(rig.filter.keys.length, 4);
    assert.equal(rig.service.status.enforced, 4);
  });
});

describe("a packet filter that can do less", () => {
  class Plain extends SimulatedPinholes {
    override readonly abilities = {
      ...new SimulatedPinholes().abilities,
      limits: ["pps"] as const,
      translates: false,
    };
  }

  async function start(translation?: TranslationPlan): Promise<PinholeService> {
    const parts = { limits: defaultLimits(), expansionMax: 8, entropy: fakeEntropy() };
    const service = await PinholeService.start({
      store: new PinholeStore(translation === undefined ? parts : { ...parts, translation }),
      journal: new MemoryJournal(),
      backend: new Plain(),
      moment: () => ({ now: 0, wall: 0 }),
      bootId: "boot",
      eventsKept: 16,
    });
    services.push(service);
    return service;
  }

  it("refuses limits that it would not enforce, those of the profile too", async () => {
    const service = await start();
    const open = (limit: PinholeLimits, agent = ALICE): Promise<string> =>
      refusalOf(service.apply(agent, [{ op: "open", spec: { ...AUDIO, limit } }]));
    assert.equal(await open({ pps: 10 }), "accepted");
    assert.equal(await open({ pps: 10, quotaBytes: 10 }), "LIMIT_UNSUPPORTED");
    const limited = { ...ALICE, profile: { ...ALICE.profile, limit: { bps: 1000 } } };
    const implied = service.apply(limited, [{ op: "open", spec: AUDIO }]);
    assert.equal(await refusalOf(implied), "LIMIT_UNSUPPORTED");
  });

  it("translates nothing, says so, and cannot be started with addresses to translate to", async () => {
    const service = await start();
    assert.deepEqual(service.status.natModes, []);
    const spec: PinholeSpec = { ...AUDIO, nat: { mode: "traditional" } };
    assert.equal(await refusalOf(service.apply(ALICE, [{ op: "open", spec }])), "NAT_MODE_UNSUPPORTED");
    const pools: TranslationPlan = { outside: { addresses: ["203.0.113.1"], ports: [40_000, 40_001] } };
    await assert.rejects(start(pools), { code: "TRANSLATION_UNSUPPORTED" });
  });
});

describe("a journal that cannot be written", () => {
  class FullDisk extends MemoryJournal {
    isFull = false;

    override append(changes: Parameters<MemoryJournal["append"]>[0]): Promise<void> {
      if (this.isFull) return Promise.reject(new FirewallError("JOURNAL_UNAVAILABLE", "the disk is full"));
      return super.append(changes);
    }
  }

  it("refuses what opens, lets what protects happen, and is told later", async () => {
    const journal = new FullDisk();
    const { service, filter, events } = await makeRig(journal);
    const [opened] = (await service.apply(ALICE, [{ op: "open", spec: audio(9000) }])).results;
    await service.apply(ALICE, [{ op: "open", spec: AUDIO }]);
    journal.isFull = true;
    const [open, close, block] = await Promise.all([
      refusalOf(service.apply(ALICE, [{ op: "open", spec: audio(7) }])),
      refusalOf(service.apply(ALICE, [{ op: "close", id: opened?.id ?? "" }])),
      refusalOf(service.apply(BOB, [{ op: "open", spec: ATTACKER }])),
    ]);
    assert.deepEqual([open, close, block], ["JOURNAL_UNAVAILABLE", "accepted", "accepted"]);
    assert.deepEqual(
      filter.keys.map((key) => key.split(" ")[0]),
      ["block", "block"],
    );
    assert.ok(service.status.isDegraded && /the disk is full/.test(service.status.reason));
    journal.isFull = false;
    await service.apply(BOB, [
      { op: "open", spec: { ...AUDIO, external: { family: 4, address: "198.51.100.2" } } },
    ]);
    assert.deepEqual(
      [...journal.load().pinholes].map((text) => unpackPinhole(text).owner),
      ["bob", "bob"],
    );
    const told = events.filter(({ type }) => type.startsWith("backend."));
    assert.deepEqual(
      told.map(({ type }) => type),
      ["backend.degraded", "backend.recovered"],
    );
    assert.equal(service.status.isDegraded, false);
  });

  it("is tried again although nobody asks for anything", async () => {
    const journal = new FullDisk();
    const { service } = await makeRig(journal);
    journal.isFull = true;
    assert.equal(
      await refusalOf(service.apply(ALICE, [{ op: "open", spec: audio(7) }])),
      "JOURNAL_UNAVAILABLE",
    );
    assert.ok(service.status.isDegraded);
    journal.isFull = false;
    await eventually(
      () => service.status.isDegraded,
      (isDegraded) => !isDegraded,
    );
    assert.deepEqual([...journal.load().pinholes], []);
  });

  it("keeps no start waiting that has something to correct, and learns it later", async () => {
    const journal = new FullDisk();
    const first = await makeRig(journal);
    await first.service.apply(ALICE, [
      { op: "open", spec: AUDIO },
      { op: "open", spec: { ...audio(7), lifetime: 1 } },
    ]);
    journal.isFull = true;
    const rig = { clock: { now: 3000, wall: 1_700_000_002_000 } };
    const filter = new SimulatedPinholes();
    const service = await startService({ journal, backend: filter, moment: () => rig.clock });
    services.push(service);
    assert.equal(filter.keys.length, 2, "what still lives is in force");
    assert.equal(
      await refusalOf(service.apply(ALICE, [{ op: "open", spec: audio(9) }])),
      "JOURNAL_UNAVAILABLE",
    );
    assert.equal([...journal.load().pinholes].length, 2);
    journal.isFull = false;
    await service.apply(ALICE, [{ op: "open", spec: audio(9) }]);
    assert.equal([...journal.load().pinholes].length, 2, "one is over, and one is new");
  });
});

describe("a service that starts", () => {
  it("takes up what the journal says, with deadlines, numbers and answers, and lets go of what is over", async () => {
    const journal = new MemoryJournal();
    const first = await makeRig(journal);
    const options = { idempotencyKey: "k" };
    const answer = await first.service.apply(ALICE, [{ op: "open", spec: AUDIO }], options);
    await first.service.apply(BOB, [{ op: "open", spec: { ...audio(7), lifetime: 1 } }]);
    const second = await makeRig(journal);
    assert.equal(second.filter.keys.length, 4, "what the crashed run had in force is in force");
    second.clock = { now: 3000, wall: second.clock.wall + 2000 };
    assert.deepEqual(await second.service.apply(ALICE, [{ op: "open", spec: AUDIO }], options), answer);
    const third = await makeRig(journal);
    third.clock = second.clock;
    const numbers = await third.service.read((store) => [...store.all()].map(({ number }) => number));
    assert.ok(numbers.includes(answer.results[0]?.pid ?? 0));
  });

  it("ends what the packet filter will not have, and keeps the rest", async () => {
    const journal = new MemoryJournal();
    const first = await makeRig(journal);
    await first.service.apply(ALICE, [{ op: "open", spec: AUDIO }]);
    const [record] = [...journal.load().pinholes];
    assert.ok(record !== undefined);
    const head = journal.load().head ?? { generation: 0, nextNumber: 0, nextGroupNumber: 0 };
    const poisoned = packPinhole({
      ...unpackPinhole(record),
      id: "ph_zz",
      number: 99,
      group: "",
      groupNumber: 0,
      request: PinholeRequest.check(POISON),
      generation: 2,
    });
    await journal.append({
      head: { ...head, generation: 2 },
      put: [{ id: "ph_zz", text: poisoned }],
      remove: [],
      keep: [],
      forget: [],
    });
    const { service, filter } = await makeRig(journal);
    assert.equal(await service.read((store) => store.size), 1);
    assert.equal(filter.keys.length, 2);
    assert.equal(await service.read((store) => store.find(ADMIN, "ph_zz")?.end?.reason), "backend");
    assert.equal([...journal.load().pinholes].length, 1);
  });
});
