import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { SimulatedPinholes } from "../../backend/index.ts";
import { defaultLimits, FirewallError } from "../../base/index.ts";
import {
  type JournalChanges,
  type Moment,
  type PinholeSpec,
  PinholeStore,
  type Restoration,
  unpackPinhole,
} from "../../pinhole/index.ts";
import {
  ADMIN,
  ALICE,
  ATTACKER,
  audio,
  BOB,
  eventually,
  fakeEntropy,
  startService,
} from "../../testing/index.ts";
import { Enforcer } from "./enforcer.ts";
import { MemoryJournal } from "./journal.ts";
import type { PinholeService } from "./service.ts";
import { WorkLoop } from "./work-loop.ts";

const POISON: PinholeSpec = {
  kind: "permit",
  internal: { family: 4 },
  external: { family: 4 },
  protocol: 47,
  direction: "both",
  lifetime: 60,
};

/** A journal whose disk may be full, and that shows what was asked of it. */
class TrialJournal extends MemoryJournal {
  isFull = false;
  readonly asked: JournalChanges[] = [];
  /** Called when something is on the disk. */
  onWritten: () => void = () => undefined;

  get owners(): string[] {
    return [...this.load().pinholes].map((text) => unpackPinhole(text).owner);
  }

  override async append(changes: JournalChanges): Promise<void> {
    this.asked.push(changes);
    if (this.isFull) throw new FirewallError("JOURNAL_UNAVAILABLE", "the disk is full");
    await super.append(changes);
    this.onWritten();
  }
}

const services: PinholeService[] = [];

afterEach(async () => {
  for (const service of services.splice(0)) await service.close();
});

interface Rig {
  readonly service: PinholeService;
  readonly filter: SimulatedPinholes;
  clock: Moment;
}

async function makeRig(journal: MemoryJournal, limits = defaultLimits()): Promise<Rig> {
  const rig = { clock: { now: 1000, wall: 1_700_000_000_000 } };
  const filter = new SimulatedPinholes((plan) => {
    if (plan.put.some(({ box }) => box.protocol === 47)) throw new FirewallError("BACKEND_REFUSED", "no 47");
  });
  const service = await startService({ journal, backend: filter, moment: () => rig.clock, limits });
  services.push(service);
  return Object.assign(rig, { service, filter });
}

/** Closes a pinhole and blocks a host while the disk is full. */
async function protectWhileFull(service: PinholeService, journal: TrialJournal): Promise<void> {
  const [opened] = (await service.apply(ALICE, [{ op: "open", spec: audio(5004) }])).results;
  journal.isFull = true;
  await service.apply(ALICE, [{ op: "close", id: opened?.id ?? "" }]);
  await service.apply(BOB, [{ op: "open", spec: ATTACKER }]);
  journal.isFull = false;
}

describe("what protects and could not be written", () => {
  it("is written when the disk can be written again, without another commit", async () => {
    const journal = new TrialJournal();
    const { service } = await makeRig(journal);
    await protectWhileFull(service, journal);
    const owners = await eventually(
      () => journal.owners,
      ([owner]) => owner === "bob",
    );
    assert.deepEqual(owners, ["bob"]);
  });

  it("is written when the service closes", async () => {
    const journal = new TrialJournal();
    const { service } = await makeRig(journal);
    await protectWhileFull(service, journal);
    await service.close();
    const next = await makeRig(journal);
    assert.deepEqual(
      next.filter.keys.map((key) => key.split(" ")[0]),
      ["block", "block"],
    );
  });

  it("is one change, in which of each pinhole and each answer only the last word counts", async () => {
    const journal = new TrialJournal();
    const { service } = await makeRig(journal, { ...defaultLimits(), pinholeAnswers: 3 });
    journal.isFull = true;
    for (let round = 0; round < 50; round += 1) {
      const idempotencyKey = `${round}`;
      const open = service.apply(BOB, [{ op: "open", spec: ATTACKER, clientId: "attacker" }], {
        idempotencyKey,
      });
      await open;
      await service.apply(BOB, [{ op: "open", spec: ATTACKER, clientId: "attacker" }]);
    }
    journal.isFull = false;
    journal.asked.length = 0;
    await service.close();
    assert.equal(journal.asked.length, 1);
    assert.equal(journal.asked[0]?.put.length, 1);
    assert.ok((journal.asked[0]?.keep.length ?? 0) <= 4);
    assert.deepEqual(journal.owners, ["bob"]);
  });
});

