import assert from "node:assert/strict";
import { test } from "node:test";
import { chiSquareProbability, erfc, normalCumulative, upperIncompleteGamma } from "./special-functions.ts";

const close = (actual: number, expected: number, relative = 1e-13): void => {
  const allowed = Math.abs(expected) * relative;
  assert.ok(Math.abs(actual - expected) <= allowed, `${actual} instead of ${expected}`);
};

// Values of erfc to 16 digits, from every branch of the approximation.
const ERFC: [number, number][] = [
  [0, 1],
  [0.1, 0.8875370839817152],
  [0.46875, 0.5073865267820618],
  [0.5, 0.4795001221869535],
  [1, 0.15729920705028513],
  [3, 2.209049699858544e-5],
  [4, 1.541725790028002e-8],
  [5, 1.5374597944280347e-12],
  [-1, 1.8427007929497148],
];

test("erfc equals published values in every branch", () => {
  for (const [x, expected] of ERFC) close(erfc(x), expected);
});

test("erfc falls to 0 and rises to 2 at the ends", () => {
  assert.equal(erfc(40), 0);
  assert.equal(erfc(-40), 2);
});

test("the normal distribution is symmetric", () => {
  close(normalCumulative(1.959963984540054), 0.975);
  close(normalCumulative(-1.959963984540054), 0.025, 1e-12);
});

test("Q(1, x) is exp(-x) and Q(1/2, x) is erfc(√x), below and above a + 1", () => {
  for (const x of [0.01, 0.7, 1.5, 2, 2.5, 9, 30]) {
    close(upperIncompleteGamma(1, x), Math.exp(-x), 1e-12);
    close(upperIncompleteGamma(0.5, x), erfc(Math.sqrt(x)), 1e-12);
  }
});

test("Q of nothing is 1, of everything 0", () => {
  assert.equal(upperIncompleteGamma(3, 0), 1);
  assert.equal(upperIncompleteGamma(3, -1), 1);
  assert.equal(upperIncompleteGamma(3, 1e6), 0);
});

test("χ² with 255 degrees: the 1 % and 99 % points of the tables", () => {
  close(chiSquareProbability(310.457388, 255), 0.01, 1e-6);
  close(chiSquareProbability(205.421368, 255), 0.99, 1e-6);
});
