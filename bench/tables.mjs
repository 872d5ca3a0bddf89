/**
 * Speed and memory of address tables: insertions, look-ups and reading a file, from 1 thousand to 1 million
 * entries.
 *
 * Usage: npm run build && node bench/tables.mjs
 */
import { cpus } from "node:os";
import { AddressTable, EntryList } from "../dist/tables/index.js";

const print = (line) => process.stdout.write(`${line}\n`);

const SIZES = [1000, 100_000, 1_000_000];
const LOOKUPS = 1_000_000;

/** Pseudo-random 32-bit numbers (Marsaglia's xorshift): every run sees the same table. */
function randomWords(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Three hosts in four entries, the rest networks. */
function entries(family, count) {
  const next = randomWords(family);
  const words = new Uint32Array(4);
  const list = new EntryList();
  for (let at = 0; at < count; at += 1) {
    if (family === 4) words.set([0, 0, 0xffff, next()]);
    else words.set([0x20010000 | (next() & 0xffff), next(), next(), next()]);
    const host = at % 4 !== 0;
    list.push(
      family,
      words,
      family === 4 ? (host ? 32 : 8 + (next() % 25)) : host ? 128 : 32 + (next() % 97),
    );
  }
  return list;
}

function timed(work) {
  const start = performance.now();
  const result = work();
  return { result, milliseconds: performance.now() - start };
}

/** Nanoseconds per look-up of addresses half of which are in the table. */
function lookupTime(table, list, family) {
  const next = randomWords(99);
  const words = new Uint32Array(4);
  let best = Infinity;
  for (let round = 0; round < 3; round += 1) {
    const { milliseconds } = timed(() => {
      for (let at = 0; at < LOOKUPS; at += 1) {
        list.read(next() % list.length, words);
        if ((at & 1) === 0) words[3] = next();
        table.find(family, words, 1);
      }
    });
    best = Math.min(best, (milliseconds * 1e6) / LOOKUPS);
  }
  return best;
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

print(`Node ${process.version}, ${cpus()[0]?.model ?? "unknown processor"}`);
print("family  entries    insertions/s  look-up ns  memory");
for (const family of [4, 6]) {
  for (const count of SIZES) {
    const list = entries(family, count);
    const before = process.memoryUsage().rss;
    const table = AddressTable.create({ name: "bench", capacity: count });
    const { milliseconds } = timed(() => table.add(list, 0));
    const memory = process.memoryUsage().rss - before;
    const rate = Math.round((count / milliseconds) * 1000);
    const nanoseconds = lookupTime(table, list, family).toFixed(0);
    print(
      `IPv${family}    ${String(count).padEnd(9)}  ${String(rate).padStart(12)}  ${nanoseconds.padStart(10)}  ${megabytes(memory)}`,
    );
  }
}

const next = randomWords(5);
const octets = (value) => `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
const text = Array.from({ length: 1_000_000 }, () => octets(next())).join("\n");
const parsed = timed(() => EntryList.parse(text).list);
const table = AddressTable.create({ name: "bench", capacity: 1_100_000 });
const added = timed(() => table.add(parsed.result, 0));
const set = timed(() => table.set(parsed.result, 0));
const shown = timed(() => table.show());
print(
  `a file of a million addresses: read ${parsed.milliseconds.toFixed(0)} ms, added ${added.milliseconds.toFixed(0)} ms, ` +
    `set again ${set.milliseconds.toFixed(0)} ms, shown ${shown.milliseconds.toFixed(0)} ms`,
);
