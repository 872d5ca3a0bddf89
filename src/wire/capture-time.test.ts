import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CaptureRecord } from "./capture-record.ts";
import { setTime, unitsPerSecond } from "./capture-time.ts";

const NANOSECONDS = 1_000_000_000n;

test("resolutions are powers of ten and of two", () => {
  const cases = [
    [0, 1],
    [6, 1e6],
    [9, 1e9],
    [18, 1e18],
    [19, undefined],
    [0x80, 1],
    [0x8a, 1024],
    [0xbf, 2 ** 63],
    [0xc0, undefined],
  ] as const;
  for (const [value, units] of cases) assert.equal(unitsPerSecond(value), units, String(value));
});

test("a fraction that a double rounds up is cut off all the same", () => {
  const record = new CaptureRecord();
  setTime(record, 4_294_967_269, 2_295_108_996, 1e10);
  const count = (4_294_967_269n << 32n) | 2_295_108_996n;
  assert.equal(BigInt(record.nanoseconds), (count % 10_000_000_000n) / 10n);
});

test("any count of any resolution is the time that big integers give", () => {
  const word = fc.integer({ min: 0, max: 0xffff_ffff });
  const resolution = fc.oneof(
    fc.nat(18),
    fc.nat(63).map((exponent) => 0x80 | exponent),
  );
  const record = new CaptureRecord();
  fc.assert(
    fc.property(word, word, resolution, (high, low, value) => {
      const units = unitsPerSecond(value) ?? 0;
      setTime(record, high, low, units);
      const count = (BigInt(high) << 32n) | BigInt(low);
      assert.equal(record.seconds, Number(count / BigInt(units)));
      assert.equal(BigInt(record.nanoseconds), ((count % BigInt(units)) * NANOSECONDS) / BigInt(units));
    }),
    { numRuns: 5000 },
  );
});
