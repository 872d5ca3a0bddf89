/** The table against a model that could not be simpler: a list that is searched from end to end. */
import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { Prefix } from "../base/index.ts";
import { AddressTable, EntryList, formatEntry, type TableEntry } from "./index.ts";

class Model {
  entries = new Map<string, { prefix: Prefix; negated: boolean; deadline: number }>();

  contains(address: Prefix, now: number): boolean {
    let best: { prefix: Prefix; negated: boolean } | undefined;
    for (const entry of this.entries.values()) {
      if (entry.deadline <= now || !entry.prefix.contains(address.family, address.words)) continue;
      if (!best || entry.prefix.length > best.prefix.length) best = entry;
    }
    return best !== undefined && !best.negated;
  }

  expire(now: number): void {
    for (const [key, entry] of this.entries) if (entry.deadline <= now) this.entries.delete(key);
  }

  add(items: readonly Item[], deadline: number | undefined): number {
    let added = 0;
    for (const { prefix, negated } of items) {
      const known = this.entries.get(prefix.toString());
      if (!known) {
        this.entries.set(prefix.toString(), { prefix, negated, deadline: deadline ?? Infinity });
        added += 1;
      } else if (known.negated === negated && deadline !== undefined) known.deadline = deadline;
    }
    return added;
  }

  set(items: readonly Item[]): { added: number; deleted: number; changed: number } {
    const wanted = new Map<string, Item>();
    for (const item of items) {
      if (!wanted.has(item.prefix.toString())) wanted.set(item.prefix.toString(), item);
    }
    const result = { added: 0, deleted: 0, changed: 0 };
    for (const key of this.entries.keys()) {
      if (!wanted.has(key) && this.entries.delete(key)) result.deleted += 1;
    }
    for (const [key, item] of wanted) {
      const known = this.entries.get(key);
      if (!known) this.entries.set(key, { ...item, deadline: Infinity });
      if (!known) result.added += 1;
      else if (known.negated !== item.negated) result.changed += 1;
      if (known) known.negated = item.negated;
    }
    return result;
  }
}

interface Item {
  readonly prefix: Prefix;
  readonly negated: boolean;
}

// Few distinct bits, so that prefixes nest, part in the middle of nibbles and meet again.
const word = fc.constantFrom(0, 1, 0x80000000, 0xc0a80000, 0xc0a80001, 0xc0a88000, 0xffffffff, 0x20010db8);
const ipv4 = fc
  .tuple(fc.oneof(word, fc.nat(0xffffffff)), fc.nat(32))
  .map(([value, length]) => new Prefix(4, Uint32Array.of(0, 0, 0xffff, value), length));
const ipv6 = fc
  .tuple(word, word, word, word, fc.nat(128))
  .map(([a, b, c, d, length]) => new Prefix(6, Uint32Array.of(a, b, c, d), length));
const prefix = fc.oneof(ipv4, ipv6);
const item = fc.record({ prefix, negated: fc.boolean() });
const items = fc.array(item, { maxLength: 12 });
const step = fc.oneof(
  fc.record({
    kind: fc.constant("add" as const),
    items,
    lifetime: fc.option(fc.integer({ min: 1, max: 9000 })),
  }),
  fc.record({ kind: fc.constant("delete" as const), items }),
  fc.record({ kind: fc.constant("deleteSome" as const), share: fc.nat(100) }),
  fc.record({ kind: fc.constant("set" as const), items }),
  fc.record({ kind: fc.constant("expire" as const), pause: fc.nat(4000) }),
);

function listOf(all: readonly Item[]): EntryList {
  const list = new EntryList();
  for (const {
    prefix: { family, words, length },
    negated,
  } of all)
    list.push(family, words, length, negated);
  return list;
}

function deleteBoth(model: Model, table: AddressTable, all: readonly Item[]): void {
  let deleted = 0;
  for (const { prefix: each, negated } of all) {
    if (model.entries.get(each.toString())?.negated !== negated) continue;
    if (model.entries.delete(each.toString())) deleted += 1;
  }
  assert.equal(table.delete(listOf(all)).deleted, deleted);
}

function expectSame(model: Model, table: AddressTable, probes: readonly Prefix[], now: number): void {
  assert.equal(table.size, model.entries.size);
  const shown = table.show().map((entry: TableEntry) => formatEntry(entry));
  const wanted = [...model.entries.values()].map(({ prefix: { family, words, length }, negated }) =>
    formatEntry({ family, words, length, negated }),
  );
  assert.deepEqual([...shown].sort(), wanted.sort());
  for (const probe of probes) {
    const expected = model.contains(probe, now);
    assert.equal(
      table.contains(probe.family, probe.words, { now }),
      expected,
      `${probe.toString()} at ${now}`,
    );
  }
}

it("agrees with a list searched from end to end, after any sequence of requests", () => {
  const property = fc.property(
    fc.array(step, { maxLength: 12 }),
    fc.array(prefix, { maxLength: 30 }),
    (steps, extra) => {
      const table = AddressTable.create({ name: "model", capacity: 400 });
      const model = new Model();
      let now = 1000;
      for (const each of steps) {
        if (each.kind === "add") {
          const lifetime = each.lifetime ?? undefined;
          const deadline = lifetime === undefined ? undefined : now + lifetime;
          assert.equal(
            table.add(listOf(each.items), now, lifetime).added,
            model.add(firsts(each.items), deadline),
          );
        } else if (each.kind === "delete") {
          deleteBoth(model, table, firsts(each.items));
        } else if (each.kind === "deleteSome") {
          const some = [...model.entries.values()].filter((_, index) => (index * 37) % 100 < each.share);
          deleteBoth(model, table, some);
        } else if (each.kind === "set") {
          const { added, deleted, changed } = table.set(listOf(each.items), now);
          assert.deepEqual({ added, deleted, changed }, model.set(each.items));
        } else {
          now += each.pause;
          model.expire(now);
          table.expire(now);
        }
        const probes = [...extra, ...[...model.entries.values()].map((entry) => entry.prefix)];
        expectSame(model, table, probes, now);
      }
    },
  );
  fc.assert(property, { numRuns: 400 });
});

/** The first of equal prefixes: a request that names one twice counts it once. */
function firsts(all: readonly Item[]): Item[] {
  const seen = new Set<string>();
  return all.filter(({ prefix: each }) => !seen.has(each.toString()) && seen.add(each.toString()));
}
