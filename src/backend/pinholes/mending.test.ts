import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prefix } from "../../base/index.ts";
import { TABLE_FAMILY } from "../../netlink/index.ts";
import { type Box, Endpoint, makeElement } from "../../pinhole/index.ts";
import { encodeBox, nameKey } from "./box-key.ts";
import { ElementAccount, type SetPlace } from "./element-account.ts";
import type { Fault, Findings } from "./inspection.ts";
import { mendAll, type MendingParts } from "./mending.ts";
import { SetChanges } from "./set-changes.ts";
import { shapeOf } from "./set-shape.ts";

const [near, far] = [Prefix.parse("10.1.0.7"), Prefix.parse("198.51.100.9")];
assert.ok(near !== undefined && far !== undefined);
const FAR = new Endpoint(far, { low: 6004, high: 6004 });

function box(port: number): Box {
  return { protocol: 17, source: new Endpoint(near as Prefix, { low: port, high: port }), destination: FAR };
}

const SET: SetPlace = { role: "pass", shape: shapeOf(box(1)), layer: 0 };

function factsOf(port: number): ReturnType<typeof encodeBox> {
  return encodeBox(SET.shape, box(port));
}

/** A kernel that holds nothing and takes everything; the clock says the number of transactions. */
function partsOf(account: ElementAccount, sent: SetChanges[]): MendingParts {
  return {
    lists: { list: () => assert.fail("nothing is listed") },
    socket: { exchange: () => ({ answers: [], messages: [] }) },
    account,
    clock: () => sent.length,
    isWanted: () => true,
    isLimit: () => false,
    nameOf: () => ({ table: { family: TABLE_FAMILY.INET, name: "table" }, name: "set" }),
    begin: () =>
      new SetChanges(
        { table: "table", chain: "chain", hooks: [], otherwise: "drop" },
        { renews: true, destroys: true },
      ),
    transact: (changes) => void sent.push(changes),
  };
}

/** How many elements each transaction puts. */
function counts(sent: readonly SetChanges[]): number[] {
  return sent.map((changes) => [...changes.bySet].reduce((sum, { put }) => sum + put.length, 0));
}

describe("mending", () => {
  it("brings nothing back that has been closed, or whose time is over, since it was found missing", async () => {
    const account = new ElementAccount();
    const kind = account.of(SET);
    const ports = Array.from({ length: 1000 }, (_, at) => at + 1);
    // Those at the end are over after the first transaction.
    for (const port of ports) kind.put(factsOf(port), 0, port > 500 ? 1 : 60_000);
    const missing = ports.map((port): Fault => ({ kind, key: nameKey(factsOf(port).key, undefined) }));
    const findings: Findings = {
      held: 0,
      strangers: new Map(),
      missing,
      stale: [],
      missingObjects: [],
      strangeObjects: [],
      isInterrupted: false,
    };
    const sent: SetChanges[] = [];
    const mended = mendAll(findings, partsOf(account, sent));
    // Before the second transaction the first half of what it would put is closed.
    for (let port = 257; port <= 384; port += 1) kind.remove(factsOf(port), 0);
    const names = [...ports.slice(0, 256), ...ports.slice(384, 500)].map(
      (port) => makeElement("pass", box(port)).key,
    );
    assert.deepEqual((await mended)?.added, names);
    assert.deepEqual(counts(sent), [256, 116, 0, 0]);
  });
});