describe("what came and went while the disk was full", () => {
  it("is nothing that the journal must be told", async () => {
    const journal = new TrialJournal();
    const { service } = await makeRig(journal, { ...defaultLimits(), pinholeAnswers: 3 });
    // What was on the disk has to leave it: the block ends it.
    const [written] = (await service.apply(ALICE, [{ op: "open", spec: audio(5004) }])).results;
    journal.isFull = true;
    for (let round = 0; round < 50; round += 1) {
      const open = { op: "open", spec: ATTACKER } as const;
      const [block] = (await service.apply(BOB, [open], { idempotencyKey: `${round}` })).results;
      await service.apply(BOB, [{ op: "close", id: block?.id ?? "" }]);
    }
    journal.isFull = false;
    journal.asked.length = 0;
    await service.close();
    assert.equal(journal.asked.length, 1);
    const [{ put, remove, keep, forget }] = journal.asked as [JournalChanges];
    assert.deepEqual({ put, remove, forget }, { put: [], remove: [written?.id], forget: [] });
    assert.ok(keep.length <= 4, `${keep.length} answers`);
    assert.deepEqual(journal.owners, []);
  });
});

describe("commits that were answered when they were written", () => {
  it("are on the disk at every instant from then on, also when the filter refuses one of their batch", async () => {
    const journal = new TrialJournal();
    const { service } = await makeRig(journal);
    const blocker = service.apply(ALICE, [{ op: "open", spec: audio(4000) }]);
    const told = new Set<string>();
    const wishes = Array.from({ length: 8 }, async (_, index) => {
      const agent = index === 5 ? ADMIN : ALICE;
      const spec = index === 5 ? POISON : audio(5000 + index);
      const { results } = await service.apply(agent, [{ op: "open", spec }], { wait: "journal" });
      if (index !== 5) told.add(results[0]?.id ?? "");
    });
    const losses: string[] = [];
    journal.onWritten = () => {
      const ids = new Set([...journal.load().pinholes].map((text) => unpackPinhole(text).id));
      for (const id of told) if (!ids.has(id)) losses.push(id);
    };
    await Promise.all([blocker, ...wishes]);
    await service.read(() => undefined);
    assert.equal(told.size, 7);
    assert.deepEqual(losses, []);
    assert.equal(journal.owners.length, 8, "and what was refused is not");
  });

  it("leave the disk when they are refused, before anybody is told of it", async () => {
    const journal = new TrialJournal();
    const { service } = await makeRig(journal);
    await assert.rejects(service.apply(ADMIN, [{ op: "open", spec: POISON }]), { code: "BACKEND_REFUSED" });
    assert.deepEqual(journal.owners, []);
  });
});

