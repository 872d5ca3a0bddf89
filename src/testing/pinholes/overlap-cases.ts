/** Of what every packet filter must do: blocks, and pinholes that have packets in common. */
import assert from "node:assert/strict";
import type { PinholeSpec } from "../../pinhole/index.ts";
import { BOB } from "./agents.ts";
import { type ComplianceCase, flow, IN, OUT, OURS, THEIRS, type PacketWords } from "./compliance-world.ts";

/** Tests of blocks, and pinholes that have packets in common. */
export const OVERLAP_CASES: readonly ComplianceCase[] = [
  {
    title: "a block wins over permits, in both directions, and permits come back only by asking again",
    run: async (world) => {
      await world.open(flow(4));
      const elsewhere = { ...IN, theirs: "203.0.113.2" };
      await world.open(
        flow(4, { external: { family: 4, address: "203.0.113.2", ports: [6004, 6004] } }),
        BOB,
      );
      const block = flow(4, {
        kind: "block",
        internal: { family: 4 },
        external: { family: 4, address: THEIRS[4] },
        protocol: 0,
      });
      const id = await world.open(block, BOB);
      await world.expect([
        [IN, false],
        [OUT, false],
        [elsewhere, true],
      ]);
      await assert.rejects(world.open(flow(4)), { code: "CONFLICT" });
      await world.close(id, BOB);
      await world.expect([[IN, false]]);
      await world.open(flow(4));
      await world.expect([[IN, true]]);
    },
  },
  {
    title: "overlapping blocks hold until both have ended, and stop what a wider permit would let through",
    run: async (world) => {
      const wide: Partial<PinholeSpec> = {
        external: { family: 4, address: "203.0.113.0", prefix: 24 },
        protocol: 0,
      };
      const narrow: Partial<PinholeSpec> = { external: { family: 4, address: THEIRS[4] } };
      const one = await world.open(flow(4, { kind: "block", internal: { family: 4 }, ...wide }));
      const other = await world.open(flow(4, { kind: "block", ...narrow, internal: { family: 4 } }));
      await world.close(one);
      await world.open(flow(4, { external: { family: 4, address: "203.0.113.2" } }));
      await world.expect([
        [{ ...IN, theirs: "203.0.113.2" }, true],
        [IN, false],
      ]);
      await world.close(other);
      await world.open(flow(4));
      await world.expect([[IN, true]]);
    },
  },
  {
    title: "of two equal pinholes each can be closed, and packets pass until both are",
    run: async (world) => {
      const one = await world.open(flow(4));
      const other = await world.open(flow(4), BOB);
      await world.close(one);
      await world.expect([
        [IN, true],
        [OUT, true],
      ]);
      await world.close(other, BOB);
      await world.expect([
        [IN, false],
        [OUT, false],
      ]);
    },
  },
  {
    title: "of two pinholes one within the other each can be closed, in either order",
    run: async (world) => {
      const outer: Partial<PinholeSpec> = {
        external: { family: 4, address: "203.0.113.0", prefix: 24, ports: [6000, 6999] },
      };
      const inner: Partial<PinholeSpec> = {
        external: { family: 4, address: "203.0.113.0", prefix: 30, ports: [6000, 6500] },
      };
      const inside = { ...IN, theirs: "203.0.113.1", theirPort: 6400 };
      const outside = { ...IN, theirs: "203.0.113.200", theirPort: 6900 };
      for (const order of [
        [outer, inner],
        [inner, outer],
      ]) {
        const ids = [await world.open(flow(4, order[0])), await world.open(flow(4, order[1]))];
        await world.expect([
          [inside, true],
          [outside, true],
        ]);
        await world.close(ids[0] ?? "");
        await world.expect([
          [inside, true],
          [outside, order[1] === outer],
        ]);
        await world.close(ids[1] ?? "");
        await world.expect([
          [inside, false],
          [outside, false],
        ]);
      }
    },
  },
  {
    title: "of two pinholes that overlap in part each can be closed",
    run: async (world) => {
      const low: Partial<PinholeSpec> = { external: { family: 4, address: THEIRS[4], ports: [6000, 6600] } };
      const high: Partial<PinholeSpec> = { external: { family: 4, address: THEIRS[4], ports: [6400, 6999] } };
      const [first, second] = [await world.open(flow(4, low)), await world.open(flow(4, high))];
      const at = (theirPort: number, passes: boolean): [PacketWords, boolean] => [
        { ...IN, theirPort },
        passes,
      ];
      await world.expect([at(6000, true), at(6500, true), at(6999, true)]);
      await world.close(first);
      await world.expect([at(6000, false), at(6500, true), at(6999, true)]);
      await world.close(second);
      await world.expect([at(6500, false), at(6999, false)]);
    },
  },
  {
    title: "a range takes the place of one that it overlaps in part, in one transaction",
    run: async (world) => {
      const range = (first: number, last: number): PinholeSpec =>
        flow(4, { external: { family: 4, address: THEIRS[4], ports: [first, last] } });
      const id = await world.open(range(6000, 6999));
      await world.apply([
        { op: "close", id },
        { op: "open", spec: range(6500, 7499) },
      ]);
      await world.expect([
        [{ ...IN, theirPort: 6499 }, false],
        [{ ...IN, theirPort: 6500 }, true],
        [{ ...IN, theirPort: 7499 }, true],
      ]);
    },
  },
  {
    title: "many pinholes between the same two hosts stay apart",
    run: async (world) => {
      const count = 24;
      for (let index = 0; index < count; index += 1) {
        await world.open(
          flow(4, {
            internal: { family: 4, address: OURS[4], ports: [5000 + index, 5000 + index] },
            external: { family: 4, address: THEIRS[4], ports: [6000 + index, 6000 + index] },
          }),
        );
      }
      const pairs = Array.from({ length: count }, (_, index) => index);
      await world.expect([
        ...pairs.map((index): [PacketWords, boolean] => [
          { ...IN, ourPort: 5000 + index, theirPort: 6000 + index },
          true,
        ]),
        ...pairs.map((index): [PacketWords, boolean] => [
          { ...IN, ourPort: 5000 + index, theirPort: 6000 + ((index + 1) % count) },
          false,
        ]),
      ]);
    },
  },
];
