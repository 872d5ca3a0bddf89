/** Statement W-33: a million mutations. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MutationDesk } from "./mutations.ts";

const MUTATIONS = 1_000_000;
/** What the heap may have grown by after the first tenth, in bytes: caches, not what each mutation leaves. */
const GROWTH_MAX = 16 * 1024 * 1024;

function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

test("W-33 a million mutations are answered or end their connection, and leave nothing behind", async () => {
  const desk = await MutationDesk.open(4540);
  assert.equal(await desk.say(MUTATIONS / 10), undefined);
  const before = heapBytes();
  assert.equal(await desk.say((MUTATIONS * 9) / 10), undefined);
  const grown = heapBytes() - before;
  assert.equal(desk.counts.said, MUTATIONS);
  assert.equal(desk.server.connections, 0);
  assert.ok(grown < GROWTH_MAX, `the heap grew by ${grown} bytes`);
  await desk.close();
});
