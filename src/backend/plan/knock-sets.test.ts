import assert from "node:assert/strict";
import { test } from "node:test";
import { SECOND } from "../../base/index.ts";
import { compileValid } from "../../testing/policy-probe.ts";
import { knockSetsOf, knockSetsText } from "./knock-sets.ts";

/** How long each set of a rule remembers, in milliseconds, and how much it holds, by the end of its name. */
function setsOf(times: {
  readonly timeout: number;
  readonly deadline?: number;
}): Map<string, readonly [timeout: number, size: number]> {
  const doors = [1001, 1002].map((door) => ["TCP", door]);
  const rule = { name: "PortKnocking", mode: "strict", protocol: "TCP", port: 22, doors, ...times };
  const policy = compileValid({ settings: { limits: { knockSources: 16 } }, INPUT: [rule] });
  const row = policy.chains.flatMap(({ rules }) => rules)[0];
  assert.ok(row !== undefined);
  const found = knockSetsOf(row, policy);
  assert.ok(typeof found !== "string");
  const text = found.map(knockSetsText).join("\n");
  const sets = text.matchAll(/set knocks4-[0-9a-f]+-(\S+) \{[^}]*size (\d+)[^}]*\ttimeout (\d+)s(\d+)ms/g);
  return new Map(
    [...sets].map(([, name = "", size, seconds, rest]) => [
      name,
      [Number(seconds) * SECOND + Number(rest), Number(size)],
    ]),
  );
}

test("sources that found no room are remembered until what they may have opened is closed", () => {
  for (const times of [{ timeout: 60 }, { timeout: 5, deadline: 30 }, { timeout: 30, deadline: 5 }]) {
    const { timeout, deadline = timeout } = times;
    const [remembered = 0] = setsOf(times).get("full") ?? [];
    assert.ok(remembered > (deadline + timeout) * SECOND, `${remembered} ms`);
  }
});

test("what has run out and is not collected yet leaves room for what says that others are full", () => {
  const sets = setsOf({ timeout: 60 });
  assert.deepEqual(sets.get("full")?.[1], 2);
  assert.deepEqual(sets.get("open"), [60_000, 16]);
});
