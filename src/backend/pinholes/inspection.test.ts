import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Prefix } from "../../base/index.ts";
import { type ElementFacts, TABLE_FAMILY } from "../../netlink/index.ts";
import { type Box, Endpoint } from "../../pinhole/index.ts";
import { encodeBox, nameKey } from "./box-key.ts";
import { ElementAccount } from "./element-account.ts";
import { inspect, inspectAtRest, type InspectionParts } from "./inspection.ts";
import { shapeOf } from "./set-shape.ts";

const [near, far] = [Prefix.parse("10.1.0.7"), Prefix.parse("198.51.100.9")];
assert.ok(near !== undefined && far !== undefined);
const BOX: Box = {
  protocol: 17,
  source: new Endpoint(near, { low: 5004, high: 5004 }),
  destination: new Endpoint(far, { low: 6004, high: 6004 }),
};
const SET = { role: "pass", shape: shapeOf(BOX), layer: 0 } as const;
const FACTS = encodeBox(SET.shape, BOX);

/** Elements of which none is there. */
const MANY = 30_000;

function factsOf(port: number): ElementFacts {
  return encodeBox(SET.shape, { ...BOX, source: BOX.source.withPorts({ low: port, high: port }) });
}

/** Of a kernel that names no element, and holds none. */
function partsOf(account: ElementAccount, list: InspectionParts["lists"]["list"]): InspectionParts {
  return {
    lists: { list },
    socket: { exchange: () => ({ answers: [], messages: [] }) },
    account,
    clock: () => 0,
    isWanted: () => true,
    isLimit: () => false,
    nameOf: () => ({ table: { family: TABLE_FAMILY.INET, name: "table" }, name: "set" }),
  };
}

describe("an inspection", () => {
  it("knows what comes and leaves meanwhile also where nothing was in force before", async () => {
    const account = new ElementAccount();
    let finding = "";
    const parts = partsOf(account, async () => {
      const kind = account.of(SET);
      kind.put(FACTS, 0, 60_000);
      kind.remove(FACTS, 0);
      // This part of the list was written before it left.
      const sighting = { layer: 0, deadline: 60_000, ageMs: 0, data: new Uint8Array(0) };
      finding = kind.see(nameKey(FACTS.key, FACTS.keyEnd), sighting);
      return { isInterrupted: false, refused: undefined };
    });
    await inspect([SET], parts);
    assert.equal(finding, "right");
  });

  it("comes to its end also when every list is interrupted", async () => {
    const account = new ElementAccount();
    account.of(SET).put(FACTS, 0, 60_000);
    let lists = 0;
    const parts = partsOf(account, async () => {
      lists += 1;
      return { isInterrupted: true, refused: undefined };
    });
    const { missing } = await inspectAtRest([SET], parts);
    assert.equal(lists, 16);
    assert.equal(missing.length, 1);
  });

  it("lets other work have its turn while it notes that everything is missing", async () => {
    const account = new ElementAccount();
    for (let port = 1; port <= MANY; port += 1) account.of(SET).put(factsOf(port), 0, 60_000);
    const parts = partsOf(account, async () => ({ isInterrupted: false, refused: undefined }));
    let turns = 0;
    let isOver = false;
    const others = (async () => {
      for (; !isOver; turns += 1) await turn();
    })();
    const { missing } = await inspect([SET], parts);
    isOver = true;
    await others;
    assert.equal(missing.length, MANY);
    assert.ok(turns >= MANY / 2048, `${turns} turns`);
  });

  it("passes over what comes and leaves while it notes what is missing", async () => {
    const account = new ElementAccount();
    const kind = account.of(SET);
    for (let port = 1; port <= MANY; port += 1) kind.put(factsOf(port), 0, 60_000);
    const parts = partsOf(account, async () => ({ isInterrupted: false, refused: undefined }));
    const inspected = inspect([SET], parts);
    await turn();
    // Noted are those at the beginning.
    for (let port = 2 * MANY; port > 2 * MANY - 100; port -= 1) kind.put(factsOf(port), 0, 60_000);
    for (let port = MANY; port > MANY - 100; port -= 1) kind.remove(factsOf(port), 0);
    const { missing } = await inspected;
    assert.equal(missing.length, MANY - 100);
  });
});
