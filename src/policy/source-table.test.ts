import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { type AddressWords, ipv4Words } from "../base/index.ts";
import { RANK, SourceTable } from "./index.ts";

const WIDTH = 2;

function makeTable(capacity: number): SourceTable {
  return new SourceTable(new SharedArrayBuffer(SourceTable.bytes(capacity, WIDTH)), capacity, WIDTH);
}

/** Inserts the address if need be and writes its first number. */
function put(table: SourceTable, words: AddressWords, value: number): number {
  table.lock();
  const known = table.find(4, words);
  const slot = known < 0 ? table.insert(4, words) : known;
  table.values[slot * WIDTH] = value;
  table.unlock();
  return slot;
}

function get(table: SourceTable, words: AddressWords): number | undefined {
  table.lock();
  const slot = table.find(4, words);
  const value = slot < 0 ? undefined : table.values[slot * WIDTH];
  table.unlock();
  return value;
}

describe("source table", () => {
  test("finds what was put in, by family and whole address", () => {
    const table = makeTable(16);
    put(table, ipv4Words(1), 10);
    put(table, ipv4Words(2), 20);
    assert.equal(get(table, ipv4Words(1)), 10);
    assert.equal(get(table, ipv4Words(2)), 20);
    assert.equal(get(table, ipv4Words(3)), undefined);
    assert.equal(table.find(6, ipv4Words(1)), -1);
    assert.equal(table.size, 2);
  });

  test("a slot starts with zeros, also when it was used before", () => {
    const table = makeTable(1);
    put(table, ipv4Words(1), 10);
    const slot = table.insert(4, ipv4Words(2));
    assert.deepEqual([...table.values.subarray(slot * WIDTH, (slot + 1) * WIDTH)], [0, 0]);
    assert.equal(table.size, 1);
    assert.equal(table.evicted, 1);
  });

  test("when full it gives up the oldest of the lowest rank", () => {
    const table = makeTable(3);
    const ranks = [RANK.HIGH, RANK.LOW, RANK.MIDDLE];
    for (const [at, rank] of ranks.entries()) table.touch(put(table, ipv4Words(at), at), rank);
    const gone: number[] = [];
    for (let next = 3; next < 6; next += 1) {
      table.touch(put(table, ipv4Words(next), next), RANK.HIGH);
      for (const at of [0, 1, 2])
        if (get(table, ipv4Words(at)) === undefined && !gone.includes(at)) gone.push(at);
    }
    assert.deepEqual(gone, [1, 2, 0]);
  });

  test("a touched slot is the latest of its rank", () => {
    const table = makeTable(2);
    const first = put(table, ipv4Words(1), 1);
    put(table, ipv4Words(2), 2);
    table.touch(first, RANK.LOW);
    put(table, ipv4Words(3), 3);
    assert.equal(get(table, ipv4Words(1)), 1);
    assert.equal(get(table, ipv4Words(2)), undefined);
  });

  test("behaves like a map that forgets the oldest, whatever is done to it", () => {
    const step = fc.tuple(fc.constantFrom("put", "touch", "remove"), fc.nat(12));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = makeTable(5);
        const model = new Map<number, number>();
        for (const [at, [action, key]] of steps.entries()) {
          const words = ipv4Words(key);
          const slot = table.find(4, words);
          assert.equal(slot >= 0, model.has(key));
          if (action === "put") {
            const oldest = model.keys().next().value;
            if (!model.has(key) && model.size === 5 && oldest !== undefined) model.delete(oldest);
            model.set(key, at);
            put(table, words, at);
          } else if (slot >= 0 && action === "touch") {
            const value = model.get(key) ?? 0;
            model.delete(key);
            model.set(key, value);
            table.touch(slot, RANK.LOW);
          } else if (slot >= 0) {
            model.delete(key);
            table.remove(slot);
          }
          for (const [known, value] of model) assert.equal(get(table, ipv4Words(known)), value);
          assert.equal(table.size, model.size);
        }
      }),
      { numRuns: 100 },
    );
  });
});

