import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { it } from "node:test";
import { COUNTERS_BYTES } from "../engine/index.ts";
import { PACKETS, Rehearsal } from "./rehearsal.ts";
import type { WorkerSettings } from "./worker-protocol.ts";

/** Settings of a worker whose queues, were they read, would be an error. */
function settings(readsBytes: boolean): WorkerSettings {
  return {
    queues: [],
    worker: 0,
    creatorId: 1,
    clockStart: 0,
    heartbeat: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
    wakeFd: -1,
    policy: { file: "/nowhere", text: "not a policy" },
    readsBytes,
    revision: 7,
    memory: {},
    counters: new SharedArrayBuffer(COUNTERS_BYTES),
    hashSeed: [1, 2],
    report: { level: "INFO", linesPerSecond: 1000 },
    seals: false,
  };
}

function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}

for (const readsBytes of [false, true]) {
  const rules = readsBytes ? "that read bytes" : "about headers";
  it(`a rehearsal for rules ${rules} has its connections accepted and sealed, and ends`, async () => {
    const before = openFiles();
    const own = settings(readsBytes);
    const rehearsal = await Rehearsal.open(own);
    let turns = 1;
    while (rehearsal.turn()) turns += 1;
    const { judged, made } = rehearsal;
    rehearsal.close();
    assert.ok(judged >= PACKETS && judged < PACKETS + 200, `${judged} packets`);
    assert.ok(turns > 100, `${turns} turns: a worker looks at its queues in between`);
    const [shortest, longest] = readsBytes ? [4.5, 5] : [2.8, 3];
    const connections = made.flows;
    assert.ok(connections > judged / longest - 100, `${connections} flows`);
    assert.ok(connections < judged / shortest + 100, `${connections} flows`);
    assert.ok(made.sealed > 0.9 * connections, `${made.sealed} of ${connections} are sealed`);
    assert.equal(made.refused, 0);
    assert.equal(openFiles(), before, "every file is given back");
  });
}

it("a rehearsal touches nothing that is the worker's", async () => {
  const own = settings(false);
  const rehearsal = await Rehearsal.open(own);
  for (let turns = 0; turns < 20; turns += 1) rehearsal.turn();
  rehearsal.close();
  assert.ok(rehearsal.judged > 0);
  assert.ok(new Uint8Array(own.counters).every((byte) => byte === 0));
  assert.ok(new Uint8Array(own.heartbeat).every((byte) => byte === 0));
});
