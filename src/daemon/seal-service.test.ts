import assert from "node:assert/strict";
import { test } from "node:test";
import { FirewallError } from "../base/index.ts";
import { SEAL_GENERATIONS, SealMarks } from "../netlink/index.ts";
import { sealedKeys, SealService } from "./seal-service.ts";

const MARKS = new SealMarks(0xff);

/** A service whose kernel refuses as long as it is told to. */
function open() {
  const world = {
    told: [] as string[],
    logged: [] as string[],
    refuses: false,
    renewed: [] as number[],
    cleared: 0,
    replaced: () => undefined as void,
  };
  const log = (message: string): void => void world.logged.push(message);
  const service = new SealService({
    marks: MARKS,
    log: { error: log, warning: log },
    clear: () => {
      world.cleared += 1;
    },
    pool: {
      onReplaced: (tell) => {
        world.replaced = tell;
      },
      tellAll: (method) => {
        world.told.push(method);
        return Promise.resolve();
      },
    },
    rules: {
      renewSeals: (generation) => {
        if (world.refuses) throw new FirewallError("NFTABLES_REFUSED", "no such table");
        world.renewed.push(generation);
      },
    },
  });
  return { world, service };
}

test("seals are held, renewed and taken back before workers seal again, also when the reason fails", async () => {
  const { world, service } = open();
  const during = (): void => {
    world.told.push("during");
    throw new Error("worker out of memory");
  };
  await assert.rejects(service.renew(during), /out of memory/);
  assert.deepEqual(world.told, ["holdSeals", "during", "takeBack", "resumeSeals"]);
  assert.equal(service.generation, 2);
});

test("a kernel that refuses a generation keeps its seals, and workers keep them in mind", async () => {
  const { world, service } = open();
  world.refuses = true;
  await assert.rejects(service.renew(), /no such table/);
  assert.deepEqual(world.told, ["holdSeals", "resumeSeals"]);
  assert.equal(service.generation, 1);
});

test("a refused renewal does not stand in the way of the next", async () => {
  const { world, service } = open();
  world.refuses = true;
  await assert.rejects(service.renewSoon(), /no such table/);
  world.refuses = false;
  await service.renewSoon();
  assert.deepEqual(world.renewed, [2]);
});

test("requests that come before a renewal begins are one", async () => {
  const { world, service } = open();
  await Promise.all([service.renewSoon(), service.renewSoon()]);
  assert.deepEqual(world.renewed, [2]);
});

test("a renewal that is refused after a worker was started anew is logged, and ends nothing", async () => {
  const { world, service } = open();
  await service.start();
  world.refuses = true;
  // A rejection that nobody handles would fail this test.
  world.replaced();
  await assert.rejects(service.renewSoon(), /no such table/);
  await new Promise((resolve) => setImmediate(resolve));
  assert.match(world.logged.join("\n"), /no such table/);
});

test("the kernel's table is gone through once for all generations, and not at each renewal", async () => {
  const { world, service } = open();
  const stale = new Set([service.generation]);
  for (let at = 0; at < 5 * SEAL_GENERATIONS; at += 1) {
    const clearedBefore = world.cleared;
    world.refuses = at % 7 === 0;
    await service.renew().catch(() => undefined);
    if (world.cleared > clearedBefore) stale.clear();
    const next = world.renewed.at(-1) ?? 0;
    if (!world.refuses) assert.ok(!stale.has(next), `generation ${next} still stands in marks`);
    stale.add(service.generation);
  }
  assert.ok(world.cleared >= 3 && world.cleared <= 6, `${world.cleared}`);
});

test("a list under which the table changed is begun again, and not for ever", () => {
  let begun = 0;
  const list = (whole: number) => ({
    get interrupted() {
      return begun < whole;
    },
    begin: () => {
      begun += 1;
    },
    readAll: () => undefined,
  });
  assert.deepEqual(sealedKeys(list(3), MARKS), []);
  assert.equal(begun, 3);
  begun = 0;
  assert.throws(() => sealedKeys(list(Number.POSITIVE_INFINITY), MARKS), { code: "CONNTRACK_INTERRUPTED" });
});

test("a stop goes on when marks cannot be taken away", () => {
  const { world } = open();
  const log = (message: string): void => void world.logged.push(message);
  const service = new SealService({
    marks: MARKS,
    log: { error: log, warning: log },
    clear: () => {
      throw new FirewallError("NETLINK_REFUSED", "out of memory");
    },
    pool: { onReplaced: () => undefined, tellAll: () => Promise.resolve() },
    rules: { renewSeals: () => undefined },
  });
  service.close();
  assert.match(world.logged.join("\n"), /out of memory/);
});

test("a renewal that the kernel refuses is tried again later and later until it works, and then no more", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { world, service } = open();
  const tries = (): number => world.told.filter((method) => method === "holdSeals").length;
  const pass = async (ms: number): Promise<number> => {
    t.mock.timers.tick(ms);
    await service.renew().catch(() => undefined);
    return tries();
  };
  world.refuses = true;
  await assert.rejects(service.renewSoon(), /no such table/);
  const waits: number[] = [];
  for (let waitMs = 1000; waits.length < 8; waitMs = Math.min(60_000, 2 * waitMs)) {
    const before = tries();
    assert.equal(await pass(waitMs - 1), before + 1, "only who asks");
    assert.equal(await pass(1), before + 3, "one more by itself");
    waits.push(waitMs);
  }
  assert.equal(waits.at(-1), 60_000);
  world.refuses = false;
  t.mock.timers.tick(60_000);
  await service.renew();
  assert.match(world.logged.at(-1) ?? "", /are void now/);
  const before = tries();
  t.mock.timers.tick(200_000);
  await service.renew();
  assert.equal(tries(), before + 1);
});

test("a renewal for a reason of one's own that is refused is not tried again: the reason did not take place", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { world, service } = open();
  world.refuses = true;
  await assert.rejects(service.renew(), /no such table/);
  t.mock.timers.tick(200_000);
  await service.renew().catch(() => undefined);
  assert.equal(world.told.filter((method) => method === "holdSeals").length, 2);
});
