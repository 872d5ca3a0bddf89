import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SetBatch } from "./nftables-set-batch.ts";
import { TABLE_FAMILY } from "./nftables-transaction.ts";

const SET = { table: { family: TABLE_FAMILY.INET, name: "t" }, name: "s" };
const KEY = Uint8Array.of(0x13, 0x8c);

/** The attribute of the lifetime (NFTA_SET_ELEM_TIMEOUT): 64 bits in network order. */
function lifetimeIn(bytes: Uint8Array): string | undefined {
  return /0c000400([0-9a-f]{16})/.exec(Buffer.from(bytes).toString("hex"))?.[1];
}

describe("a batch of elements", () => {
  const rows: readonly (readonly [timeoutMs: number, elapsedMs: number, lifetime: string])[] = [
    [60_000, 0, "000000000000ea60"],
    [60_000, 1_500, "000000000000e484"],
    [5_000_000_000, 0, "000000012a05f200"],
    // What is over must not last for ever, which zero would mean.
    [100, 250, "0000000000000001"],
  ];
  for (const [timeoutMs, elapsedMs, lifetime] of rows) {
    it(`tells ${timeoutMs} ms of which ${elapsedMs} are over`, () => {
      const batch = new SetBatch(1, elapsedMs);
      batch.put(SET, [{ key: KEY, timeoutMs }]);
      assert.equal(lifetimeIn(batch.end()), lifetime);
    });
  }

  it("tells no lifetime of what leaves, and none of what stays for ever", () => {
    const batch = new SetBatch(1);
    batch.destroy(SET, [{ key: KEY, timeoutMs: 60_000 }]);
    batch.put(SET, [{ key: KEY }]);
    assert.equal(lifetimeIn(batch.end()), undefined);
  });
});
