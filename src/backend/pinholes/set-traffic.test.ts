import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prefix } from "../../base/index.ts";
import { MessageWriter, TABLE_FAMILY } from "../../netlink/index.ts";
import { Endpoint, type Element, makeElement } from "../../pinhole/index.ts";
import { encodeBox } from "./box-key.ts";
import { shapeOf } from "./set-shape.ts";
import { readTraffic } from "./set-traffic.ts";

const [near, far] = [Prefix.parse("10.1.0.7"), Prefix.parse("198.51.100.9")];
assert.ok(near !== undefined && far !== undefined);
const source = new Endpoint(near, { low: 5004, high: 5004 });
/** As many as are read as a whole. */
const ELEMENTS: readonly Element[] = Array.from({ length: 100 }, (_, at) =>
  makeElement("pass", {
    protocol: 17,
    source,
    destination: new Endpoint(far, { low: 6000 + at, high: 6000 + at }),
  }),
);
const TABLE = { family: TABLE_FAMILY.INET, name: "table" };

/** Linux's message about elements; each has met one packet more than its number says (nf_tables.h). */
function messageOf(numbers: readonly number[]): Uint8Array {
  const writer = new MessageWriter();
  writer.beginNetfilter({ type: 0x0a0c, flags: 0, sequence: 1, family: TABLE_FAMILY.INET });
  writer.beginNest(3);
  for (const number of numbers) {
    const { box } = ELEMENTS[number] as Element;
    writer.beginNest(1);
    writer.beginNest(1);
    writer.attribute(1, encodeBox(shapeOf(box), box).key);
    writer.endNest();
    writer.beginNest(7);
    writer.beginNest(2);
    writer.uint64(1, 100);
    writer.uint64(2, number + 1);
    for (let nests = 0; nests < 3; nests += 1) writer.endNest();
  }
  writer.endNest();
  writer.end();
  return writer.bytes;
}

const NUMBERS = ELEMENTS.map((_, at) => at);

/** Packets of all elements, where lists of the set show some; the last one comes again. */
function packetsOf(lists: readonly (readonly number[])[]): {
  readonly packets: number[];
  readonly asked: number;
} {
  let asked = 0;
  const exchange = (): { answers: []; messages: Uint8Array[] } => {
    asked += 1;
    return { answers: [], messages: [messageOf(lists[Math.min(asked, lists.length) - 1] ?? [])] };
  };
  const place = ({ box }: Element): object => ({ table: TABLE, name: "set", shape: shapeOf(box) });
  const traffic = readTraffic({ exchange }, ELEMENTS, place as Parameters<typeof readTraffic>[2]);
  return { packets: traffic.map(({ packets }) => packets), asked };
}

describe("traffic of a set", () => {
  const all = NUMBERS.map((number) => number + 1);

  it("is read in one list when that shows all", () => {
    assert.deepEqual(packetsOf([NUMBERS]), { packets: all, asked: 1 });
  });

  it("is read again when a list leaves elements out and shows others twice", () => {
    const torn = [...NUMBERS.slice(0, 70), ...NUMBERS.slice(0, 30)];
    assert.deepEqual(packetsOf([torn, NUMBERS.slice(60, 90), NUMBERS]), { packets: all, asked: 3 });
  });

  it("is nothing for elements that no second list shows either", () => {
    const some = NUMBERS.slice(1);
    assert.deepEqual(packetsOf([some]), { packets: [0, ...all.slice(1)], asked: 2 });
  });

  it("is read five times at most", () => {
    const lists = NUMBERS.map((number) => [number]);
    assert.equal(packetsOf(lists).asked, 5);
  });
});
