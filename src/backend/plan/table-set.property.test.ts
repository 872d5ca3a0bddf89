import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAddress } from "../../base/index.ts";
import { AddressTable, EntryList } from "../../tables/index.ts";
import { wordsToNumber } from "./line-run.ts";
import {
  MARGIN_MS,
  RANGES_MAX,
  type TableContents,
  tableSetChange,
  type TableSetContents,
  tableSetContents,
} from "./table-set.ts";

/** Few networks that lie in each other, so that entries often do. */
const network = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("10.0.0.0", "10.0.0.128", "10.0.1.0", "10.0.0.129"),
      fc.constantFrom(0, 8, 23, 24, 25, 31, 32),
    )
    .map(([address, length]) => `${address}/${length}`),
  fc
    .tuple(
      fc.constantFrom("2001:db8::", "2001:db8::8000:0:0:1", "ffff::"),
      fc.constantFrom(0, 16, 32, 65, 128),
    )
    .map(([address, length]) => `${address}/${length}`),
);
const entries = fc.array(fc.record({ network, negated: fc.boolean(), ends: fc.nat(3) }), { maxLength: 12 });

const PROBES = ["10.0.0.0", "10.0.0.127", "10.0.0.128", "10.0.0.129", "10.0.0.255", "10.0.1.0", "10.0.2.0"]
  .concat(["9.255.255.255", "255.255.255.255", "0.0.0.0", "::", "2001:db8::", "2001:db8::8000:0:0:1"])
  .concat(["2001:db8::8000:0:0:2", "ffff::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"])
  .map((text) => {
    const address = parseAddress(text);
    assert.ok(address);
    return address;
  });

function tableOf(list: readonly { network: string; negated: boolean; ends: number }[]): AddressTable {
  const table = AddressTable.create({ name: "some", capacity: 64 });
  for (const { network: text, negated, ends } of list) {
    table.add(
      EntryList.of([`${negated ? "!" : ""}${text}`]),
      0,
      ends < 2 ? MARGIN_MS * (1 + 4 * ends) : undefined,
    );
  }
  return table;
}

function contentsOf(table: AddressTable): TableSetContents[] {
  return tableSetContents(7, {
    name: table.name,
    size: table.size,
    entries: table.show(),
    clock: () => 0,
  });
}

/** Names of the sets that hold an address, without the plan's number. */
function setsWith(contents: readonly TableSetContents[], probe: (typeof PROBES)[number]): string[] {
  const number = wordsToNumber(probe.family, probe.words);
  const value = (text: string): bigint => {
    const address = parseAddress(text);
    assert.ok(address);
    return wordsToNumber(address.family, address.words);
  };
  return contents
    .filter(({ set }) => set.endsWith(`-${probe.family}`))
    .filter(({ ranges }) =>
      [...ranges.keys()].some((range) => {
        const [low = "", high = low] = range.split("-");
        return value(low) <= number && number <= value(high);
      }),
    )
    .map(({ set }) => set.replace(/^plan7-(.*)-some-.$/, "$1"));
}

test("the sets say of each address what the table says, or that only the table knows", () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(entries, (list) => {
      const table = tableOf(list);
      const contents = contentsOf(table);
      for (const probe of PROBES) {
        const entry = table.find(probe.family, probe.words, { now: 0 });
        const isIn = entry >= 0 && !table.isNegated(entry);
        const deadline = table.entry(entry)?.deadline;
        const wanted = [
          ...(isIn && (deadline === undefined || deadline > MARGIN_MS) ? ["in"] : []),
          ...(deadline === undefined ? [] : ["ask"]),
        ];
        const words = wanted.join("-");
        seen.set(words, (seen.get(words) ?? 0) + 1);
        assert.deepEqual(setsWith(contents, probe), wanted, JSON.stringify({ list, probe }));
      }
    }),
    { numRuns: 500 },
  );
  for (const answer of ["", "in", "ask", "in-ask"]) assert.ok((seen.get(answer) ?? 0) > 100, answer);
});

test("a change takes out what goes before anything comes, and nothing else is touched", () => {
  fc.assert(
    fc.property(entries, entries, (one, other) => {
      const before = contentsOf(tableOf(one));
      for (const [at, after] of contentsOf(tableOf(other)).entries()) {
        const held = new Map(before[at]?.ranges);
        const commands = tableSetChange("t", held, after);
        for (const command of commands) {
          const words = /^(\w+) (?:element|set) inet t \S+(?: \{ (.*) \})?$/;
          const [, verb, listed = ""] = words.exec(command) ?? [];
          if (verb !== "add") assert.equal(command, commands[0]);
          if (verb === "flush") held.clear();
          for (const element of listed === "" ? [] : listed.split(", ")) {
            const [range = "", lifetime = "0"] = element.split(" timeout ");
            if (verb === "add") assert.ok(!held.has(range));
            // What ends by itself may have ended.
            else assert.equal(held.get(range), 0);
            held.delete(range);
            const deadline = lifetime === "0" ? 0 : Number.parseInt(lifetime, 10) + MARGIN_MS;
            if (verb === "add") held.set(range, deadline);
          }
        }
        assert.deepEqual(held, after.ranges);
      }
    }),
    { numRuns: 200 },
  );
});

test("what has ended by itself has left the set: only what may have ended just now has it emptied", () => {
  const held = new Map([
    ["192.0.2.1", 5000],
    ["192.0.2.2", 0],
    ["192.0.2.3", 90_000],
  ]);
  const after = (now: number, ranges: readonly (readonly [string, number])[]): string[] =>
    tableSetChange("t", held, { set: "s", ranges: new Map(ranges), now });
  const rest = [
    ["192.0.2.3", 90_000],
    ["192.0.2.4", 20_000],
  ] as const;
  assert.deepEqual(after(6000, rest), [
    "delete element inet t s { 192.0.2.2 }",
    "add element inet t s { 192.0.2.4 timeout 13000ms }",
  ]);
  assert.deepEqual(after(4500, rest), [
    "flush set inet t s",
    "add element inet t s { 192.0.2.3 timeout 84500ms, 192.0.2.4 timeout 14500ms }",
  ]);
});

test("a table of more ranges than the kernel is told is asked in userspace altogether", () => {
  const addresses = Array.from({ length: RANGES_MAX + 1 }, (_, at) => ({
    family: 4 as const,
    words: Uint32Array.of(0, 0, 0xffff, 2 * at),
    length: 32,
    negated: false,
  }));
  const contents = (entries: typeof addresses): TableContents => ({
    name: "many",
    size: RANGES_MAX,
    entries,
    clock: () => 0,
  });
  const sets = tableSetContents(1, contents(addresses));
  assert.deepEqual(
    sets.map(({ set, ranges }) => `${set}: ${[...ranges.keys()].join()}`),
    [
      "plan1-in-many-4: ",
      "plan1-ask-many-4: 0.0.0.0-255.255.255.255",
      "plan1-in-many-6: ",
      "plan1-ask-many-6: ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ],
  );
  const fits = tableSetContents(1, contents(addresses.slice(1)));
  assert.equal(fits[0]?.ranges.size, RANGES_MAX);
  const unseen: Iterable<never> = {
    [Symbol.iterator]: () => assert.fail("the entries of so large a table are not looked at"),
  };
  assert.deepEqual(
    tableSetContents(1, { name: "many", size: RANGES_MAX + 1, entries: unseen, clock: () => 0 }).map(
      ({ ranges }) => [...ranges.keys()],
    ),
    sets.map(({ ranges }) => [...ranges.keys()]),
  );
});
