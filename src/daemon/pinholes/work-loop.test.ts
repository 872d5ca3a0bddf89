import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { SimulatedPinholes } from "../../backend/index.ts";
import { FirewallError } from "../../base/index.ts";
import {
  type Element,
  type KernelPlan,
  type Moment,
  type PinholeEventRecord,
  type PinholeRefusal,
  type PinholeSpec,
  type PreparedPlan,
} from "../../pinhole/index.ts";
import { ALICE, audio as audioTo, BOB, PATIENCE_MS, startService } from "../../testing/index.ts";
import { MemoryJournal } from "./journal.ts";
import { RETRY_FIRST_MS, RETRY_LONGEST_MS } from "./retry-delay.ts";
import type { PinholeService } from "./service.ts";

function audio(port: number, lifetime = 60): PinholeSpec {
  return audioTo(port, { direction: "in", lifetime });
}

/** A filter that takes its time, refuses what it is told to, and counts what it is asked to end. */
class SlowFilter extends SimulatedPinholes {
  gate: Promise<void> = Promise.resolve();
  /** Whether plans that only remove are refused. */
  keepsAll = false;
  /** A port whose elements are not removed. */
  keptPort = 0;
  /** Plans that only remove. */
  endings = 0;

  /** The last plan that puts something. */
  putting: KernelPlan | undefined;

  override prepare(plan: KernelPlan): PreparedPlan {
    if (plan.put.length > 0) this.putting = plan;
    return super.prepare(plan);
  }

  override async commit(prepared: PreparedPlan): Promise<void> {
    await this.gate;
    const { put, remove } = prepared.plan;
    const isEnding = put.length === 0 && remove.length > 0;
    if (isEnding) this.endings += 1;
    const isKept = ({ box }: Element): boolean => box.destination.ports.low === this.keptPort;
    if (isEnding && (this.keepsAll || remove.some(isKept)))
      throw new FirewallError("BACKEND_REFUSED", "It keeps what it has.");
    if (put.some(({ box }) => box.protocol === 47)) {
      throw new FirewallError("BACKEND_REFUSED", "It takes no protocol 47.");
    }
    return super.commit(prepared);
  }
}

interface Rig {
  readonly service: PinholeService;
  readonly filter: SlowFilter;
  readonly events: PinholeEventRecord[];
  clock: Moment;
}

const services: PinholeService[] = [];

afterEach(async () => {
  for (const service of services.splice(0)) await service.close();
});

async function makeRig(journal = new MemoryJournal()): Promise<Rig> {
  const rig: { clock: Moment } = { clock: { now: 1000, wall: 1_700_000_000_000 } };
  const filter = new SlowFilter();
  const service = await startService({ journal, backend: filter, moment: () => rig.clock });
  services.push(service);
  const events: PinholeEventRecord[] = [];
  service.listen((event) => events.push(event));
  return Object.assign(rig, { service, filter, events });
}

describe("a lease", () => {
  it("counts from when it was decided, also when that takes long", async () => {
    const rig = await makeRig();
    let now = 1000;
    // To look at the clock takes ten milliseconds here.
    Object.defineProperty(rig, "clock", { get: () => ({ now: (now += 10), wall: 1_700_000_000_000 }) });
    await rig.service.apply(ALICE, [{ op: "open", spec: audio(5004) }]);
    const { putting } = rig.filter;
    const leftMs = (putting?.put[0]?.deadline ?? 0) - (putting?.now ?? 0);
    assert.ok(leftMs < 60_000, "what is left begins to count later than the lease");
  });
});

describe("a service that is being shut down", () => {
  it("begins no audit any more, whatever drifts", async (test) => {
    const { service, filter } = await makeRig();
    const audits = test.mock.method(filter, "restore");
    const first = service.audit();
    const second = service.audit();
    await service.close();
    const done = audits.mock.callCount();
    await Promise.allSettled([first, second]);
    await assert.rejects(service.audit(), { code: "BACKEND_UNAVAILABLE" });
    assert.equal(audits.mock.callCount(), done);
  });
});

