import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HOOK, PROTOCOL } from "../../base/index.ts";
import { type AddressTable, EntryList } from "../../tables/index.ts";
import {
  compileValid,
  PolicyProbe,
  type PolicySource,
  type ProbePacket,
} from "../../testing/policy-probe.ts";
import { allocateMemory, type ExplainStep } from "../index.ts";

const FROM_10: ProbePacket = {
  source: "10.1.2.3",
  destination: "198.51.100.7",
  protocol: PROTOCOL.TCP,
  sourcePort: 40_000,
  destinationPort: 22,
};
const FROM_SIX: ProbePacket = { ...FROM_10, source: "2001:db8::1", destination: "2001:db8:ffff::7" };

/** A policy with one table and one rule that drops. */
function probeOf(addresses: readonly string[], rule: object = {}, declaration: object = {}): PolicyProbe {
  return new PolicyProbe({
    settings: { tables: { some: { addresses, counters: true, ...declaration } } },
    INPUT: [{ name: "TableRule", table: "some", action: "DROP", ...rule }],
    OUTPUT: [{ name: "TableRule", table: "some", action: "ACCEPT", ...rule }],
  });
}

function tableOf(probe: PolicyProbe): AddressTable {
  const [table] = probe.policy.attachTables(probe.memory);
  assert.ok(table);
  return table;
}

function reasonOf(probe: PolicyProbe, packet: ProbePacket): string {
  const step = probe
    .explain(packet)
    .find((each): each is ExplainStep & { kind: "rule" } => each.kind === "rule");
  return step?.reason ?? "";
}

describe("TableRule: which packets it matches", () => {
  // Each row: entries, arguments of the rule, packet, and whether it matches.
  const rows: readonly [string, readonly string[], object, ProbePacket, boolean][] = [
    ["an empty table", [], {}, FROM_10, false],
    ["an address", ["10.1.2.3"], {}, FROM_10, true],
    ["a network", ["10.0.0.0/8"], {}, FROM_10, true],
    ["another network", ["11.0.0.0/8"], {}, FROM_10, false],
    ["a hole in a network", ["10.0.0.0/8", "!10.1.0.0/16"], {}, FROM_10, false],
    ["an island in a hole", ["10.0.0.0/8", "!10.1.0.0/16", "10.1.2.0/24"], {}, FROM_10, true],
    ["a negated entry alone", ["!10.1.2.3"], {}, FROM_10, false],
    ["IPv6", ["2001:db8::/48"], {}, FROM_SIX, true],
    ["a hole in IPv6", ["2001:db8::/32", "!2001:db8::1"], {}, FROM_SIX, false],
    ["an IPv4 table and an IPv6 packet", ["0.0.0.0/0"], {}, FROM_SIX, false],
    ["the source only, unless told otherwise", ["198.51.100.7"], {}, FROM_10, false],
    ["the destination", ["198.51.100.7"], { address: "destination" }, FROM_10, true],
    [
      "not the source where the destination is asked",
      ["10.0.0.0/8"],
      { address: "destination" },
      FROM_10,
      false,
    ],
    ["either: the source", ["10.0.0.0/8"], { address: "either" }, FROM_10, true],
    ["either: the destination", ["198.51.100.0/24"], { address: "either" }, FROM_10, true],
    ["either: none", ["192.0.2.0/24"], { address: "either" }, FROM_10, false],
    ["not: an address in the table", ["10.0.0.0/8"], { not: true }, FROM_10, false],
    ["not: an address outside", ["192.0.2.0/24"], { not: true }, FROM_10, true],
    ["not: a hole", ["10.0.0.0/8", "!10.1.2.3"], { not: true }, FROM_10, true],
  ];
  for (const [title, addresses, rule, packet, expected] of rows) {
    test(title, () => {
      const probe = probeOf(addresses, rule);
      assert.equal(probe.judge(packet), expected ? "DROP" : "ACCEPT");
      assert.equal(
        probe.explain(packet).at(-1)?.reason.startsWith("rule 0"),
        expected,
        "the explanation agrees",
      );
    });
  }
});

test("a change of the table is seen by the next packet", () => {
  const probe = probeOf([]);
  const table = tableOf(probe);
  table.add(EntryList.of(["10.0.0.0/8"]), 0);
  assert.equal(probe.judge(FROM_10), "DROP");
  table.add(EntryList.of(["!10.1.2.3"]), 0);
  assert.equal(probe.judge(FROM_10), "ACCEPT");
  table.clear();
  assert.equal(probe.judge({ ...FROM_10, source: "10.9.9.9" }), "ACCEPT");
});

