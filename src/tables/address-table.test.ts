import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FirewallError, parseAddress } from "../base/index.ts";
import { AddressTable, ATOMIC_CHANGES, EntryList, formatEntry, OUTCOME, TableSet } from "./index.ts";

function tableOf(...entries: string[]): AddressTable {
  const table = AddressTable.create({ name: "test", capacity: 1000, counters: true });
  table.add(EntryList.of(entries), 0);
  return table;
}

function has(table: AddressTable, text: string, now = 1): boolean {
  const address = parseAddress(text);
  assert.ok(address, text);
  return table.contains(address.family, address.words, { now });
}

function shown(table: AddressTable): string[] {
  return table.show().map(formatEntry);
}

describe("address table: what is in it", () => {
  // Each row: entries, then addresses in the table, then addresses not in it.
  const rows: readonly [string, string[], string[], string[]][] = [
    ["empty", [], [], ["0.0.0.0", "::", "255.255.255.255"]],
    ["one host", ["192.0.2.1"], ["192.0.2.1"], ["192.0.2.0", "192.0.2.2", "::ffff:192.0.2.1"]],
    ["a network", ["10.0.0.0/8"], ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]],
    ["everything IPv4", ["0.0.0.0/0"], ["0.0.0.0", "255.255.255.255"], ["::", "::ffff:1.2.3.4"]],
    ["everything IPv6", ["::/0"], ["::", "ffff::", "::ffff:1.2.3.4"], ["1.2.3.4"]],
    [
      "a hole, and an island in it",
      ["10.0.0.0/8", "!10.1.0.0/16", "10.1.2.3"],
      ["10.0.0.1", "10.1.2.3", "10.2.0.0"],
      ["10.1.0.0", "10.1.2.2", "10.1.2.4", "10.1.255.255"],
    ],
    ["negated alone", ["!10.0.0.0/8"], [], ["10.0.0.1", "11.0.0.1"]],
    [
      "four lengths that end in one nibble",
      ["192.0.2.0/24", "!192.0.2.0/25", "192.0.2.0/26", "!192.0.2.0/27", "192.0.2.0/28"],
      ["192.0.2.0", "192.0.2.15", "192.0.2.32", "192.0.2.128", "192.0.2.255"],
      ["192.0.2.16", "192.0.2.31", "192.0.2.64", "192.0.2.127"],
    ],
    [
      "IPv6",
      ["2001:db8::/32", "!2001:db8:1::/48", "2001:db8:1::1"],
      ["2001:db8::", "2001:db8:2::", "2001:db8:1::1"],
      ["2001:db8:1::", "2001:db8:1::2", "2001:db9::"],
    ],
  ];
  for (const [name, entries, inside, outside] of rows) {
    it(name, () => {
      const table = tableOf(...entries);
      for (const text of inside) assert.equal(has(table, text), true, `${text} should be in the table`);
      for (const text of outside) assert.equal(has(table, text), false, `${text} should not be in the table`);
      table.clear();
      for (const text of inside) assert.equal(has(table, text), false, `${text} after clear`);
    });
  }

  it("ignores host bits of an entry", () => {
    assert.deepEqual(shown(tableOf("10.1.2.3/8")), ["10.0.0.0/8"]);
  });
});