describe("a commit that waits for the journal", () => {
  it("is answered when it is written, and is in force when it can be read", async () => {
    const { service, filter } = await makeRig();
    let open = (): void => undefined;
    filter.gate = new Promise((resolve) => {
      open = resolve;
    });
    const answer = await service.apply(ALICE, [{ op: "open", spec: audio(5004) }], { wait: "journal" });
    assert.equal(answer.isInForce, false);
    assert.deepEqual(filter.keys, [], "the packet filter has not confirmed it");
    const id = answer.results[0]?.id ?? "";
    const read = service.read((store) => store.find(ALICE, id)?.state);
    open();
    assert.equal(await read, "enabled", "who reads waits for it");
    assert.equal(filter.keys.length, 1);
  });

  it("survives the death of the daemon before the packet filter has heard of it", async () => {
    const journal = new MemoryJournal();
    const { service, filter } = await makeRig(journal);
    let open = (): void => undefined;
    filter.gate = new Promise((resolve) => {
      open = resolve;
    });
    await service.apply(ALICE, [{ op: "open", spec: audio(5004) }], { wait: "journal" });
    const next = await makeRig(journal);
    assert.deepEqual(next.filter.keys, ["pass 17 198.51.100.1/32:6004 10.1.0.1/32:5004"]);
    open();
  });

  it("is told of as failed when the packet filter refuses it, and leaves nothing behind", async () => {
    const { service, filter, events } = await makeRig();
    const poison: PinholeSpec = {
      ...audio(5004),
      protocol: 47,
      internal: { family: 4 },
      external: { family: 4, address: "198.51.100.1" },
    };
    const [good, bad] = await Promise.all([
      service.apply(ALICE, [{ op: "open", spec: audio(5006) }], { wait: "journal" }),
      service.apply(BOB, [{ op: "open", spec: poison }], { wait: "journal" }),
    ]);
    const id = bad.results[0]?.id ?? "";
    assert.equal(await service.read((store) => store.find(BOB, id)), undefined);
    const failed = events.filter(({ type }) => type === "commit.failed");
    assert.deepEqual(
      failed.map(({ owner, ids, text }) => ({ owner, ids, text })),
      [
        {
          owner: BOB.name,
          ids: [id],
          text: "What was written did not come into force: It takes no protocol 47.",
        },
      ],
    );
    assert.equal(
      await service.read((store) => store.find(ALICE, good.results[0]?.id ?? "")?.state),
      "enabled",
    );
    assert.equal(filter.keys.length, 1);
  });

  it("is refused as ever when it is refused before it is written", async () => {
    const { service, events } = await makeRig();
    const close = service.apply(ALICE, [{ op: "close", id: "ph_nobody" }], { wait: "journal" });
    await assert.rejects(close, (error: PinholeRefusal) => error.code === "NO_SUCH_PINHOLE");
    assert.deepEqual(events, []);
  });
});

