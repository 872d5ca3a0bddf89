import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defaultLimits } from "../base/index.ts";
import { ALICE, fakeEntropy } from "../testing/index.ts";
import { type EndedPinhole, packPinhole } from "./record.ts";
import { PinholeStore } from "./store.ts";
import { Tombstones } from "./tombstones.ts";

const MINUTE = 60_000;
const MOMENT = { now: 0, wall: 0 };

/** What a pinhole says about itself. */
function textOfOne(): string {
  const store = new PinholeStore({ limits: defaultLimits(), expansionMax: 8, entropy: fakeEntropy() });
  const transaction = store.stage(ALICE, MOMENT);
  const { id } = transaction.open({
    kind: "permit",
    internal: { family: 4, address: "10.1.0.1", ports: [5004, 5004] },
    external: { family: 4, address: "198.51.100.1" },
    protocol: 17,
    lifetime: 60,
  });
  store.prepare([{ transaction, options: {} }], MOMENT).settle();
  const found = store.find(ALICE, id);
  assert.ok(found !== undefined);
  return packPinhole(found);
}

const TEXT = textOfOne();

/** A pinhole that ended, known by its generation. */
function ended(generation: number, clientId: string | undefined, at: number, owner = "alice"): EndedPinhole {
  const end = { reason: "expired", at } as const;
  return { id: `ph_${generation}`, owner, clientId, text: TEXT, revision: 2, generation, end };
}

describe("pinholes that have ended", () => {
  it("are found by both names, and each owner has names of his own", () => {
    const tombstones = new Tombstones(10);
    tombstones.add([ended(1, "call:1", 0), ended(2, "call:1", 0, "bob"), ended(3, undefined, 0)]);
    assert.equal(tombstones.get("ph_1")?.generation, 1);
    assert.equal(tombstones.byClientId("alice", "call:1")?.generation, 1);
    assert.equal(tombstones.byClientId("bob", "call:1")?.generation, 2);
    assert.equal(tombstones.byClientId("carol", "call:1"), undefined);
  });

  it("of the same name are found by their own ids, and the last one by the name", () => {
    const tombstones = new Tombstones(10);
    tombstones.add([ended(1, "call:1", 0)]);
    tombstones.add([ended(2, "call:1", MINUTE)]);
    assert.equal(tombstones.byClientId("alice", "call:1")?.generation, 2);
    tombstones.forget(5 * MINUTE);
    assert.equal(tombstones.get("ph_1"), undefined);
    assert.equal(tombstones.byClientId("alice", "call:1")?.generation, 2, "the other takes nothing along");
    tombstones.forget(6 * MINUTE);
    assert.equal(tombstones.byClientId("alice", "call:1"), undefined);
  });

  it("are forgotten by both names when there are too many", () => {
    const tombstones = new Tombstones(3);
    for (let index = 0; index < 1000; index += 1) {
      tombstones.add([ended(index, `call:${index}`, 0)]);
      tombstones.forget(0);
    }
    const kept = Array.from({ length: 1000 }, (_, index) => tombstones.byClientId("alice", `call:${index}`));
    assert.deepEqual(
      kept.flatMap((one) => one?.generation ?? []),
      [997, 998, 999],
    );
  });
});