test("an entry past its deadline does not count, removed or not", () => {
  const probe = probeOf([]);
  tableOf(probe).add(EntryList.of(["10.0.0.0/8"]), probe.context.now, 5000);
  assert.equal(probe.judge(FROM_10), "DROP");
  probe.context.now += 5000;
  assert.equal(probe.judge(FROM_10), "ACCEPT");
});

test("the explanation names the entry that decides", () => {
  const probe = probeOf(["10.0.0.0/8", "!10.1.0.0/16"], { address: "either" });
  assert.equal(
    reasonOf(probe, FROM_10),
    "source 10.1.2.3 is not in table some (!10.1.0.0/16), destination 198.51.100.7 is not in table some",
  );
  assert.match(
    reasonOf(probe, { ...FROM_10, source: "10.2.0.1" }),
    /^source 10\.2\.0\.1 is in table some \(10\.0\.0\.0\/8\)/,
  );
});

describe("TableRule: what it counts", () => {
  const traffic = (packets: number): { packets: number; bytes: number } => ({ packets, bytes: packets * 40 });

  test("look-ups, and packets by direction and by what became of them", () => {
    const probe = probeOf(["10.0.0.0/8"]);
    const table = tableOf(probe);
    probe.judge(FROM_10);
    probe.judge(FROM_10);
    probe.judge({ ...FROM_10, source: "11.0.0.1" });
    probe.judge({ ...FROM_10, hook: HOOK.OUTPUT });
    const { statistics } = table;
    assert.deepEqual([statistics.match, statistics.noMatch], [3, 1]);
    assert.deepEqual(statistics.in, { block: traffic(2), pass: traffic(0), xpass: traffic(0) });
    assert.deepEqual(statistics.out, { block: traffic(0), pass: traffic(1), xpass: traffic(0) });
    const [entry] = table.show();
    assert.deepEqual(entry?.statistics?.in, { block: traffic(2), pass: traffic(0) });
    assert.deepEqual(entry?.statistics?.out, { block: traffic(0), pass: traffic(1) });
  });

  test("the verdict counts, wherever it is given; a packet counts once", () => {
    const probe = new PolicyProbe({
      settings: { tables: { some: { addresses: ["10.0.0.0/8"] } } },
      INPUT: [
        { name: "TCPRule", action: "asked" },
        { name: "TableRule", table: "some", action: "asked" },
        { name: "TrueRule", action: "DROP" },
      ],
      asked: [{ name: "TableRule", table: "some", address: "source", action: "RETURN" }],
    });
    assert.equal(probe.judge(FROM_10), "DROP");
    const { statistics } = tableOf(probe);
    // Two rules with this table met it, one of them twice.
    assert.deepEqual(statistics.in.block, traffic(2));
    assert.equal(statistics.match, 3);
  });

  test("of either address, the one that is in the table", () => {
    const probe = probeOf(["198.51.100.7", "!10.0.0.0/8"], { address: "either" });
    assert.equal(probe.judge(FROM_10), "DROP");
    const counted = tableOf(probe)
      .show()
      .filter((entry) => entry.statistics?.in.block.packets === 1);
    assert.deepEqual(
      counted.map((entry) => entry.negated),
      [false],
    );
  });

  test("a packet that passes although it is not in the table is an xpass", () => {
    const probe = probeOf(["192.0.2.0/24"], { not: true });
    assert.equal(probe.judge({ ...FROM_10, hook: HOOK.OUTPUT }), "ACCEPT");
    assert.deepEqual(tableOf(probe).statistics.out.xpass, traffic(1));
  });

  test("explaining counts nothing", () => {
    const probe = probeOf(["10.0.0.0/8"], { address: "either" });
    const before = tableOf(probe).statistics;
    probe.explain(FROM_10);
    assert.deepEqual(tableOf(probe).statistics, before);
  });
});

describe("memory of tables", () => {
  const policy = (tables: object): PolicySource => ({ settings: { tables } });

  test("a table survives another policy while its size and counters stay the same", () => {
    const before = compileValid(policy({ kept: {}, counted: {}, gone: {} }));
    const memory = allocateMemory(before);
    for (const table of before.attachTables(memory)) table.add(EntryList.of(["10.0.0.0/8"]), 0);
    const after = compileValid(policy({ counted: { counters: true }, kept: { const: true }, added: {} }));
    const sizes = after.attachTables(allocateMemory(after, memory)).map(({ name, size }) => [name, size]);
    assert.deepEqual(sizes, [
      ["counted", 0],
      ["kept", 1],
      ["added", 0],
    ]);
  });

  test("a table without memory holds what the policy names", () => {
    const made = compileValid(policy({ some: { addresses: ["192.0.2.1", "!192.0.2.2"], capacity: 2 } }));
    assert.deepEqual(
      made.attachTables({}).map(({ size, capacity }) => [size, capacity]),
      [[2, 2]],
    );
  });
});
