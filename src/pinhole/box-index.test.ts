import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Prefix } from "../base/index.ts";
import { BoxIndex, pairsMeet } from "./box-index.ts";
import { Endpoint } from "./endpoint.ts";
import { type Pair, PairIndex } from "./pair-index.ts";

const UDP = 17;

function endpoint(network: string, low: number, high: number): Endpoint {
  const prefix = Prefix.parse(network);
  assert.ok(prefix !== undefined, network);
  return new Endpoint(prefix, { low, high });
}

/** Few addresses and ports, so that they meet often. */
const anyEndpoint: fc.Arbitrary<Endpoint> = fc
  .tuple(
    fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.0/24", "10.0.0.0/30", "0.0.0.0/0"),
    fc.integer({ min: 0, max: 20 }),
    fc.constantFrom(0, 0, 0, 1, 3, 6, 65_515),
  )
  .map(([network, low, more]) => endpoint(network, low, low + more));

const anyPair: fc.Arbitrary<Pair> = fc.record({
  protocol: fc.constantFrom(0, 6, UDP),
  near: anyEndpoint,
  far: anyEndpoint,
});

test("what meets a pair is what a plain list finds, whatever came in and went out", () => {
  fc.assert(
    fc.property(
      fc.array(anyPair, { maxLength: 60 }),
      fc.array(anyPair),
      fc.nat(),
      (pairs, questions, cut) => {
        const values = pairs.map((pair, at) => ({ at, pair }));
        const index = new BoxIndex<(typeof values)[number]>(({ pair }) => pair);
        for (const value of values) index.add(value);
        const gone = values.splice(0, cut % (values.length + 1));
        for (const value of gone) index.remove(value);
        assert.equal(index.size, values.length);
        for (const question of questions) {
          const expected = values.filter(({ pair }) => pairsMeet(pair, question)).map(({ at }) => at);
          const found = index.meeting(question).map(({ at }) => at);
          assert.deepEqual(
            found.sort((a, b) => a - b),
            expected,
          );
        }
      },
    ),
  );
});

test("twenty thousand flows between the same two gateways are not compared one by one", () => {
  const index = new PairIndex();
  const flow = (at: number): Pair => ({
    protocol: UDP,
    near: endpoint("10.0.0.1", 10_000 + at, 10_000 + at),
    far: endpoint("192.0.2.1", 20_000, 20_000),
  });
  for (let at = 0; at < 20_000; at += 1) index.add(at, flow(at));
  const some = { ...flow(0), near: endpoint("10.0.0.1", 12_000, 12_003) };
  assert.deepEqual(index.meeting(flow(777)), [777]);
  assert.equal(index.meeting(some).length, 4);
  assert.ok(index.candidates(flow(777)).length + index.candidates(some).length <= 5);
});