describe("answers in the journal", () => {
  const forgetful = { ...defaultLimits(), pinholeAnswers: 2 };

  function keysIn(journal: MemoryJournal): string[] {
    return [...journal.load().answers].map(({ key }) => key).sort();
  }

  it("are forgotten with those in memory, also when what came with that was refused or had no effect", async () => {
    const journal = new TrialJournal();
    const { service } = await makeRig(journal, forgetful);
    for (const key of ["a", "b", "c"]) {
      await service.apply(ALICE, [{ op: "open", spec: audio(5000) }], { idempotencyKey: key });
    }
    // Each of these lets the oldest go in memory first.
    const close = service.apply(ALICE, [{ op: "close", id: "ph_nobody" }]);
    await assert.rejects(close, { code: "NO_SUCH_PINHOLE" });
    assert.deepEqual(keysIn(journal), ["b", "c"]);
    await service.apply(ALICE, [{ op: "open", spec: audio(5001) }], { idempotencyKey: "d" });
    const refused = service.apply(ADMIN, [{ op: "open", spec: POISON }]);
    await assert.rejects(refused, { code: "BACKEND_REFUSED" });
    await service.apply(ALICE, [{ op: "open", spec: audio(5002) }]);
    assert.deepEqual(keysIn(journal), ["c", "d"]);
  });

  it("are forgotten when the journal could not be written at first", async () => {
    const journal = new TrialJournal();
    const { service } = await makeRig(journal, forgetful);
    for (const key of ["a", "b", "c"]) {
      await service.apply(ALICE, [{ op: "open", spec: audio(5000) }], { idempotencyKey: key });
    }
    journal.isFull = true;
    const full = service.apply(ALICE, [{ op: "open", spec: audio(5001) }]);
    await assert.rejects(full, { code: "JOURNAL_UNAVAILABLE" });
    journal.isFull = false;
    await service.apply(ALICE, [{ op: "open", spec: audio(5001) }]);
    assert.deepEqual(keysIn(journal), ["b", "c"]);
  });
});

describe("an open transaction whose time is over", () => {
  it("lets go of its operations, whoever comes next", async () => {
    const rig = await makeRig(new MemoryJournal());
    const transaction = rig.service.begin(ALICE);
    transaction.open(audio(5004));
    rig.clock = { now: rig.clock.now + 31_000, wall: rig.clock.wall + 31_000 };
    await rig.service.apply(BOB, [{ op: "open", spec: audio(5006) }]);
    assert.equal(transaction.isOpen, false);
    assert.deepEqual(transaction.operations, []);
  });
});

describe("a drift that is noticed while another is audited", () => {
  it("counts until an audit that began after it", async () => {
    const { service, filter } = await makeRig(new MemoryJournal());
    await service.apply(ALICE, [{ op: "open", spec: audio(5004) }]);
    const ends: ((restoration: Restoration) => void)[] = [];
    Object.assign(filter, { audit: () => new Promise((resolve) => ends.push(resolve)) });
    const found: Restoration = { found: 1, held: 0, added: [], renewed: [], removed: [] };
    const begun = (count: number): Promise<number> =>
      eventually(
        () => ends.length,
        (length) => length === count,
      );
    filter.tamper([]);
    assert.equal(await begun(1), 1);
    filter.tamper([]);
    ends[0]?.(found);
    assert.equal(await begun(2), 2);
    assert.equal(service.status.enforced, 0);
    ends[1]?.(found);
    const { desired } = service.status;
    const enforced = await eventually(
      () => service.status.enforced,
      (count) => count === desired,
    );
    assert.equal(enforced, desired);
  });

  it("hides no bug behind the failures of the filter", async () => {
    const backend = new SimulatedPinholes();
    const store = new PinholeStore({ limits: defaultLimits(), expansionMax: 8, entropy: fakeEntropy() });
    const moment = (): Moment => ({ now: 0, wall: 0 });
    const enforcer = new Enforcer({
      store,
      journal: new MemoryJournal(),
      backend,
      moment,
      whenSettled: () => assert.fail("nothing is cut"),
      publish: () => undefined,
    });
    await enforcer.restore();
    const loop = new WorkLoop({ store, enforcer, moment });
    let thrown: Error = new TypeError("a bug");
    Object.assign(backend, { audit: () => Promise.reject(thrown), restore: () => Promise.reject(thrown) });
    const drift = { what: "a rule", culprit: "" };
    await assert.rejects(loop.drifted(drift), TypeError);
    thrown = new FirewallError("BACKEND_UNAVAILABLE", "no buffer space");
    await loop.drifted(drift);
    assert.ok(enforcer.mustRestore);
    await loop.close();
  });
});