describe("address table: pf's requests", () => {
  it("adds: counts what is added, not what is there, named twice or in conflict", () => {
    const table = tableOf("192.0.2.1", "!192.0.2.2");
    const change = table.add(EntryList.of(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"]), 0);
    assert.equal(change.added, 1);
    assert.deepEqual(
      [...change.outcomes],
      [OUTCOME.NONE, OUTCOME.CONFLICT, OUTCOME.ADDED, OUTCOME.DUPLICATE],
    );
    assert.deepEqual(shown(table), ["192.0.2.1", "!192.0.2.2", "192.0.2.3"]);
  });

  it("deletes: exactly the prefix and sign that was named", () => {
    const table = tableOf("10.0.0.0/8", "10.0.0.0/16", "!10.0.0.1");
    const change = table.delete(EntryList.of(["10.0.0.0/8", "10.0.0.1", "10.0.0.0/24", "10.0.0.0/8"]));
    assert.equal(change.deleted, 1);
    assert.deepEqual(
      [...change.outcomes],
      [OUTCOME.DELETED, OUTCOME.CONFLICT, OUTCOME.NONE, OUTCOME.DUPLICATE],
    );
    assert.deepEqual(shown(table), ["10.0.0.0/16", "!10.0.0.1"]);
  });

  it("sets: returns added, deleted and changed", () => {
    const table = tableOf("192.0.2.1", "192.0.2.2", "192.0.2.3");
    const { added, deleted, changed } = table.set(
      EntryList.of(["192.0.2.2", "!192.0.2.3", "2001:db8::1"]),
      0,
    );
    assert.deepEqual({ added, deleted, changed }, { added: 1, deleted: 1, changed: 1 });
    assert.deepEqual(shown(table), ["192.0.2.2", "!192.0.2.3", "2001:db8::1"]);
    assert.deepEqual(table.set(table.list(), 0), {
      added: 0,
      deleted: 0,
      changed: 0,
      outcomes: new Uint8Array(3),
    });
  });

  it("sets a full table to as many other entries", () => {
    const table = AddressTable.create({ name: "full", capacity: 2 });
    table.add(EntryList.of(["192.0.2.1", "192.0.2.2"]), 0);
    assert.equal(table.set(EntryList.of(["192.0.2.3", "192.0.2.4"]), 0).added, 2);
    assert.deepEqual(shown(table), ["192.0.2.3", "192.0.2.4"]);
  });

  it("clears and says how many there were", () => {
    const table = tableOf("192.0.2.1", "::1", "10.0.0.0/8");
    assert.equal(table.clear(), 3);
    assert.equal(table.size, 0);
    assert.deepEqual(shown(table), []);
  });

  it("shows IPv4 first, by address, short before long", () => {
    const texts = ["::1", "10.0.0.0/8", "10.0.0.0/16", "9.0.0.0/8", "::/0"];
    assert.deepEqual(shown(tableOf(...texts)), ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "::/0", "::1"]);
  });

  it("tests addresses without counting", () => {
    const table = tableOf("10.0.0.0/8", "!10.1.0.0/16");
    assert.deepEqual(table.test(EntryList.of(["10.0.0.1", "10.1.0.1", "::1"]), 1), [true, false, false]);
    assert.equal(table.statistics.match, 0);
  });

  it("refuses as a whole what does not fit", () => {
    const table = AddressTable.create({ name: "small", capacity: 3 });
    table.add(EntryList.of(["192.0.2.1", "192.0.2.2"]), 0);
    assert.throws(
      () => table.add(EntryList.of(["192.0.2.3", "192.0.2.4"]), 0),
      (error: unknown) => error instanceof FirewallError && error.code === "TABLE_FULL",
    );
    assert.equal(table.size, 2);
    table.add(EntryList.of(["192.0.2.1", "192.0.2.3", "192.0.2.3"]), 0);
    assert.equal(table.size, 3);
  });
});

describe("address table: counters", () => {
  it("counts per entry and per table as pf does", () => {
    const table = tableOf("192.0.2.0/24", "!192.0.2.9");
    const entry = (text: string): number =>
      table.find(4, parseAddress(text)?.words ?? new Uint32Array(4), { now: 1 });
    table.count(entry("192.0.2.1"), 0, true, 100);
    table.count(entry("192.0.2.1"), 1, true, 40);
    table.count(entry("192.0.2.2"), 0, false, 60);
    table.count(entry("198.51.100.1"), 0, false, 7);
    table.count(entry("192.0.2.9"), 1, true, 9);
    const network = table.show()[0]?.statistics;
    assert.deepEqual(network, {
      in: { block: { packets: 1, bytes: 60 }, pass: { packets: 1, bytes: 100 } },
      out: { block: { packets: 0, bytes: 0 }, pass: { packets: 1, bytes: 40 } },
    });
    assert.deepEqual(table.statistics.in.block, { packets: 2, bytes: 67 });
    assert.deepEqual(table.statistics.out.xpass, { packets: 1, bytes: 9 });
    table.clearStatistics(500);
    assert.equal(table.statistics.in.block.packets, 0);
    assert.equal(table.show()[0]?.statistics?.in.pass.bytes, 0);
    assert.equal(table.show()[0]?.since, 500);
  });

  it("counts beyond 32 bits", () => {
    const table = tableOf("192.0.2.1");
    for (let packet = 0; packet < 10; packet += 1) table.count(0, 0, true, 0xffff_ffff);
    assert.equal(table.statistics.in.pass.bytes, 10 * 0xffff_ffff);
  });

  it("counts look-ups that match and that do not", () => {
    const table = tableOf("192.0.2.1");
    has(table, "192.0.2.1");
    has(table, "192.0.2.2");
    has(table, "192.0.2.2");
    assert.equal(table.statistics.match, 1);
    assert.equal(table.statistics.noMatch, 2);
  });
});

describe("address table: expiry", () => {
  it("does not find an entry past its deadline, and deletes it when asked", () => {
    const table = AddressTable.create({ name: "short", capacity: 100 });
    table.add(EntryList.of(["10.0.0.0/8"]), 1000);
    table.add(EntryList.of(["!10.0.0.1"]), 1000, 5000);
    assert.equal(has(table, "10.0.0.1", 5999), false);
    assert.equal(has(table, "10.0.0.1", 6000), true, "the longer entry has ended, the shorter one decides");
    assert.equal(table.expire(5999), 0);
    assert.equal(table.expire(6000), 1);
    assert.equal(table.size, 1);
  });

  it("prolongs an entry that is added again", () => {
    const table = AddressTable.create({ name: "again", capacity: 100 });
    table.add(EntryList.of(["192.0.2.1"]), 0, 1000);
    assert.equal(table.add(EntryList.of(["192.0.2.1"]), 900, 1000).added, 0);
    assert.equal(table.expire(1000), 0);
    assert.equal(has(table, "192.0.2.1", 1899), true);
    assert.equal(table.expire(1900), 1);
  });

  it("keeps deadlines many turns of the wheel ahead, and finds all when it slept", () => {
    const table = AddressTable.create({ name: "far", capacity: 100 });
    table.add(EntryList.of(["192.0.2.1"]), 0, 1000);
    table.add(EntryList.of(["192.0.2.2"]), 0, 5_000_000);
    table.add(EntryList.of(["192.0.2.3"]), 0, 9_000_000);
    for (let now = 0; now < 2_000_000; now += 700) table.expire(now);
    assert.deepEqual(shown(table), ["192.0.2.2", "192.0.2.3"]);
    assert.equal(table.expire(8_000_000), 1);
    assert.equal(table.expire(9_000_000), 1);
  });

  it("deletes what was not used for a time, as pfctl -T expire", () => {
    const table = AddressTable.create({ name: "idle", capacity: 100 });
    table.add(EntryList.of(["192.0.2.1"]), 0);
    table.add(EntryList.of(["192.0.2.2"]), 5000);
    assert.equal(table.expireOlder(6000, 7000), 1);
    assert.deepEqual(shown(table), ["192.0.2.2"]);
  });
});

describe("address table: more than one step", () => {
  it("adds and removes many times what one step changes", () => {
    const table = AddressTable.create({ name: "steps", capacity: 10 * ATOMIC_CHANGES });
    const list = new EntryList();
    for (let at = 0; at < 5 * ATOMIC_CHANGES + 3; at += 1) {
      list.push(4, Uint32Array.of(0, 0, 0xffff, at * 7919), 32);
    }
    assert.equal(table.add(list, 0).added, list.length);
    assert.equal(table.delete(list).deleted, list.length);
    assert.equal(table.size, 0);
  });
});

describe("table set", () => {
  it("makes each table once, lists them by name, deletes them", () => {
    const tables = new TableSet();
    assert.equal(tables.create({ name: "b", capacity: 10 }).created, true);
    assert.equal(tables.create({ name: "a", capacity: 10 }).created, true);
    assert.equal(tables.create({ name: "b", capacity: 10 }).created, false);
    assert.deepEqual(
      tables.list().map((table) => table.name),
      ["a", "b"],
    );
    assert.equal(tables.delete("a"), true);
    assert.equal(tables.delete("a"), false);
  });

  it("names what is wrong", () => {
    const tables = new TableSet(1);
    tables.create({ name: "only", capacity: 10 });
    const code = (act: () => unknown): string => {
      try {
        act();
      } catch (error) {
        if (error instanceof FirewallError) return error.code;
      }
      return "";
    };
    assert.equal(
      code(() => tables.create({ name: "more" })),
      "TABLE_LIMIT",
    );
    assert.equal(
      code(() => tables.create({ name: "9x" })),
      "TABLE_NAME",
    );
    assert.equal(
      code(() => tables.get("absent")),
      "TABLE_UNKNOWN",
    );
    assert.equal(
      code(() => AddressTable.create({ name: "huge", capacity: 1e12 })),
      "TABLE_CAPACITY",
    );
  });
});

describe("address table: lists made bit by bit", () => {
  it("numbers its entries in the order of show, and knows when one is gone", () => {
    const table = tableOf("2001:db8::/32", "10.0.0.0/8", "!10.1.0.0/16", "192.0.2.1");
    const order = table.order();
    const entries = [...order].map((entry) => table.entry(entry));
    assert.deepEqual(entries, table.show());
    table.delete(EntryList.of(["10.0.0.0/8"]));
    assert.equal(table.entry(order[0] ?? -1), undefined);
    assert.equal(table.entry(order[1] ?? -1)?.negated, true);
  });

  it("appends one list to another", () => {
    const list = EntryList.of(["10.0.0.0/8"]);
    list.append(EntryList.of(["!10.1.0.0/16", "::1"]));
    assert.equal(list.pushText("nonsense"), false);
    assert.deepEqual([...list].map(formatEntry), ["10.0.0.0/8", "!10.1.0.0/16", "::1"]);
  });
});
