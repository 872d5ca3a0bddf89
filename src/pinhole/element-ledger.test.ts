import assert from "node:assert/strict";
import { test } from "node:test";
import { Prefix } from "../base/index.ts";
import { ElementLedger } from "./element-ledger.ts";
import {
  type Element,
  elementWithKey,
  makeElement,
  makeTranslation,
  type StandingElement,
} from "./element.ts";
import { ALL_PORTS, Endpoint } from "./endpoint.ts";
import { UndoLog } from "./undo-log.ts";

function element(role: "pass" | "pass-limited"): Element {
  const prefix = Prefix.parse("10.0.0.0/8");
  assert.ok(prefix !== undefined);
  const all = new Endpoint(prefix, ALL_PORTS);
  return makeElement(role, { protocol: 17, source: all, destination: all });
}

test("of equal elements the limits of the first count, also when it left and that is taken back", () => {
  const undo = new UndoLog();
  const ledger = new ElementLedger(undo);
  const limited = element("pass-limited");
  for (const number of [7, 8, 9]) ledger.hold(limited, number, 1000 + number);
  undo.settle();
  const standing = (without?: ReadonlySet<number>): StandingElement[] => [...ledger.standing(without)];
  const before = standing();
  assert.deepEqual([before[0]?.limiter, before[0]?.deadline], [7, 1009]);
  ledger.release(limited, 7);
  assert.equal(standing()[0]?.limiter, 8);
  ledger.release(limited, 9);
  ledger.release(limited, 8);
  assert.equal(ledger.size, 0);
  undo.takeBack();
  assert.deepEqual(standing(), before);
  assert.equal(standing(new Set([7]))[0]?.limiter, 8);
  assert.deepEqual(standing(new Set([7, 8, 9])), []);
});

test("a renewal is taken back also when another pinhole has come to the same element since", () => {
  const undo = new UndoLog();
  const ledger = new ElementLedger(undo);
  const shared = element("pass");
  ledger.hold(shared, 7, 1000);
  undo.settle();
  ledger.hold(shared, 7, 5000);
  ledger.hold(shared, 8, 9000);
  undo.takeBack();
  const standing = [...ledger.standing()];
  assert.deepEqual(
    standing.map(({ deadline }) => deadline),
    [1000],
  );
});

/** Processor time to end so many pinholes that share an element, in microseconds: the best of three. */
function costOfEnding(count: number): number {
  const times = [1, 2, 3].map(() => {
    const ledger = new ElementLedger(new UndoLog());
    const shared = element("pass");
    for (let number = 1; number <= count; number += 1) ledger.hold(shared, number, number);
    const { user } = process.cpuUsage();
    for (let number = 1; number <= count; number += 1) ledger.release(shared, number);
    return process.cpuUsage().user - user;
  });
  return Math.min(...times);
}

test("many pinholes with the same element end in time in proportion to their number", () => {
  const [few, many] = [costOfEnding(1000), costOfEnding(8000)];
  assert.ok(many < 32 * few + 20_000, `${few} µs for 1000, ${many} µs for 8000`);
});

test("an element is made again of its key alone", () => {
  const keys = [
    "pass 17 10.1.0.7/32:5004 198.51.100.0/24:6000-6999",
    "block 0 0.0.0.0/0:* 2001:db8::/32:*",
    "setup-limited 6 ::ffff:10.1.0.7/128:1 ::/0:443",
    "dnat 17 198.51.100.9/32:6004 203.0.113.7/32:40000 10.1.0.7/32:5004",
    "snat-host 17 10.1.0.8/32:* 198.51.100.9/32:* 203.0.113.9/32:*",
  ];
  for (const key of keys) {
    const { role, box, target } = elementWithKey(key);
    const made = target === undefined ? makeElement(role, box) : makeTranslation("dnat", box, target);
    assert.deepEqual(
      { ...made, key: made.key.split(" ").slice(1), role },
      { role, box, key: key.split(" ").slice(1), ...(target === undefined ? {} : { target }) },
    );
  }
});

test("what a former run held stands as if it were held now, and is no change", () => {
  const [adopting, holding] = [new ElementLedger(new UndoLog()), new ElementLedger(new UndoLog())];
  const [shared, own] = [element("pass-limited"), element("pass")];
  for (const number of [7, 8, 9]) {
    adopting.adopt(shared, number, 1000 * number);
    holding.hold(shared, number, 1000 * number);
  }
  adopting.adopt(own, 7, 5000);
  holding.hold(own, 7, 5000);
  assert.deepEqual([...adopting.standing()], [...holding.standing()]);
  assert.deepEqual([...adopting.standing(new Set([7]))], [...holding.standing(new Set([7]))]);
  assert.deepEqual(adopting.changes(), { put: [], begun: [], remove: [] });
  adopting.release(shared, 9);
  assert.deepEqual(
    adopting.changes().put.map(({ deadline }) => deadline),
    [8000],
  );
});
