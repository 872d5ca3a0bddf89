/** Address tables as commands and reloads see them, without a kernel. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { defaultLimits } from "../base/index.ts";
import { EntryList, formatEntry } from "../tables/index.ts";
import { compileValid } from "../testing/policy-probe.ts";
import { filledMemory, PolicyInvalidError } from "./index.ts";
import { type PreparedTables, TableRegistry } from "./table-registry.ts";
import { TableService } from "./table-service.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-tables-"));
after(() => rmSync(folder, { recursive: true }));

/** A registry, its service, and policies that declare tables. */
class Desk {
  readonly registry = new TableRegistry(defaultLimits());
  readonly service = new TableService(this.registry);
  #memory = {};

  constructor(tables: object = {}) {
    after(() => this.registry.close());
    this.reload(tables);
  }

  /** Puts a policy with these tables in force. */
  reload(tables: object): void {
    const prepared = this.prepare(tables);
    this.#memory = prepared.memory;
    prepared.commit();
  }

  /** Prepares a policy with these tables. */
  prepare(tables: object, settings: object = {}): PreparedTables {
    const policy = compileValid({ settings: { ...settings, tables } }, { file: join(folder, "policy.json") });
    return this.registry.prepare(policy, this.#memory);
  }

  /** Entries of a table as text. */
  shown(name: string): string[] {
    return [...this.service.show(name)].map(({ address, negated }) => `${negated ? "!" : ""}${address}`);
  }

  names(): string[] {
    return this.service.list().map(({ name }) => name);
  }
}

function writeFile(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
}

describe("py-pf's scenarios", () => {
  test("tables are added", async () => {
    const desk = new Desk();
    const made = await desk.service.create({ name: "spammers", capacity: 100, counters: true });
    assert.deepEqual(
      [made.name, made.entries, made.capacity, made.counters, made.declared],
      ["spammers", 0, 100, true, false],
    );
    await assert.rejects(desk.service.create({ name: "spammers" }), { code: "TABLE_EXISTS" });
    await assert.rejects(desk.service.create({ name: "9" }), { code: "TABLE_NAME" });
    desk.registry.tablesLimit = 1;
    await assert.rejects(desk.service.create({ name: "more" }), { code: "TABLE_LIMIT" });
  });

  test("tables are cleared", async () => {
    const desk = new Desk({ some: { addresses: ["10.0.0.0/8", "::1"] } });
    assert.equal((await desk.service.clear("some")).deleted, 2);
    assert.deepEqual(desk.shown("some"), []);
  });

  test("tables are deleted, those of the policy by the policy alone", async () => {
    const desk = new Desk({ declared: {} });
    await desk.service.create({ name: "made" });
    await desk.service.add("made", { addresses: ["10.0.0.1"] });
    assert.equal((await desk.service.remove("made")).deleted, 1);
    assert.deepEqual(desk.names(), ["declared"]);
    await assert.rejects(desk.service.remove("declared"), { code: "TABLE_DECLARED" });
    await assert.rejects(desk.service.remove("made"), { code: "TABLE_UNKNOWN" });
  });

  test("addresses are tested", () => {
    const desk = new Desk({ some: { addresses: ["10.0.0.0/8", "!10.1.0.0/16", "2001:db8::/32"] } });
    assert.deepEqual(desk.service.test("some", ["10.2.3.4", "10.1.2.3", "192.0.2.1", "2001:db8::5"]), [
      { address: "10.2.3.4", matches: true, entry: "10.0.0.0/8" },
      { address: "10.1.2.3", matches: false, entry: "!10.1.0.0/16" },
      { address: "192.0.2.1", matches: false },
      { address: "2001:db8::5", matches: true, entry: "2001:db8::/32" },
    ]);
    assert.equal(desk.service.list()[0]?.statistics.match, 0, "testing counts nothing");
  });

  test("addresses are added", async () => {
    const desk = new Desk({ some: { addresses: ["!10.0.0.2"], capacity: 3 } });
    const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.1/32", "2001:db8::1/64"];
    assert.deepEqual(await desk.service.add("some", { addresses, verbose: true }), {
      added: 2,
      deleted: 0,
      changed: 0,
      conflicts: 1,
      outcomes: ["added", "conflict", "duplicate", "added"],
    });
    assert.deepEqual(desk.shown("some"), ["10.0.0.1", "!10.0.0.2", "2001:db8::/64"]);
    await assert.rejects(desk.service.add("some", { addresses: ["10.0.0.9"] }), { code: "TABLE_FULL" });
    await assert.rejects(desk.service.add("some", { addresses: ["10.0.0.256"] }), { code: "TABLE_ENTRY" });
  });

  test("all addresses are cleared", async () => {
    const desk = new Desk({ some: { addresses: ["10.0.0.1", "!10.0.0.2"] } });
    assert.deepEqual(await desk.service.clear("some"), { added: 0, deleted: 2, changed: 0, conflicts: 0 });
    assert.equal((await desk.service.clear("some")).deleted, 0);
  });

  test("addresses are deleted: exactly that prefix and that sign", async () => {
    const desk = new Desk({ some: { addresses: ["10.0.0.0/8", "10.0.0.0/16", "!10.0.0.1"] } });
    const addresses = ["10.0.0.0/8", "10.0.0.1", "10.9.0.0/16"];
    assert.deepEqual(await desk.service.delete("some", { addresses, verbose: true }), {
      added: 0,
      deleted: 1,
      changed: 0,
      conflicts: 1,
      outcomes: ["deleted", "conflict", "none"],
    });
    assert.deepEqual(desk.shown("some"), ["10.0.0.0/16", "!10.0.0.1"]);
  });

  test("addresses are set: added, deleted and changed are told apart", async () => {
    const desk = new Desk({ some: { addresses: ["10.0.0.1", "10.0.0.2", "!10.0.0.3"] } });
    const addresses = ["10.0.0.1", "!10.0.0.2", "10.0.0.4", "10.0.0.5"];
    assert.deepEqual(await desk.service.set("some", { addresses }), {
      added: 2,
      deleted: 1,
      changed: 1,
      conflicts: 0,
    });
    assert.deepEqual(desk.shown("some"), ["10.0.0.1", "!10.0.0.2", "10.0.0.4", "10.0.0.5"]);
  });

  test("statistics are read and cleared", async () => {
    const desk = new Desk({ some: { addresses: ["10.0.0.0/8"], counters: true } });
    const table = desk.registry.get("some");
    const address = Uint32Array.of(0, 0, 0xffff, 0x0a00_0001);
    assert.equal(table.contains(4, address, { now: 1 }), true);
    table.count(table.find(4, address, { now: 1 }), 0, false, 100);
    const [report] = desk.service.list();
    assert.deepEqual(report?.statistics.in.block, { packets: 1, bytes: 100 });
    assert.equal(report?.statistics.match, 1);
    const [entry] = desk.service.show("some");
    assert.deepEqual(entry?.statistics?.in.block, { packets: 1, bytes: 100 });
    const cleared = await desk.service.zero("some");
    assert.deepEqual([cleared.statistics.match, cleared.statistics.in.block.packets], [0, 0]);
    assert.equal([...desk.service.show("some")][0]?.statistics?.in.block.packets, 0);
  });
});

test("entries end by themselves when they are told to", async () => {
  const desk = new Desk({ some: {} });
  await desk.service.add("some", { addresses: ["10.0.0.1"], lifetimeSeconds: 0.02 });
  await desk.service.add("some", { addresses: ["10.0.0.2"], lifetimeSeconds: 100 });
  assert.equal([...desk.service.show("some")].at(-1)?.expiresInSeconds, 100);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual(desk.shown("some"), ["10.0.0.2"]);
  assert.deepEqual(desk.service.test("some", ["10.0.0.1"]), [{ address: "10.0.0.1", matches: false }]);
});

test("entries older than a time are deleted", async () => {
  const desk = new Desk({ some: { addresses: ["10.0.0.1"] } });
  assert.equal((await desk.service.expire("some", 60)).deleted, 0);
  assert.equal((await desk.service.expire("some", 0)).deleted, 1);
});

test("a table that the policy declares as const is not changed by commands", async () => {
  const desk = new Desk({ some: { addresses: ["10.0.0.1"], const: true } });
  const addresses = ["10.0.0.2"];
  for (const refused of [
    desk.service.add("some", { addresses }),
    desk.service.delete("some", { addresses }),
    desk.service.set("some", { addresses }),
    desk.service.clear("some"),
    desk.service.expire("some", 0),
  ]) {
    await assert.rejects(refused, { code: "TABLE_CONST" });
  }
  assert.equal((await desk.service.zero("some")).entries, 1, "its counters may be cleared");
});

describe("another policy", () => {
  const kept = { addresses: ["10.0.0.1"], file: "kept.txt" };

  test("a table whose declaration and file are the same keeps what commands have changed", async () => {
    writeFile("kept.txt", "10.0.0.2\n");
    const desk = new Desk({ kept });
    await desk.service.add("kept", { addresses: ["10.0.0.3"] });
    await desk.service.delete("kept", { addresses: ["10.0.0.1"] });
    desk.registry.get("kept").contains(4, Uint32Array.of(0, 0, 0xffff, 1), { now: 1 });
    desk.reload({ other: {}, kept: { ...kept, const: true } });
    assert.deepEqual(desk.shown("kept"), ["10.0.0.2", "10.0.0.3"]);
    assert.equal(desk.service.list()[0]?.statistics.noMatch, 1, "and its counters");
  });

  test("a table whose file has changed is set to what it declares", async () => {
    writeFile("kept.txt", "10.0.0.2\n");
    const desk = new Desk({ kept });
    await desk.service.add("kept", { addresses: ["10.0.0.3"] });
    writeFile("kept.txt", "10.0.0.4\n");
    desk.reload({ kept });
    assert.deepEqual(desk.shown("kept"), ["10.0.0.1", "10.0.0.4"]);
  });

  test("a table of another size takes its entries and their deadlines along", async () => {
    const desk = new Desk({ some: { addresses: ["10.0.0.1"] } });
    await desk.service.add("some", { addresses: ["10.0.0.2"], lifetimeSeconds: 100 });
    desk.reload({ some: { addresses: ["10.0.0.1"], counters: true, capacity: 10 } });
    assert.deepEqual(desk.shown("some"), ["10.0.0.1", "10.0.0.2"]);
    assert.equal([...desk.service.show("some")][1]?.expiresInSeconds, 100);
    assert.throws(() => desk.prepare({ some: { addresses: ["10.0.0.1"], capacity: 1 } }), PolicyInvalidError);
    assert.deepEqual(desk.service.list()[0]?.capacity, 10, "a refusal changes nothing");
  });

  test("a table that is no longer declared is gone, one that a command made stays", async () => {
    const desk = new Desk({ declared: {} });
    await desk.service.create({ name: "made" });
    desk.reload({});
    assert.deepEqual(desk.names(), ["made"]);
  });

  test("a declaration takes over a table that a command made", async () => {
    const desk = new Desk();
    await desk.service.create({ name: "some" });
    await desk.service.add("some", { addresses: ["10.0.0.1"] });
    desk.reload({ some: {} });
    assert.deepEqual(desk.shown("some"), ["10.0.0.1"]);
    assert.equal(desk.service.list()[0]?.declared, true);
    desk.reload({ some: { addresses: ["10.0.0.2"] } });
    assert.deepEqual(desk.shown("some"), ["10.0.0.2"]);
  });

  test("one that is refused after all leaves no trace; commands wait until it is decided", async () => {
    const desk = new Desk({ some: { addresses: ["10.0.0.1"] } });
    const prepared = desk.prepare({ some: { addresses: ["10.0.0.2"] }, more: {} });
    let done = false;
    const added = desk.service.add("some", { addresses: ["10.0.0.3"] }).then(() => {
      done = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(done, false);
    prepared.rollback();
    await added;
    assert.deepEqual(desk.names(), ["some"]);
    assert.deepEqual(desk.shown("some"), ["10.0.0.1", "10.0.0.3"]);
  });

  test("files that cannot be read, and lines that are no entries, are named together", () => {
    writeFile("bad.txt", "10.0.0.1\nnonsense\n");
    const desk = new Desk({ some: {} });
    assert.throws(
      () => desk.prepare({ a: { file: "missing.txt" }, b: { file: "bad.txt" } }),
      (error: unknown) => {
        assert.ok(error instanceof PolicyInvalidError);
        assert.deepEqual(
          error.problems.map(({ code, file, line }) => `${code} ${file.replace(folder, "")} ${line}`),
          ["table-unreadable /policy.json 4", "table-entry /bad.txt 2"],
        );
        return true;
      },
    );
    assert.deepEqual(desk.names(), ["some"]);
  });
});

test("commands without a running firewall see tables filled from their files", () => {
  writeFile("offline.txt", "2001:db8::/32 # documentation\n");
  const tables = { some: { addresses: ["!10.0.0.1"], file: "offline.txt" } };
  const policy = compileValid({ settings: { tables } }, { file: join(folder, "policy.json") });
  const [table] = policy.attachTables(filledMemory(policy));
  assert.deepEqual(table?.show().map(formatEntry), ["!10.0.0.1", "2001:db8::/32"]);
});

test("a list of a table leaves out what is deleted while it is read", async () => {
  const desk = new Desk({ some: { addresses: ["10.0.0.1", "10.0.0.2", "10.0.0.3"] } });
  const list = desk.service.show("some")[Symbol.iterator]();
  assert.equal(list.next().value?.address, "10.0.0.1");
  desk.registry.get("some").delete(EntryList.of(["10.0.0.2"]));
  assert.equal(list.next().value?.address, "10.0.0.3");
  assert.equal(list.next().done, true);
});

test("a list of tables reads what is counted elsewhere once", async () => {
  const { registry } = new Desk({ one: {}, two: {}, three: {} });
  let reads = 0;
  const service = new TableService(registry, {
    readStatistics: () => {
      reads += 1;
      return ({ statistics }) => ({ ...statistics, match: 7 });
    },
  });
  assert.deepEqual(
    service.list().map(({ statistics }) => statistics.match),
    [7, 7, 7],
  );
  assert.equal(reads, 1);
  assert.equal((await service.zero("one")).statistics.match, 7);
});
