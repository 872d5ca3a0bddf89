import assert from "node:assert/strict";
import { test } from "node:test";
import { JUDGED_CHAIN_MAX, JUDGED_RULE_MAX, type JudgedPlace, judgedPlace, judgedPriority } from "./index.ts";

/** The number that nftables makes of a priority. */
function told(place: JudgedPlace): number {
  const [major = 0, minor = 0] = judgedPriority(place)
    .split(":")
    .map((part) => Number.parseInt(part, 16));
  assert.ok(major <= 0xffff && minor <= 0xffff);
  return ((major << 16) | minor) >>> 0;
}

const PLACES: readonly JudgedPlace[] = [1, 2, 14, 15, 16, 17, 1000].flatMap((revision) => [
  { isRefused: false, chain: 0, rule: -1, revision },
  { isRefused: true, chain: 3, rule: 0, revision },
  { isRefused: true, chain: JUDGED_CHAIN_MAX, rule: JUDGED_RULE_MAX, revision },
]);

test("a priority tells all of a verdict, also some policies later", () => {
  for (const place of PLACES) {
    for (const later of [0, 1, 7]) assert.deepEqual(judgedPlace(told(place), place.revision + later), place);
  }
});

test("of which policy a verdict is stays open when it was replaced long ago, or is not in force yet", () => {
  for (const place of PLACES) {
    for (const off of [-7, -1, 8, 14]) {
      if (place.revision + off < 1) continue;
      assert.deepEqual(judgedPlace(told(place), place.revision + off), { ...place, revision: -1 });
    }
  }
});

test("no priority tells nothing of a policy", () => {
  for (const newest of [1, 15, 16]) assert.equal(judgedPlace(0, newest).revision, -1);
});
