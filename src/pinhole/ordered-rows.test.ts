import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { IdSource, orderOf } from "./identifier.ts";
import { OrderedRows } from "./ordered-rows.ts";

/** Ids as they are made: several in a millisecond, then the next one. */
function someIds(count: number): string[] {
  const source = new IdSource("ph_", (bytes) => new Uint8Array(bytes));
  return Array.from({ length: count }, (_, at) => source.next(1_700_000_000_000 + Math.floor(at / 3)));
}

test("pages go on where the page before ended, whatever came, left and came back", () => {
  const ids = someIds(40);
  const step = fc.tuple(fc.nat(ids.length - 1), fc.nat(ids.length - 1));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const rows = new OrderedRows();
      const there = new Set<number>();
      for (const [at, cursor] of steps) {
        const id = ids[at] ?? "";
        if (there.delete(at)) rows.remove(id);
        else {
          there.add(at);
          rows.add(id, at);
        }
        const behind = [...there].filter((one) => one > cursor).sort((a, b) => a - b);
        assert.deepEqual([...rows.after(ids[cursor] ?? "")], behind);
      }
      assert.deepEqual(
        [...rows.after("")],
        [...there].sort((a, b) => a - b),
      );
    }),
  );
});

test("the order of an id is that of its text", () => {
  const ids = someIds(100);
  const byText = [...ids].sort();
  const byOrder = [...ids].sort((a, b) => {
    const [one, other] = [orderOf(a), orderOf(b)];
    return one.time - other.time || one.count - other.count;
  });
  assert.deepEqual(byOrder, byText);
  assert.deepEqual(orderOf("ph_ü?"), orderOf(""), "what is no id comes first");
});
