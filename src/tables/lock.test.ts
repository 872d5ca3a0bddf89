/** Readers in other threads while the owner changes the table. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { Worker } from "node:worker_threads";
import { AddressTable, EntryList } from "./index.ts";

const READER = `
  const { parentPort, workerData } = require("node:worker_threads");
  import(workerData.module).then(({ AddressTable }) => {
    const table = new AddressTable(workerData.memory);
    const stop = new Int32Array(workerData.stop);
    const inside = Uint32Array.of(0, 0, 0xffff, 0x0a000001);
    const outside = Uint32Array.of(0, 0, 0xffff, 0x0b000001);
    const clock = { now: 1 };
    let lookups = 0;
    let wrong = 0;
    parentPort.postMessage("ready");
    while (Atomics.load(stop, 0) === 0) {
      // 10.0.0.0/8 is always there, and nothing ever covers 11.0.0.1, whatever is added and deleted around
      // them.
      if (!table.contains(4, inside, clock)) wrong += 1;
      if (table.contains(4, outside, clock)) wrong += 1;
      lookups += 2;
    }
    parentPort.postMessage({ lookups, wrong });
  });`;

it("lets a worker look up while entries come and go", async () => {
  const table = AddressTable.create({ name: "shared", capacity: 5000 });
  table.add(EntryList.of(["10.0.0.0/8"]), 0);
  const stop = new SharedArrayBuffer(4);
  const module = new URL("./index.js", import.meta.url).href;
  const worker = new Worker(READER, { eval: true, workerData: { memory: table.memory, module, stop } });
  const message = (): Promise<unknown> => new Promise((resolve) => worker.once("message", resolve));
  assert.equal(await message(), "ready");
  const churn = new EntryList();
  for (let at = 0; at < 3000; at += 1)
    churn.push(4, Uint32Array.of(0, 0, 0xffff, 0x0a000002 + at), 20 + (at % 13));
  for (let round = 0; round < 60; round += 1) {
    table.add(churn, 0);
    table.delete(churn);
  }
  const result = message();
  Atomics.store(new Int32Array(stop), 0, 1);
  const { lookups, wrong } = (await result) as { lookups: number; wrong: number };
  await worker.terminate();
  assert.equal(wrong, 0);
  assert.ok(lookups > 1000, `${lookups} look-ups`);
  assert.equal(table.statistics.match, lookups / 2);
  assert.equal(table.statistics.noMatch, lookups / 2);
});
