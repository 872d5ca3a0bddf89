import assert from "node:assert/strict";
import { test } from "node:test";
import type { WatchEvent } from "../client/index.ts";
import { sampleState } from "../testing/sample-state.ts";
import { StateFilter } from "../view/index.ts";
import { FlowWatch } from "./flow-watch.ts";
import type { FlowEvent } from "./worker-protocol.ts";

/** Events that wait for one watcher. */
const WAITING_MAX = 4096;

function news(count: number): FlowEvent[] {
  return Array.from({ length: count }, () => ({ kind: "new", state: sampleState() }));
}

async function take(events: AsyncGenerator<WatchEvent>, count: number): Promise<WatchEvent[]> {
  const taken: WatchEvent[] = [];
  while (taken.length < count) taken.push((await events.next()).value as WatchEvent);
  return taken;
}

test("a gap stands where events were lost, and says how many", async () => {
  const watch = new FlowWatch(StateFilter.ALL, true);
  const events = watch.events();
  watch.take(news(2), 3);
  watch.take([], 4);
  watch.take(news(1), 0);
  assert.deepEqual(
    (await take(events, 4)).map((event) => (event.kind === "gap" ? event.lost : event.kind)),
    ["new", "new", 7, "new"],
  );
});

test("what waits for one watcher is bounded; more is one gap behind it", async () => {
  const watch = new FlowWatch(StateFilter.ALL, true);
  for (let round = 0; round < 100; round += 1) watch.take(news(1000), 0);
  const events = await take(watch.events(), WAITING_MAX + 1);
  assert.deepEqual(events.at(-1), { kind: "gap", lost: 100_000 - WAITING_MAX });
});

test("a watcher hears of what its filter chooses, until it is closed", async () => {
  const watch = new FlowWatch(StateFilter.parse("udp"), true);
  watch.take(news(5), 1);
  const events = watch.events();
  assert.deepEqual(await take(events, 1), [{ kind: "gap", lost: 1 }]);
  const next = events.next();
  watch.close();
  assert.deepEqual(await next, { done: true, value: undefined });
});
