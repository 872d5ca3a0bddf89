import assert from "node:assert/strict";
import { test } from "node:test";
import { FlowHash } from "./flow-hash.ts";
import { FlowKey } from "./flow-key.ts";

const KIND_TCP4 = 6;
const KIND_TCP6 = 0x106;

/** HalfSipHash-1-3 as its paper tells it, over words. */
function halfSipHash(words: readonly number[], key: readonly [number, number]): number {
  const v = [key[0], key[1], 0x6c796765 ^ key[0], 0x74656462 ^ key[1]] as [number, number, number, number];
  const turn = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));
  const round = (): void => {
    v[0] = (v[0] + v[1]) | 0;
    v[1] = turn(v[1], 5) ^ v[0];
    v[0] = turn(v[0], 16);
    v[2] = (v[2] + v[3]) | 0;
    v[3] = turn(v[3], 8) ^ v[2];
    v[0] = (v[0] + v[3]) | 0;
    v[3] = turn(v[3], 7) ^ v[0];
    v[2] = (v[2] + v[1]) | 0;
    v[1] = turn(v[1], 13) ^ v[2];
    v[2] = turn(v[2], 16);
  };
  for (const word of words) {
    v[3] ^= word;
    round();
    v[0] ^= word;
  }
  v[2] ^= 0xff;
  round();
  round();
  round();
  return v[1] ^ v[3];
}

function random(): number {
  return Math.floor(Math.random() * 2 ** 32) | 0;
}

function randomKey(): FlowKey {
  const key = new FlowKey();
  for (let at = 0; at < key.words.length; at += 1) key.words[at] = random();
  return key;
}

test("the hash is HalfSipHash-1-3 of the ends in order, IPv4 addresses as one word", () => {
  const seed = [random(), random()] as const;
  const hash = new FlowHash([...seed]);
  for (let count = 0; count < 1000; count += 1) {
    const key = randomKey();
    // The lower end first: make the remote end the lower one.
    key.words[3] = -1 - Math.abs(key.words[3] ?? 0);
    key.words[7] = Math.abs(key.words[7] ?? 0);
    const w = [...key.words] as [number, number, number, number, number, number, number, number, number];
    const ipv4 = halfSipHash([w[3], w[7], w[8], KIND_TCP4], [...seed]);
    assert.equal(hash.of(key.words, 0, KIND_TCP4), ipv4);
    const ipv6 = halfSipHash([w[0], w[4], w[1], w[5], w[2], w[6], w[3], w[7], w[8], KIND_TCP6], [...seed]);
    assert.equal(hash.of(key.words, 0, KIND_TCP6), ipv6);
  }
});

test("both orientations of a tuple have one hash, also when the ends differ in their ports only", () => {
  const hash = new FlowHash([1, 2]);
  for (let count = 0; count < 1000; count += 1) {
    const key = randomKey();
    if (count % 2 === 0) key.words.copyWithin(4, 0, 4);
    for (const kind of [KIND_TCP4, KIND_TCP6]) {
      const before = hash.of(key.words, 0, kind);
      key.turn();
      assert.equal(hash.of(key.words, 0, kind), before);
    }
  }
});

test("tuples that collide under one seed do not under another", () => {
  const known = new FlowHash([1, 2]);
  const secret = new FlowHash([3, 4]);
  const bucket = (hash: number): number => hash & 0xff;
  const collisions: FlowKey[] = [];
  while (collisions.length < 500) {
    const key = randomKey();
    if (bucket(known.of(key.words, 0, KIND_TCP4)) === 0) collisions.push(key);
  }
  const buckets = new Set(collisions.map((key) => bucket(secret.of(key.words, 0, KIND_TCP4))));
  assert.ok(buckets.size > 150, `${buckets.size} buckets of 256`);
});

test("neighbouring tuples spread evenly", () => {
  const hash = new FlowHash([5, 6]);
  const key = new FlowKey();
  const counts = new Array<number>(1024).fill(0);
  for (let number = 0; number < 102_400; number += 1) {
    key.words[3] = 0x0a000000 + (number >>> 4);
    key.words[8] = ((1024 + (number & 15)) << 16) | 443;
    const at = hash.of(key.words, 0, KIND_TCP4) & 1023;
    counts[at] = (counts[at] ?? 0) + 1;
  }
  // Chi square with 1023 degrees of freedom: mean 1023, standard deviation 45; six of those are far out.
  const chiSquare = counts.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
  assert.ok(chiSquare < 1023 + 6 * 45, `chi square ${chiSquare}`);
});
