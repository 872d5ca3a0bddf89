import assert from "node:assert/strict";
import { test } from "node:test";
import { HeartbeatWatch } from "./heartbeat-watch.ts";

/** A worker that hangs from the first look on. */
const STILL = Array.from({ length: 15 }, () => 7);

test("a worker that has not turned in fifteen looks counts as hung", () => {
  const watch = new HeartbeatWatch();
  assert.equal(watch.look(7), false);
  assert.deepEqual(
    STILL.map((beat) => watch.look(beat)),
    STILL.map((_, at) => at === 14),
  );
});

test("one turn in between, and it does not", () => {
  const watch = new HeartbeatWatch();
  watch.look(7);
  for (const beat of STILL.slice(1)) watch.look(beat);
  assert.equal(watch.look(8), false);
  assert.equal(watch.look(8), false);
});