describe("leases that the packet filter will not end", () => {
  it("keep no others from ending, those that come later neither, and hold no memory of what was closed", async () => {
    const journal = new MemoryJournal();
    const rig = await makeRig(journal);
    const { service, filter } = rig;
    const opens = Array.from({ length: 40 }, (_, at) => ({ op: "open", spec: audio(5000 + at, 1) }) as const);
    const { results } = await service.apply(ALICE, opens);
    const later = Array.from({ length: 2 }, (_, at) => ({ op: "open", spec: audio(7000 + at, 2) }) as const);
    await service.apply(ALICE, later);
    filter.keptPort = 5017;
    const pass = async (ms: number): Promise<string[]> => {
      rig.clock = { now: rig.clock.now + ms, wall: rig.clock.wall + ms };
      await service.apply(BOB, [{ op: "renew", id: own, lifetime: 60 }]);
      return filter.keys.map((key) => key.slice(-4));
    };
    const own = (await service.apply(BOB, [{ op: "open", spec: audio(8000) }])).results[0]?.id ?? "";
    assert.deepEqual(await pass(1000), ["7000", "7001", "8000", "5017"].sort());
    assert.equal(service.status.counters.expiryFailures, 1);
    assert.ok(filter.endings <= 2 * 7, `${filter.endings} tries to find one of 40`);
    assert.equal([...journal.load().pinholes].length, 4, "and the disk knows it");
    const { endings } = filter;
    await pass(RETRY_FIRST_MS - 1);
    assert.equal(filter.endings, endings, "it is not tried again at once");
    assert.deepEqual(await pass(1000), ["5017", "8000"], "what is due later ends");
    assert.equal(filter.endings, endings + 3, "together with it, and then each alone");
    filter.keptPort = 0;
    await service.apply(ALICE, [{ op: "close", id: results[17]?.id ?? "" }]);
    const before = filter.endings;
    await pass(RETRY_LONGEST_MS);
    assert.equal(filter.endings, before, "it has ended, and nothing is tried any more");
  });

  it("hold no commit up: they are found some tries at a time, and what is closed meanwhile is over", async () => {
    const rig = await makeRig();
    const { service, filter, events } = rig;
    const opens = Array.from(
      { length: 1000 },
      (_, at) => ({ op: "open", spec: audio(5000 + at, 1) }) as const,
    );
    const { results } = await service.apply(ALICE, opens);
    filter.keepsAll = true;
    rig.clock = { now: rig.clock.now + 1000, wall: rig.clock.wall + 1000 };
    const tries: number[] = [];
    for (let port = 6000; filter.endings < 2000 - 1; port += 1) {
      const before = filter.endings;
      await service.apply(BOB, [{ op: "open", spec: audio(port) }]);
      tries.push(filter.endings - before);
      if (port === 6001) {
        const closing = { op: "close", id: results[999]?.id ?? "" } as const;
        await service.apply(ALICE, [closing, { op: "open", spec: audio(4999) }]);
      }
      assert.ok(tries.length < 2000, "all of them are tried");
      if (service.status.counters.expiryFailures > 0) break;
    }
    assert.ok(
      tries.length > 100 && Math.max(...tries) <= 16,
      `${tries.length} turns, ${Math.max(...tries)} tries`,
    );
    filter.keepsAll = false;
    rig.clock = { now: rig.clock.now + RETRY_LONGEST_MS, wall: rig.clock.wall + RETRY_LONGEST_MS };
    // What was tried several times stands in the queue as often, and takes another turn.
    for (let port = 4990; port < 4995; port += 1) {
      await service.apply(BOB, [{ op: "open", spec: audio(port) }]);
    }
    const ended = events.filter(({ type }) => type === "pinhole.ended");
    assert.equal(new Set(ended.map(({ pinhole }) => pinhole?.id)).size, 1000);
    assert.equal(ended.length, 1000, "each ends once");
  });

  it("are tried again later and later, and are told of until they end", async () => {
    const rig = await makeRig();
    const { service, filter, events } = rig;
    await service.apply(ALICE, [{ op: "open", spec: audio(5004, 1) }]);
    filter.keepsAll = true;
    const pass = async (ms: number): Promise<void> => {
      rig.clock = { now: rig.clock.now + ms, wall: rig.clock.wall + ms };
      // Each of them is an occasion to end what is overdue.
      for (let port = 0; port < 3; port += 1) {
        await service.apply(BOB, [{ op: "open", spec: audio(6000 + port) }]);
      }
    };
    await pass(1000);
    assert.equal(filter.endings, 1);
    await delay(2 * RETRY_FIRST_MS);
    assert.equal(filter.endings, 1, "nothing is tried while the clock stands still");
    let waitMs = RETRY_FIRST_MS;
    const waits: number[] = [];
    for (let tries = 2; tries <= 10; tries += 1) {
      await pass(waitMs - 1);
      assert.equal(filter.endings, tries - 1, `not before ${waitMs} ms`);
      await pass(1);
      assert.equal(filter.endings, tries);
      waits.push(waitMs);
      waitMs = Math.min(2 * waitMs, RETRY_LONGEST_MS);
    }
    assert.deepEqual(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    assert.equal(service.status.counters.expiryFailures, 10);
    assert.ok(service.status.isDegraded, "although everything else works");
    assert.match(service.status.reason, /It keeps what it has/);
    filter.keepsAll = false;
    await pass(RETRY_LONGEST_MS);
    assert.equal(service.status.isDegraded, false);
    const told = events.filter(({ type }) => type.startsWith("backend.") || type === "pinhole.ended");
    assert.deepEqual(
      told.map(({ type }) => type),
      ["backend.degraded", "pinhole.ended", "backend.recovered"],
    );
  });
});

/** The next rejection that nobody handles. */
function nextStrayError(): Promise<unknown> {
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  return new Promise((resolve) => {
    process.once("unhandledRejection", (error) => {
      for (const listener of others) process.on("unhandledRejection", listener);
      resolve(error);
    });
  });
}

describe("a bug", () => {
  it("that no commit waits for is not met again each second unseen: it goes as far as bugs go", async () => {
    const rig = await makeRig();
    const { service, filter } = rig;
    await service.apply(ALICE, [{ op: "open", spec: audio(5004, 1) }]);
    const stray = nextStrayError();
    filter.commit = () => Promise.reject(new TypeError("a bug"));
    rig.clock = { now: rig.clock.now + 1000, wall: rig.clock.wall + 1000 };
    // The loop's own timer keeps no process alive.
    const patience = new AbortController();
    const { signal } = patience;
    const heard = await Promise.race([stray, delay(PATIENCE_MS, "nothing", { signal })]);
    assert.match(String(heard), /a bug/);
    patience.abort();
  });
});
