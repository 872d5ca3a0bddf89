import assert from "node:assert/strict";
import { test } from "node:test";
import { WORD } from "./flow-row.ts";
import { FlowSlab } from "./flow-slab.ts";
import { SlotLists } from "./slot-lists.ts";

const LISTS = 4;

/** Takes a list apart; answers what was in it. */
function drain(lists: SlotLists, list: number): number[] {
  const slots: number[] = [];
  for (let slot = lists.first(list); slot >= 0; slot = lists.first(list)) {
    slots.push(slot);
    lists.remove(slot);
  }
  return slots;
}

test("lists agree with arrays through any appends, removals and splices", () => {
  const slab = new FlowSlab();
  const lists = new SlotLists(slab, WORD.QUEUE_NEXT, LISTS);
  const model: number[][] = Array.from({ length: LISTS }, () => []);
  const out: number[] = [];
  for (let count = 0; count < 40; count += 1) {
    const slot = slab.allocate();
    lists.leave(slot);
    out.push(slot);
  }
  let state = 7;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % below;
  };
  for (let step = 0; step < 20_000; step += 1) {
    const list = next(LISTS);
    const other = (list + 1 + next(LISTS - 1)) % LISTS;
    const chain = model[list] ?? [];
    switch (next(4)) {
      case 0:
        model[other]?.push(...chain);
        model[list] = [];
        lists.splice(list, other);
        break;
      case 1: {
        const [slot] = chain.splice(next(Math.max(chain.length, 1)), 1);
        if (slot === undefined) break;
        lists.remove(slot);
        out.push(slot);
        break;
      }
      default: {
        const slot = out.pop();
        if (slot === undefined) break;
        assert.ok(!lists.isListed(slot));
        lists.append(list, slot);
        chain.push(slot);
      }
    }
    for (let at = 0; at < LISTS; at += 1) assert.equal(lists.first(at), model[at]?.[0] ?? -1);
  }
  for (let list = 0; list < LISTS; list += 1) assert.deepEqual(drain(lists, list), model[list]);
});
