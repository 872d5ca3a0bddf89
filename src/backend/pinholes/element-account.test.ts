import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Prefix } from "../../base/index.ts";
import type { ElementFacts } from "../../netlink/index.ts";
import { type Box, Endpoint } from "../../pinhole/index.ts";
import { encodeBox, nameKey } from "./box-key.ts";
import { KindAccount } from "./element-account.ts";
import { shapeOf } from "./set-shape.ts";

const UDP = 17;
const LEASE = 60_000;
const NOTHING = new Uint8Array(0);

function box(low: number, high: number = low): Box {
  const [near, far] = [Prefix.parse("10.1.0.7"), Prefix.parse("198.51.100.9")];
  assert.ok(near !== undefined && far !== undefined);
  const source = new Endpoint(near, { low, high });
  return { protocol: UDP, source, destination: new Endpoint(far, { low: 6004, high: 6004 }) };
}

function factsOf(one: Box): ElementFacts {
  return encodeBox(shapeOf(one), one);
}

function nameOf(one: Box): string {
  const { key, keyEnd } = factsOf(one);
  return nameKey(key, keyEnd);
}

function accountOf(...boxes: readonly Box[]): KindAccount {
  const [first = box(1)] = boxes;
  const account = new KindAccount({ role: "pass", shape: shapeOf(first) });
  for (const one of boxes) account.put(factsOf(one), 0, LEASE);
  return account;
}

const RIGHT = { layer: 0, deadline: LEASE, ageMs: 0, data: NOTHING };

function missing(account: KindAccount, now = 0): string[] {
  return [...account.unseen(now)].map(([name]) => name);
}

describe("the account of what the kernel was told", () => {
  const [audio, video, strange] = [box(5004), box(5006), box(5008)];

  it("knows what is missing, what nobody asked for, and what ends at another time", () => {
    const account = accountOf(audio, video);
    account.beginInspection();
    assert.equal(account.see(nameOf(audio), { ...RIGHT, deadline: LEASE + 5000 }), "stale");
    assert.equal(account.see(nameOf(strange), RIGHT), "stranger");
    assert.deepEqual(missing(account), [nameOf(video)]);
    assert.deepEqual(missing(account, LEASE), [], "what is over is not missed");
  });

  it("takes what has waited to be read for what it was when it was written", () => {
    const account = accountOf(audio, video, strange);
    account.beginInspection();
    const [late, early] = [LEASE + 5000, LEASE - 5000];
    assert.equal(account.see(nameOf(audio), { ...RIGHT, deadline: late, ageMs: 4500 }), "right");
    assert.equal(account.see(nameOf(video), { ...RIGHT, deadline: late, ageMs: 3500 }), "stale");
    assert.equal(account.see(nameOf(strange), { ...RIGHT, deadline: early, ageMs: 4500 }), "stale");
  });

  it("is not misled when an element is named twice", () => {
    const account = accountOf(audio);
    account.beginInspection();
    assert.equal(account.see(nameOf(audio), RIGHT), "right");
    assert.equal(account.see(nameOf(audio), RIGHT), "right");
    assert.deepEqual(missing(account), []);
  });

  it("neither misses nor doubts what comes, changes or leaves while the kernel is read", () => {
    const account = accountOf(audio, video);
    account.beginInspection();
    account.put(factsOf(strange), 0, LEASE);
    account.put(factsOf(audio), 0, 2 * LEASE);
    account.remove(factsOf(video), 0);
    // The list was written before all that.
    assert.equal(account.see(nameOf(audio), RIGHT), "right");
    assert.equal(account.see(nameOf(video), RIGHT), "right");
    assert.deepEqual(missing(account), []);
    account.endInspection();
    account.beginInspection();
    assert.equal(account.see(nameOf(video), RIGHT), "stranger", "the next list comes later");
    assert.deepEqual(missing(account), [nameOf(audio), nameOf(strange)]);
  });

  it("knows of an interval in which layer it is, once it is told or has seen it", () => {
    const range = box(10_000, 20_000);
    const account = accountOf(range);
    account.beginInspection();
    assert.equal(account.see(nameOf(range), { ...RIGHT, layer: 3 }), "right");
    assert.equal(account.see(nameOf(range), { ...RIGHT, layer: 5 }), "misplaced");
    account.remove(factsOf(range), 5);
    assert.equal(
      account.layerOf(account.rowOf(nameOf(range)) ?? -1),
      3,
      "the other layer's is another matter",
    );
  });

  it("holds very many, gives their rows to others, and tells keys as they were", () => {
    const boxes = Array.from({ length: 5000 }, (_, at) => box(1 + at));
    const account = accountOf(...boxes);
    for (const one of boxes.slice(0, 4000)) account.remove(factsOf(one), 0);
    for (let port = 30_000; port < 34_000; port += 1) account.put(factsOf(box(port)), 0, port);
    assert.equal(account.size, 5000);
    const row = account.rowOf(nameOf(box(33_333))) ?? -1;
    assert.equal(account.deadlineOf(row), 33_333);
    assert.deepEqual(account.factsOf(nameOf(box(33_333)), row), { ...factsOf(box(33_333)), data: undefined });
    account.beginInspection();
    assert.equal(missing(account, 0).length, 5000);
  });
});