/** What a worker of the test below runs: it counts up one of eight sources, so many times. */
const COUNTING = `
import { workerData } from "node:worker_threads";
const { SourceTable } = await import(workerData.module);
const table = new SourceTable(workerData.memory, 8, 1);
const words = new Uint32Array(4);
for (let round = 0; round < workerData.rounds; round += 1) {
  words[3] = round % 8;
  table.lock();
  let slot = table.find(4, words);
  if (slot < 0) slot = table.insert(4, words);
  table.values[slot] += 1;
  table.touch(slot, 0);
  table.unlock();
}
`;

async function runWorker(code: string, workerData: object): Promise<void> {
  const address = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const worker = new Worker(address, { workerData });
  await new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", () => resolve());
  });
}

describe("the lock", () => {
  const module = new URL("./index.js", import.meta.url).href;

  test("two threads lose no count", async () => {
    const memory = new SharedArrayBuffer(SourceTable.bytes(8, 1));
    const rounds = 40_000;
    await Promise.all([1, 2].map(() => runWorker(COUNTING, { module, memory, rounds })));
    const table = new SourceTable(memory, 8, 1);
    assert.equal(table.size, 8);
    assert.equal(
      table.values.reduce((sum, count) => sum + count, 0),
      2 * rounds,
    );
    assert.equal(table.takenOver, 0);
  });

  test("wakes who waits for it: sleeps of a whole millisecond are rare", async () => {
    const rounds = 20;
    // The holder gives the lock back as soon as the other one has raised its flag, word 7, and so is asleep.
    const begin = `
import { workerData } from "node:worker_threads";
const { SourceTable } = await import(workerData.module);
const table = new SourceTable(workerData.memory, 8, 1);
const header = new Int32Array(workerData.memory, 0, 16);
const turn = new Int32Array(workerData.turn);
const pass = (value) => { Atomics.store(turn, 0, value); Atomics.notify(turn, 0); };
for (let round = 0; round < workerData.rounds; round += 1) {`;
    const holding = `${begin}
  while (Atomics.load(turn, 0) !== 0) Atomics.wait(turn, 0, 1, 100);
  table.lock();
  pass(1);
  for (let spin = 0; spin < 1e8 && Atomics.load(header, 7) === 0; spin += 1);
  table.unlock();
}`;
    const waiting = `${begin}
  while (Atomics.load(turn, 0) !== 1) Atomics.wait(turn, 0, 0, 100);
  table.lock();
  table.unlock();
  pass(0);
}`;
    const stallsOfOneRun = async (): Promise<number> => {
      const memory = new SharedArrayBuffer(SourceTable.bytes(8, 1));
      const data = { module, memory, turn: new SharedArrayBuffer(4), rounds };
      await Promise.all([runWorker(holding, data), runWorker(waiting, data)]);
      return new SourceTable(memory, 8, 1).stalls;
    };
    // Who is not woken sleeps so long in every run, and on a busy machine who is woken does in some.
    const stalls: number[] = [];
    while (!stalls.some((count) => count < rounds / 4) && stalls.length < 20) {
      stalls.push(await stallsOfOneRun());
    }
    assert.ok(
      Math.min(...stalls) < rounds / 4,
      `of ${rounds} waits so many lasted a millisecond: ${stalls.join()}`,
    );
  });

  test("of a dead thread is taken over, and the table is empty then", async () => {
    const memory = new SharedArrayBuffer(SourceTable.bytes(8, 1));
    const dying = `
import { workerData } from "node:worker_threads";
const { SourceTable } = await import(workerData.module);
const table = new SourceTable(workerData.memory, 8, 1);
table.insert(4, new Uint32Array(4));
table.lock();
`;
    await runWorker(dying, { module, memory });
    const table = new SourceTable(memory, 8, 1);
    table.lock();
    assert.equal(table.size, 0);
    assert.equal(table.takenOver, 1);
    table.insert(4, new Uint32Array(4));
    table.unlock();
    table.lock();
    assert.equal(table.size, 1);
    table.unlock();
  });
});
