import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prefix } from "../../base/index.ts";
import type { HeldElement } from "../../netlink/index.ts";
import { Endpoint, makeElement, type StandingElement } from "../../pinhole/index.ts";
import { encodeBox } from "./box-key.ts";
import { SetCatalogue } from "./set-catalogue.ts";
import { compareSets, type HeldState } from "./set-comparison.ts";
import { shapeOf } from "./set-shape.ts";

const UDP = 17;

function standing(port: number): StandingElement {
  const [near, far] = [Prefix.parse("10.1.0.7"), Prefix.parse("198.51.100.9")];
  assert.ok(near !== undefined && far !== undefined);
  const source = new Endpoint(near, { low: port, high: port });
  const destination = new Endpoint(far, { low: 6004, high: 6004 });
  return { ...makeElement("pass", { protocol: UDP, source, destination }), deadline: 60_000, limiter: 0 };
}

function held({ box }: StandingElement): HeldElement {
  const { key } = encodeBox(shapeOf(box), box);
  const nothing = new Uint8Array(0);
  return { key, keyEnd: nothing, data: nothing, leftMs: 60_000, packets: 0, bytes: 0, object: "" };
}

function stateOf(elements: readonly StandingElement[]): HeldState {
  const [first] = elements;
  assert.ok(first !== undefined);
  const set = { role: "pass", shape: shapeOf(first.box), layer: 0 } as const;
  const contents = new Map([[set, elements.map(held)]]);
  return { generation: 1, sets: [set], held: 0, contents, limitMaps: [], entries: [], objects: [] };
}

describe("what the kernel holds, beside what it shall hold", () => {
  const [wanted, missing, stranger] = [standing(5004), standing(5006), standing(5008)];
  const desired = { now: 0, generation: 1, elements: [wanted, missing], limits: [] };

  it("differs by what is missing and what nobody asked for", () => {
    const comparison = compareSets(stateOf([wanted, stranger]), desired, new SetCatalogue());
    assert.deepEqual(comparison.present, [wanted]);
    assert.deepEqual(comparison.missing, [missing]);
    assert.deepEqual(
      comparison.surplus.map(({ name }) => name),
      [stranger.key],
    );
  });

  it("is the same when the kernel names an element twice, as it does while it makes a table larger", () => {
    const state = stateOf([wanted, stranger, wanted, stranger]);
    const comparison = compareSets(state, desired, new SetCatalogue());
    assert.deepEqual(comparison.present, [wanted]);
    assert.deepEqual(
      comparison.surplus.map(({ name }) => name),
      [stranger.key],
    );
  });
});
